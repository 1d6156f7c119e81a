//! The sentences that are said without a model, by language.

use super::language_tags::same_language;
use super::placeholders::{self, fill};
use crate::agent::Persona;
use crate::config::Fault;
use calldex_names::is_language_code;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use toml::{Table, Value};

/// A spoken sentence of ours may have this many characters.
const PHRASE_CHARS_MAX: usize = 600;
/// The language that has every sentence.
const COMPLETE: &str = "en";
/// The setting with several sentences.
const BRIDGES: &str = "bridges";

/// What the crate ships: see `phrases.toml` beside this file.
static SHIPPED: LazyLock<BTreeMap<String, Phrases>> = LazyLock::new(|| {
    let tables =
        toml::from_str(include_str!("phrases.toml")).expect("the shipped phrases are tested");
    completed(tables).expect("the shipped phrases are tested")
});

/// One language's sentences. `{name}` stands for the caller's name, `{house}` and `{topic}` for the
/// persona's, `{languages}` for names of languages; see [`super::placeholders`].
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
    /// To a caller who comes back after we had ended the call, or given it away.
    pub returned: String,
    /// After a switch to this language.
    pub language_switched: String,
    /// To a caller who asks for a language that the line has not.
    pub languages_offered: String,
    /// The same where the line has one language only.
    pub only_language: String,
    /// After a silence.
    pub still_there: String,
    /// After a second one.
    pub still_there_again: String,
    /// When the model fails.
    pub apology: String,
    /// When it fails again at the next question.
    pub apology_again: String,
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

    /// Every sentence with house and topic in it.
    fn filled(&self, house: &str, topic: Option<&str>) -> Self {
        let filled = |text: &String| fill(text, house, topic);
        let mut table = Table::new();
        for (key, text) in self.all().filter(|(key, _)| *key != BRIDGES) {
            table.insert(key.to_owned(), Value::String(filled(text)));
        }
        let bridges = self.bridges.iter().map(|text| Value::String(filled(text)));
        table.insert(BRIDGES.to_owned(), Value::Array(bridges.collect()));
        // The same keys with other texts.
        Value::Table(table)
            .try_into()
            .unwrap_or_else(|_| self.clone())
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
            ("returned", &self.returned),
            ("language_switched", &self.language_switched),
            ("languages_offered", &self.languages_offered),
            ("only_language", &self.only_language),
            ("still_there", &self.still_there),
            ("still_there_again", &self.still_there_again),
            ("apology", &self.apology),
            ("apology_again", &self.apology_again),
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
            .chain(self.bridges.iter().map(|bridge| (BRIDGES, bridge)))
    }
}

/// What is put into a sentence beside house and topic.
fn placeholders_of(key: &str) -> &'static [&'static str] {
    match key {
        "greet_known" | "nice_to_meet" | "hello_again" | "corrected" | "confirm_name" => {
            &["{name}"]
        }
        "languages_offered" | "only_language" => &["{languages}"],
        _ => &[],
    }
}

/// `template` with the names of languages in it.
pub fn with_languages(template: &str, languages: &str) -> String {
    template.replace("{languages}", languages)
}

/// Whether a name can be spoken: there is a letter in what is left of it without tags and signs.
pub fn is_speakable(name: &str) -> bool {
    let spoken = crate::twilio::twiml::speakable_name(name);
    spoken.is_some_and(|spoken| spoken.contains(char::is_alphabetic))
}

/// `template` with the caller's name in it, made safe for speech; without a gap where there is none.
pub fn with_name(template: &str, name: &str) -> String {
    match crate::twilio::twiml::speakable_name(name) {
        Some(spoken) => template.replace("{name}", &spoken),
        None => template.replace(", {name}", "").replace("{name}", ""),
    }
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

    /// The sentences as they are said for `persona`.
    pub fn filled(&self, persona: &Persona) -> Self {
        let filled = |(language, phrases): (&String, &Phrases)| {
            let house = persona.house.of(language);
            let phrases = phrases.filled(house, persona.topic.own(language));
            (language.clone(), phrases)
        };
        Self(self.0.iter().map(filled).collect())
    }

    /// Whether the sentence after a switch to `language` is in that language: one that has no sentences
    /// of its own has English ones.
    pub fn speaks(&self, language: &str) -> bool {
        let switched = |language: &str| &self.of(language).language_switched;
        same_language(language, COMPLETE) || switched(language) != switched(COMPLETE)
    }

    /// Sentences that are empty, too long or with placeholders that `persona` does not fill, and
    /// languages without a bridge.
    pub fn validate(&self, persona: &Persona) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (language, phrases) in &self.0 {
            if !is_language_code(language) {
                let remedy = "is no code of a language: its sentences would never be said";
                faults.push(Fault::new(format!("phrases.{language}"), language, remedy));
            }
            let has_topic = persona.topic.own(language).is_some();
            for (key, text) in phrases.all() {
                let setting = format!("phrases.{language}.{key}");
                if text.trim().is_empty() {
                    faults.push(Fault::new(setting, "\"\"", "must be a sentence"));
                } else if text.chars().count() > PHRASE_CHARS_MAX {
                    let remedy = format!(
                        "is longer than {PHRASE_CHARS_MAX} characters: nobody listens that long"
                    );
                    faults.push(Fault::new(setting, "", remedy));
                } else if let Some((piece, remedy)) =
                    placeholders::fault(text, placeholders_of(key), has_topic)
                {
                    faults.push(Fault::new(setting, piece, remedy));
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
                for placeholder in ["{name}", "{languages}"] {
                    let named = |value: &toml::Value| value.to_string().contains(placeholder);
                    assert_eq!(named(here), named(sentence), "{language}.{key}");
                }
            }
        }
        assert_eq!(PhraseBook::default().validate(&Persona::default()), []);
    }

    #[test]
    fn house_and_topic_change_the_sentences_of_every_language() {
        let persona: Persona =
            toml::from_str("house = 'Mount Moon Books'\ntopic = { en = 'books', es = 'libros' }")
                .unwrap();
        let book = PhraseBook::default();
        assert_eq!(book.validate(&persona), []);
        let filled = book.filled(&persona);
        for (language, phrases) in &filled.0 {
            for greeting in [
                &phrases.greet_new,
                &phrases.greet_neutral,
                &phrases.returned,
            ] {
                assert!(
                    greeting.contains("Mount Moon Books"),
                    "{language}: {greeting}"
                );
            }
            for (key, text) in phrases.all() {
                let is_left = text.contains(['[', ']'])
                    || text.contains("{house}")
                    || text.contains("{topic}");
                assert!(!is_left, "{language}.{key}: {text}");
                let of_another = ["Pok", "ポケ"].iter().any(|word| text.contains(word));
                assert!(
                    !of_another && !text.contains("  "),
                    "{language}.{key}: {text}"
                );
            }
        }
        let said = |language| filled.of(language).nice_to_meet.as_str();
        assert_eq!(
            said("en"),
            "Nice to meet you, {name}! What books would you like to know about?"
        );
        assert!(
            said("es").ends_with("¿Qué quieres saber sobre libros?"),
            "{}",
            said("es")
        );
        assert!(
            said("de").ends_with("Was möchten Sie wissen?"),
            "{}",
            said("de")
        );
        let shipped = book.filled(&Persona::default());
        assert_eq!(
            shipped.of("en").greet_new,
            "Hello! Welcome to the Pokédex Call Center. I'm here to help with any Pokémon questions. May I have your name?"
        );
        assert!(shipped.speaks("es-MX") && shipped.speaks("en-GB") && !shipped.speaks("sv-SE"));
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
            let faults = PhraseBook::try_from(tables)
                .unwrap()
                .validate(&Persona::default());
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
