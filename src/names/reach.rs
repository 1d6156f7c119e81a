//! How far a name reaches, and what may stand behind it.

use super::evidence::Evidence;
use super::grammar::{Act, Role};
use super::reader::{NAME_WORDS_MAX, Reader, Reading};
use super::token::Break;

/// Words of "and what about you?" behind a name at most.
const ASKED_BACK_WORDS_MAX: usize = 3;

/// Words of "right?" or "is that right?" behind a name at most.
const TAG_WORDS_MAX: usize = 1;

impl Reader<'_> {
    /// Whether a name may end before a word.
    pub fn ends_name(&self, end: usize) -> bool {
        let Some(next) = self.turn.tokens.get(end) else {
            return true;
        };
        next.pause != Break::None
            || next.digits
            || next.is(Role::STARTER
                .or(Role::TAIL)
                .or(Role::FILLER)
                .or(Role::DETAIL))
    }

    /// How far a name that begins at a word reaches.
    pub fn extend(&self, at: usize) -> usize {
        let mut end = at + 1;
        while end < at + NAME_WORDS_MAX && self.turn.pause_before(end) == Break::None {
            let mut particles = 0;
            while self
                .turn
                .tokens
                .get(end + particles)
                .is_some_and(|token| token.is(Role::PARTICLE))
                && self.particle_goes_on(end + particles)
            {
                particles += 1;
            }
            if particles > 0 {
                end += particles + 1;
            } else if self.surname_like(end) {
                end += 1;
            } else {
                break;
            }
        }
        end
    }

    fn particle_goes_on(&self, at: usize) -> bool {
        at + 1 < self.turn.tokens.len()
            && self.turn.pause_before(at + 1) == Break::None
            && (self.surname_like(at + 1)
                || self.turn.tokens[at + 1].word.is_proper()
                || self.turn.tokens[at + 1].is(Role::PARTICLE) && self.surname_like(at + 2))
    }

    /// Whether a word may be a surname (or second name) behind a first name.
    pub fn surname_like(&self, at: usize) -> bool {
        let Some(token) = self.turn.tokens.get(at) else {
            return false;
        };
        if token.pause != Break::None
            || token.digits
            || token.is(Role::NEVER
                .or(Role::STARTER)
                .or(Role::TAIL)
                .or(Role::FILLER)
                .or(Role::DETAIL))
        {
            return false;
        }
        let ends = self.ends_name(at + 1) || self.capital(at + 1);
        if token.letter {
            return !ends || self.turn.tokens.len() == at + 1;
        }
        let folded = self.turn.folded(at);
        if folded.ends_with("'s") || self.excluded.holds(folded) {
            return false;
        }
        match token.evidence {
            Evidence::Name => true,
            Evidence::Ambiguous | Evidence::Unknown => ends || self.capital(at),
            Evidence::Common => {
                self.capital(at) || (token.word.surname() > 1 && !token.word.is_verb() && ends)
            }
        }
    }

    /// Whether "speaking", "here" or "calling" follows: then the name before it is sure.
    pub fn ending_follows(&self, end: usize) -> bool {
        end < self.turn.tokens.len()
            && self.turn.pause_before(end) <= Break::Comma
            && (self.turn.folded(end) == "again" || self.is_ending(end))
    }

    /// "Phoenix Auto, right?": a short question behind it asks whether it is so.
    pub fn is_doubted_by_tag(&self, reading: &Reading) -> bool {
        let end = reading.words.end;
        let last = self.turn.tokens.len();
        last > end
            && last - end <= TAG_WORDS_MAX
            && self.turn.end == Break::Question
            && self.pauses_at(end)
            && (end + 1..last).all(|at| self.turn.pause_before(at) == Break::None)
            && self.turn.tokens[end].is(Role::FILLER.or(Role::TAIL))
    }

    /// "..., nice to meet you", "... and you?": what is said behind one's own name.
    pub fn courtesy_follows(&self, end: usize) -> bool {
        let last = end + ASKED_BACK_WORDS_MAX >= self.turn.tokens.len();
        let asked_back = last
            && matches!(
                (self.turn.folded(end), self.turn.folded(end + 1)),
                ("and", "you" | "yours") | ("what" | "how", "about")
            );
        let courteous = matches!(
            self.grammar.match_at(self.turn, end),
            Some((Act::Courtesy, _))
        );
        asked_back || courteous
    }

    fn is_ending(&self, end: usize) -> bool {
        matches!(
            self.grammar.match_at(self.turn, end),
            Some((Act::Ending, _))
        )
    }
}
