//! The calls of tools by the model, each bounded: end the call, hand off to a person, set the caller's name, switch the
//! language, note a preference, and the tools of the operator.

use super::catalog::{ToolCatalog, ToolSpec};
use crate::agent::speech;
use crate::agent::text::truncated;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// Most bytes of one call's arguments; a call with longer ones is [`ToolInvocation::Unknown`].
pub const ARGUMENTS_BYTES_MAX: usize = 8 * 1024;
/// Most tool calls of one reply that are run; the results of further ones tell the model that they were not.
pub const TOOL_CALLS_RUN_MAX: usize = 8;
/// Most tool calls of one reply that are read; further ones are dropped.
pub const TOOL_CALLS_READ_MAX: usize = 16;
/// The name under which a call of an unknown tool is sent back to the model: servers may reject an invented name.
pub const UNKNOWN_NAME: &str = "unknown_tool";
/// Bounds of the arguments' texts in bytes; longer ones are truncated between characters.
const FAREWELL_BYTES_MAX: usize = 400;
const REASON_BYTES_MAX: usize = 200;
const SUMMARY_BYTES_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 80;
const CODE_BYTES_MAX: usize = 16;
const NOTE_BYTES_MAX: usize = 300;

/// One complete call of a tool.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The model's id of the call, until the call's state assigns another one.
    pub id: String,
    /// The tool and its arguments.
    pub invocation: ToolInvocation,
}

/// A tool with its arguments.
#[derive(Clone, PartialEq, Eq)]
pub enum ToolInvocation {
    /// Hang up, after saying `farewell`, if there is one and the model sent no text with the call.
    EndCall {
        /// Speakable text.
        farewell: Option<String>,
    },
    /// Hand the caller off to a person.
    Handoff {
        /// The reason, short.
        reason: String,
        /// A summary for the person.
        summary: String,
    },
    /// The caller said their name. It may be used only if it occurs in the transcript.
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
    /// A tool of the operator, with arguments that match its schema.
    Configured {
        /// The tool.
        spec: Arc<ToolSpec>,
        /// As the model gave them, at most [`ARGUMENTS_BYTES_MAX`] of JSON.
        arguments: Map<String, Value>,
    },
    /// A tool of the operator, with arguments that do not match its schema.
    InvalidArguments {
        /// The tool.
        spec: Arc<ToolSpec>,
        /// As the model gave them.
        arguments: Map<String, Value>,
        /// The validation error, for the model.
        error: String,
    },
    /// An unknown tool, or one with unusable arguments.
    Unknown {
        /// The name that the model used.
        name: String,
    },
}

/// The built-in tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltInTool {
    /// `end_call`
    EndCall,
    /// `hand_over`
    Handoff,
    /// `set_name`
    SetName,
    /// `switch_language`
    SwitchLanguage,
    /// `note_preference`
    NotePreference,
}

impl BuiltInTool {
    /// All kinds, in the order in which they are offered.
    pub const ALL: [BuiltInTool; 5] = [
        BuiltInTool::EndCall,
        BuiltInTool::Handoff,
        BuiltInTool::SetName,
        BuiltInTool::SwitchLanguage,
        BuiltInTool::NotePreference,
    ];

    /// The name on the wire, which is also the value of the metric label `tool`.
    pub const fn name(self) -> &'static str {
        match self {
            BuiltInTool::EndCall => "end_call",
            BuiltInTool::Handoff => "hand_over",
            BuiltInTool::SetName => "set_name",
            BuiltInTool::SwitchLanguage => "switch_language",
            BuiltInTool::NotePreference => "note_preference",
        }
    }
}

/// Which tools the model is offered in a turn. The default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BuiltInTools(u8);

impl BuiltInTools {
    /// No tool at all.
    pub const NONE: BuiltInTools = BuiltInTools(0);
    /// Every tool.
    pub const ALL: BuiltInTools = BuiltInTools(0b1_1111);

    /// This set and `kind`.
    pub const fn with(self, kind: BuiltInTool) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// This set without `kind`.
    pub const fn without(self, kind: BuiltInTool) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    /// Whether `kind` is offered.
    pub const fn contains(self, kind: BuiltInTool) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether nothing is offered.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl ToolInvocation {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            ToolInvocation::Unknown { .. } => UNKNOWN_NAME,
            ToolInvocation::Configured { spec, .. }
            | ToolInvocation::InvalidArguments { spec, .. } => &spec.name,
            known => known.metric_label(),
        }
    }

    /// The value of the metric label `tool`: bounded, unlike a name the model makes up.
    pub fn metric_label(&self) -> &'static str {
        match self {
            ToolInvocation::EndCall { .. } => BuiltInTool::EndCall.name(),
            ToolInvocation::Handoff { .. } => BuiltInTool::Handoff.name(),
            ToolInvocation::SetName { .. } => BuiltInTool::SetName.name(),
            ToolInvocation::SwitchLanguage { .. } => BuiltInTool::SwitchLanguage.name(),
            ToolInvocation::NotePreference { .. } => BuiltInTool::NotePreference.name(),
            ToolInvocation::Configured { .. } | ToolInvocation::InvalidArguments { .. } => {
                "configured"
            }
            ToolInvocation::Unknown { .. } => "unknown",
        }
    }

    /// Whether the model needs the result to complete its reply.
    pub fn returns_data(&self) -> bool {
        matches!(
            self,
            ToolInvocation::Configured { .. }
                | ToolInvocation::InvalidArguments { .. }
                | ToolInvocation::Unknown { .. }
        )
    }

    /// The arguments as JSON text, as they are sent back to the model in the history.
    pub fn arguments(&self) -> String {
        let value = match self {
            ToolInvocation::EndCall {
                farewell: Some(farewell),
            } => serde_json::json!({ "farewell": farewell }),
            ToolInvocation::EndCall { farewell: None } | ToolInvocation::Unknown { .. } => {
                serde_json::json!({})
            }
            ToolInvocation::Handoff { reason, summary } => {
                serde_json::json!({ "reason": reason, "summary": summary })
            }
            ToolInvocation::SetName { name } => serde_json::json!({ "name": name }),
            ToolInvocation::SwitchLanguage { code } => serde_json::json!({ "code": code }),
            ToolInvocation::NotePreference { note } => serde_json::json!({ "note": note }),
            ToolInvocation::Configured { arguments, .. }
            | ToolInvocation::InvalidArguments { arguments, .. } => {
                Value::Object(arguments.clone())
            }
        };
        value.to_string()
    }

    /// Parses a call of `name` with `arguments`. Accepts missing arguments, arguments wrapped in a string, and numbers
    /// instead of texts. A farewell is made speakable in `language`. The arguments of a tool of `own` are validated
    /// against its schema. Anything else is [`ToolInvocation::Unknown`].
    pub fn parse(name: &str, arguments: &str, language: &str, own: &ToolCatalog) -> ToolInvocation {
        let name = name.trim();
        let given = parse_arguments(arguments);
        if let Some(spec) = own.get(name) {
            return configured_invocation(spec, given, arguments);
        }
        let text = |key: &str, bytes_max: usize| text_argument(&given, key, bytes_max);
        let understood = match name {
            "end_call" => Some(ToolInvocation::EndCall {
                farewell: text("farewell", FAREWELL_BYTES_MAX)
                    .map(|words| speech::speakable(&words, language)),
            }),
            "hand_over" => Some(ToolInvocation::Handoff {
                reason: text("reason", REASON_BYTES_MAX).unwrap_or_default(),
                summary: text("summary", SUMMARY_BYTES_MAX).unwrap_or_default(),
            }),
            "set_name" => text("name", NAME_BYTES_MAX).map(|name| ToolInvocation::SetName { name }),
            "switch_language" => {
                text("code", CODE_BYTES_MAX).map(|code| ToolInvocation::SwitchLanguage { code })
            }
            "note_preference" => {
                text("note", NOTE_BYTES_MAX).map(|note| ToolInvocation::NotePreference { note })
            }
            _ => None,
        };
        understood.unwrap_or_else(|| ToolInvocation::Unknown {
            name: truncated(name, NAME_BYTES_MAX).to_owned(),
        })
    }
}

/// A call of `spec` with the arguments `given`, which were parsed from `written`.
fn configured_invocation(
    spec: &Arc<ToolSpec>,
    given: Map<String, Value>,
    written: &str,
) -> ToolInvocation {
    let spec = Arc::clone(spec);
    let unreadable = given.is_empty() && !matches!(written.trim(), "" | "{}" | "null");
    let error = match unreadable && serde_json::from_str::<Map<String, Value>>(written).is_err() {
        true => Some("the arguments are no JSON object".to_owned()),
        false => spec.validation_error(&given),
    };
    match error {
        None => ToolInvocation::Configured {
            spec,
            arguments: given,
        },
        Some(error) => ToolInvocation::InvalidArguments {
            spec,
            arguments: given,
            error,
        },
    }
}

/// The arguments as an object; an empty one where there is none.
fn parse_arguments(arguments: &str) -> Map<String, Value> {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(object)) => object,
        // Some models encode the arguments twice.
        Ok(Value::String(inner)) => match serde_json::from_str(&inner) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

/// A text argument, trimmed and bounded; `None` where it is missing or empty.
fn text_argument(given: &Map<String, Value>, key: &str, bytes_max: usize) -> Option<String> {
    let text = match given.get(key)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let text = truncated(text.trim(), bytes_max);
    (!text.is_empty()).then(|| text.to_owned())
}

impl fmt::Debug for ToolInvocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric_label())
    }
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCall({})", self.invocation.metric_label())
    }
}
