//! How the tools are described to the model.

use super::tools::{ToolKind, ToolSet};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// A tool's text argument.
struct Argument {
    name: &'static str,
    about: &'static str,
    required: bool,
}

const fn required(name: &'static str, about: &'static str) -> Argument {
    Argument {
        name,
        about,
        required: true,
    }
}

/// What the tool does, and its arguments.
const fn described(kind: ToolKind) -> (&'static str, &'static [Argument]) {
    match kind {
        ToolKind::EndCall => (
            "End the telephone call, after the caller has said goodbye or has nothing more to ask.",
            &[Argument {
                name: "farewell",
                about: "A short goodbye to be spoken, unless you have just said one.",
                required: false,
            }],
        ),
        ToolKind::HandOver => (
            "Connect the caller with a person, when they ask for one.",
            const {
                &[
                    required("reason", "Why, in a few words."),
                    required(
                        "summary",
                        "What the person should know, in one or two sentences.",
                    ),
                ]
            },
        ),
        ToolKind::SetName => (
            "Remember the caller's own name, when they tell or correct it. Never for anybody else's name.",
            const { &[required("name", "The name as the caller said it.")] },
        ),
        ToolKind::SwitchLanguage => (
            "Go on in another language, when the caller asks for it or speaks it.",
            const {
                &[required(
                    "code",
                    "BCP 47 code of the language, such as es-ES.",
                )]
            },
        ),
        ToolKind::NotePreference => (
            "Remember something lasting that the caller likes or wants.",
            const { &[required("note", "One short sentence about the caller.")] },
        ),
    }
}

/// The offered tools, as the list `tools` of a request.
pub(super) struct Offer(pub ToolSet);

impl Serialize for Offer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for kind in ToolKind::ALL.into_iter().filter(|kind| self.0.has(*kind)) {
            list.serialize_element(&Typed {
                r#type: "function",
                function: Function(kind),
            })?;
        }
        list.end()
    }
}

#[derive(serde::Serialize)]
struct Typed<F> {
    r#type: &'static str,
    function: F,
}

struct Function(ToolKind);

impl Serialize for Function {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (about, arguments) = described(self.0);
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", self.0.name())?;
        map.serialize_entry("description", about)?;
        map.serialize_entry("parameters", &Parameters(arguments))?;
        map.end()
    }
}

struct Parameters(&'static [Argument]);

impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("type", "object")?;
        map.serialize_entry("properties", &Properties(self.0))?;
        map.serialize_entry("required", &Required(self.0))?;
        map.end()
    }
}

struct Properties(&'static [Argument]);

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Property {
            r#type: &'static str,
            description: &'static str,
        }
        let property = |about| Property {
            r#type: "string",
            description: about,
        };
        serializer.collect_map(
            self.0
                .iter()
                .map(|argument| (argument.name, property(argument.about))),
        )
    }
}

struct Required(&'static [Argument]);

impl Serialize for Required {
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
    use crate::agent::Tool;

    #[test]
    fn only_what_is_offered_is_described() {
        let offer = Offer(
            ToolSet::NONE
                .with(ToolKind::EndCall)
                .with(ToolKind::SetName),
        );
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
    fn every_tool_that_is_offered_is_understood() {
        for kind in ToolKind::ALL {
            let (_, arguments) = described(kind);
            let given: serde_json::Map<_, _> = arguments
                .iter()
                .map(|one| (one.name.to_owned(), "x".into()))
                .collect();
            let tool = Tool::understand(
                kind.name(),
                &serde_json::Value::Object(given.clone()).to_string(),
                "en-US",
            );
            assert_eq!(tool.name(), kind.name());
            assert!(!matches!(tool, Tool::Unknown { .. }));
            let shown: serde_json::Map<_, _> = serde_json::from_str(&tool.arguments()).unwrap();
            assert_eq!(shown, given);
        }
    }
}
