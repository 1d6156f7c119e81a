//! How much a word looks like a first name, from how often it is one and how often it is not.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::language::Language;
use super::text;
use super::wordlist::WordEntry;

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
/// on the scale of [`WordEntry::first_name_half_logs`]: index 0 is "never".
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
pub fn look_up_word(folded: &str) -> WordEntry {
    let word = WordEntry::look_up(folded);
    if word != WordEntry::default() {
        return word;
    }
    match folded.split_once('-') {
        Some((first, _)) => WordEntry::look_up(first),
        None => WordEntry::look_up(folded.trim_end_matches("'s")),
    }
}

/// The evidence that a word is a first name in a language.
pub fn first_name_evidence(word: WordEntry, folded: &str, language: Language) -> Evidence {
    if folded.bytes().any(|byte| byte.is_ascii_digit()) {
        return Evidence::Common;
    }
    if is_listed_first_name(folded, language) {
        return Evidence::Name;
    }
    match language {
        Language::English | Language::Other => in_english(word),
        _ => in_other(word, language),
    }
}

/// Whether the language's file has a folded word, or the first part of a compound, among its first
/// names.
pub fn is_listed_first_name(folded: &str, language: Language) -> bool {
    static NAMES: [OnceLock<HashSet<String>>; Language::COUNT] =
        [const { OnceLock::new() }; Language::COUNT];
    let names = NAMES[language as usize].get_or_init(|| {
        // Folded, Vietnamese names are too many other words.
        let file = language.data().filter(|_| language != Language::Vietnamese);
        let listed = file.map_or("", |file| &file.first_names);
        listed.split_whitespace().map(text::fold).collect()
    });
    let first = folded.split('-').next().unwrap_or_default();
    names.contains(folded) || names.contains(first)
}

/// How far a word is a name rather than a word, in half-logs (English).
pub fn name_margin(word: WordEntry) -> i32 {
    let listed = if word.is_first_name_in(Language::English) {
        4
    } else {
        0
    };
    let stop = if word.is_stop_word() {
        STOP_HALF_LOGS
    } else {
        0
    };
    word.first_name_half_logs().max(listed) - BAND_HALF_LOGS[word.frequency_band()] - stop
}

fn in_english(word: WordEntry) -> Evidence {
    if word.is_proper_noun()
        && !word.is_first_name_abroad()
        && word.first_name_half_logs() < PROPER_HALF_LOGS_MIN
    {
        return Evidence::Common;
    }
    if word.frequency_band() == 0 && !word.is_stop_word() {
        let known =
            word.first_name_half_logs() >= RARE_HALF_LOGS_MIN || word.is_first_name_anywhere();
        return if known {
            Evidence::Name
        } else {
            Evidence::Unknown
        };
    }
    match name_margin(word) {
        NAME_HALF_LOGS_MIN.. => Evidence::Name,
        AMBIGUOUS_HALF_LOGS_MIN.. => Evidence::Ambiguous,
        _ => Evidence::Common,
    }
}

fn in_other(word: WordEntry, language: Language) -> Evidence {
    let common = word.is_common_word_in(language);
    let given =
        word.is_first_name_in(language) || word.first_name_half_logs() >= FOREIGN_HALF_LOGS_MIN;
    match (given, common) {
        (true, false) => Evidence::Name,
        (true, true) if word.is_first_name_in(language) => Evidence::Ambiguous,
        (_, true) => Evidence::Common,
        (false, false) if word.is_first_name() && word.frequency_band() == 0 => Evidence::Ambiguous,
        (false, false) => Evidence::Unknown,
    }
}
