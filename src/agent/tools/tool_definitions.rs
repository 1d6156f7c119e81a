//! The definitions of the tools for the model.

use super::catalog::ToolCatalog;
use super::invocation::{BuiltInTool, BuiltInTools};
use compact_str::CompactString;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// A tool's text argument.
struct ArgumentDefinition {
    name: &'static str,
    description: &'static str,
    required: bool,
}

const fn required_argument(name: &'static str, about: &'static str) -> ArgumentDefinition {
    ArgumentDefinition {
        name,
        description: about,
        required: true,
    }
}

/// What the tool does, and its arguments.
const fn description_of(kind: BuiltInTool) -> (&'static str, &'static [ArgumentDefinition]) {
    match kind {
        BuiltInTool::EndCall => (
            "End the telephone call, after the caller has said goodbye or has nothing more to ask.",
            &[ArgumentDefinition {
                name: "farewell",
                description: "A short goodbye to be spoken, unless you have just said one.",
                required: false,
            }],
        ),
        BuiltInTool::Handoff => (
            "Connect the caller with a person, when they ask for one.",
            const {
                &[
                    required_argument("reason", "Why, in a few words."),
                    required_argument(
                        "summary",
                        "What the person should know, in one or two sentences.",
                    ),
                ]
            },
        ),
        BuiltInTool::SetName => (
            "Remember the caller's own name, when they tell or correct it. Never for anybody else's name.",
            const { &[required_argument("name", "The name as the caller said it.")] },
        ),
        BuiltInTool::SwitchLanguage => (
            "Go on in another language, when the caller asks for it or speaks it. Call it before you say anything in \
             that language.",
            const {
                &[required_argument(
                    LANGUAGE_ARGUMENT,
                    "BCP 47 code of the language.",
                )]
            },
        ),
        BuiltInTool::NotePreference => (
            "Remember something lasting that the caller likes or wants.",
            const {
                &[required_argument(
                    "note",
                    "One short sentence about the caller.",
                )]
            },
        ),
    }
}

/// The argument that takes one of the languages of the line.
const LANGUAGE_ARGUMENT: &str = "code";

/// The offered tools, serialised as the list `tools` of a request: the built-in ones, with the languages of the line,
/// then the operator's.
pub(in crate::agent) struct ToolDefinitions<'a> {
    pub built_in: BuiltInTools,
    pub languages: &'a [CompactString],
    pub configured: &'a ToolCatalog,
}

impl Serialize for ToolDefinitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for kind in BuiltInTool::ALL
            .into_iter()
            .filter(|kind| self.built_in.contains(*kind))
        {
            list.serialize_element(&ToolDefinition {
                r#type: "function",
                function: FunctionDefinition(kind, self.languages),
            })?;
        }
        for tool in self.configured.tools() {
            list.serialize_element(tool.definition())?;
        }
        list.end()
    }
}

#[derive(serde::Serialize)]
struct ToolDefinition<F> {
    r#type: &'static str,
    function: F,
}

struct FunctionDefinition<'a>(BuiltInTool, &'a [CompactString]);

impl Serialize for FunctionDefinition<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (about, arguments) = description_of(self.0);
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", self.0.name())?;
        map.serialize_entry("description", about)?;
        map.serialize_entry("parameters", &ParametersSchema(arguments, self.1))?;
        map.end()
    }
}

struct ParametersSchema<'a>(&'static [ArgumentDefinition], &'a [CompactString]);

impl Serialize for ParametersSchema<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("type", "object")?;
        map.serialize_entry("properties", &PropertiesSchema(self.0, self.1))?;
        map.serialize_entry("required", &RequiredList(self.0))?;
        map.end()
    }
}

struct PropertiesSchema<'a>(&'static [ArgumentDefinition], &'a [CompactString]);

impl Serialize for PropertiesSchema<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct PropertySchema<'a> {
            r#type: &'static str,
            description: &'static str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            r#enum: &'a [CompactString],
        }
        let property = |argument: &ArgumentDefinition| PropertySchema {
            r#type: "string",
            description: argument.description,
            r#enum: match argument.name {
                LANGUAGE_ARGUMENT => self.1,
                _ => &[],
            },
        };
        serializer.collect_map(
            self.0
                .iter()
                .map(|argument| (argument.name, property(argument))),
        )
    }
}

struct RequiredList(&'static [ArgumentDefinition]);

impl Serialize for RequiredList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.0
                .iter()
                .filter(|argument| argument.required)
                .map(|argument| argument.name),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::ToolInvocation;
    use crate::agent::tools::catalog::tests::order_status;

    #[test]
    fn only_what_is_offered_is_described() {
        let offer = ToolDefinitions {
            built_in: BuiltInTools::NONE
                .with(BuiltInTool::EndCall)
                .with(BuiltInTool::SetName),
            languages: &[],
            configured: &ToolCatalog::default(),
        };
        let json = serde_json::to_value(&offer).unwrap();
        let names: Vec<_> = json
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["function"]["name"].clone())
            .collect();
        assert_eq!(names, ["end_call", "set_name"]);
        assert_eq!(json[1]["function"]["parameters"]["required"][0], "name");
        assert_eq!(
            json[0]["function"]["parameters"]["properties"]["farewell"]["type"],
            "string"
        );
    }

    #[test]
    fn the_tools_of_the_operator_follow_with_their_schemas() {
        let own = ToolCatalog::new([order_status().into()]);
        let offer = ToolDefinitions {
            built_in: BuiltInTools::NONE.with(BuiltInTool::EndCall),
            languages: &[],
            configured: &own,
        };
        let json = serde_json::to_value(&offer).unwrap();
        assert_eq!(json[0]["function"]["name"], "end_call");
        assert_eq!(json[1]["function"]["name"], "order_status");
        assert_eq!(json[1]["function"]["parameters"]["required"][0], "order");
    }

    #[test]
    fn a_call_of_an_own_tool_is_understood_by_its_schema() {
        let own = ToolCatalog::new([order_status().into()]);
        let understood =
            |arguments: &str| ToolInvocation::parse("order_status", arguments, "en", &own);
        for good in [r#"{"order":"4711"}"#, r#""{\"order\":\"4711\"}""#] {
            let tool = understood(good);
            assert!(matches!(tool, ToolInvocation::Configured { .. }), "{good}");
            assert_eq!(tool.arguments(), r#"{"order":"4711"}"#);
        }
        for bad in ["", "{}", "null", "{\"order\"", r#"{"order":"x"}"#, "[1]"] {
            let tool = understood(bad);
            assert!(
                matches!(tool, ToolInvocation::InvalidArguments { .. }),
                "{bad}"
            );
            assert_eq!(tool.name(), "order_status");
        }
        let made_up = ToolInvocation::parse("nonsense tool!", "{}", "en", &own);
        assert_eq!(made_up.name(), "unknown_tool");
    }

    #[test]
    fn the_languages_of_the_line_are_listed() {
        let languages = ["es-MX".into(), "de-DE".into()];
        let offer = ToolDefinitions {
            built_in: BuiltInTools::ALL,
            languages: &languages,
            configured: &ToolCatalog::default(),
        };
        let json = serde_json::to_value(&offer).unwrap();
        let switch = json
            .as_array()
            .unwrap()
            .iter()
            .find(|tool| tool["function"]["name"] == "switch_language")
            .unwrap();
        let code = &switch["function"]["parameters"]["properties"]["code"];
        assert_eq!(code["enum"], serde_json::json!(["es-MX", "de-DE"]));
        let name = &json[2]["function"]["parameters"]["properties"]["name"];
        assert_eq!(name.get("enum"), None);
    }

    #[test]
    fn every_tool_that_is_offered_is_understood() {
        for kind in BuiltInTool::ALL {
            let (_, arguments) = description_of(kind);
            let given: serde_json::Map<_, _> = arguments
                .iter()
                .map(|one| (one.name.to_owned(), "x".into()))
                .collect();
            let tool = ToolInvocation::parse(
                kind.name(),
                &serde_json::Value::Object(given.clone()).to_string(),
                "en-US",
                &ToolCatalog::default(),
            );
            assert_eq!(tool.name(), kind.name());
            assert!(!matches!(tool, ToolInvocation::Unknown { .. }));
            let shown: serde_json::Map<_, _> = serde_json::from_str(&tool.arguments()).unwrap();
            assert_eq!(shown, given);
        }
    }
}
