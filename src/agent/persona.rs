//! Who answers the telephone. By default the Pokédex Call Center; every sentence can be set.

use crate::config::Fault;
use serde::{Deserialize, Serialize};

/// Longest text of one setting, in bytes: a system prompt is paid for with every turn.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The persona of a line. `{house}` and `{topic}` stand in every text, `{name}` in those about a
/// known name, `{language}` in `language`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Persona {
    /// Whom the caller has reached.
    pub house: String,
    /// What the line is about.
    pub topic: String,
    /// Who the model is.
    pub role: String,
    /// How it talks: it is heard, not read.
    pub manner: String,
    /// When to use which tool.
    pub tools: String,
    /// The caller was here before and is known by name.
    pub name_known: String,
    /// The caller is new and has given a name.
    pub name_new: String,
    /// The name is unknown and was just asked for.
    pub name_asked: String,
    /// The name is unknown and was not asked for.
    pub name_unknown: String,
    /// The number is withheld.
    pub withheld: String,
    /// Which language to speak.
    pub language: String,
    /// What the offline agent says when it hears the name for the first time.
    pub nice_to_meet_you: String,
}

impl Default for Persona {
    fn default() -> Self {
        Self {
            house: "the Pokédex Call Center".into(),
            topic: "Pokémon".into(),
            role: "You are the friendly voice of {house}, talking with a caller on the telephone. You help with \
                   anything about {topic}: their types, evolutions, strengths and weaknesses, moves, habitats and \
                   stories. When asked about something else, say kindly that this line is about {topic}."
                .into(),
            manner: "Everything you write is spoken aloud. Answer in two or three short plain sentences. Never use \
                     markdown, lists, headings, emoji, symbols, abbreviations or web addresses. Write figures, dates, \
                     units and money as words. Ask at most one question at a time. The caller's words come from \
                     speech recognition and may be misheard: when they make no sense, ask. When you do not know \
                     something, say so instead of guessing. Never claim to be a human being."
                .into(),
            tools: "Use a tool only when it fits: end the call after the caller has said goodbye, hand over when \
                    they ask for a person, set the name when they tell or correct their own name, switch the \
                    language when they ask for one or keep speaking one, note a preference when they tell you \
                    something lasting about themselves. Never speak about the tools."
                .into(),
            name_known: "The caller has called before. Their name is \"{name}\". Use it now and then, not in every \
                         sentence, and do not greet again: they have been greeted by name."
                .into(),
            name_new: "The caller is new and is called \"{name}\". Use the name now and then, not in every sentence."
                .into(),
            name_asked: "The caller's name is not known and they were just asked for it. If they answer with a \
                         question instead, answer the question first. Do not ask for the name again if they do not \
                         want to give it, and never guess a name."
                .into(),
            name_unknown: "The caller's name is not known. Ask for it once, in passing, when it fits after an \
                           answer. Never guess a name."
                .into(),
            withheld: "The caller's number is withheld, so nothing is remembered beyond this call. Do not promise to \
                       remember anything."
                .into(),
            language: "Speak the language with the code {language}, unless the caller speaks another one.".into(),
            nice_to_meet_you: "Nice to meet you, {name}! What {topic} would you like to know about?".into(),
        }
    }
}

impl Persona {
    /// `text` with its placeholders filled; `{name}` stays where no name is given.
    pub fn filled(&self, text: &str, name: Option<&str>) -> String {
        let filled = text
            .replace("{house}", &self.house)
            .replace("{topic}", &self.topic);
        // Last, so that a name cannot bring in a placeholder.
        match name {
            Some(name) => filled.replace("{name}", name),
            None => filled,
        }
    }

    /// Everything wrong with it; `line` is the prefix of the settings' names, such as `persona`.
    pub fn validate(&self, line: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (setting, text) in self.texts() {
            if text.len() > TEXT_BYTES_MAX {
                let remedy = format!("at most {TEXT_BYTES_MAX} bytes: it is sent with every turn");
                faults.push(Fault {
                    setting: format!("{line}.{setting}"),
                    value: text.len().to_string(),
                    remedy,
                });
            }
        }
        for (setting, text) in [("role", &self.role), ("manner", &self.manner)] {
            if text.trim().is_empty() {
                let remedy = "tell the model who it is and how it talks, or leave the setting out"
                    .to_owned();
                faults.push(Fault {
                    setting: format!("{line}.{setting}"),
                    value: "(empty)".to_owned(),
                    remedy,
                });
            }
        }
        faults
    }

    fn texts(&self) -> [(&'static str, &String); 12] {
        [
            ("house", &self.house),
            ("topic", &self.topic),
            ("role", &self.role),
            ("manner", &self.manner),
            ("tools", &self.tools),
            ("name_known", &self.name_known),
            ("name_new", &self.name_new),
            ("name_asked", &self.name_asked),
            ("name_unknown", &self.name_unknown),
            ("withheld", &self.withheld),
            ("language", &self.language),
            ("nice_to_meet_you", &self.nice_to_meet_you),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_persona_is_in_order_and_needs_no_markdown_to_say_so() {
        let persona = Persona::default();
        assert_eq!(persona.validate("persona"), []);
        for (setting, text) in persona.texts() {
            assert!(
                !text.contains("  ") && !text.contains(['*', '#', '`', '\n']),
                "{setting}: {text}"
            );
        }
    }

    #[test]
    fn a_persona_can_be_set_in_part_and_its_faults_are_named() {
        let persona: Persona =
            toml::from_str("house = \"Mount Moon Books\"\ntopic = \"books\"\nrole = \" \"")
                .unwrap();
        assert_eq!(
            persona.filled("{house}: {topic}", None),
            "Mount Moon Books: books"
        );
        assert_eq!(persona.manner, Persona::default().manner);
        assert_eq!(
            persona.validate("lines.books")[0].setting,
            "lines.books.role"
        );
        assert!(toml::from_str::<Persona>("hous = 'x'").is_err());
    }

    #[test]
    fn a_name_cannot_bring_in_a_placeholder() {
        assert_eq!(
            Persona::default().filled("{name}", Some("{house}")),
            "{house}"
        );
    }
}
