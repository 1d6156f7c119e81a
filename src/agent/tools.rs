//! The five things the model may do besides talking, each bounded: end the call, hand over to a
//! person, set the caller's name, switch language, note a preference.

use super::speech;
use serde_json::{Map, Value};
use std::fmt;

/// Most bytes of one call's arguments; what is longer makes the call [`Tool::Unknown`].
pub const ARGUMENTS_BYTES_MAX: usize = 8 * 1024;
/// Most tool calls in one reply; further ones are dropped.
pub const CALLS_MAX: usize = 8;
/// Bounds of the arguments' texts; longer ones are cut at a character.
const FAREWELL_BYTES_MAX: usize = 400;
const REASON_BYTES_MAX: usize = 200;
const SUMMARY_BYTES_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 80;
const CODE_BYTES_MAX: usize = 16;
const NOTE_BYTES_MAX: usize = 300;

/// One call of a tool, complete.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The model's id of the call, made up where it gave none.
    pub id: String,
    /// What is to be done.
    pub tool: Tool,
}

/// What the model wants done.
#[derive(Clone, PartialEq, Eq)]
pub enum Tool {
    /// Hang up, after saying `farewell` if there is one and nothing was said beside the call.
    EndCall {
        /// Speakable words.
        farewell: Option<String>,
    },
    /// Give the caller to a person.
    HandOver {
        /// Why, in a few words.
        reason: String,
        /// What the person should know.
        summary: String,
    },
    /// The caller said their name. To be applied only if it occurs in the transcript.
    SetName {
        /// As it should be written.
        name: String,
    },
    /// Go on in another language.
    SwitchLanguage {
        /// BCP 47, such as `es` or `es-MX`, as the model wrote it.
        code: String,
    },
    /// Something worth remembering about the caller.
    NotePreference {
        /// One sentence.
        note: String,
    },
    /// No tool of ours, or one whose arguments make no sense.
    Unknown {
        /// What the model called it.
        name: String,
    },
}

/// The kinds of tools that can be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolKind {
    /// `end_call`
    EndCall,
    /// `hand_over`
    HandOver,
    /// `set_name`
    SetName,
    /// `switch_language`
    SwitchLanguage,
    /// `note_preference`
    NotePreference,
}

impl ToolKind {
    /// All kinds, in the order in which they are offered.
    pub const ALL: [ToolKind; 5] = [
        ToolKind::EndCall,
        ToolKind::HandOver,
        ToolKind::SetName,
        ToolKind::SwitchLanguage,
        ToolKind::NotePreference,
    ];

    /// The name on the wire, which is also the value of the metric label `tool`.
    pub const fn name(self) -> &'static str {
        match self {
            ToolKind::EndCall => "end_call",
            ToolKind::HandOver => "hand_over",
            ToolKind::SetName => "set_name",
            ToolKind::SwitchLanguage => "switch_language",
            ToolKind::NotePreference => "note_preference",
        }
    }
}

/// Which tools the model is offered in a turn. The default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolSet(u8);

impl ToolSet {
    /// No tool at all.
    pub const NONE: ToolSet = ToolSet(0);
    /// Every tool.
    pub const ALL: ToolSet = ToolSet(0b1_1111);

    /// This set and `kind`.
    pub const fn with(self, kind: ToolKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// This set without `kind`.
    pub const fn without(self, kind: ToolKind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    /// Whether `kind` is offered.
    pub const fn has(self, kind: ToolKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether nothing is offered.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Tool {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Tool::Unknown { name } => name,
            known => known.label(),
        }
    }

    /// The value of the metric label `tool`: bounded, unlike a name the model makes up.
    pub fn label(&self) -> &'static str {
        match self {
            Tool::EndCall { .. } => ToolKind::EndCall.name(),
            Tool::HandOver { .. } => ToolKind::HandOver.name(),
            Tool::SetName { .. } => ToolKind::SetName.name(),
            Tool::SwitchLanguage { .. } => ToolKind::SwitchLanguage.name(),
            Tool::NotePreference { .. } => ToolKind::NotePreference.name(),
            Tool::Unknown { .. } => "unknown",
        }
    }

    /// The arguments as JSON text, as the model is shown its own call afterwards.
    pub fn arguments(&self) -> String {
        let value = match self {
            Tool::EndCall {
                farewell: Some(farewell),
            } => serde_json::json!({ "farewell": farewell }),
            Tool::EndCall { farewell: None } | Tool::Unknown { .. } => serde_json::json!({}),
            Tool::HandOver { reason, summary } => {
                serde_json::json!({ "reason": reason, "summary": summary })
            }
            Tool::SetName { name } => serde_json::json!({ "name": name }),
            Tool::SwitchLanguage { code } => serde_json::json!({ "code": code }),
            Tool::NotePreference { note } => serde_json::json!({ "note": note }),
        };
        value.to_string()
    }

    /// What the model meant by calling `name` with `arguments`. Tolerant: no arguments, arguments
    /// wrapped in a string, numbers for texts. A farewell is made speakable in `language`. Whatever
    /// still makes no sense is [`Tool::Unknown`].
    pub fn understand(name: &str, arguments: &str, language: &str) -> Tool {
        let given = parse_arguments(arguments);
        let text = |key: &str, bytes_max: usize| text_of(&given, key, bytes_max);
        let understood = match name {
            "end_call" => Some(Tool::EndCall {
                farewell: text("farewell", FAREWELL_BYTES_MAX)
                    .map(|words| speech::speakable(&words, language)),
            }),
            "hand_over" => Some(Tool::HandOver {
                reason: text("reason", REASON_BYTES_MAX).unwrap_or_default(),
                summary: text("summary", SUMMARY_BYTES_MAX).unwrap_or_default(),
            }),
            "set_name" => text("name", NAME_BYTES_MAX).map(|name| Tool::SetName { name }),
            "switch_language" => {
                text("code", CODE_BYTES_MAX).map(|code| Tool::SwitchLanguage { code })
            }
            "note_preference" => {
                text("note", NOTE_BYTES_MAX).map(|note| Tool::NotePreference { note })
            }
            _ => None,
        };
        understood.unwrap_or_else(|| Tool::Unknown {
            name: cut(name, NAME_BYTES_MAX).to_owned(),
        })
    }
}

/// The arguments as an object; an empty one where there is none to be found.
fn parse_arguments(arguments: &str) -> Map<String, Value> {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(object)) => object,
        // Some models encode twice.
        Ok(Value::String(inner)) => match serde_json::from_str(&inner) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

/// A text argument, trimmed and bounded; `None` where it is missing or empty.
fn text_of(given: &Map<String, Value>, key: &str, bytes_max: usize) -> Option<String> {
    let text = match given.get(key)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let text = cut(text.trim(), bytes_max);
    (!text.is_empty()).then(|| text.to_owned())
}

/// At most `bytes_max` bytes of `text`, cut between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCall({})", self.tool.label())
    }
}
