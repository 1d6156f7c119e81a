//! Whether a bare answer, a name without a cue, is trusted: only where the small words of its language
//! are known, and nothing speaks for another reading.

use super::checks;
use super::evidence::{self, Evidence};
use super::grammar::Role;
use super::language::Language;
use super::reader::{Reader, Reading};
use super::token::Break;

/// What is asked back rather than captured.
const ASKED_BACK: f32 = 0.6;
/// A shorter word tells no language, unless it is the whole answer ("Si").
const FOREIGN_CHARS_MIN: usize = 3;
/// Words behind a name that make a sentence, one less.
const SENTENCE_WORDS_MIN: usize = 2;
/// Small words of another language that make a turn a sentence in it.
const FOREIGN_WORDS_MIN: usize = 2;
/// Words of a bare answer that is asked back, in a language whose word list is thin.
const DOUBTED_WORDS_MAX: usize = 2;

impl Reader<'_> {
    /// The reading as far as it is trusted: as it is, to be asked back at most, or not at all.
    pub fn trusted(&self, reading: Reading) -> Option<Reading> {
        let start = reading.words.start;
        if self.turn.language == Language::Other || self.is_thanked(start) {
            return None;
        }
        let folded = self.turn.folded(start);
        let certain = folded.chars().count() >= FOREIGN_CHARS_MIN || reading.words.len() == 1;
        if self.is_language_word(start) || certain && self.is_foreign(start) {
            return None;
        }
        if self.is_foreign_sentence(start) {
            return None;
        }
        let known = self.turn.tokens[start].evidence == Evidence::Name;
        if !checks::is_in_script(self.written(start), self.turn.language) {
            return known.then(|| doubted(reading));
        }
        if checks::is_assistant(folded) && start > 0 {
            return None;
        }
        if self.is_doubted_by_tag(&reading) || self.is_spoken_to(&reading) {
            return Some(doubted(reading));
        }
        if self.is_greeted_person(start) || !known && self.has_foreign_words() {
            return Some(doubted(reading));
        }
        if self.turn.language.has_lists() {
            return Some(reading);
        }
        self.trusted_by_list(reading, known)
    }

    /// Beyond the languages with lists of their own only a listed first name is captured.
    fn trusted_by_list(&self, reading: Reading, known: bool) -> Option<Reading> {
        let (at, language) = (reading.words.start, self.turn.language);
        let common = self.turn.tokens[at].word.is_common_in(language)
            && !evidence::is_listed_first(self.turn.folded(at), language);
        if known && !common {
            return Some(reading);
        }
        let whole = self.turn.tokens.len() - reading.words.start <= DOUBTED_WORDS_MAX;
        (whole && !common).then(|| doubted(reading))
    }

    /// The word as it was written.
    fn written(&self, at: usize) -> &str {
        &self.turn.text[self.turn.tokens[at].at.clone()]
    }

    fn is_foreign(&self, at: usize) -> bool {
        let token = &self.turn.tokens[at];
        let own = token.word.is_common_in(self.turn.language);
        !own && checks::is_foreign_word(self.turn.folded(at), token.evidence, self.turn.language)
    }

    /// Another language's small words stand in the turn, none of which is a word of this one.
    fn has_foreign_words(&self) -> bool {
        let unknown = |at: usize| {
            let token = &self.turn.tokens[at];
            token.roles == Role::default()
                && token.evidence == Evidence::Unknown
                && token.word.surname() == 0
                && self.turn.folded(at).chars().count() >= FOREIGN_CHARS_MIN
                && self.is_foreign(at)
        };
        (0..self.turn.tokens.len()).any(unknown)
    }

    /// "My phone is broken" on a Spanish line: no small word of its own, and several of the one other
    /// language that the first word belongs to.
    fn is_foreign_sentence(&self, start: usize) -> bool {
        let first = checks::small_word_in(self.turn.folded(start));
        let own = 1 << self.turn.language as u32;
        let mut counts = [0_usize; Language::COUNT];
        for (at, token) in self.turn.tokens.iter().enumerate() {
            let said_in = checks::small_word_in(self.turn.folded(at));
            if said_in & own != 0 {
                return false;
            }
            if token.is(Role::PARTICLE) || token.letter {
                continue;
            }
            for (language, count) in counts.iter_mut().enumerate() {
                *count += ((said_in & first) >> language & 1) as usize;
            }
        }
        counts.iter().any(|count| *count >= FOREIGN_WORDS_MIN)
    }

    /// "Sorry, Kevin, I can't hear you": a name between an apology or a no and a sentence.
    fn is_spoken_to(&self, reading: &Reading) -> bool {
        let (start, end) = (reading.words.start, reading.words.end);
        let goes_on = self.turn.tokens.len() > end + SENTENCE_WORDS_MIN
            && self.turn.pause_before(end) == Break::Comma;
        let opened = start > 0
            && self.turn.pause_before(start) == Break::Comma
            && self.turn.tokens[..start]
                .iter()
                .all(|token| token.is(Role::FILLER));
        goes_on && opened && !self.gives_details(end)
    }

    /// "Hi Sarah", "Hello, Michael!": spoken to.
    fn is_greeted_person(&self, at: usize) -> bool {
        self.follows(at, Role::GREETING)
    }

    /// "Thanks, Alexa", "Bye Jenny".
    fn is_thanked(&self, at: usize) -> bool {
        self.follows(at, Role::PARTING)
    }

    /// Whether a word of the class stands right before a word, or before its titles, in one sentence.
    fn follows(&self, at: usize, class: Role) -> bool {
        let mut before = at;
        while before > 0 && self.turn.pause_before(before) <= Break::Comma {
            before -= 1;
            let token = &self.turn.tokens[before];
            if token.is(class) {
                return true;
            }
            if !token.is(Role::TITLE) {
                return false;
            }
        }
        false
    }
}

fn doubted(reading: Reading) -> Reading {
    Reading {
        confidence: reading.confidence.min(ASKED_BACK),
        ..reading
    }
}
