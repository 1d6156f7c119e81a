//! The operator's own tools as they are offered to the model: name, description, JSON Schema. Running them is not
//! part of this module.

use crate::agent::localized_text::LocalizedText;
use crate::agent::text::truncated;
use jsonschema::{PatternOptions, Validator};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// Most tools of the operator that one line offers; OpenAI accepts 128 in a request.
pub const CONFIGURED_TOOLS_MAX: usize = 64;
/// Longest name of a tool (OpenAI).
pub const TOOL_NAME_BYTES_MAX: usize = 64;
/// Longest description in bytes; a longer one is truncated.
pub const DESCRIPTION_BYTES_MAX: usize = 2_000;
/// Longest JSON Schema of a tool's arguments, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 16 * 1024;
/// Longest validation error that is sent to the model, in bytes.
const VALIDATION_ERROR_BYTES_MAX: usize = 500;
/// Most validation errors of one call that are sent to the model.
const VALIDATION_ERRORS_MAX: usize = 3;

/// Whether the model can be offered a tool of this name: 1 to 64 of `a-z A-Z 0-9 _ -`.
pub fn is_tool_name(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    (1..=TOOL_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

/// The source of a [`ToolSpec`].
pub struct ToolSpecSource<'a> {
    /// A name for which [`is_tool_name`] holds.
    pub name: &'a str,
    /// Describes to the model what it does and when to call it.
    pub description: &'a str,
    /// The JSON Schema of its arguments, an object.
    pub parameters: &'a Value,
    /// Its label in metrics: a name from the configuration.
    pub metric_label: &'a str,
    /// Whether a call has side effects: then it is never cancelled.
    pub side_effects: bool,
    /// Longest duration of one call, in milliseconds.
    pub timeout_ms: u64,
    /// Filler that is spoken while it runs, where the model sent no text with the call.
    pub filler: Option<LocalizedText>,
}

/// One tool of the operator: its definition for the model, and the validator of its arguments.
pub struct ToolSpec {
    /// The name that the model calls it by.
    pub name: String,
    /// Its label in metrics: a name from the configuration.
    pub metric_label: String,
    /// Whether a call has side effects: then it is never cancelled.
    pub side_effects: bool,
    /// Longest duration of one call, in milliseconds.
    pub timeout_ms: u64,
    /// Filler that is spoken while it runs, where the model sent no text with the call.
    pub filler: Option<LocalizedText>,
    /// The element of a request's `tools`.
    definition: Box<RawValue>,
    validator: Validator,
}

impl ToolSpec {
    /// Compiles the schema. References to other documents are not followed.
    ///
    /// # Errors
    /// What is wrong with the schema, for the operator.
    pub fn new(described: &ToolSpecSource<'_>) -> Result<Self, String> {
        let parameters = described.parameters;
        if !parameters.is_object() || parameters.get("type").is_some_and(|of| of != "object") {
            return Err("must be a JSON Schema of type \"object\"".to_owned());
        }
        if parameters.to_string().len() > SCHEMA_BYTES_MAX {
            return Err(format!("is longer than {SCHEMA_BYTES_MAX} bytes"));
        }
        let validator = jsonschema::options()
            // Linear in the text for every pattern.
            .with_pattern_options(PatternOptions::regex())
            .build(parameters)
            .map_err(|error| format!("is no JSON Schema: {error}"))?;
        let definition = serde_json::json!({
            "type": "function",
            "function": {
                "name": described.name,
                "description": truncated(described.description, DESCRIPTION_BYTES_MAX),
                "parameters": parameters,
            },
        });
        Ok(Self {
            name: described.name.to_owned(),
            metric_label: described.metric_label.to_owned(),
            side_effects: described.side_effects,
            timeout_ms: described.timeout_ms,
            filler: described.filler.clone(),
            definition: serde_json::value::to_raw_value(&definition)
                .map_err(|error| error.to_string())?,
            validator,
        })
    }

    /// The element of a request's `tools`, as JSON.
    pub fn definition(&self) -> &RawValue {
        &self.definition
    }

    /// The validation error of `arguments`, for the model; `None` if they match the schema.
    pub fn validation_error(&self, arguments: &Map<String, Value>) -> Option<String> {
        let arguments = Value::Object(arguments.clone());
        if self.validator.is_valid(&arguments) {
            return None;
        }
        let errors = self
            .validator
            .iter_errors(&arguments)
            .take(VALIDATION_ERRORS_MAX);
        let texts = errors.map(|error| match error.instance_path().as_str() {
            "" => error.to_string(),
            at => format!("{at}: {error}"),
        });
        let text = texts.collect::<Vec<_>>().join("; ");
        Some(truncated(&text, VALIDATION_ERROR_BYTES_MAX).to_owned())
    }
}

/// By name and definition; names are unique within one catalog.
impl PartialEq for ToolSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.definition.get() == other.definition.get()
    }
}

impl Eq for ToolSpec {}

impl fmt::Debug for ToolSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolSpec({})", self.name)
    }
}

/// A snapshot of the operator's tools of one line, at most [`CONFIGURED_TOOLS_MAX`].
#[derive(Debug, Default)]
pub struct ToolCatalog {
    tools: Vec<Arc<ToolSpec>>,
}

impl ToolCatalog {
    /// The first [`CONFIGURED_TOOLS_MAX`] of `tools`.
    pub fn new(tools: impl IntoIterator<Item = Arc<ToolSpec>>) -> Self {
        Self {
            tools: tools.into_iter().take(CONFIGURED_TOOLS_MAX).collect(),
        }
    }

    /// All, in the order in which they are offered.
    pub fn tools(&self) -> &[Arc<ToolSpec>] {
        &self.tools
    }

    /// The tool of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<ToolSpec>> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A tool that looks an order up; it has no side effects.
    pub(crate) fn order_status() -> ToolSpec {
        spec(&json!({
            "type": "object",
            "properties": { "order": { "type": "string", "pattern": "^[0-9]{4}$" } },
            "required": ["order"],
            "additionalProperties": false,
        }))
        .unwrap()
    }

    fn spec(parameters: &Value) -> Result<ToolSpec, String> {
        ToolSpec::new(&ToolSpecSource {
            name: "order_status",
            description: "Where an order is.",
            parameters,
            metric_label: "order_status",
            side_effects: false,
            timeout_ms: 3_000,
            filler: None,
        })
    }

    fn error_of(arguments: Value) -> Option<String> {
        let Value::Object(arguments) = arguments else {
            unreachable!()
        };
        order_status().validation_error(&arguments)
    }

    #[test]
    fn arguments_are_validated_and_the_error_is_reported() {
        assert_eq!(error_of(json!({ "order": "4711" })), None);
        let missing = error_of(json!({})).unwrap();
        assert!(missing.contains("order"), "{missing}");
        let wrong = error_of(json!({ "order": 4711 })).unwrap();
        assert!(
            wrong.contains("/order") && wrong.contains("string"),
            "{wrong}"
        );
        let long = error_of(json!({ "x".repeat(9_000): 1 })).unwrap();
        assert!(long.len() <= VALIDATION_ERROR_BYTES_MAX);
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_refused() {
        for wrong in [
            json!("text"),
            json!({ "type": "string" }),
            json!({ "type": "object", "properties": 3 }),
            json!({ "type": "object", "required": "order" }),
            json!({ "type": "object", "properties": { "a": { "pattern": "(" } } }),
            // Would have to be fetched.
            json!({ "$ref": "http://127.0.0.1:9/schema.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "type": "object", "description": "x".repeat(SCHEMA_BYTES_MAX) }),
        ] {
            assert!(spec(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_cannot_be_made_to_take_for_ever() {
        let schema = json!({
            "type": "object",
            "properties": { "a": { "type": "string", "pattern": "^(a+)+$" } },
        });
        let Value::Object(arguments) = json!({ "a": format!("{}!", "a".repeat(5_000)) }) else {
            unreachable!()
        };
        assert!(
            spec(&schema)
                .unwrap()
                .validation_error(&arguments)
                .is_some()
        );
    }

    #[test]
    fn names_that_openai_refuses_are_no_names() {
        for good in ["order_status", "a", "A-1"] {
            assert!(is_tool_name(good), "{good}");
        }
        for bad in ["", "order status", "naïve", "a.b", &"x".repeat(65)] {
            assert!(!is_tool_name(bad), "{bad}");
        }
    }
}
