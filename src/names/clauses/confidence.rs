//! How sure a stretch of a clause is a name.

use super::name_lists::THAI_CHARS_MAX;
use super::rules::{ClauseCue, ClauseRules, is_in};
use super::script::{is_kanji, is_katakana, is_separator, is_thai_mark};
use crate::extraction::{ExtractionContext, Name};
use crate::language::{Language, Script};
use crate::language_words;
use crate::text;
use crate::wordlist::WordEntry;

/// Characters of a name at most, separators counted.
const NAME_CHARS_MAX: usize = 16;
/// Characters of a name in the language's own script at most ("長谷川 花子"); Thai writes longer ones.
const NATIVE_CHARS_MAX: usize = 8;
/// A name that nobody asked for in so many words, or a single family name behind a cue.
const FAMILY_CONFIDENCE: f32 = 0.82;

impl ClauseRules {
    /// The name a stretch of text is, with its confidence.
    pub(super) fn name_in(
        &self,
        said: &str,
        cue: ClauseCue,
        context: &ExtractionContext<'_>,
        greeted: bool,
        ended: bool,
    ) -> Option<(Name, f32)> {
        let said = said.trim_matches([' ', '　', '「', '」', '『', '』', '"', '“', '”', '\'']);
        if !matches!(cue, ClauseCue::Strong | ClauseCue::NameBefore) && is_in(&self.common, said) {
            return None;
        }
        let said = self.without_honorific(said);
        let said = match self.language {
            Language::Korean => self.korean_name(said, cue)?,
            Language::Thai => self.thai_name(said, cue)?,
            Language::Japanese => self.japanese_name(said, cue)?,
            _ => said,
        };
        let folded = text::fold(said);
        if said.is_empty()
            || said.chars().count() > native_chars_max(self.language).max(NAME_CHARS_MAX)
            || is_excluded(&folded, context)
        {
            return None;
        }
        let strong = matches!(cue, ClauseCue::Strong | ClauseCue::NameBefore);
        if context.excluded.excludes_domain_words() && WordEntry::look_up(&folded).is_species() {
            return strong.then(|| (self.to_name(said), 0.6));
        }
        let barred = is_in(&self.common, said) || is_in(&self.nouns, said);
        let foreign = self.language == Language::Japanese && is_katakana(said);
        if language_words::is_language_word(said) || barred && !strong && !foreign {
            return None;
        }
        let confidence = if is_katakana(said) && self.language == Language::Japanese {
            self.katakana_confidence(said, strong, greeted, ended)?
        } else if said.is_ascii() {
            latin_confidence(&folded, strong)?
        } else {
            self.native_confidence(said, strong, context.name_asked)?
        };
        Some((self.to_name(said), confidence))
    }

    fn katakana_confidence(
        &self,
        said: &str,
        strong: bool,
        expected: bool,
        ended: bool,
    ) -> Option<f32> {
        let noun = self.is_loan_word(said) || self.is_common(said);
        let first = said.split(is_separator).next().unwrap_or(said);
        match (strong, noun) {
            (true, false) => Some(0.92),
            (true, true) => Some(0.7),
            (false, true) => None,
            (false, false) if self.is_given(first) => Some(0.9),
            (false, false) => Some(if expected && ended { 0.84 } else { 0.7 }),
        }
    }

    /// The language's own script: a listed name, or what a strong cue says.
    fn native_confidence(&self, said: &str, strong: bool, asked: bool) -> Option<f32> {
        let chars = said.chars().count();
        let native = said
            .chars()
            .all(|c| is_separator(c) || c == '々' || self.is_own_letter(c));
        if !native || chars > native_chars_max(self.language) {
            return None;
        }
        if chars < 2 {
            let family = self.is_family(said);
            return match (family, strong) {
                (true, true) => Some(FAMILY_CONFIDENCE),
                (true, false) if asked => Some(0.55),
                _ => None,
            };
        }
        let common = self.is_common(said);
        if self.is_listed(said) && (strong || !common) {
            return Some(0.9);
        }
        let phrase = self.is_phrase(said);
        match (strong, phrase || common) {
            (true, false) if self.is_long_and_unknown(said) => Some(0.6),
            (true, false) => Some(0.85),
            (true, true) if self.is_ambiguous(said) => Some(0.6),
            (false, false) if asked && self.may_be_name(said) => Some(0.55),
            _ => None,
        }
    }

    fn is_own_letter(&self, c: char) -> bool {
        Script::of(c) == Some(self.language.script())
            || self.language == Language::Thai && is_thai_mark(c)
    }

    /// Worth a question: looks like a name of the language, and is no word of it that we know.
    fn may_be_name(&self, said: &str) -> bool {
        if self.is_common(said) {
            return false;
        }
        match self.language {
            Language::Japanese => said.chars().all(is_kanji) && !self.is_phrase(said),
            Language::Chinese => self.may_be_chinese(said),
            Language::Korean => self.may_be_korean(said),
            _ => false,
        }
    }
}

const fn native_chars_max(language: Language) -> usize {
    match language {
        Language::Thai => THAI_CHARS_MAX,
        _ => NATIVE_CHARS_MAX,
    }
}

fn is_excluded(folded: &str, context: &ExtractionContext<'_>) -> bool {
    folded
        .split(['・', '·', ' ', '　', '=', '＝'])
        .any(|part| context.excluded.contains(part))
}

fn latin_confidence(folded: &str, strong: bool) -> Option<f32> {
    let word = WordEntry::look_up(folded.split(' ').next().unwrap_or_default());
    match (
        strong,
        word.is_first_name() && (strong || word.frequency_band() == 0),
    ) {
        (_, true) => Some(0.85),
        (true, false) if folded.chars().all(|c| c.is_alphabetic() || c == ' ') => Some(0.7),
        _ => None,
    }
}
