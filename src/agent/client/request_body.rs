//! The body of a request to a model, serialised from the shared messages into one buffer.

use super::capabilities::{RequestField, ServerCapabilities, UnopenedThinking};
use crate::agent::message::Message;
use crate::agent::model_config::{ModelConfig, StructuredOutput, TokenLimitField};
use crate::agent::prompt::message_list::{RequestMessages, RoleSupport, history_window};
use crate::agent::prompt::prompt_context::PromptContext;
use crate::agent::tools::tool_definitions::ToolDefinitions;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The options that all requests of a model share.
#[derive(Debug, Clone)]
pub(in crate::agent) struct RequestOptions {
    pub model: String,
    pub temperature: Option<f32>,
    pub reasoning_effort: Option<String>,
    /// Longest reply in tokens, without thinking.
    pub tokens_max: u32,
    /// Token budget for thinking, in addition.
    pub thinking_tokens: u32,
    /// The same, once thinking was seen in the text.
    pub thinking_tokens_when_seen: u32,
    pub user: Option<String>,
    pub history_messages_max: usize,
    pub extra_body: Map<String, Value>,
}

/// The schema of a JSON response.
pub(in crate::agent) struct ResponseSchema {
    /// Its name, `[a-z_]`.
    pub name: &'static str,
    /// Its JSON Schema.
    pub schema: Value,
}

impl RequestOptions {
    pub(in crate::agent) fn new(config: &ModelConfig) -> Self {
        let extra = config
            .extra_body
            .iter()
            .filter_map(|(field, value)| Some((field.clone(), serde_json::to_value(value).ok()?)));
        Self {
            model: config.model.trim().to_owned(),
            temperature: config.temperature,
            reasoning_effort: config.reasoning_effort.clone(),
            tokens_max: config.max_tokens,
            thinking_tokens: config.thinking_budget(),
            thinking_tokens_when_seen: config.thinking_budget_when_seen(),
            user: config.user.clone(),
            history_messages_max: config.history_messages_max,
            extra_body: extra.collect(),
        }
    }

    /// The body of a streamed request to a server with these `capabilities`.
    pub(super) fn reply_body(
        &self,
        prompt_context: &PromptContext,
        capabilities: &ServerCapabilities,
    ) -> Bytes {
        let messages = self.messages(prompt_context, capabilities);
        let said: usize = messages
            .history
            .iter()
            .map(|message| message.content.len() + 64)
            .sum();
        let takes_key = capabilities.supports(RequestField::CacheKey)
            && !self.extra_body.contains_key("prompt_cache_key");
        let thinking_tokens = match capabilities.unopened_thinking {
            UnopenedThinking::Seen => self.thinking_tokens_when_seen,
            UnopenedThinking::Likely | UnopenedThinking::Unlikely => self.thinking_tokens,
        };
        let body = RequestBody {
            stream: true,
            stream_options: capabilities
                .supports(RequestField::StreamOptions)
                .then_some(StreamOptions {
                    include_usage: true,
                }),
            prompt_cache_key: prompt_context.cache_key.as_deref().filter(|_| takes_key),
            tools: self.tool_definitions(prompt_context, capabilities),
            ..self.base_body(messages, capabilities, self.tokens_max + thinking_tokens)
        };
        serialized(
            &body,
            prompt_context.prompt_prefix.len() + prompt_context.dynamic_prompt.len() + said + 4_096,
        )
    }

    /// The part of the conversation that is sent to a server with these `capabilities`.
    fn history_window<'a>(
        &self,
        prompt_context: &'a PromptContext,
        capabilities: &ServerCapabilities,
    ) -> &'a [Arc<Message>] {
        let bytes_max = capabilities.history_bytes_max;
        history_window(
            &prompt_context.history,
            self.history_messages_max,
            bytes_max,
        )
    }

    /// Bytes of the conversation that are sent.
    pub(super) fn history_bytes(
        &self,
        prompt_context: &PromptContext,
        capabilities: &ServerCapabilities,
    ) -> usize {
        let told = self.history_window(prompt_context, capabilities).iter();
        told.map(|message| message.content.len()).sum()
    }

    /// The body of a request without streaming whose response is JSON of this schema.
    pub(in crate::agent) fn json_question_body(
        &self,
        system: &str,
        question: &Arc<Message>,
        form: &ResponseSchema,
        tokens_max: u32,
        capabilities: &ServerCapabilities,
    ) -> Bytes {
        let history = std::slice::from_ref(question);
        let messages = RequestMessages {
            prompt_prefix: system,
            dynamic_prompt: "",
            turn_instruction: None,
            history,
            is_truncated: false,
            role_support: role_support(capabilities),
        };
        let body = RequestBody {
            response_format: response_format(form, capabilities.structured_output),
            ..self.base_body(messages, capabilities, tokens_max)
        };
        serialized(&body, system.len() + question.content.len() + 1_024)
    }

    /// The body of a request for a single token, by which a server loads the model and caches what all calls begin
    /// with: the prompt and the tools.
    pub(super) fn preload_body(
        &self,
        prompt_context: &PromptContext,
        capabilities: &ServerCapabilities,
    ) -> Bytes {
        let messages = self.messages(prompt_context, capabilities);
        let body = RequestBody {
            tools: self.tool_definitions(prompt_context, capabilities),
            ..self.base_body(messages, capabilities, 1)
        };
        serialized(&body, prompt_context.prompt_prefix.len() + 4_096)
    }

    fn messages<'a>(
        &self,
        prompt_context: &'a PromptContext,
        capabilities: &ServerCapabilities,
    ) -> RequestMessages<'a> {
        let history = self.history_window(prompt_context, capabilities);
        RequestMessages {
            prompt_prefix: &prompt_context.prompt_prefix,
            dynamic_prompt: &prompt_context.dynamic_prompt,
            turn_instruction: prompt_context.turn_instruction.as_deref(),
            history,
            is_truncated: history.len() < prompt_context.history.len(),
            role_support: role_support(capabilities),
        }
    }

    fn tool_definitions<'a>(
        &self,
        prompt_context: &'a PromptContext,
        capabilities: &ServerCapabilities,
    ) -> Option<ToolDefinitions<'a>> {
        let offers = capabilities.supports(RequestField::Tools) && prompt_context.offers_tools();
        offers.then_some(ToolDefinitions {
            built_in: prompt_context.built_in_tools,
            languages: &prompt_context.line_languages,
            configured: &prompt_context.configured_tools,
        })
    }

    fn base_body<'a>(
        &'a self,
        messages: RequestMessages<'a>,
        capabilities: &ServerCapabilities,
        tokens_max: u32,
    ) -> RequestBody<'a> {
        let takes = |field| capabilities.supports(field);
        let limit = |name| {
            let named = capabilities.token_limit_field == name && takes(RequestField::MaxTokens);
            named.then_some(tokens_max)
        };
        RequestBody {
            model: &self.model,
            messages,
            stream: false,
            stream_options: None,
            temperature: self
                .temperature
                .filter(|_| takes(RequestField::Temperature)),
            reasoning_effort: self
                .reasoning_effort
                .as_deref()
                .filter(|_| takes(RequestField::ReasoningEffort)),
            max_tokens: limit(TokenLimitField::MaxTokens),
            max_completion_tokens: limit(TokenLimitField::MaxCompletionTokens),
            user: self.user.as_deref().filter(|_| takes(RequestField::User)),
            prompt_cache_key: None,
            tools: None,
            response_format: None,
            extra: &self.extra_body,
        }
    }
}

fn response_format(
    form: &ResponseSchema,
    structured: StructuredOutput,
) -> Option<ResponseFormat<'_>> {
    match structured {
        StructuredOutput::JsonSchema => Some(ResponseFormat {
            r#type: "json_schema",
            json_schema: Some(JsonSchema {
                name: form.name,
                strict: true,
                schema: &form.schema,
            }),
        }),
        StructuredOutput::JsonObject => Some(ResponseFormat {
            r#type: "json_object",
            json_schema: None,
        }),
        StructuredOutput::None => None,
    }
}

/// The roles that a server with these `capabilities` accepts.
fn role_support(capabilities: &ServerCapabilities) -> RoleSupport {
    RoleSupport {
        system_role: capabilities.supports(RequestField::SystemRole),
        tool_roles: capabilities.supports(RequestField::Tools),
    }
}

fn serialized(body: &RequestBody<'_>, capacity_bytes: usize) -> Bytes {
    let mut buffer = Vec::with_capacity(capacity_bytes);
    // Writing to a Vec cannot fail, and every key is a string.
    serde_json::to_writer(&mut buffer, body).expect("texts and numbers always serialise");
    buffer.into()
}

#[derive(Serialize)]
struct RequestBody<'a> {
    model: &'a str,
    messages: RequestMessages<'a>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<ToolDefinitions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    /// `extra_body` of the configuration.
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: &'a str,
    strict: bool,
    schema: &'a Value,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{BuiltInTools, CallerFacts, Persona};

    fn options() -> RequestOptions {
        RequestOptions::new(&ModelConfig {
            model: "small".into(),
            ..ModelConfig::default()
        })
    }

    fn all() -> ServerCapabilities {
        ServerCapabilities::new(
            TokenLimitField::MaxTokens,
            StructuredOutput::JsonSchema,
            24_576,
        )
    }

    fn prompt_context(history: Vec<Arc<Message>>) -> PromptContext {
        PromptContext::new(
            &Arc::new(Persona::default()),
            Arc::new(CallerFacts::default()),
            history,
        )
    }

    fn body(options: &RequestOptions, prompt_context: &PromptContext) -> Value {
        body_for(options, prompt_context, &all())
    }

    fn body_for(
        options: &RequestOptions,
        prompt_context: &PromptContext,
        capabilities: &ServerCapabilities,
    ) -> Value {
        serde_json::from_slice(&options.reply_body(prompt_context, capabilities)).unwrap()
    }

    fn roles(body: &Value) -> Vec<&str> {
        body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["role"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn a_request_streams_and_says_only_what_is_set() {
        let question = prompt_context(vec![
            Message::agent("Hello!"),
            Message::caller("Is \"Onix\" a rock?\n"),
        ]);
        let body = body(&options(), &question);
        assert_eq!(roles(&body), ["system", "user", "assistant", "user"]);
        assert_eq!(body["messages"][3]["content"], "Is \"Onix\" a rock?\n");
        assert_eq!(
            (&body["stream"], &body["model"]),
            (&Value::Bool(true), &Value::from("small"))
        );
        assert_eq!(body["stream_options"]["include_usage"], true);
        assert_eq!(body["tools"].as_array().unwrap().len(), 5);
        for absent in [
            "temperature",
            "max_completion_tokens",
            "user",
            "reasoning_effort",
            "response_format",
        ] {
            assert!(body.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn what_is_set_is_sent() {
        let config = ModelConfig {
            temperature: Some(0.5),
            user: Some("line-1".into()),
            reasoning_effort: Some("minimal".into()),
            extra_body: toml::from_str("top_k = 3\nkwargs = { think = false }").unwrap(),
            ..ModelConfig::default()
        };
        let options = RequestOptions::new(&config);
        let takes = ServerCapabilities::new(
            TokenLimitField::MaxCompletionTokens,
            StructuredOutput::JsonSchema,
            24_576,
        )
        .without(RequestField::StreamOptions);
        let toolless = PromptContext {
            built_in_tools: BuiltInTools::NONE,
            turn_instruction: Some("Be brief.".into()),
            ..prompt_context(vec![Message::caller("Hi")])
        };
        let body = body_for(&options, &toolless, &takes);
        assert_eq!(
            (&body["top_k"], &body["kwargs"]["think"]),
            (&Value::from(3), &Value::Bool(false))
        );
        assert_eq!(
            (&body["temperature"], &body["user"]),
            (&Value::from(0.5), &Value::from("line-1"))
        );
        assert_eq!(
            (&body["max_completion_tokens"], &body["reasoning_effort"]),
            (&Value::from(2_300), &Value::from("minimal"))
        );
        assert!(
            body.get("tools").is_none()
                && body.get("stream_options").is_none()
                && body.get("max_tokens").is_none()
        );
        assert_eq!(roles(&body), ["system", "user"]);
        assert_eq!(body["messages"][1]["content"], "Hi\n[Be brief.]");
    }

    #[test]
    fn the_key_of_the_prefix_is_sent_where_the_server_takes_it() {
        let question = prompt_context(vec![Message::caller("Hi")]);
        let key = body(&options(), &question)["prompt_cache_key"].clone();
        assert_eq!(key, *question.cache_key.clone().unwrap());
        let without = all().without(RequestField::CacheKey);
        let body = body_for(&options(), &question, &without);
        assert_eq!(body.get("prompt_cache_key"), None);
    }

    #[test]
    fn what_a_server_refuses_is_left_out() {
        let config = ModelConfig {
            temperature: Some(0.5),
            user: Some("line-1".into()),
            reasoning_effort: Some("minimal".into()),
            ..ModelConfig::default()
        };
        let fields = [
            (RequestField::Tools, "tools"),
            (RequestField::StreamOptions, "stream_options"),
            (RequestField::MaxTokens, "max_tokens"),
            (RequestField::Temperature, "temperature"),
            (RequestField::ReasoningEffort, "reasoning_effort"),
            (RequestField::User, "user"),
        ];
        let asked = prompt_context(vec![Message::caller("Hi")]);
        let options = RequestOptions::new(&config);
        for (field, name) in fields {
            assert!(body(&options, &asked).get(name).is_some(), "{name}");
            let without = body_for(&options, &asked, &all().without(field));
            assert!(without.get(name).is_none(), "{name}");
        }
    }

    #[test]
    fn an_answer_in_json_is_asked_for_as_the_server_takes_it() {
        let form = ResponseSchema {
            name: "opinion",
            schema: serde_json::json!({"type": "object"}),
        };
        let word = Message::caller("Hi");
        let format = |structured| {
            let takes = ServerCapabilities::new(TokenLimitField::MaxTokens, structured, 24_576);
            let body = options().json_question_body("Judge.", &word, &form, 200, &takes);
            serde_json::from_slice::<Value>(&body).unwrap()["response_format"].take()
        };
        let schema = format(StructuredOutput::JsonSchema);
        assert_eq!(schema["json_schema"]["schema"]["type"], "object");
        assert_eq!(format(StructuredOutput::JsonObject)["type"], "json_object");
        assert_eq!(format(StructuredOutput::None), Value::Null);
    }
}
