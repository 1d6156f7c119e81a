//! The language files (`languages/*.toml`): what native speakers edit. Format: `languages/README.md`.
//!
//! They are part of the binary and parsed at a language's first use (a few milliseconds; see
//! [`warm_up`](super::warm_up)). A file that does not parse fails the tests, not a call.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::language::Language;

/// One language's data. Words and phrases may be written with accents and capitals: they are
/// folded when they are compiled.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageFile {
    /// What its speakers call the language.
    #[serde(default)]
    pub own_name: String,
    /// Common first names and short forms that the word list lacks, separated by spaces.
    #[serde(default)]
    pub first_names: String,
    /// Word classes: name of the class, and its words separated by spaces.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
    /// Phrases of languages that divide words by spaces, one a line.
    #[serde(default)]
    pub phrases: CuePhrases,
    /// Phrases of languages that are read clause by clause.
    pub clauses: Option<ClausePhrases>,
    /// How "Was that Kay?" is answered.
    #[serde(default)]
    pub answers: YesNoPhrases,
    /// Languages and peoples as this language calls them, by the tag of the language meant (`x-...`
    /// where it has no file): never names, and the whole of an answer asks for that language.
    #[serde(default)]
    pub languages: BTreeMap<String, String>,
    /// Words that may stand around a language's name where it is asked for: "speak", "in", "please".
    #[serde(default)]
    pub language_request: String,
    /// How callers take their leave: phrases, one a line.
    #[serde(default)]
    pub farewells: String,
    /// Words right before a name that turn it down: "not".
    #[serde(default)]
    pub denials: String,
    /// How callers say that we have their name wrong, one a line.
    #[serde(default)]
    pub complaints: String,
    /// How a sign is spoken, by the sign.
    #[serde(default)]
    pub symbols: BTreeMap<String, String>,
}

/// Phrases by what they announce, in the order in which ties are decided.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CuePhrases {
    pub strong: String,
    pub strict: String,
    pub call_me: String,
    pub medium: String,
    pub speaking: String,
    pub present: String,
    pub asked: String,
    pub booking: String,
    pub booking_weak: String,
    pub ending: String,
    pub courtesy: String,
    pub another_person: String,
    pub other: String,
    pub reject: String,
    pub forget: String,
    pub forget_named: String,
    pub refuse: String,
    pub refuse_alone: String,
    pub block: String,
}

/// Phrases of a language that is read clause by clause, one a line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClausePhrases {
    /// Said before the answer: greetings, "yes", hesitations.
    pub fillers: String,
    /// "I", "me".
    pub own_person: String,
    /// What joins "I" to what is said of oneself.
    pub own_person_ends: String,
    /// "my name is", before the name.
    pub own_name: String,
    /// "am called", behind the name; of oneself only.
    pub called: String,
    /// "is", behind the name.
    pub copula: String,
    pub honorifics: String,
    /// Somebody else's: "his", "my son's".
    pub others: String,
    /// "my name", "that": what a refusal is about.
    pub objects: String,
    /// Refusals to give a name: only the speaker and [`objects`](Self::objects) stand before them.
    pub refusals: String,
    /// Refusals only where they are the whole turn.
    pub refusals_alone: String,
    pub forgets: String,
    /// Words that are never names.
    pub common: String,
    /// Loan words and nouns in the script of foreign names that are none.
    pub nouns: String,
    /// Endings of such nouns.
    pub noun_endings: String,
    /// Endings that mark a clause as a question.
    pub questions: String,
    /// How the next sentence begins behind a name: "I", "please".
    pub starters: String,
    /// "not X but Y": between the two.
    pub denial_cuts: String,
    /// "is not X": behind it.
    pub denial_ends: String,
    /// Turns that begin so turn down what was said before.
    pub denial_starts: String,
    /// Courtesies that are no clause of their own.
    pub courtesies: String,
    /// Grammatical endings: a run of characters that holds one is a phrase rather than a name.
    pub particles: String,
    /// Family names, where they stand first and have few characters.
    pub family_names: String,
}

/// How "Was that Kay?" is answered, one phrase a line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct YesNoPhrases {
    pub yes: String,
    pub no: String,
}

impl Language {
    /// The language's name in itself (`Deutsch`); empty for `Other`.
    #[must_use]
    pub fn own_name(self) -> &'static str {
        self.data().map_or("", |file| &file.own_name)
    }

    /// The language's data; none for `Other`.
    pub(super) fn data(self) -> Option<&'static LanguageFile> {
        (self != Self::Other).then(|| data_of(self))
    }
}

macro_rules! files {
    ($($tag:literal),* $(,)?) => {
        [$(include_str!(concat!("languages/", $tag, ".toml"))),*]
    };
}

/// In the order of [`Language::ALL`].
const TEXTS: [&str; Language::ALL.len()] = files![
    "en", "es", "fr", "de", "pt", "it", "pl", "ja", "nl", "sv", "da", "no", "cs", "uk", "ru", "tr",
    "el", "he", "ar", "hi", "ko", "zh", "th", "vi",
];

/// A language's data, parsed at its first use.
///
/// # Panics
/// For `Language::Other`, and where a shipped file does not parse (held by a test).
pub fn data_of(language: Language) -> &'static LanguageFile {
    static FILES: [OnceLock<LanguageFile>; TEXTS.len()] = [const { OnceLock::new() }; TEXTS.len()];
    let index = language as usize;
    FILES[index].get_or_init(|| {
        toml::from_str(TEXTS[index]).expect("the shipped language files are tested")
    })
}

/// Lines that are not empty, without spaces around.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}
