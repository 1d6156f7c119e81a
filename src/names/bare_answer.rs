//! A bare answer to "May I have your name?": the name alone, or at the head of a sentence.

use super::evidence::{self, Evidence};
use super::name_reader::{NameReader, NameSpan, is_third_person_verb};
use super::token::{Pause, WordCase};
use super::word_class::WordClass;

/// Words of a bare name at most.
const BARE_WORDS_MAX: usize = 5;
/// An ambiguous word alone is captured from this margin (half-logs) on, below it is confirmed.
const CAPTURE_MARGIN_MIN: i32 = 12;
/// A place alone is a name for sure from this count (half-logs) on: Georgia, Sydney.
const PLACE_HALF_LOGS_MAX: i32 = 32;
/// Letters of initials by which people are called.
const INITIALS: usize = 2;
/// Two letters that are a word up to this band (or an abbreviation: "tv") are no initials.
const ABBREVIATION_BAND_MAX: usize = 5;
/// A common word alone is worth a question from this count (half-logs) on.
const GIVEN_HALF_LOGS_MIN: i32 = 16;

impl NameReader<'_> {
    /// Reads the turn as an answer without a cue.
    pub fn read_bare(&self) -> Option<NameSpan> {
        let mut start = 0;
        while start < self.turn.tokens.len() {
            let end = self.clause_end(start);
            let from = self.skip_leading_fillers(start, end);
            if from < end {
                let reading =
                    self.read_clause(from, end, start == 0 || self.only_fillers(start))?;
                return Some(self.surname_first(&reading).unwrap_or(reading));
            }
            start = end;
        }
        None
    }

    /// Reads the clause that begins at a word as an answer without a cue: "Rob" of "Not Bob, Rob".
    pub fn read_bare_at(&self, start: usize) -> Option<NameSpan> {
        (start < self.turn.tokens.len()).then_some(())?;
        let end = self.clause_end(start);
        let from = self.skip_leading_fillers(start, end);
        // Nothing but fillers may follow to the end of the turn: "not Misty, okay".
        (from < self.turn.tokens.len()).then_some(())?;
        self.read_clause(from, end, true)
    }

    /// "Ketchum, Ash", "van der Berg, Anna": the surname first, and a known first name behind it.
    fn surname_first(&self, reading: &NameSpan) -> Option<NameSpan> {
        let (start, at) = (reading.words.start, reading.words.end);
        let first = &self.turn.tokens[start];
        let surname = first.has_class(WordClass::PARTICLE) && reading.words.len() > 1
            || first.evidence != Evidence::Name && first.entry.surname_rank() > 0;
        let given = self.turn.tokens.get(at)?;
        let alone = self.is_clause_end(at + 1) && at + 1 == self.turn.tokens.len();
        let inverted = surname
            && given.pause == Pause::Comma
            && given.evidence == Evidence::Name
            && alone
            && self.can_be_name(at);
        inverted.then(|| NameSpan {
            words: at..at + 1,
            confidence: 0.85,
        })
    }

    /// "CJ", "J P": initials that people are called by, as the whole answer.
    fn initials_confidence(&self, start: usize, end: usize) -> Option<f32> {
        let joined: String = (start..end).map(|at| self.turn.folded(at)).collect();
        let spelled = end - start == joined.chars().count();
        let single = end == start + 1 && self.turn.tokens[start].word_case == WordCase::Upper;
        if joined.len() != INITIALS
            || !(spelled || single)
            || !joined.bytes().all(|byte| byte.is_ascii_lowercase())
        {
            return None;
        }
        let word = super::wordlist::WordEntry::look_up(&joined);
        let is_word = word.frequency_band() > 0 && word.frequency_band() <= ABBREVIATION_BAND_MAX
            || word.is_stop_word();
        (!is_word).then_some(if word.is_first_name() { 0.85 } else { 0.6 })
    }

    fn only_fillers(&self, end: usize) -> bool {
        self.turn.tokens[..end]
            .iter()
            .all(|token| token.has_class(WordClass::FILLER.union(WordClass::TAIL)))
    }

    /// The first word after `start` that a pause stands before.
    fn clause_end(&self, start: usize) -> usize {
        let mut end = start + 1;
        while end < self.turn.tokens.len() && self.turn.pause_before(end) == Pause::None {
            end += 1;
        }
        end
    }

    fn skip_leading_fillers(&self, start: usize, end: usize) -> usize {
        let mut at = start;
        while at < end && self.turn.tokens[at].has_class(WordClass::FILLER.union(WordClass::TITLE))
        {
            at += 1;
        }
        at
    }

    fn skip_trailing_courtesies(&self, start: usize, end: usize) -> usize {
        let mut at = end;
        while at > start + 1 && self.turn.tokens[at - 1].has_class(WordClass::TAIL) {
            at -= 1;
        }
        at
    }

    fn read_clause(&self, start: usize, end: usize, opens: bool) -> Option<NameSpan> {
        let letter = self.turn.tokens[start].is_single_letter;
        if !opens || !(letter || self.can_be_name(start)) {
            return None;
        }
        let stop = self.skip_trailing_courtesies(start, end);
        if self.turn.tokens.len() == stop
            && let Some(confidence) = self.initials_confidence(start, stop)
        {
            return Some(NameSpan {
                words: start..stop,
                confidence,
            });
        }
        if letter {
            return None;
        }
        if stop - start <= BARE_WORDS_MAX
            && let Some(confidence) = self.whole_confidence(start, stop)
        {
            if self.is_question_at(stop) && self.turn.tokens[start].evidence != Evidence::Name {
                return None;
            }
            let confidence = if self.is_question_at(stop) || self.is_of_brand(start) {
                confidence.min(0.6)
            } else {
                confidence
            };
            return Some(NameSpan {
                words: start..stop,
                confidence,
            });
        }
        let confidence = self.head_confidence(start)?;
        let vocative = self.is_vocative(start) && !self.has_details_at(self.name_end(start));
        let confidence = if vocative {
            confidence.min(0.6)
        } else {
            confidence
        };
        Some(NameSpan {
            words: start..self.name_end(start).min(end),
            confidence,
        })
    }

    /// "Pokémon Ruby": as likely a thing of that world as somebody in it.
    fn is_of_brand(&self, at: usize) -> bool {
        at.checked_sub(1)
            .is_some_and(|before| self.turn.folded(before).starts_with("poke"))
    }

    /// "Misty?"
    fn is_question_at(&self, end: usize) -> bool {
        self.turn
            .tokens
            .get(end)
            .map_or(self.turn.final_pause, |next| next.pause)
            == Pause::Question
    }

    /// "okay sam i am ...": a name right behind a filler, with a sentence behind it, is spoken to.
    fn is_vocative(&self, at: usize) -> bool {
        at > 0
            && self.turn.pause_before(at) == Pause::None
            && self.turn.tokens[at - 1].has_class(WordClass::FILLER)
            && !matches!(
                self.turn.folded(at - 1),
                "sure" | "course" | "certainly" | "absolutely"
            )
    }

    pub fn has_details_at(&self, at: usize) -> bool {
        self.turn
            .tokens
            .get(at)
            .is_none_or(|next| next.has_digits || next.has_class(WordClass::DETAIL))
            || self.detail_follows(at)
    }

    /// The clause is nothing but a name of one to four words.
    fn whole_confidence(&self, start: usize, end: usize) -> Option<f32> {
        if (start..end).any(|at| self.turn.tokens[at].entry.is_species())
            || self.is_split_domain_word(start, end)
        {
            return None;
        }
        if !self.turn.language.is_english() {
            return self.foreign_confidence(start, end);
        }
        match end - start {
            1 => self.single_confidence(start),
            2..=BARE_WORDS_MAX => self.double_confidence(start, end),
            _ => None,
        }
    }

    /// "mister mime", "thunder shock": domain words written apart.
    fn is_split_domain_word(&self, start: usize, end: usize) -> bool {
        if end - start < 2 {
            return false;
        }
        let joined: String = (start..end).map(|at| self.turn.folded(at)).collect();
        super::wordlist::WordEntry::look_up(&joined).is_domain()
    }

    fn single_confidence(&self, at: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        let word = token.entry;
        if word.is_domain() {
            return (token.evidence == Evidence::Name).then_some(0.55);
        }
        if word.is_place() && word.first_name_half_logs() < PLACE_HALF_LOGS_MAX {
            return Some(0.6);
        }
        match token.evidence {
            _ if token.has_class(WordClass::RELATION) && token.evidence != Evidence::Name => None,
            Evidence::Name => Some(0.92),
            Evidence::Ambiguous => Some(self.ambiguous_confidence(at)),
            Evidence::Unknown => Some(if self.pronounceable(at) { 0.82 } else { 0.4 }),
            Evidence::Common
                if word.surname_rank() == 3
                    && !word.is_stop_word()
                    && word.frequency_band() > 1 =>
            {
                Some(0.8)
            }
            Evidence::Common if word.surname_rank() >= 1 && word.is_proper_noun() => Some(0.8),
            Evidence::Common if word.is_stop_word() || word.is_verb() && !word.is_noun() => None,
            Evidence::Common if word.first_name_half_logs() >= GIVEN_HALF_LOGS_MIN => Some(0.6),
            Evidence::Common
                if word.surname_rank() == 2 && !word.is_adjective() && !word.is_verb() =>
            {
                Some(0.55)
            }
            Evidence::Common => None,
        }
    }

    fn ambiguous_confidence(&self, at: usize) -> f32 {
        let word = self.turn.tokens[at].entry;
        let sure = evidence::name_margin(word) >= CAPTURE_MARGIN_MIN || word.surname_rank() == 3;
        if sure { 0.82 } else { 0.65 }
    }

    /// The first word and what follows it, when the clause is two to four words long.
    fn double_confidence(&self, start: usize, end: usize) -> Option<f32> {
        let plausible = (start + 1..end).all(|at| self.second_is_plausible(at));
        if !plausible {
            return self.misheard_confidence(start, end);
        }
        let particles = (start..end).any(|at| self.turn.tokens[at].has_class(WordClass::PARTICLE));
        if end - start == BARE_WORDS_MAX && !particles {
            return None;
        }
        if (start..end).all(|at| self.turn.tokens[at].has_class(WordClass::PHONETIC)) {
            return None;
        }
        let surnames = (start + 1..end).all(|at| self.may_be_surname(at));
        match self.turn.tokens[start].evidence {
            Evidence::Name => Some(0.93),
            Evidence::Ambiguous if surnames => Some(0.85),
            Evidence::Unknown if surnames && end - start <= 3 => Some(0.84),
            Evidence::Unknown if self.is_two_words(start, end) => {
                Some(if self.turn.tokens[start].is_capital() {
                    0.82
                } else {
                    0.6
                })
            }
            Evidence::Common
                if surnames && (self.capital_pair(start) || self.is_surname_only(start)) =>
            {
                Some(0.8)
            }
            Evidence::Common if surnames && self.surname_pair(start) => Some(0.7),
            _ => None,
        }
    }

    /// "Liam old", "Jill later": two words in all, the first a name, the second a misheard surname.
    fn misheard_confidence(&self, start: usize, end: usize) -> Option<f32> {
        let second = &self.turn.tokens[end - 1];
        let whole = self.is_two_words(start, end);
        let name = self.turn.tokens[start].evidence == Evidence::Name;
        (whole
            && name
            && !second.has_digits
            && !second.has_class(WordClass::STARTER.union(WordClass::FILLER)))
        .then_some(0.82)
    }

    /// The turn is two words and no sentence.
    fn is_two_words(&self, start: usize, end: usize) -> bool {
        start == 0
            && end == 2
            && self.turn.tokens.len() == 2
            && self.turn.final_pause == Pause::None
    }

    fn capital_pair(&self, start: usize) -> bool {
        let word = self.turn.tokens[start].entry;
        self.turn.tokens[start].is_capital()
            && self.turn.tokens[start + 1].is_capital()
            && (word.is_first_name() || word.surname_rank() > 1)
            && !word.is_stop_word()
    }

    /// Outside English: common words are known less well, so a name must be known, or stand alone.
    fn foreign_confidence(&self, start: usize, end: usize) -> Option<f32> {
        let alone = self.is_whole_answer(start, end);
        let first = self.turn.tokens[start].evidence;
        if end - start == 1 {
            return match first {
                Evidence::Name => Some(0.9),
                Evidence::Ambiguous => Some(if alone { 0.82 } else { 0.6 }),
                Evidence::Unknown if alone && self.pronounceable(start) => {
                    Some(if self.turn.tokens[start].entry.surname_rank() > 0 {
                        0.82
                    } else {
                        0.62
                    })
                }
                _ => None,
            };
        }
        let plausible = (start + 1..end).all(|at| self.second_is_plausible(at));
        let surnames = (start + 1..end).all(|at| self.may_be_surname(at));
        let known = self.turn.tokens[end - 1].entry.surname_rank() > 0 && !self.is_common(end - 1);
        let lowered = self.turn.tokens[start].is_capital()
            && (start + 1..end).any(|at| !self.turn.tokens[at].is_capital());
        let sentence = self.turn.final_pause > Pause::Comma && (!surnames || lowered && !known);
        match first {
            Evidence::Name
                if alone && !plausible && !sentence && !self.has_sentence(start, end) =>
            {
                Some(0.82)
            }
            _ if !plausible => None,
            Evidence::Name if !sentence && (surnames || alone) => Some(0.9),
            Evidence::Name if alone && end - start == 2 => Some(0.6),
            Evidence::Ambiguous if surnames && (alone || known) => Some(0.82),
            Evidence::Unknown if surnames && known && end - start == 2 => Some(0.82),
            Evidence::Unknown | Evidence::Ambiguous if alone && end - start == 2 => Some(0.6),
            _ => None,
        }
    }

    /// A function word behind a name: a sentence about somebody ("Natasha didn't come").
    fn has_sentence(&self, start: usize, end: usize) -> bool {
        // The nine languages' recorded answers end in such words, misheard.
        !self.turn.language.has_word_lists()
            && (start + 1..end).any(|at| {
                self.turn.tokens[at].has_class(
                    WordClass::NEVER
                        .union(WordClass::STARTER)
                        .union(WordClass::FILLER),
                )
            })
    }

    fn is_common(&self, at: usize) -> bool {
        self.turn.tokens[at]
            .entry
            .is_common_word_in(self.turn.language)
    }

    /// Nothing but fillers and courtesies stands around the words.
    fn is_whole_answer(&self, start: usize, end: usize) -> bool {
        let around = (0..start).chain(end..self.turn.tokens.len());
        let roles = WordClass::FILLER
            .union(WordClass::TAIL)
            .union(WordClass::TITLE)
            .union(WordClass::COURTESY);
        around
            .map(|at| &self.turn.tokens[at])
            .all(|token| token.has_class(roles))
    }

    /// "moran": a surname that is no common word.
    fn is_surname_only(&self, at: usize) -> bool {
        let word = self.turn.tokens[at].entry;
        word.surname_rank() >= 2 && word.frequency_band() == 0
    }

    /// "gill cox": a word some are called, and a frequent surname.
    fn surname_pair(&self, start: usize) -> bool {
        let word = self.turn.tokens[start].entry;
        (word.first_name_half_logs() >= GIVEN_HALF_LOGS_MIN || word.surname_rank() >= 2)
            && !word.is_stop_word()
            && (self.turn.tokens[start + 1].entry.surname_rank() == 3
                || self.turn.tokens[start + 1].evidence == Evidence::Name)
    }

    fn second_is_plausible(&self, at: usize) -> bool {
        let token = &self.turn.tokens[at];
        let inside = at + 1 < self.turn.tokens.len();
        !token.has_digits
            && (token.has_class(WordClass::PARTICLE) && inside
                || !token.has_class(
                    WordClass::NEVER
                        .union(WordClass::STARTER)
                        .union(WordClass::FILLER)
                        .union(WordClass::DETAIL),
                ))
    }

    /// A name with a sentence behind it: "alexis i just remembered".
    fn head_confidence(&self, at: usize) -> Option<f32> {
        let end = self.name_end(at);
        let token = &self.turn.tokens[at];
        if !self.turn.language.is_english() && !self.has_details_at(end) {
            return None;
        }
        let ends = self.may_end_name(end)
            || self.turn.tokens[end].is_single_letter
            || self.details_near(at, end);
        if token.entry.is_domain() || !ends {
            return None;
        }
        let next = self.turn.tokens.get(end)?;
        if next.pause == Pause::None
            && (is_third_person_verb(self.turn.folded(end)) || self.is_verb_with_pronoun(at, end))
        {
            return None;
        }
        if token.entry.is_proper_noun() && !token.entry.is_first_name_abroad() && next.has_digits {
            return Some(0.6);
        }
        let radio = |at: usize| self.turn.tokens[at].has_class(WordClass::PHONETIC);
        if radio(at) && ((at + 1..end).any(radio) || next.has_digits || next.is_single_letter) {
            return None;
        }
        let gives = self.has_details_at(end) || next.is_single_letter;
        match token.evidence {
            Evidence::Name => Some(0.86),
            _ if !self.turn.language.is_english() => None,
            Evidence::Unknown | Evidence::Ambiguous if end - at > 1 => Some(0.82),
            Evidence::Unknown if gives => Some(0.82),
            Evidence::Unknown if self.courtesy_follows(end) && self.pronounceable(at) => Some(0.82),
            Evidence::Ambiguous if gives => Some(0.8),
            Evidence::Common
                if gives && token.entry.is_first_name() && !token.entry.is_stop_word() =>
            {
                Some(0.65)
            }

            _ => None,
        }
    }

    /// "george sulu 0000": a known name, one or two words, and then what is asked besides.
    fn details_near(&self, at: usize, end: usize) -> bool {
        let known = self.turn.tokens[at].evidence == Evidence::Name;
        let after = self.turn.tokens.iter().skip(end).take(3);
        let mut passed = after.skip_while(|token| {
            let ends = WordClass::NEVER
                .union(WordClass::STARTER)
                .union(WordClass::DETAIL)
                .union(WordClass::NAME_KIND);
            !token.has_digits && token.pause == Pause::None && !token.has_class(ends)
        });
        let own = |token: &super::token::Token| {
            token.has_digits
                || token.has_class(WordClass::DETAIL.union(WordClass::NAME_KIND))
                || self.is_my(token)
        };
        known && passed.next().is_some_and(own)
    }

    fn is_my(&self, token: &super::token::Token) -> bool {
        self.turn.text[token.span.clone()].eq_ignore_ascii_case("my")
    }

    /// "hope it's ...", "mark my ...": a verb, when a pronoun follows.
    fn is_verb_with_pronoun(&self, at: usize, end: usize) -> bool {
        self.turn.tokens[at].entry.is_verb()
            && end == at + 1
            && matches!(
                self.turn.folded(end),
                "me" | "my"
                    | "us"
                    | "him"
                    | "them"
                    | "it's"
                    | "its"
                    | "it"
                    | "you"
                    | "this"
                    | "that"
                    | "we"
                    | "the"
                    | "they"
                    | "a"
                    | "your"
            )
    }

    /// "and my account number", "here is my ...".
    fn detail_follows(&self, at: usize) -> bool {
        let after = (at + 1)..(at + 4).min(self.turn.tokens.len());
        self.turn.folded(at) == "and"
            && after.into_iter().any(|index| {
                let token = &self.turn.tokens[index];
                token.has_digits || token.has_class(WordClass::DETAIL)
            })
    }

    /// Has a vowel and a consonant somewhere, as a name said aloud does; other scripts always.
    pub fn pronounceable(&self, at: usize) -> bool {
        let folded = self.turn.folded(at);
        if !folded.is_ascii() {
            return true;
        }
        if !folded.bytes().any(|byte| !b"aeiouhwy".contains(&byte)) {
            return false;
        }
        let vowels = folded
            .bytes()
            .filter(|byte| b"aeiouy".contains(byte))
            .count();
        vowels > 0 && vowels * 5 >= folded.len()
    }
}
