//! The sentences that are said without a model, by language.

use super::language_tags::same_language;
use super::placeholders::{self, fill_persona};
use crate::agent::Persona;
use crate::settings::ConfigError;
use calldex_names::is_language_code;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use toml::{Table, Value};

/// A spoken sentence of ours may have this many characters.
const PHRASE_CHARS_MAX: usize = 600;
/// The language that has every sentence.
const DEFAULT_LANGUAGE: &str = "en";
/// The setting with several sentences.
const FILLERS_KEY: &str = "fillers";

/// What the crate ships: see `phrases.toml` beside this file.
static DEFAULT_PHRASES: LazyLock<BTreeMap<String, CannedPhrases>> = LazyLock::new(|| {
    let tables =
        toml::from_str(include_str!("phrases.toml")).expect("the shipped phrases are tested");
    with_english_defaults(tables).expect("the shipped phrases are tested")
});

/// One language's sentences. `{name}` stands for the caller's name, `{business}` and `{topic}` for the
/// persona's, `{languages}` for names of languages; see `placeholders.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CannedPhrases {
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
    /// Before a handoff.
    pub handoff: String,
    /// Instead of a handoff.
    pub handoff_unavailable: String,
    /// When too many calls are live.
    pub busy: String,
    /// To new callers while the server stops.
    pub draining: String,
    /// To live callers when the server cannot wait longer.
    pub closing: String,
    /// The worst case.
    pub failed: String,
    /// While the model is slow; never the same twice in a row.
    pub fillers: Vec<String>,
}

impl Default for CannedPhrases {
    fn default() -> Self {
        DEFAULT_PHRASES[DEFAULT_LANGUAGE].clone()
    }
}

impl CannedPhrases {
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

    /// Every sentence with business name and topic in it.
    fn with_persona(&self, business_name: &str, topic: Option<&str>) -> Self {
        let filled = |text: &String| fill_persona(text, business_name, topic);
        let mut table = Table::new();
        for (key, text) in self.entries().filter(|(key, _)| *key != FILLERS_KEY) {
            table.insert(key.to_owned(), Value::String(filled(text)));
        }
        let fillers = self.fillers.iter().map(|text| Value::String(filled(text)));
        table.insert(FILLERS_KEY.to_owned(), Value::Array(fillers.collect()));
        // The same keys with other texts.
        Value::Table(table)
            .try_into()
            .unwrap_or_else(|_| self.clone())
    }

    fn entries(&self) -> impl Iterator<Item = (&'static str, &String)> {
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
            ("handoff", &self.handoff),
            ("handoff_unavailable", &self.handoff_unavailable),
            ("busy", &self.busy),
            ("draining", &self.draining),
            ("closing", &self.closing),
            ("failed", &self.failed),
        ];
        named
            .into_iter()
            .chain(self.fillers.iter().map(|filler| (FILLERS_KEY, filler)))
    }
}

/// What is put into a sentence beside business name and topic.
fn allowed_placeholders(key: &str) -> &'static [&'static str] {
    match key {
        "greet_known" | "nice_to_meet" | "hello_again" | "corrected" | "confirm_name" => {
            &["{name}"]
        }
        "languages_offered" | "only_language" => &["{languages}"],
        _ => &[],
    }
}

/// `template` with the names of languages in it.
pub fn fill_languages(template: &str, languages: &str) -> String {
    template.replace("{languages}", languages)
}

/// Whether a name can be spoken: there is a letter in what is left of it without tags and signs.
pub fn is_speakable_name(name: &str) -> bool {
    let spoken = crate::twilio::twiml::speakable_name(name);
    spoken.is_some_and(|spoken| spoken.contains(char::is_alphabetic))
}

/// `template` with the caller's name in it, made safe for speech; without a gap where there is none.
pub fn fill_name(template: &str, name: &str) -> String {
    match crate::twilio::twiml::speakable_name(name) {
        Some(spoken) => template.replace("{name}", &spoken),
        None => template.replace(", {name}", "").replace("{name}", ""),
    }
}

/// All languages' sentences. A language that is given in part has the rest in English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Table>")]
pub struct PhraseCatalog(BTreeMap<String, CannedPhrases>);

impl TryFrom<BTreeMap<String, Table>> for PhraseCatalog {
    type Error = toml::de::Error;

    fn try_from(mut tables: BTreeMap<String, Table>) -> Result<Self, Self::Error> {
        if !tables.contains_key(DEFAULT_LANGUAGE) {
            let english =
                Table::try_from(&DEFAULT_PHRASES[DEFAULT_LANGUAGE]).expect("phrases are a table");
            tables.insert(DEFAULT_LANGUAGE.to_owned(), english);
        }
        with_english_defaults(tables).map(Self)
    }
}

/// Every language with what it lacks taken from English, which must be there.
fn with_english_defaults(
    tables: BTreeMap<String, Table>,
) -> Result<BTreeMap<String, CannedPhrases>, toml::de::Error> {
    let english = tables.get(DEFAULT_LANGUAGE).cloned().unwrap_or_default();
    let complete = |(language, table): (String, Table)| {
        let mut whole = english.clone();
        whole.extend(table);
        Ok((language, Value::Table(whole).try_into()?))
    };
    tables.into_iter().map(complete).collect()
}

impl Default for PhraseCatalog {
    fn default() -> Self {
        Self(DEFAULT_PHRASES.clone())
    }
}

impl PhraseCatalog {
    /// The sentences for a BCP-47 `language`: the whole tag, else its first part, else English.
    pub fn for_language(&self, language: &str) -> &CannedPhrases {
        let primary = language.split(['-', '_']).next().unwrap_or(language);
        [language, &primary.to_ascii_lowercase(), DEFAULT_LANGUAGE]
            .iter()
            .find_map(|key| self.0.get(*key))
            .unwrap_or(&DEFAULT_PHRASES[DEFAULT_LANGUAGE])
    }

    /// The sentences as they are said for `persona`.
    pub fn with_persona(&self, persona: &Persona) -> Self {
        let filled = |(language, phrases): (&String, &CannedPhrases)| {
            let business_name = persona.business.text_for(language);
            let phrases = phrases.with_persona(business_name, persona.topic.exact_text(language));
            (language.clone(), phrases)
        };
        Self(self.0.iter().map(filled).collect())
    }

    /// Whether the sentence after a switch to `language` is in that language: one that has no sentences
    /// of its own has English ones.
    pub fn has_language(&self, language: &str) -> bool {
        let switched = |language: &str| &self.for_language(language).language_switched;
        same_language(language, DEFAULT_LANGUAGE)
            || switched(language) != switched(DEFAULT_LANGUAGE)
    }

    /// Sentences that are empty, too long or with placeholders that `persona` does not fill, and
    /// languages without a filler.
    pub fn validate(&self, persona: &Persona) -> Vec<ConfigError> {
        let mut faults = Vec::new();
        for (language, phrases) in &self.0 {
            if !is_language_code(language) {
                let hint = "is no code of a language: its sentences would never be said";
                faults.push(ConfigError::new(
                    format!("phrases.{language}"),
                    language,
                    hint,
                ));
            }
            let has_topic = persona.topic.exact_text(language).is_some();
            for (key, text) in phrases.entries() {
                let setting = format!("phrases.{language}.{key}");
                if text.trim().is_empty() {
                    faults.push(ConfigError::new(setting, "\"\"", "must be a sentence"));
                } else if text.chars().count() > PHRASE_CHARS_MAX {
                    let hint = format!(
                        "is longer than {PHRASE_CHARS_MAX} characters: nobody listens that long"
                    );
                    faults.push(ConfigError::new(setting, "", hint));
                } else if let Some((piece, hint)) =
                    placeholders::placeholder_error(text, allowed_placeholders(key), has_topic)
                {
                    faults.push(ConfigError::new(setting, piece, hint));
                }
            }
            if phrases.fillers.is_empty() {
                let setting = format!("phrases.{language}.fillers");
                faults.push(ConfigError::new(
                    setting,
                    "[]",
                    "needs at least one sentence",
                ));
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
        assert_eq!(PhraseCatalog::default().validate(&Persona::default()), []);
    }

    #[test]
    fn business_name_and_topic_change_the_sentences_of_every_language() {
        let persona: Persona = toml::from_str(
            "business = 'Mount Moon Books'\ntopic = { en = 'books', es = 'libros' }",
        )
        .unwrap();
        let phrase_catalog = PhraseCatalog::default();
        assert_eq!(phrase_catalog.validate(&persona), []);
        let filled = phrase_catalog.with_persona(&persona);
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
            for (key, text) in phrases.entries() {
                let is_left = text.contains(['[', ']'])
                    || text.contains("{business}")
                    || text.contains("{topic}");
                assert!(!is_left, "{language}.{key}: {text}");
                let of_another = ["Pok", "ポケ"].iter().any(|word| text.contains(word));
                assert!(
                    !of_another && !text.contains("  "),
                    "{language}.{key}: {text}"
                );
            }
        }
        let said = |language| filled.for_language(language).nice_to_meet.as_str();
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
        let shipped = phrase_catalog.with_persona(&Persona::default());
        assert_eq!(
            shipped.for_language("en").greet_new,
            "Hello! Welcome to the Pokédex Call Center. I'm here to help with any Pokémon questions. May I have your name?"
        );
        assert!(
            shipped.has_language("es-MX")
                && shipped.has_language("en-GB")
                && !shipped.has_language("sv-SE")
        );
    }

    #[test]
    fn a_placeholder_that_nothing_fills_is_an_error() {
        for (key, text) in [
            ("greet_known", "Hi {nmae}!"),
            ("greet_new", "Hi {name}!"),
            ("goodbye", "Bye {"),
        ] {
            let mut tables: BTreeMap<String, Table> = BTreeMap::new();
            tables.insert(
                "en".to_owned(),
                Table::try_from(CannedPhrases::default()).unwrap(),
            );
            tables
                .get_mut("en")
                .unwrap()
                .insert(key.to_owned(), text.into());
            let faults = PhraseCatalog::try_from(tables)
                .unwrap()
                .validate(&Persona::default());
            assert_eq!(faults[0].setting, format!("phrases.en.{key}"));
        }
    }

    #[test]
    fn a_language_is_found_by_its_tag_its_first_part_or_english() {
        let phrase_catalog = PhraseCatalog::default();
        assert!(
            phrase_catalog
                .for_language("es-MX")
                .goodbye
                .starts_with("Gracias")
        );
        assert!(
            phrase_catalog
                .for_language("en-GB")
                .goodbye
                .starts_with("Thank")
        );
        assert!(
            phrase_catalog
                .for_language("xx")
                .goodbye
                .starts_with("Thank")
        );
    }
}
