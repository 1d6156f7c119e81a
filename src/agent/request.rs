//! A request to the model, written straight from the shared messages into one buffer.

use super::brief::Brief;
use super::config::{AgentConfig, TokenLimit};
use super::message::{Message, Speaker};
use super::offer::Offer;
use super::tools::ToolCall;
use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use std::sync::Arc;

/// What a provider's requests have in common.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub model: String,
    pub temperature: Option<f32>,
    pub reasoning_effort: Option<String>,
    pub max_tokens: u32,
    pub limit: TokenLimit,
    pub usage: bool,
    pub user: Option<String>,
    pub history_turns_max: usize,
    pub history_bytes_max: usize,
}

impl Terms {
    /// The terms of `config` for `model` at a provider that reads `limit`.
    pub(super) fn new(config: &AgentConfig, model: &str, limit: TokenLimit) -> Self {
        Self {
            model: model.trim().to_owned(),
            temperature: config.temperature,
            reasoning_effort: config.reasoning_effort.clone(),
            max_tokens: config.max_tokens,
            limit,
            usage: config.usage,
            user: config.user.clone(),
            history_turns_max: config.history_turns_max,
            history_bytes_max: config.history_bytes_max,
        }
    }

    /// The body of a streamed request.
    pub(super) fn body(&self, brief: &Brief) -> Bytes {
        let history = window(
            &brief.history,
            self.history_turns_max,
            self.history_bytes_max,
        );
        let said: usize = history
            .iter()
            .map(|message| message.content.len() + 64)
            .sum();
        let body = Body {
            stream: true,
            stream_options: self.usage.then_some(StreamOptions {
                include_usage: true,
            }),
            tools: (!brief.tools.is_empty()).then_some(Offer(brief.tools)),
            ..self.plain(
                Messages {
                    system: &brief.system,
                    nudge: brief.nudge.as_deref(),
                    history,
                },
                self.max_tokens,
            )
        };
        written(&body, brief.system.len() + said + 4_096)
    }

    /// The body of a question that is answered whole, in JSON.
    pub(super) fn question(&self, system: &str, question: &Arc<Message>, tokens_max: u32) -> Bytes {
        let history = std::slice::from_ref(question);
        let body = Body {
            response_format: Some(ResponseFormat {
                r#type: "json_object",
            }),
            ..self.plain(
                Messages {
                    system,
                    nudge: None,
                    history,
                },
                tokens_max,
            )
        };
        written(&body, system.len() + question.content.len() + 512)
    }

    fn plain<'a>(&'a self, messages: Messages<'a>, tokens_max: u32) -> Body<'a> {
        Body {
            model: &self.model,
            messages,
            stream: false,
            stream_options: None,
            temperature: self.temperature,
            reasoning_effort: self.reasoning_effort.as_deref(),
            max_tokens: (self.limit == TokenLimit::MaxTokens).then_some(tokens_max),
            max_completion_tokens: (self.limit == TokenLimit::MaxCompletionTokens)
                .then_some(tokens_max),
            user: self.user.as_deref(),
            tools: None,
            response_format: None,
        }
    }
}

/// What of the history is told: the newest messages within both bounds, and the last one in any
/// case. Never begins with the result of a tool whose call was left out.
fn window(history: &[Arc<Message>], turns_max: usize, bytes_max: usize) -> &[Arc<Message>] {
    let mut bytes = 0;
    let fits = |message: &&Arc<Message>| {
        bytes += message.content.len();
        bytes <= bytes_max
    };
    let told = history
        .iter()
        .rev()
        .take(turns_max)
        .take_while(fits)
        .count()
        .max(1)
        .min(history.len());
    let newest = &history[history.len() - told..];
    let results = newest
        .iter()
        .take_while(|message| message.speaker == Speaker::Tool)
        .count();
    // All results and nothing else: better told without their calls than an empty question.
    if results == newest.len() {
        newest
    } else {
        &newest[results..]
    }
}

fn written(body: &Body<'_>, capacity_bytes: usize) -> Bytes {
    let mut buffer = Vec::with_capacity(capacity_bytes);
    // Writing to a Vec cannot fail, and every key is a string.
    serde_json::to_writer(&mut buffer, body).expect("texts and numbers always serialise");
    buffer.into()
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Messages<'a>,
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
    tools: Option<Offer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct ResponseFormat {
    r#type: &'static str,
}

/// The system prompt and the history. The nudge joins the prompt: a second system message in the
/// middle is refused by the chat templates of several local models.
struct Messages<'a> {
    system: &'a str,
    nudge: Option<&'a str>,
    history: &'a [Arc<Message>],
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        list.serialize_element(&Prompt {
            role: "system",
            content: Nudged(self.system, self.nudge),
        })?;
        for (at, message) in self.history.iter().enumerate() {
            if let Some(entry) = entry(message, &self.history[..at], &self.history[at + 1..]) {
                list.serialize_element(&entry)?;
            }
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Prompt<'a> {
    role: &'static str,
    content: Nudged<'a>,
}

struct Nudged<'a>(&'a str, Option<&'a str>);

impl Serialize for Nudged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Some(nudge) => serializer.collect_str(&format_args!("{}\n{nudge}", self.0)),
            None => serializer.serialize_str(self.0),
        }
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Called<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Called<'a> {
    id: &'a str,
    r#type: &'static str,
    function: CalledFunction<'a>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: String,
}

/// The message on the wire. Calls without a result and results without a call are left out (a
/// barge-in can come between them): providers refuse the whole request otherwise.
fn entry<'a>(
    message: &'a Message,
    before: &[Arc<Message>],
    after: &[Arc<Message>],
) -> Option<Entry<'a>> {
    let (role, told) = match message.speaker {
        Speaker::System => ("system", true),
        Speaker::Caller => ("user", true),
        Speaker::Agent => ("assistant", !message.content.is_empty()),
        Speaker::Tool => ("tool", follows_its_call(message, before)),
    };
    let answered = message.calls.iter().filter(|call| is_answered(call, after));
    let tool_calls: Vec<_> = answered.map(called).collect();
    let tool_call_id = message.tool_call_id.as_deref();
    (told || !tool_calls.is_empty()).then(|| Entry {
        role,
        content: &message.content,
        tool_calls,
        tool_call_id,
    })
}

fn called(call: &ToolCall) -> Called<'_> {
    let function = CalledFunction {
        name: call.tool.name(),
        arguments: call.tool.arguments(),
    };
    Called {
        id: &call.id,
        r#type: "function",
        function,
    }
}

fn is_answered(call: &ToolCall, after: &[Arc<Message>]) -> bool {
    let mut results = after
        .iter()
        .take_while(|message| message.speaker == Speaker::Tool);
    results.any(|result| result.tool_call_id.as_deref() == Some(call.id.as_str()))
}

fn follows_its_call(result: &Message, before: &[Arc<Message>]) -> bool {
    let caller = before
        .iter()
        .rev()
        .find(|message| message.speaker != Speaker::Tool);
    caller.is_some_and(|caller| {
        caller
            .calls
            .iter()
            .any(|call| Some(call.id.as_str()) == result.tool_call_id.as_deref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{CallerFacts, Persona, Tool, ToolSet};
    use serde_json::Value;

    fn terms() -> Terms {
        Terms::new(&AgentConfig::default(), "small", TokenLimit::MaxTokens)
    }

    fn brief(history: Vec<Arc<Message>>) -> Brief {
        Brief::new(
            &Arc::new(Persona::default()),
            Arc::new(CallerFacts::default()),
            history,
        )
    }

    fn body(terms: &Terms, brief: &Brief) -> Value {
        serde_json::from_slice(&terms.body(brief)).unwrap()
    }

    fn roles(body: &Value) -> Vec<&str> {
        body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["role"].as_str().unwrap())
            .collect()
    }

    fn call(id: &str) -> ToolCall {
        ToolCall {
            id: id.to_owned(),
            tool: Tool::SetName {
                name: "Misty".to_owned(),
            },
        }
    }

    #[test]
    fn a_request_streams_and_says_only_what_is_set() {
        let question = brief(vec![
            Message::agent("Hello!"),
            Message::caller("Is \"Onix\" a rock?\n"),
        ]);
        let body = body(&terms(), &question);
        assert_eq!(roles(&body), ["system", "assistant", "user"]);
        assert_eq!(body["messages"][2]["content"], "Is \"Onix\" a rock?\n");
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
        let config = AgentConfig {
            temperature: Some(0.5),
            user: Some("line-1".into()),
            reasoning_effort: Some("minimal".into()),
            usage: false,
            ..AgentConfig::default()
        };
        let terms = Terms::new(&config, "m", TokenLimit::MaxCompletionTokens);
        let toolless = Brief {
            tools: ToolSet::NONE,
            nudge: Some("Be brief.".into()),
            ..brief(vec![Message::caller("Hi")])
        };
        let body = body(&terms, &toolless);
        assert_eq!(
            (&body["temperature"], &body["user"]),
            (&Value::from(0.5), &Value::from("line-1"))
        );
        assert_eq!(
            (&body["max_completion_tokens"], &body["reasoning_effort"]),
            (&Value::from(300), &Value::from("minimal"))
        );
        assert!(
            body.get("tools").is_none()
                && body.get("stream_options").is_none()
                && body.get("max_tokens").is_none()
        );
        assert_eq!(roles(&body), ["system", "user"]);
        assert!(
            body["messages"][0]["content"]
                .as_str()
                .unwrap()
                .ends_with("\nBe brief.")
        );
    }

    #[test]
    fn tool_calls_and_their_results_go_in_pairs() {
        let history = vec![
            Message::caller("I'm Misty"),
            Message::agent_calling("", vec![call("a"), call("lost")]),
            Message::tool("a", "saved"),
            Message::tool("never called", "?"),
            Message::agent_calling("", vec![call("interrupted")]),
            Message::caller("Hello?"),
            Message::tool("a", "late"),
        ];
        let body = body(&terms(), &brief(history));
        assert_eq!(
            roles(&body),
            ["system", "user", "assistant", "tool", "user"]
        );
        let calls = body["messages"][2]["tool_calls"].as_array().unwrap();
        assert_eq!((calls.len(), &calls[0]["id"]), (1, &Value::from("a")));
        assert_eq!(calls[0]["function"]["arguments"], r#"{"name":"Misty"}"#);
        assert_eq!(body["messages"][3]["tool_call_id"], "a");
    }

    #[test]
    fn the_oldest_are_left_out_and_the_last_never() {
        let many: Vec<_> = (0..10)
            .map(|i| Message::caller(format!("{i}{}", "x".repeat(99))))
            .collect();
        assert_eq!(window(&many, 3, 100_000).len(), 3);
        assert_eq!(window(&many, 100, 250).len(), 2);
        assert_eq!(window(&many, 100, 10).first(), many.last());
        assert_eq!(window(&[], 3, 10).len(), 0);
    }

    #[test]
    fn a_window_does_not_begin_with_a_result() {
        let history = vec![
            Message::agent_calling("", vec![call("a")]),
            Message::tool("a", "saved"),
            Message::caller("Hello?"),
        ];
        assert_eq!(window(&history, 2, 1_000).len(), 1);
        assert_eq!(window(&history[..2], 1, 1_000).len(), 1);
    }
}
