//! How much a word looks like a first name, from how often it is one and how often it is not.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::language::Language;
use super::text;
use super::wordlist::Word;

/// From best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Nearly always a name.
    Name,
    /// A name and a word: will, may, art, rose.
    Ambiguous,
    /// In no list: a rare name, a misspelling, or noise.
    Unknown,
    /// A word of the language.
    #[default]
    Common,
}

/// Twice the binary logarithm of how often a word of each English band is written in lower case,
/// on the scale of [`Word::half_logs`]: index 0 is "never".
const BAND_HALF_LOGS: [i32; 8] = [0, 14, 12, 8, 6, 4, 2, 0];
const STOP_HALF_LOGS: i32 = 6;
/// A name is this many times (as half-logs: 700 times) more often a name than a word.
const NAME_HALF_LOGS_MIN: i32 = 19;
const AMBIGUOUS_HALF_LOGS_MIN: i32 = 8;
/// A place or people's name is a first name from this count on (half-logs).
const PROPER_HALF_LOGS_MIN: i32 = 20;
/// A name given less often (half-logs: 64 times in a century) is as good as unknown.
const RARE_HALF_LOGS_MIN: i32 = 12;
/// Outside English: a US name of this count is a name in any language.
const FOREIGN_HALF_LOGS_MIN: i32 = 18;

/// Looks a word up; of a compound ("jean-luc") its first part speaks, of a possessive its owner.
pub fn word_of(folded: &str) -> Word {
    let word = Word::of(folded);
    if word != Word::default() {
        return word;
    }
    match folded.split_once('-') {
        Some((first, _)) => Word::of(first),
        None => Word::of(folded.trim_end_matches("'s")),
    }
}

/// The evidence that a word is a first name in a language.
pub fn of(word: Word, folded: &str, language: Language) -> Evidence {
    if folded.bytes().any(|byte| byte.is_ascii_digit()) {
        return Evidence::Common;
    }
    if is_listed_first(folded, language) {
        return Evidence::Name;
    }
    match language {
        Language::English | Language::Other => in_english(word),
        _ => in_other(word, language),
    }
}

/// Whether the language's file has a folded word, or the first part of a compound, among its first
/// names.
pub fn is_listed_first(folded: &str, language: Language) -> bool {
    static NAMES: [OnceLock<HashSet<String>>; Language::COUNT] =
        [const { OnceLock::new() }; Language::COUNT];
    let names = NAMES[language as usize].get_or_init(|| {
        // Folded, Vietnamese names are too many other words.
        let file = language.file().filter(|_| language != Language::Vietnamese);
        let listed = file.map_or("", |file| &file.first_names);
        listed.split_whitespace().map(text::fold).collect()
    });
    let first = folded.split('-').next().unwrap_or_default();
    names.contains(folded) || names.contains(first)
}

/// How far a word is a name rather than a word, in half-logs (English).
pub fn margin(word: Word) -> i32 {
    let listed = if word.is_first_in(Language::English) {
        4
    } else {
        0
    };
    let stop = if word.is_stop() { STOP_HALF_LOGS } else { 0 };
    word.half_logs().max(listed) - BAND_HALF_LOGS[word.band()] - stop
}

fn in_english(word: Word) -> Evidence {
    if word.is_proper() && !word.is_first_abroad() && word.half_logs() < PROPER_HALF_LOGS_MIN {
        return Evidence::Common;
    }
    if word.band() == 0 && !word.is_stop() {
        let known = word.half_logs() >= RARE_HALF_LOGS_MIN || word.is_first_anywhere();
        return if known {
            Evidence::Name
        } else {
            Evidence::Unknown
        };
    }
    match margin(word) {
        NAME_HALF_LOGS_MIN.. => Evidence::Name,
        AMBIGUOUS_HALF_LOGS_MIN.. => Evidence::Ambiguous,
        _ => Evidence::Common,
    }
}

fn in_other(word: Word, language: Language) -> Evidence {
    let common = word.is_common_in(language);
    let given = word.is_first_in(language) || word.half_logs() >= FOREIGN_HALF_LOGS_MIN;
    match (given, common) {
        (true, false) => Evidence::Name,
        (true, true) if word.is_first_in(language) => Evidence::Ambiguous,
        (_, true) => Evidence::Common,
        (false, false) if word.is_given() && word.band() == 0 => Evidence::Ambiguous,
        (false, false) => Evidence::Unknown,
    }
}
