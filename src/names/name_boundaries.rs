//! How far a name reaches, and what may stand behind it.

use super::evidence::Evidence;
use super::grammar::CueKind;
use super::name_reader::{NAME_WORDS_MAX, NameReader, NameSpan};
use super::token::Pause;
use super::word_class::WordClass;

/// Words of "and what about you?" behind a name at most.
const RETURN_QUESTION_WORDS_MAX: usize = 3;

/// Words of "right?" or "is that right?" behind a name at most.
const CONFIRMING_TAG_WORDS_MAX: usize = 1;

impl NameReader<'_> {
    /// Whether a name may end before a word.
    pub fn may_end_name(&self, end: usize) -> bool {
        let Some(next) = self.turn.tokens.get(end) else {
            return true;
        };
        next.pause != Pause::None
            || next.has_digits
            || next.has_class(
                WordClass::STARTER
                    .union(WordClass::TAIL)
                    .union(WordClass::FILLER)
                    .union(WordClass::DETAIL),
            )
    }

    /// How far a name that begins at a word reaches.
    pub fn name_end(&self, at: usize) -> usize {
        let mut end = at + 1;
        while end < at + NAME_WORDS_MAX && self.turn.pause_before(end) == Pause::None {
            let mut particles = 0;
            while self
                .turn
                .tokens
                .get(end + particles)
                .is_some_and(|token| token.has_class(WordClass::PARTICLE))
                && self.is_particle_of_surname(end + particles)
            {
                particles += 1;
            }
            if particles > 0 {
                end += particles + 1;
            } else if self.may_be_surname(end) {
                end += 1;
            } else {
                break;
            }
        }
        end
    }

    fn is_particle_of_surname(&self, at: usize) -> bool {
        at + 1 < self.turn.tokens.len()
            && self.turn.pause_before(at + 1) == Pause::None
            && (self.may_be_surname(at + 1)
                || self.turn.tokens[at + 1].entry.is_proper_noun()
                || self.turn.tokens[at + 1].has_class(WordClass::PARTICLE)
                    && self.may_be_surname(at + 2))
    }

    /// Whether a word may be a surname (or second name) behind a first name.
    pub fn may_be_surname(&self, at: usize) -> bool {
        let Some(token) = self.turn.tokens.get(at) else {
            return false;
        };
        if token.pause != Pause::None
            || token.has_digits
            || token.has_class(
                WordClass::NEVER
                    .union(WordClass::STARTER)
                    .union(WordClass::TAIL)
                    .union(WordClass::FILLER)
                    .union(WordClass::DETAIL),
            )
        {
            return false;
        }
        let ends = self.may_end_name(at + 1) || self.is_meaningful_capital(at + 1);
        if token.is_single_letter {
            return !ends || self.turn.tokens.len() == at + 1;
        }
        let folded = self.turn.folded(at);
        if folded.ends_with("'s") || self.excluded.contains(folded) {
            return false;
        }
        match token.evidence {
            Evidence::Name => true,
            Evidence::Ambiguous | Evidence::Unknown => ends || self.is_meaningful_capital(at),
            Evidence::Common => {
                self.is_meaningful_capital(at)
                    || (token.entry.surname_rank() > 1 && !token.entry.is_verb() && ends)
            }
        }
    }

    /// Whether "speaking", "here" or "calling" follows: then the name before it is sure.
    pub fn ending_follows(&self, end: usize) -> bool {
        end < self.turn.tokens.len()
            && self.turn.pause_before(end) <= Pause::Comma
            && (self.turn.folded(end) == "again" || self.is_ending(end))
    }

    /// "Phoenix Auto, right?": a short question behind it asks whether it is so.
    pub fn is_questioned_by_tag(&self, reading: &NameSpan) -> bool {
        let end = reading.words.end;
        let last = self.turn.tokens.len();
        last > end
            && last - end <= CONFIRMING_TAG_WORDS_MAX
            && self.turn.final_pause == Pause::Question
            && self.is_clause_end(end)
            && (end + 1..last).all(|at| self.turn.pause_before(at) == Pause::None)
            && self.turn.tokens[end].has_class(WordClass::FILLER.union(WordClass::TAIL))
    }

    /// "..., nice to meet you", "... and you?": what is said behind one's own name.
    pub fn courtesy_follows(&self, end: usize) -> bool {
        let last = end + RETURN_QUESTION_WORDS_MAX >= self.turn.tokens.len();
        let asked_back = last
            && matches!(
                (self.turn.folded(end), self.turn.folded(end + 1)),
                ("and", "you" | "yours") | ("what" | "how", "about")
            );
        let courteous = matches!(
            self.grammar.longest_cue_at(self.turn, end),
            Some((CueKind::Courtesy, _))
        );
        asked_back || courteous
    }

    fn is_ending(&self, end: usize) -> bool {
        matches!(
            self.grammar.longest_cue_at(self.turn, end),
            Some((CueKind::Ending, _))
        )
    }
}
