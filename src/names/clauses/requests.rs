//! What a caller asks of us: to forget the name, another language, to be left unasked.

use super::prefiltered_phrase::{END_MARK, letters_of};
use super::rules::{ClauseRules, contains_in_order, without_prefix};
use super::script::is_thai_mark;

impl ClauseRules {
    pub(super) fn is_forget_request(&self, clause: &str) -> bool {
        let letters = letters_of(clause);
        (self.forgets.iter())
            .any(|phrase| phrase.may_be_in(letters) && contains_in_order(clause, phrase.text))
    }

    /// The language that the turn asks for and says nothing else.
    pub(super) fn requested_language(&self, turn: &str) -> Option<&'static str> {
        let mut rest = turn;
        let mut wanted = None;
        loop {
            rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric() && !is_thai_mark(c));
            if rest.is_empty() {
                return wanted;
            }
            let tongue = self
                .language_words
                .iter()
                .find_map(|(word, tag)| Some((rest.strip_prefix(word)?, *tag)));
            if let Some((shorter, tag)) = tongue {
                (rest, wanted) = (shorter, Some(tag));
                continue;
            }
            let around = [
                &self.language_request_words,
                &self.fillers,
                &self.courtesies,
                &self.copula,
            ];
            rest = around.iter().find_map(|list| without_prefix(rest, list))?;
        }
    }

    /// "I don't want to say my name": nothing but the speaker and the name stands before it.
    pub(super) fn is_refusal(&self, clause: &str, alone: bool) -> bool {
        let said = self.without_fillers(clause);
        if alone
            && self
                .refusals_alone
                .iter()
                .any(|one| self.is_phrase_only(said, one) || self.is_phrase_only(clause, one))
        {
            return true;
        }
        let letters = letters_of(said);
        let mut possible = self
            .refusals
            .iter()
            .filter(|phrase| phrase.may_be_in(letters));
        possible.any(|phrase| {
            let (phrase, closes) = match phrase.text.strip_suffix(END_MARK) {
                Some(phrase) => (phrase, true),
                None => (phrase.text, false),
            };
            said.find(phrase).is_some_and(|at| {
                let behind = &said[at + phrase.len()..];
                let ends = match closes {
                    true => self.is_politeness_only(behind),
                    false => self.is_sentence_ending(behind),
                };
                ends && self.is_about_own_name(&said[..at])
            })
        })
    }

    /// The text is the phrase, but for endings.
    fn is_phrase_only(&self, said: &str, phrase: &str) -> bool {
        said.strip_prefix(phrase).is_some_and(|end| {
            let end = end.trim_matches([' ', '　']);
            end.is_empty() || self.copula.contains(&end) || self.courtesies.contains(&end)
        })
    }
}
