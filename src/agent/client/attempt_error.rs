//! Parses the error response of a server: which part of the request it rejects, whether it is loading its model. Pure.

use super::capabilities::{RejectedPart, RequestField};
use crate::agent::model_config::TokenLimitField;
use crate::agent::reply_failure::{ProtocolError, ReplyFailure};
use serde_json::Value;

/// Longest error code that is logged, in bytes.
const CODE_BYTES_MAX: usize = 64;
/// Error codes about the output of the model, not about the request (Groq).
const MODEL_OUTPUT_ERROR_CODES: [&str; 2] = ["tool_use_failed", "json_validate_failed"];
/// Fields with the reason in a response without `error`.
const REASON_KEYS: [&str; 3] = ["message", "detail", "error_message"];

/// The failure of an attempt, with the error that the server sent.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::agent) struct AttemptError {
    pub failure: ReplyFailure,
    /// The part of the request that was rejected, if the server names it.
    pub rejected_part: Option<RejectedPart>,
    /// The server is loading the model.
    pub is_loading: bool,
    /// The server could not parse the output of its model: the same request may succeed.
    pub is_model_output_error: bool,
    /// The server's error code, such as `invalid_api_key`.
    pub code: Option<String>,
    /// The server's error message. It may quote the request, so it is redacted before it is logged.
    pub reason: String,
}

impl From<ReplyFailure> for AttemptError {
    fn from(failure: ReplyFailure) -> Self {
        Self {
            failure,
            rejected_part: None,
            is_loading: false,
            is_model_output_error: false,
            code: None,
            reason: String::new(),
        }
    }
}

/// Parses an error that was sent in a stream.
pub(super) fn from_stream_error(data: &str) -> AttemptError {
    ErrorBody::read(data.as_bytes())
        .into_attempt_error(ReplyFailure::Protocol(ProtocolError::ErrorInStream))
}

/// Parses the body of an error response.
pub(super) fn from_error_body(failure: ReplyFailure, body: &[u8]) -> AttemptError {
    ErrorBody::read(body).into_attempt_error(failure)
}

/// The error in a body of one of these forms: `{"error": {…}}`, `{"error": "…"}`, `{"detail": …}`,
/// `{"message": …}`, a list of one of these, or plain text.
#[derive(Debug, Default)]
struct ErrorBody {
    code: Option<String>,
    param: String,
    reason: String,
}

impl ErrorBody {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let value: Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(_) => {
                return Self {
                    reason: text.trim().to_owned(),
                    ..Self::default()
                };
            }
        };
        // Gemini's compatible endpoint answers with a list.
        let value = value.get(0).unwrap_or(&value);
        let error = value.get("error").filter(|error| !error.is_null());
        let mut word = Self::default();
        match error {
            Some(Value::String(reason)) => word.reason = reason.clone(),
            Some(error) => word.take_fields(error),
            None => word.take_fields(value),
        }
        if word.reason.is_empty() {
            word.reason = text.trim().to_owned();
        }
        word
    }

    fn take_fields(&mut self, error: &Value) {
        let text = |key: &str| error.get(key).and_then(Value::as_str);
        let code = text("code").or_else(|| text("type"));
        self.code = code.filter(|code| is_code(code)).map(str::to_owned);
        self.param = text("param").unwrap_or_default().to_owned();
        let reasons: Vec<String> = REASON_KEYS
            .iter()
            .filter_map(|key| Some(plain_text(error.get(key)?)))
            .collect();
        self.reason = reasons.join(" ");
        // The error of the provider behind a gateway (OpenRouter).
        if let Some(raw) = error
            .get("metadata")
            .and_then(|metadata| metadata.get("raw"))
        {
            self.reason.push(' ');
            self.reason.push_str(&plain_text(raw));
        }
    }

    fn into_attempt_error(self, failure: ReplyFailure) -> AttemptError {
        let folded = self.reason.to_ascii_lowercase();
        let code = self.code.as_deref().unwrap_or_default();
        AttemptError {
            failure,
            rejected_part: rejected_part(&failure, code, &self.param, &folded),
            is_loading: is_loading(&failure, &folded),
            is_model_output_error: MODEL_OUTPUT_ERROR_CODES.contains(&code),
            code: self.code,
            reason: self.reason,
        }
    }
}

/// A text, or the texts in a list or an object: FastAPI sends the location (`loc`) and the message (`msg`).
fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain_text).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => ["loc", "msg", "message"]
            .iter()
            .filter_map(|key| Some(plain_text(fields.get(*key)?)))
            .collect::<Vec<_>>()
            .join(" "),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) => String::new(),
    }
}

fn is_code(code: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !code.is_empty() && code.len() <= CODE_BYTES_MAX && code.chars().all(plain)
}

/// Whether the server is loading the model.
fn is_loading(failure: &ReplyFailure, reason: &str) -> bool {
    let words = [
        "loading model",
        "model is loading",
        "is currently loading",
        "still loading",
    ];
    matches!(failure, ReplyFailure::Refused(503))
        && words.iter().any(|words| reason.contains(words))
}

/// The part of the request that an error rejects. `reason` is in lower case.
fn rejected_part(
    failure: &ReplyFailure,
    code: &str,
    param: &str,
    reason: &str,
) -> Option<RejectedPart> {
    if MODEL_OUTPUT_ERROR_CODES.contains(&code) {
        return None;
    }
    if is_context_length_error(code, reason) || *failure == ReplyFailure::Refused(413) {
        return Some(RejectedPart::ContextLength);
    }
    if let Some(limit) = wanted_token_limit_field(reason) {
        return Some(RejectedPart::TokenLimitField(limit));
    }
    let named = field_of_param(param);
    named
        .or_else(|| field_of_message(reason))
        .map(RejectedPart::Field)
}

fn is_context_length_error(code: &str, reason: &str) -> bool {
    let codes = [
        "context_length_exceeded",
        "exceed_context_size_error",
        "context_window_exceeded",
        "string_above_max_length",
    ];
    let words = [
        "context_length_exceeded",
        "maximum context length",
        "maximum model length",
        "max_model_len",
        "context length",
        "context size",
        "context window",
        "context overflow",
        "context the overflows",
        "prompt is too long",
        "input is too long",
        "prompt too long",
        "input too long",
        "too many tokens",
        "exceeds the maximum number of tokens",
        "exceeds the available context",
        "number of input tokens",
        "reduce the length of the messages",
        "reduce the length of the input",
        "reduce your prompt",
        "input token count",
        "`inputs` tokens",
        "inputs must have less than",
    ];
    codes.contains(&code) || words.iter().any(|words| reason.contains(words))
}

/// "Use 'max_completion_tokens' instead."
fn wanted_token_limit_field(reason: &str) -> Option<TokenLimitField> {
    let both = reason.find("max_completion_tokens");
    let wants = |name: &str| {
        [
            format!("use '{name}'"),
            format!("use `{name}`"),
            format!("use \"{name}\""),
            format!("use {name}"),
        ]
        .iter()
        .any(|words| reason.contains(words.as_str()))
    };
    if wants("max_completion_tokens") {
        return Some(TokenLimitField::MaxCompletionTokens);
    }
    if wants("max_tokens") {
        return Some(TokenLimitField::MaxTokens);
    }
    // Only the newer name is rejected: the older one may be accepted.
    both.filter(|_| says_unsupported(reason))
        .map(|_| TokenLimitField::MaxTokens)
}

/// The field that `param` of the error names: `tools`, `tools[0].function.parameters`, `messages[0].role`.
fn field_of_param(param: &str) -> Option<RequestField> {
    let head = param.split(['.', '[', '/']).next().unwrap_or_default();
    if head == "tool_choice" || head == "parallel_tool_calls" {
        return Some(RequestField::Tools);
    }
    RequestField::ALL
        .into_iter()
        .find(|(field, name)| *name == head && *field != RequestField::SystemRole)
        .map(|(field, _)| field)
}

/// The field that the message rejects. The name of a field alone does not reject it: "messages with role 'tool' must
/// follow tool_calls" is about the messages.
fn field_of_message(reason: &str) -> Option<RequestField> {
    let has = |words: &str| reason.contains(words);
    if (has("system role") || has("system message") || has("role 'system'") || has("role system"))
        && (says_unsupported(reason) || has("must be"))
        || has("only user and assistant roles")
    {
        return Some(RequestField::SystemRole);
    }
    // The chat template has no role `system`: to it, the first message is not the user's.
    if has("roles must alternate") {
        return Some(RequestField::SystemRole);
    }
    if !says_unsupported(reason) {
        return None;
    }
    let tools = [
        "tool choice",
        "tool use",
        "tool calling",
        "tool-call-parser",
        "tool_choice",
        "function calling",
        "functions are",
        "parallel_tool_calls",
        "tools param",
    ];
    let named = RequestField::ALL
        .into_iter()
        .find(|(_, name)| has_word(reason, name));
    match named {
        Some((field, _)) => Some(field),
        None if tools.iter().any(|words| has(words)) => Some(RequestField::Tools),
        None if has("reasoning effort") || has("thinking") && has("not support") => {
            Some(RequestField::ReasoningEffort)
        }
        None if has("json_schema") || has("json_object") || has("json mode") => {
            Some(RequestField::ResponseFormat)
        }
        None => None,
    }
}

/// Whether a message says that a part of the request is not accepted.
fn says_unsupported(reason: &str) -> bool {
    [
        "support",
        "require",
        "unrecognized",
        "unknown",
        "unexpected",
        "not permitted",
        "not allowed",
        "not implemented",
        "not enabled",
        "not available",
        "disabled",
        "invalid",
        "extra",
        "must be",
        "should be",
        "less than",
        "greater than",
        "at most",
        "too large",
        "out of range",
        "additional propert",
        "cannot",
        "can't",
        "only the default",
        "deprecated",
    ]
    .iter()
    .any(|words| reason.contains(words))
}

fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(body: &str) -> AttemptError {
        word_at(400, body)
    }

    fn word_at(status: u16, body: &str) -> AttemptError {
        ErrorBody::read(body.as_bytes()).into_attempt_error(ReplyFailure::Refused(status))
    }

    #[test]
    fn what_a_refusal_objects_to_is_read_in_the_forms_of_real_servers() {
        let field = |field| Some(RejectedPart::Field(field));
        let cases = [
            (
                r#"{"error":{"message":"registry.ollama.ai/library/gemma:2b does not support tools","type":"api_error","param":null,"code":null}}"#,
                field(RequestField::Tools),
            ),
            (
                r#"{"object":"error","message":"\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set","type":"BadRequestError","param":null,"code":400}"#,
                field(RequestField::Tools),
            ),
            (
                r#"{"error":{"message":"No endpoints found that support tool use. To learn more, visit the docs","code":404}}"#,
                field(RequestField::Tools),
            ),
            (
                r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#,
                field(RequestField::Tools),
            ),
            (
                r#"{"error":"model does not support function calling"}"#,
                field(RequestField::Tools),
            ),
            (
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{"include_usage":true}}]}"#,
                field(RequestField::StreamOptions),
            ),
            (
                r#"{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error","param":null,"code":null}}"#,
                field(RequestField::StreamOptions),
            ),
            (
                r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#,
                Some(RejectedPart::TokenLimitField(
                    TokenLimitField::MaxCompletionTokens,
                )),
            ),
            (
                r#"{"message":"property 'max_completion_tokens' is unsupported"}"#,
                Some(RejectedPart::TokenLimitField(TokenLimitField::MaxTokens)),
            ),
            (
                r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) value is supported.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
                field(RequestField::Temperature),
            ),
            (
                r#"{"error":{"message":"Unknown parameter: 'reasoning_effort'","param":"reasoning_effort"}}"#,
                field(RequestField::ReasoningEffort),
            ),
            (
                r#"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"prompt_cache_key\": Cannot find field.","status":"INVALID_ARGUMENT"}}]"#,
                field(RequestField::CacheKey),
            ),
            (
                r#"{"error":{"message":"'response_format.type' must be 'json_schema' or 'text'"}}"#,
                field(RequestField::ResponseFormat),
            ),
            (
                r#"{"error":{"message":"System role not supported","type":"BadRequestError"}}"#,
                field(RequestField::SystemRole),
            ),
            (
                r#"{"object":"error","message":"Conversation roles must alternate user/assistant/user/assistant/...","code":400}"#,
                field(RequestField::SystemRole),
            ),
            (
                r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
                Some(RejectedPart::ContextLength),
            ),
            (
                r#"{"error":{"code":400,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"exceed_context_size_error","n_prompt_tokens":600,"n_ctx":512}}"#,
                Some(RejectedPart::ContextLength),
            ),
            (
                r#"{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens"}"#,
                Some(RejectedPart::ContextLength),
            ),
            (
                r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2000","error_type":"validation"}"#,
                Some(RejectedPart::ContextLength),
            ),
            ("prompt is too long", Some(RejectedPart::ContextLength)),
            // About the messages, not about a field.
            (
                r#"{"error":{"message":"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.","param":"messages"}}"#,
                None,
            ),
            (
                r#"{"error":{"message":"The model `gpt-9` does not exist","code":"model_not_found"}}"#,
                None,
            ),
            ("", None),
            ("<html>Bad Request</html>", None),
        ];
        for (body, expected) in cases {
            assert_eq!(word(body).rejected_part, expected, "{body}");
        }
    }

    #[test]
    fn a_server_that_loads_its_model_is_told_from_one_that_fails() {
        let loading =
            r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
        assert!(word_at(503, loading).is_loading);
        assert!(!word_at(400, loading).is_loading);
        assert!(!word_at(503, r#"{"error":{"message":"overloaded"}}"#).is_loading);
    }

    #[test]
    fn an_error_in_place_of_an_answer_objects_like_a_refusal() {
        let long = r#"{"error":{"message":"the context length is 4096 tokens","code":"context_length_exceeded"}}"#;
        let attempt_error = from_stream_error(long);
        assert_eq!(
            attempt_error.rejected_part,
            Some(RejectedPart::ContextLength)
        );
        assert_eq!(
            attempt_error.failure,
            ReplyFailure::Protocol(ProtocolError::ErrorInStream)
        );
        let chance = from_stream_error(
            r#"{"error":{"message":"Failed to call a function.","code":"tool_use_failed"}}"#,
        );
        assert!(chance.is_model_output_error && chance.rejected_part.is_none());
    }

    #[test]
    fn the_code_is_told_and_only_if_it_is_one() {
        let code = |body: &str| word(body).code;
        assert_eq!(
            code(r#"{"error":{"code":"invalid_api_key","message":"x"}}"#).as_deref(),
            Some("invalid_api_key")
        );
        assert_eq!(
            code(r#"{"error":{"code":"two words","message":"x"}}"#),
            None
        );
    }
}
