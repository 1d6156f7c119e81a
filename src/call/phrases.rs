//! The sentences that are said without a model, by language.

use crate::config::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use toml::{Table, Value};

/// A spoken sentence of ours may have this many characters.
const PHRASE_CHARS_MAX: usize = 600;
/// The language that has every sentence.
const COMPLETE: &str = "en";

/// What the crate ships: see `phrases.toml` beside this file.
static SHIPPED: LazyLock<BTreeMap<String, Phrases>> = LazyLock::new(|| {
    let tables =
        toml::from_str(include_str!("phrases.toml")).expect("the shipped phrases are tested");
    completed(tables).expect("the shipped phrases are tested")
});

/// One language's sentences. `{name}` stands for the caller's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phrases {
    /// To a number never seen: asks for the name.
    pub greet_new: String,
    /// To a caller known by name.
    pub greet_known: String,
    /// To a known number without a name.
    pub greet_unnamed: String,
    /// To a caller who did not want to give a name.
    pub greet_declined: String,
    /// To a number that several people use.
    pub greet_who: String,
    /// When nothing is known in time, or the number is withheld.
    pub greet_neutral: String,
    /// After a first capture.
    pub nice_to_meet: String,
    /// When the name given is one already known.
    pub hello_again: String,
    /// After a correction.
    pub corrected: String,
    /// When the name was heard unsurely.
    pub confirm_name: String,
    /// When that was wrong.
    pub ask_again: String,
    /// Added to an answer when the caller's question came before their name.
    pub ask_name: String,
    /// When the caller does not want to say.
    pub declined: String,
    /// When the caller does not want to be called so.
    pub forgotten: String,
    /// After a lost connection.
    pub resumed: String,
    /// After a long silence.
    pub still_there: String,
    /// When the model fails.
    pub apology: String,
    /// At the end.
    pub goodbye: String,
    /// Before a hand-over.
    pub handing_over: String,
    /// Instead of a hand-over.
    pub nobody_there: String,
    /// When too many calls are live.
    pub busy: String,
    /// To new callers while the server stops.
    pub draining: String,
    /// To live callers when the server cannot wait longer.
    pub closing: String,
    /// The worst case.
    pub failed: String,
    /// While the model is slow; never the same twice in a row.
    pub bridges: Vec<String>,
}

impl Default for Phrases {
    fn default() -> Self {
        SHIPPED[COMPLETE].clone()
    }
}

impl Phrases {
    /// Whether `said` ends in one of the questions for the caller's name.
    pub fn asks_for_name(&self, said: &str) -> bool {
        let questions = [
            &self.greet_new,
            &self.greet_unnamed,
            &self.greet_who,
            &self.ask_again,
            &self.ask_name,
        ];
        questions
            .iter()
            .any(|question| said.trim_end().ends_with(question.as_str()))
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let named = [
            ("greet_new", &self.greet_new),
            ("greet_known", &self.greet_known),
            ("greet_unnamed", &self.greet_unnamed),
            ("greet_declined", &self.greet_declined),
            ("greet_who", &self.greet_who),
            ("greet_neutral", &self.greet_neutral),
            ("nice_to_meet", &self.nice_to_meet),
            ("hello_again", &self.hello_again),
            ("corrected", &self.corrected),
            ("confirm_name", &self.confirm_name),
            ("ask_again", &self.ask_again),
            ("ask_name", &self.ask_name),
            ("declined", &self.declined),
            ("forgotten", &self.forgotten),
            ("resumed", &self.resumed),
            ("still_there", &self.still_there),
            ("apology", &self.apology),
            ("goodbye", &self.goodbye),
            ("handing_over", &self.handing_over),
            ("nobody_there", &self.nobody_there),
            ("busy", &self.busy),
            ("draining", &self.draining),
            ("closing", &self.closing),
            ("failed", &self.failed),
        ];
        named
            .into_iter()
            .chain(self.bridges.iter().map(|bridge| ("bridges", bridge)))
    }
}

/// Sentences that the caller's name is put into.
const NAMED: [&str; 5] = [
    "greet_known",
    "nice_to_meet",
    "hello_again",
    "corrected",
    "confirm_name",
];

/// The first `{…}` in a sentence that nothing is put in place of.
fn unknown_placeholder<'t>(key: &str, text: &'t str) -> Option<&'t str> {
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let end = rest[start..]
            .find('}')
            .map_or(rest.len(), |end| start + end + 1);
        let placeholder = &rest[start..end];
        if placeholder != "{name}" || !NAMED.contains(&key) {
            return Some(placeholder);
        }
        rest = &rest[end..];
    }
    None
}

/// `template` with the caller's name in it, made safe for speech.
pub fn with_name(template: &str, name: &str) -> String {
    let spoken = crate::twilio::twiml::speakable_name(name).unwrap_or_default();
    template.replace("{name}", &spoken)
}

/// All languages' sentences. A language that is given in part has the rest in English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Table>")]
pub struct PhraseBook(BTreeMap<String, Phrases>);

impl TryFrom<BTreeMap<String, Table>> for PhraseBook {
    type Error = toml::de::Error;

    fn try_from(mut tables: BTreeMap<String, Table>) -> Result<Self, Self::Error> {
        if !tables.contains_key(COMPLETE) {
            let english = Table::try_from(&SHIPPED[COMPLETE]).expect("phrases are a table");
            tables.insert(COMPLETE.to_owned(), english);
        }
        completed(tables).map(Self)
    }
}

/// Every language with what it lacks taken from English, which must be there.
fn completed(
    tables: BTreeMap<String, Table>,
) -> Result<BTreeMap<String, Phrases>, toml::de::Error> {
    let english = tables.get(COMPLETE).cloned().unwrap_or_default();
    let complete = |(language, table): (String, Table)| {
        let mut whole = english.clone();
        whole.extend(table);
        Ok((language, Value::Table(whole).try_into()?))
    };
    tables.into_iter().map(complete).collect()
}

impl Default for PhraseBook {
    fn default() -> Self {
        Self(SHIPPED.clone())
    }
}

impl PhraseBook {
    /// The sentences for a BCP-47 `language`: the whole tag, else its first part, else English.
    pub fn of(&self, language: &str) -> &Phrases {
        let primary = language.split(['-', '_']).next().unwrap_or(language);
        [language, &primary.to_ascii_lowercase(), COMPLETE]
            .iter()
            .find_map(|key| self.0.get(*key))
            .unwrap_or(&SHIPPED[COMPLETE])
    }

    /// Sentences that are empty or too long, and languages without a bridge.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (language, phrases) in &self.0 {
            for (key, text) in phrases.all() {
                let setting = format!("phrases.{language}.{key}");
                if text.trim().is_empty() {
                    faults.push(Fault::new(setting, "\"\"", "must be a sentence"));
                } else if text.chars().count() > PHRASE_CHARS_MAX {
                    let remedy = format!(
                        "is longer than {PHRASE_CHARS_MAX} characters: nobody listens that long"
                    );
                    faults.push(Fault::new(setting, "", remedy));
                } else if let Some(unknown) = unknown_placeholder(key, text) {
                    let remedy = if NAMED.contains(&key) {
                        "would be spoken as it stands: the caller's name is {name}"
                    } else {
                        "would be spoken as it stands: nothing is filled in here"
                    };
                    faults.push(Fault::new(setting, unknown, remedy));
                }
            }
            if phrases.bridges.is_empty() {
                let setting = format!("phrases.{language}.bridges");
                faults.push(Fault::new(setting, "[]", "needs at least one sentence"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_language_has_every_sentence_with_its_name() {
        let table: toml::Table = toml::from_str(include_str!("phrases.toml")).unwrap();
        let english = table["en"].as_table().unwrap();
        for (language, sentences) in &table {
            for (key, sentence) in english {
                let here = sentences
                    .get(key)
                    .unwrap_or_else(|| panic!("{language} lacks {key}"));
                let named = |value: &toml::Value| value.to_string().contains("{name}");
                assert_eq!(named(here), named(sentence), "{language}.{key}");
            }
        }
        assert_eq!(PhraseBook::default().validate(), []);
    }

    #[test]
    fn a_placeholder_that_nothing_fills_is_a_fault() {
        for (key, text) in [
            ("greet_known", "Hi {nmae}!"),
            ("greet_new", "Hi {name}!"),
            ("goodbye", "Bye {"),
        ] {
            let mut tables: BTreeMap<String, Table> = BTreeMap::new();
            tables.insert(
                "en".to_owned(),
                Table::try_from(Phrases::default()).unwrap(),
            );
            tables
                .get_mut("en")
                .unwrap()
                .insert(key.to_owned(), text.into());
            let faults = PhraseBook::try_from(tables).unwrap().validate();
            assert_eq!(faults[0].setting, format!("phrases.en.{key}"));
        }
    }

    #[test]
    fn a_language_is_found_by_its_tag_its_first_part_or_english() {
        let book = PhraseBook::default();
        assert!(book.of("es-MX").goodbye.starts_with("Gracias"));
        assert!(book.of("en-GB").goodbye.starts_with("Thank"));
        assert!(book.of("xx").goodbye.starts_with("Thank"));
    }
}
