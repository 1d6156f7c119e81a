//! A request to the model, written straight from the shared messages into one buffer.

use super::brief::Brief;
use super::capabilities::{Capabilities, Field, LoneThoughts};
use super::message::Message;
use super::model_config::{ModelConfig, Structured, TokenLimit};
use super::offer::Offer;
use super::roles::{Messages, Shape, window};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What a model's requests have in common.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub model: String,
    pub temperature: Option<f32>,
    pub reasoning_effort: Option<String>,
    /// Longest reply in tokens, without thoughts.
    pub tokens_max: u32,
    /// Tokens for thoughts beside it.
    pub thinking_tokens: u32,
    /// The same, once thoughts were seen among the words.
    pub thinking_tokens_once_seen: u32,
    pub user: Option<String>,
    pub history_turns_max: usize,
    pub extra: Map<String, Value>,
}

/// The form of an answer in JSON.
pub(super) struct Form {
    /// Its name, `[a-z_]`.
    pub name: &'static str,
    /// Its JSON Schema.
    pub schema: Value,
}

impl Terms {
    pub(super) fn new(config: &ModelConfig) -> Self {
        let extra = config
            .extra_body
            .iter()
            .filter_map(|(field, value)| Some((field.clone(), serde_json::to_value(value).ok()?)));
        Self {
            model: config.model.trim().to_owned(),
            temperature: config.temperature,
            reasoning_effort: config.reasoning_effort.clone(),
            tokens_max: config.max_tokens,
            thinking_tokens: config.thinking(),
            thinking_tokens_once_seen: config.thinking_once_seen(),
            user: config.user.clone(),
            history_turns_max: config.history_turns_max,
            extra: extra.collect(),
        }
    }

    /// The body of a streamed request to a server that takes `capabilities`.
    pub(super) fn body(&self, brief: &Brief, capabilities: &Capabilities) -> Bytes {
        let messages = self.messages(brief, capabilities);
        let said: usize = messages
            .history
            .iter()
            .map(|message| message.content.len() + 64)
            .sum();
        let takes_key =
            capabilities.takes(Field::CacheKey) && !self.extra.contains_key("prompt_cache_key");
        let thinking_tokens = match capabilities.lone_thoughts {
            LoneThoughts::Seen => self.thinking_tokens_once_seen,
            LoneThoughts::Likely | LoneThoughts::Unlikely => self.thinking_tokens,
        };
        let body = Body {
            stream: true,
            stream_options: capabilities
                .takes(Field::StreamOptions)
                .then_some(StreamOptions {
                    include_usage: true,
                }),
            prompt_cache_key: brief.cache_key.as_deref().filter(|_| takes_key),
            tools: self.offer(brief, capabilities),
            ..self.plain(messages, capabilities, self.tokens_max + thinking_tokens)
        };
        written(&body, brief.system.len() + brief.about.len() + said + 4_096)
    }

    /// What of the conversation is told to a server that takes `capabilities`.
    fn told<'a>(&self, brief: &'a Brief, capabilities: &Capabilities) -> &'a [Arc<Message>] {
        let bytes_max = capabilities.history_bytes_max;
        window(&brief.history, self.history_turns_max, bytes_max)
    }

    /// Bytes of the conversation that are told.
    pub(super) fn told_bytes(&self, brief: &Brief, capabilities: &Capabilities) -> usize {
        let told = self.told(brief, capabilities).iter();
        told.map(|message| message.content.len()).sum()
    }

    /// The body of a question that is answered whole, in JSON of the form `form`.
    pub(super) fn question(
        &self,
        system: &str,
        question: &Arc<Message>,
        form: &Form,
        tokens_max: u32,
        capabilities: &Capabilities,
    ) -> Bytes {
        let history = std::slice::from_ref(question);
        let messages = Messages {
            system,
            about: "",
            nudge: None,
            history,
            is_cut: false,
            shape: shape(capabilities),
        };
        let body = Body {
            response_format: response_format(form, capabilities.structured),
            ..self.plain(messages, capabilities, tokens_max)
        };
        written(&body, system.len() + question.content.len() + 1_024)
    }

    /// The body of a request for a single token, by which a server loads the model, and keeps what all
    /// calls begin with: the prompt and the tools of `brief`.
    pub(super) fn preload(&self, brief: &Brief, capabilities: &Capabilities) -> Bytes {
        let messages = self.messages(brief, capabilities);
        let body = Body {
            tools: self.offer(brief, capabilities),
            ..self.plain(messages, capabilities, 1)
        };
        written(&body, brief.system.len() + 4_096)
    }

    fn messages<'a>(&self, brief: &'a Brief, capabilities: &Capabilities) -> Messages<'a> {
        let history = self.told(brief, capabilities);
        Messages {
            system: &brief.system,
            about: &brief.about,
            nudge: brief.nudge.as_deref(),
            history,
            is_cut: history.len() < brief.history.len(),
            shape: shape(capabilities),
        }
    }

    fn offer<'a>(&self, brief: &'a Brief, capabilities: &Capabilities) -> Option<Offer<'a>> {
        let offers = capabilities.takes(Field::Tools) && brief.offers_tools();
        offers.then_some(Offer {
            tools: brief.tools,
            languages: &brief.languages,
            own: &brief.own_tools,
        })
    }

    fn plain<'a>(
        &'a self,
        messages: Messages<'a>,
        capabilities: &Capabilities,
        tokens_max: u32,
    ) -> Body<'a> {
        let takes = |field| capabilities.takes(field);
        let limit = |name| {
            let named = capabilities.limit == name && takes(Field::MaxTokens);
            named.then_some(tokens_max)
        };
        Body {
            model: &self.model,
            messages,
            stream: false,
            stream_options: None,
            temperature: self.temperature.filter(|_| takes(Field::Temperature)),
            reasoning_effort: self
                .reasoning_effort
                .as_deref()
                .filter(|_| takes(Field::ReasoningEffort)),
            max_tokens: limit(TokenLimit::MaxTokens),
            max_completion_tokens: limit(TokenLimit::MaxCompletionTokens),
            user: self.user.as_deref().filter(|_| takes(Field::User)),
            prompt_cache_key: None,
            tools: None,
            response_format: None,
            extra: &self.extra,
        }
    }
}

fn response_format(form: &Form, structured: Structured) -> Option<ResponseFormat<'_>> {
    match structured {
        Structured::JsonSchema => Some(ResponseFormat {
            r#type: "json_schema",
            json_schema: Some(JsonSchema {
                name: form.name,
                strict: true,
                schema: &form.schema,
            }),
        }),
        Structured::JsonObject => Some(ResponseFormat {
            r#type: "json_object",
            json_schema: None,
        }),
        Structured::None => None,
    }
}

/// How the messages are told to a server that takes `capabilities`.
fn shape(capabilities: &Capabilities) -> Shape {
    Shape {
        system_role: capabilities.takes(Field::SystemRole),
        tool_roles: capabilities.takes(Field::Tools),
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
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Offer<'a>>,
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
    use crate::agent::{CallerFacts, Persona, ToolSet};

    fn terms() -> Terms {
        Terms::new(&ModelConfig {
            model: "small".into(),
            ..ModelConfig::default()
        })
    }

    fn all() -> Capabilities {
        Capabilities::new(TokenLimit::MaxTokens, Structured::JsonSchema, 24_576)
    }

    fn brief(history: Vec<Arc<Message>>) -> Brief {
        Brief::new(
            &Arc::new(Persona::default()),
            Arc::new(CallerFacts::default()),
            history,
        )
    }

    fn body(terms: &Terms, brief: &Brief) -> Value {
        body_for(terms, brief, &all())
    }

    fn body_for(terms: &Terms, brief: &Brief, capabilities: &Capabilities) -> Value {
        serde_json::from_slice(&terms.body(brief, capabilities)).unwrap()
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
        let question = brief(vec![
            Message::agent("Hello!"),
            Message::caller("Is \"Onix\" a rock?\n"),
        ]);
        let body = body(&terms(), &question);
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
        let terms = Terms::new(&config);
        let takes = Capabilities::new(
            TokenLimit::MaxCompletionTokens,
            Structured::JsonSchema,
            24_576,
        )
        .refusing(Field::StreamOptions);
        let toolless = Brief {
            tools: ToolSet::NONE,
            nudge: Some("Be brief.".into()),
            ..brief(vec![Message::caller("Hi")])
        };
        let body = body_for(&terms, &toolless, &takes);
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
        let question = brief(vec![Message::caller("Hi")]);
        let key = body(&terms(), &question)["prompt_cache_key"].clone();
        assert_eq!(key, *question.cache_key.clone().unwrap());
        let without = all().refusing(Field::CacheKey);
        let body = body_for(&terms(), &question, &without);
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
            (Field::Tools, "tools"),
            (Field::StreamOptions, "stream_options"),
            (Field::MaxTokens, "max_tokens"),
            (Field::Temperature, "temperature"),
            (Field::ReasoningEffort, "reasoning_effort"),
            (Field::User, "user"),
        ];
        let asked = brief(vec![Message::caller("Hi")]);
        let terms = Terms::new(&config);
        for (field, name) in fields {
            assert!(body(&terms, &asked).get(name).is_some(), "{name}");
            let without = body_for(&terms, &asked, &all().refusing(field));
            assert!(without.get(name).is_none(), "{name}");
        }
    }

    #[test]
    fn an_answer_in_json_is_asked_for_as_the_server_takes_it() {
        let form = Form {
            name: "opinion",
            schema: serde_json::json!({"type": "object"}),
        };
        let word = Message::caller("Hi");
        let format = |structured| {
            let takes = Capabilities::new(TokenLimit::MaxTokens, structured, 24_576);
            let body = terms().question("Judge.", &word, &form, 200, &takes);
            serde_json::from_slice::<Value>(&body).unwrap()["response_format"].take()
        };
        let schema = format(Structured::JsonSchema);
        assert_eq!(schema["json_schema"]["schema"]["type"], "object");
        assert_eq!(format(Structured::JsonObject)["type"], "json_object");
        assert_eq!(format(Structured::None), Value::Null);
    }
}
