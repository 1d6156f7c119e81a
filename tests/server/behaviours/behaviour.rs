//! The table's form: what a server does, and what must be heard of it.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One file of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BehaviourFile {
    row: Vec<Behaviour>,
}

/// One behaviour of one server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Which server, such as `vLLM`.
    pub server: String,
    /// Which versions of it were seen to do so.
    pub version: String,
    /// What it does, in plain words.
    pub quirk: String,
    /// Settings of calldex by their path, such as `agent.temperature`.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Lines of the configuration file. `{base_url}` is the server's address.
    #[serde(default)]
    pub config: String,
    /// The voice takes its time, so that it can be interrupted.
    #[serde(default)]
    pub unhurried: bool,
    /// What stands behind the base URL, such as `?api-version=...`; the server refuses requests without it.
    #[serde(default)]
    pub query: String,
    /// Rules that every request must keep (see `strict.rs`), besides those of OpenAI.
    #[serde(default)]
    pub strict: Vec<String>,
    /// Requests that have one of these are refused.
    #[serde(default)]
    pub refuses: Vec<RefusedProperty>,
    /// How long a conversation may be.
    #[serde(default)]
    pub context: Option<ContextLimit>,
    /// The model must load first.
    #[serde(default)]
    pub loading: Option<ModelLoad>,
    /// Requests for a reply that may be refused, in all. Absent: none where nothing is refused by `refuses` or `context`.
    #[serde(default)]
    pub refusals: Option<usize>,
    /// What the caller says and hears, in order.
    pub turn: Vec<BehaviourTurn>,
    /// Stands in the log of the default level.
    #[serde(default)]
    pub log: Vec<String>,
    /// Series of `/metrics` after the call.
    #[serde(default)]
    pub metrics: Vec<ExpectedMetric>,
    /// Why the row does not hold yet. It is run only where `BEHAVIOUR` names it.
    #[serde(default)]
    pub pending: Option<String>,
}

/// A property of a request that the server refuses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedProperty {
    /// JSON pointer into the request, such as `/tools`, or `role:system`.
    pub has: String,
    #[serde(default = "bad_request")]
    pub status: u16,
    pub body: String,
}

/// The longest conversation: bytes of all messages behind the system prompt.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextLimit {
    pub bytes_max: usize,
    #[serde(default = "bad_request")]
    pub status: u16,
    #[serde(default = "json")]
    pub content_type: String,
    pub body: String,
}

/// How a model loads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelLoad {
    /// How long it takes, from the first request on.
    pub ms: u64,
    /// Requests meanwhile are refused with this. Absent: they wait in silence, and the load is given up with the last
    /// of them.
    #[serde(default)]
    pub refusal: Option<RefusalResponse>,
}

/// A refusal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalResponse {
    pub status: u16,
    pub body: String,
}

/// What the caller says, what the model answers, what is heard.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BehaviourTurn {
    /// Empty: a question about Onix.
    pub say: String,
    /// So many bytes more are said.
    pub say_bytes: usize,
    /// Said over the answer once its voice has been heard for 1.5 s (of Twilio's time).
    pub barge_in: String,
    /// Said while the model is still silent.
    pub goes_on: String,
    /// The answer is interrupted by a noise that no words follow.
    pub cough: bool,
    /// The model's answers in order; after them it says [`ORDINARY`].
    pub answer: Vec<WireAnswer>,
    /// The whole reply.
    pub heard: Option<String>,
    /// Parts of the reply.
    pub contains: Vec<String>,
    /// What is not in the reply.
    pub without: Vec<String>,
    /// Requests for a reply in this turn.
    pub requests: Option<usize>,
    /// Parts of the last request's body.
    pub last_contains: Vec<String>,
    /// What is not in the last request's body.
    pub last_without: Vec<String>,
    /// Whether the caller is apologised to.
    pub apology: bool,
    /// Whatever is heard is right: an answer, a wait or an apology.
    pub any: bool,
    /// The call ends with this turn: a goodbye, or a hand-over.
    pub ends: bool,
}

/// What the model says where the row says nothing.
pub const ORDINARY: &str = "Onix is a rock and ground type.";

/// One answer on the wire.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireAnswer {
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default = "event_stream")]
    pub content_type: String,
    /// Further header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Silence before the head of the response.
    #[serde(default)]
    pub silence_ms: u64,
    /// A stream: see [`StreamItem`].
    #[serde(default)]
    pub stream: Vec<StreamItem>,
    /// Or a body as it is.
    #[serde(default)]
    pub body: String,
    /// The stream is cut into pieces of so many bytes.
    #[serde(default)]
    pub cut_bytes: usize,
    /// How the body ends.
    #[serde(default)]
    pub end: BodyEnd,
    /// So often; the answers after it wait.
    #[serde(default = "once")]
    pub times: usize,
}

/// A piece of a stream. A number is a pause in milliseconds. A text is the data of one event, or in short:
/// `say: words`, `role`, `tool: INDEX ID NAME ARGUMENTS`, `end`, `end: REASON`, `usage`, `done`, `raw: bytes`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum StreamItem {
    Pause(u64),
    Text(String),
}

/// How a body ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyEnd {
    /// As HTTP wants it.
    #[default]
    Whole,
    /// The connection is closed before the end.
    Cut,
    /// Nothing more comes, and the connection stays.
    Open,
}

/// A series and its least value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedMetric {
    pub name: String,
    #[serde(default)]
    pub label: String,
    /// At least; zero: exactly zero.
    pub least: f64,
}

fn ok() -> u16 {
    200
}

fn once() -> usize {
    1
}

fn bad_request() -> u16 {
    400
}

fn json() -> String {
    "application/json".into()
}

fn event_stream() -> String {
    "text/event-stream; charset=utf-8".into()
}

impl Behaviour {
    /// Server, versions and quirk.
    pub fn name(&self) -> String {
        format!("{} ({}): {}", self.server, self.version, self.quirk)
    }
}

impl StreamItem {
    /// Its bytes; `None` for a pause.
    pub fn bytes(&self) -> Option<String> {
        let Self::Text(text) = self else { return None };
        let data = match text.split_once(": ") {
            Some(("raw", raw)) => return Some(raw.to_owned()),
            Some(("say", words)) => delta(&serde_json::json!({ "content": words }), None),
            Some(("tool", call)) => tool(call),
            Some(("end", reason)) => delta(&serde_json::json!({}), Some(reason)),
            _ => match text.as_str() {
                "role" => delta(
                    &serde_json::json!({ "role": "assistant", "content": "" }),
                    None,
                ),
                "end" => delta(&serde_json::json!({}), Some("stop")),
                "usage" => USAGE.to_owned(),
                "done" => "[DONE]".to_owned(),
                data => data.to_owned(),
            },
        };
        Some(format!("data: {data}\n\n"))
    }
}

const USAGE: &str = r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":300,"completion_tokens":8,"total_tokens":308}}"#;

/// An ordinary chunk.
fn delta(delta: &serde_json::Value, finish: Option<&str>) -> String {
    let chunk = serde_json::json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
    });
    chunk.to_string()
}

fn tool(call: &str) -> String {
    let mut parts = call.splitn(4, ' ');
    let mut next = || parts.next().expect("a tool has index, id, name, arguments");
    let index: u32 = next().parse().expect("an index");
    let (id, name, arguments) = (next(), next(), next());
    let call = serde_json::json!({
        "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": arguments },
    });
    delta(&serde_json::json!({ "tool_calls": [call] }), None)
}

impl WireAnswer {
    /// What an ordinary server says in an ordinary stream.
    pub fn ordinary() -> Self {
        let mut stream = vec![StreamItem::Text("role".into())];
        for word in ORDINARY.split_inclusive(' ') {
            stream.push(StreamItem::Text(format!("say: {word}")));
        }
        stream.extend(["end", "usage", "done"].map(|item| StreamItem::Text(item.into())));
        Self {
            status: ok(),
            content_type: event_stream(),
            headers: Vec::new(),
            silence_ms: 0,
            stream,
            body: String::new(),
            cut_bytes: 0,
            end: BodyEnd::Whole,
            times: 1,
        }
    }

    /// A whole body.
    pub fn whole(status: u16, body: &str) -> Self {
        Self {
            status,
            content_type: json(),
            stream: Vec::new(),
            body: body.to_owned(),
            ..Self::ordinary()
        }
    }
}

/// All rows of the table, by file.
pub fn load_behaviours() -> Vec<Behaviour> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/behaviours");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the table is there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"))
        .collect();
    files.sort();
    let rows = files.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).expect("a file of the table can be read");
        let table: BehaviourFile =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        table.row
    });
    rows.collect()
}
