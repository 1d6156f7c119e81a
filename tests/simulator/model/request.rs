//! What a client asked of the model.

use serde_json::Value;
use std::time::Instant;

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct ModelApiRequest {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The parsed body; null where it was no JSON.
    pub body: Value,
    /// When the whole request was there.
    pub at: Instant,
    /// Which connection it came on, from 1: tells whether connections are re-used.
    pub connection: u64,
}

impl ModelApiRequest {
    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The `model` asked for.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// Whether a stream was asked for.
    pub fn wants_stream(&self) -> bool {
        self.body["stream"].as_bool().unwrap_or(false)
    }

    /// Whether it only loads the model: one token, and no stream.
    pub fn is_preload(&self) -> bool {
        let limit = |name: &str| self.body[name].as_u64() == Some(1);
        !self.wants_stream() && (limit("max_tokens") || limit("max_completion_tokens"))
    }

    /// Role and content of each message; content parts are strung together.
    pub fn messages(&self) -> Vec<(String, String)> {
        let messages = self.body["messages"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        messages
            .iter()
            .map(|message| {
                (
                    message["role"].as_str().unwrap_or_default().to_owned(),
                    content(&message["content"]),
                )
            })
            .collect()
    }

    /// What the user said last.
    pub fn last_user(&self) -> String {
        let said = self
            .messages()
            .into_iter()
            .rev()
            .find(|(role, _)| role == "user");
        said.map(|(_, content)| content).unwrap_or_default()
    }

    /// Names of the functions on offer.
    pub fn tools(&self) -> Vec<String> {
        let tools = self.body["tools"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        tools
            .iter()
            .filter_map(|tool| tool["function"]["name"].as_str())
            .map(str::to_owned)
            .collect()
    }
}

fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}
