//! Checks of a bare answer, which is a name without a cue. It is accepted only in a language whose
//! function words are known, and if no other reading of the turn is likely.

use super::evidence::{self, Evidence};
use super::language::Language;
use super::name_reader::{NameReader, NameSpan};
use super::non_names;
use super::token::Pause;
use super::word_class::WordClass;

/// Confidence of a name that the agent confirms with the caller.
const CONFIRM_CONFIDENCE: f32 = 0.6;
/// Letters from which a word identifies a language; a shorter one must be the whole answer ("Si").
const FOREIGN_CHARS_MIN: usize = 3;
/// Words behind a name that make a sentence, one less.
const SENTENCE_WORDS_MIN: usize = 2;
/// Function words of another language that make a turn a sentence in it.
const FOREIGN_WORDS_MIN: usize = 2;
/// Words of a bare answer that is confirmed, at most, in a language with a short word list.
const CONFIRM_WORDS_MAX: usize = 2;

impl NameReader<'_> {
    /// The reading unchanged, or with its confidence lowered so that it is confirmed, or `None`.
    pub fn checked_bare_answer(&self, reading: NameSpan) -> Option<NameSpan> {
        let start = reading.words.start;
        if self.turn.language == Language::Other || self.follows_farewell(start) {
            return None;
        }
        let folded = self.turn.folded(start);
        let certain = folded.chars().count() >= FOREIGN_CHARS_MIN || reading.words.len() == 1;
        if self.is_language_word(start) || certain && self.is_foreign_function_word(start) {
            return None;
        }
        if self.is_foreign_sentence(start) {
            return None;
        }
        let known = self.turn.tokens[start].evidence == Evidence::Name;
        if !non_names::is_in_script(self.as_written(start), self.turn.language) {
            return known.then(|| capped_to_confirm(reading));
        }
        if non_names::is_assistant(folded) && start > 0 {
            return None;
        }
        if self.is_questioned_by_tag(&reading) || self.is_vocative_after_filler(&reading) {
            return Some(capped_to_confirm(reading));
        }
        if self.follows_greeting(start) || !known && self.has_foreign_words() {
            return Some(capped_to_confirm(reading));
        }
        if self.turn.language.has_word_lists() {
            return Some(reading);
        }
        self.checked_by_name_list(reading, known)
    }

    /// In a language without word lists of its own only a listed first name is captured.
    fn checked_by_name_list(&self, reading: NameSpan, known: bool) -> Option<NameSpan> {
        let (at, language) = (reading.words.start, self.turn.language);
        let common = self.turn.tokens[at].entry.is_common_word_in(language)
            && !evidence::is_listed_first_name(self.turn.folded(at), language);
        if known && !common {
            return Some(reading);
        }
        let whole = self.turn.tokens.len() - reading.words.start <= CONFIRM_WORDS_MAX;
        (whole && !common).then(|| capped_to_confirm(reading))
    }

    /// The word as it was written.
    fn as_written(&self, at: usize) -> &str {
        &self.turn.text[self.turn.tokens[at].span.clone()]
    }

    fn is_foreign_function_word(&self, at: usize) -> bool {
        let token = &self.turn.tokens[at];
        let own = token.entry.is_common_word_in(self.turn.language);
        !own && non_names::is_foreign_function_word(
            self.turn.folded(at),
            token.evidence,
            self.turn.language,
        )
    }

    /// Whether the turn contains function words of another language and none of its own.
    fn has_foreign_words(&self) -> bool {
        let unknown = |at: usize| {
            let token = &self.turn.tokens[at];
            token.classes == WordClass::default()
                && token.evidence == Evidence::Unknown
                && token.entry.surname_rank() == 0
                && self.turn.folded(at).chars().count() >= FOREIGN_CHARS_MIN
                && self.is_foreign_function_word(at)
        };
        (0..self.turn.tokens.len()).any(unknown)
    }

    /// "My phone is broken" on a Spanish line: no small word of its own, and several of the one other
    /// language that the first word belongs to.
    fn is_foreign_sentence(&self, start: usize) -> bool {
        let first = non_names::languages_with_function_word(self.turn.folded(start));
        let own = 1 << self.turn.language as u32;
        let mut counts = [0_usize; Language::COUNT];
        for (at, token) in self.turn.tokens.iter().enumerate() {
            let said_in = non_names::languages_with_function_word(self.turn.folded(at));
            if said_in & own != 0 {
                return false;
            }
            if token.has_class(WordClass::PARTICLE) || token.is_single_letter {
                continue;
            }
            for (language, count) in counts.iter_mut().enumerate() {
                *count += ((said_in & first) >> language & 1) as usize;
            }
        }
        counts.iter().any(|count| *count >= FOREIGN_WORDS_MIN)
    }

    /// "Sorry, Kevin, I can't hear you": a name between an apology or a no and a sentence.
    fn is_vocative_after_filler(&self, reading: &NameSpan) -> bool {
        let (start, end) = (reading.words.start, reading.words.end);
        let goes_on = self.turn.tokens.len() > end + SENTENCE_WORDS_MIN
            && self.turn.pause_before(end) == Pause::Comma;
        let opened = start > 0
            && self.turn.pause_before(start) == Pause::Comma
            && self.turn.tokens[..start]
                .iter()
                .all(|token| token.has_class(WordClass::FILLER));
        goes_on && opened && !self.has_details_at(end)
    }

    /// "Hi Sarah", "Hello, Michael!": the name of the person who is addressed.
    fn follows_greeting(&self, at: usize) -> bool {
        self.follows(at, WordClass::GREETING)
    }

    /// "Thanks, Alexa", "Bye Jenny".
    fn follows_farewell(&self, at: usize) -> bool {
        self.follows(at, WordClass::PARTING)
    }

    /// Whether a word of the class stands right before a word, or before its titles, in one sentence.
    fn follows(&self, at: usize, class: WordClass) -> bool {
        let mut before = at;
        while before > 0 && self.turn.pause_before(before) <= Pause::Comma {
            before -= 1;
            let token = &self.turn.tokens[before];
            if token.has_class(class) {
                return true;
            }
            if !token.has_class(WordClass::TITLE) {
                return false;
            }
        }
        false
    }
}

fn capped_to_confirm(reading: NameSpan) -> NameSpan {
    NameSpan {
        confidence: reading.confidence.min(CONFIRM_CONFIDENCE),
        ..reading
    }
}
