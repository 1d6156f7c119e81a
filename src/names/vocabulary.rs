//! The words of one language: their classes, and the first names of Vietnamese.

use std::collections::{HashMap, HashSet};

use super::domain_words;
use super::language::Language;
use super::language_data::LanguageFile;
use super::text;
use super::word_class::WordClass;

/// Hesitations, titles and particles that recognisers write alike in every language of the Latin
/// script.
const UNIVERSAL: [(WordClass, &str); 3] = [
    (
        WordClass::HESITATION,
        "uh uhm umm uhh uhhh ehm hmm hm mm mmm mhm mh ah euh ahm hmmm ummm yyy eee eem",
    ),
    (WordClass::TITLE, "dr mr mrs ms doctor prof professor"),
    (
        WordClass::PARTICLE,
        "van von der den de la le da di del della dos das du bin ibn al el ter ten zu mac mc o st san d l",
    ),
];

/// The words of a language, compiled from its file.
#[derive(Debug, Default)]
pub struct Vocabulary {
    classes: HashMap<&'static str, WordClass>,
    /// Vietnamese: first names that only their tones tell from other words, in lower case.
    toned_names: HashSet<String>,
}

impl Vocabulary {
    /// Compiles the words of a language's file.
    pub fn new(language: Language, file: &LanguageFile) -> Self {
        let mut vocabulary = Self::default();
        for (class, words) in UNIVERSAL {
            vocabulary.add_words(class, words);
        }
        vocabulary.add_words(WordClass::TITLE, domain_words::BRAND);
        for (class, words) in &file.words {
            vocabulary.add_words(WordClass::from_name(class).unwrap_or_default(), words);
        }
        if language == Language::Vietnamese {
            vocabulary.toned_names = toned_names(file);
        }
        vocabulary
    }

    /// The classes of a folded word.
    pub fn classes(&self, folded: &str) -> WordClass {
        self.classes.get(folded).copied().unwrap_or_default()
    }

    /// Whether a word is a first name as it is written: "Huy" is one, "hủy" (cancel) is none.
    pub fn is_toned_name(&self, written: &str) -> bool {
        !self.toned_names.is_empty() && self.toned_names.contains(&written.to_lowercase())
    }

    fn add_words(&mut self, role: WordClass, words: &str) {
        for word in leak_folded(words).split_whitespace() {
            let roles = self.classes.entry(word).or_default();
            *roles = roles.union(role);
        }
    }
}

/// The file's first names, without those that are words in the same spelling.
fn toned_names(file: &LanguageFile) -> HashSet<String> {
    let lower = |text: &str| text.to_lowercase();
    let words: String = file
        .words
        .values()
        .map(|words| lower(words) + " ")
        .collect();
    let words: HashSet<&str> = words.split_whitespace().collect();
    let names = file.first_names.split_whitespace().map(lower);
    names
        .filter(|name| !words.contains(name.as_str()))
        .collect()
}

/// Folded as turns are, for the life of the process: a grammar is compiled once.
pub fn leak_folded(line: &str) -> &'static str {
    text::fold(line).leak()
}
