//! Reads the name that stands after (or before) a cue.

use std::ops::Range;

use super::domain_words;
use super::evidence::{self, Evidence};
use super::extraction::ExcludedWords;
use super::grammar::Grammar;
use super::language::Language;
use super::language_words;
use super::token::{Pause, TokenizedTurn, WordCase};
use super::word_class::WordClass;

/// From this frequency in US names (in half-logs, twice the binary logarithm of a count) a word is a name
/// in any language, also without a capital.
const FREQUENT_HALF_LOGS_MIN: i32 = 26;
/// Words between a greeting and the name it introduces at most ("hi there, this is X").
const GREETED_WORDS_MAX: usize = 3;
/// Words of a full name at most, particles counted.
pub const NAME_WORDS_MAX: usize = 5;
/// Words between a cue and its name at most ("my name is, yes, it's Dr X").
const SKIPPED_WORDS_MAX: usize = 3;
/// A common word of the domain stays a name for sure only from this count (half-logs) on.
const DOMAIN_HALF_LOGS_MIN: i32 = 30;
/// An adjective after "I'm" is a name only with this margin (half-logs).
const ADJECTIVE_MARGIN_MIN: i32 = 25;
const LETTERS_MIN: usize = 2;
/// With one letter behind it a word is a name for sure from this count (half-logs) on.
const RARE_NAME_HALF_LOGS_MAX: i32 = 20;
/// A noun up to this band is a thing's name rather than a surname, behind no sure first name.
const THING_BAND_MAX: usize = 2;
/// Words behind a name within which "isn't it" makes a question of it.
const TAG_QUESTION_WORDS_MAX: usize = 3;
/// A month is a first name from this frequency (half-logs) on.
const CALENDAR_HALF_LOGS_MIN: i32 = 28;
/// After a sure cue a word that ends its clause is a name from this count (half-logs) on.
const GIVEN_HALF_LOGS_MIN: i32 = 14;

/// How certain it is that a name follows a cue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CueStrength {
    /// Any word that follows is a name unless it cannot be one.
    Strong,
    /// The word must look like a name.
    Strict,
    /// The word must look like a name, and its clause must end after it.
    Medium,
}

/// A name found in a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct NameSpan {
    /// The words of the name.
    pub words: Range<usize>,
    pub confidence: f32,
}

/// Finds names in a turn.
#[derive(Clone, Copy)]
pub struct NameReader<'r> {
    pub turn: &'r TokenizedTurn<'r>,
    pub grammar: &'r Grammar,
    pub excluded: &'r ExcludedWords,
    pub name_asked: bool,
}

impl NameReader<'_> {
    /// The name that begins at a word, after titles and false starts.
    pub fn read_after(&self, from: usize, trust: CueStrength) -> Option<NameSpan> {
        let at = self.skip_titles(from)?;
        if self.turn.pause_before(at) > Pause::Comma && trust == CueStrength::Medium {
            return None;
        }
        let first = self.first_confidence(at, trust)?;
        let end = self.name_end(at);
        let confidence = match trust {
            CueStrength::Medium => self.confidence_by_clause_end(first, at, end)?,
            _ => first,
        };
        Some(NameSpan {
            words: at..end,
            confidence,
        })
    }

    /// The name that ends before a word: "Ana Lee" of "Ana Lee speaking".
    pub fn read_before(&self, end: usize) -> Option<NameSpan> {
        let mut start = end;
        while start > 0 && end - start < NAME_WORDS_MAX - 2 {
            if start < end && self.turn.pause_before(start) != Pause::None {
                break;
            }
            let before = &self.turn.tokens[start - 1];
            if before.has_class(
                WordClass::NEVER
                    .union(WordClass::FILLER)
                    .union(WordClass::STARTER),
            ) {
                break;
            }
            start -= 1;
        }
        while start < end && self.turn.tokens[start].has_class(WordClass::TITLE) {
            start += 1;
        }
        (start < end).then_some(())?;
        let confidence = self.first_confidence(start, CueStrength::Strict)?;
        let opens = self.is_behind_fillers_only(start);
        let known = self.turn.tokens[start].evidence == Evidence::Name && end - start == 2;
        let whole = (known || self.name_end(start) >= end) && opens;
        whole.then_some(NameSpan {
            words: start..end,
            confidence,
        })
    }

    /// Whether the turn's first word is of a class.
    pub fn opens_with(&self, role: WordClass) -> bool {
        let first = self.turn.tokens.first();
        first.is_some_and(|token| token.has_class(role))
    }

    /// Whether a clause ends before a word, or the turn does.
    pub fn is_clause_end(&self, at: usize) -> bool {
        self.turn.pause_before(at) != Pause::None
    }

    /// Whether a word names a language or a people.
    pub fn is_language_word(&self, at: usize) -> bool {
        let evidence = self.turn.tokens[at].evidence;
        language_words::language_of_word(self.turn.folded(at), evidence, self.turn.language)
            .is_some()
    }

    /// Whether only fillers and courtesies stand between the clause's start and a word.
    pub fn is_at_clause_start(&self, at: usize) -> bool {
        let mut index = at;
        while index > 0 && self.turn.pause_before(index) == Pause::None {
            index -= 1;
            let token = &self.turn.tokens[index];
            if !token.has_class(
                WordClass::FILLER
                    .union(WordClass::TITLE)
                    .union(WordClass::STARTER)
                    .union(WordClass::COURTESY),
            ) {
                return false;
            }
        }
        true
    }

    /// Whether only fillers stand before a word in its clause.
    pub fn is_behind_fillers_only(&self, at: usize) -> bool {
        let clause = (1..=at)
            .rev()
            .take_while(|at| self.turn.pause_before(*at) == Pause::None);
        let mut before = clause.map(|at| &self.turn.tokens[at - 1]);
        before.all(|token| {
            token.has_class(
                WordClass::FILLER
                    .union(WordClass::TITLE)
                    .union(WordClass::NO),
            )
        })
    }

    /// Passes titles and repeated cue words, where a word follows them in the same clause.
    fn skip_titles(&self, from: usize) -> Option<usize> {
        let mut at = from;
        while at < from + SKIPPED_WORDS_MAX {
            let token = self.turn.tokens.get(at)?;
            let again = matches!(
                self.turn.folded(at),
                "it's" | "its" | "is" | "ist" | "es" | "to"
            );
            let followed = at + 1 < self.turn.tokens.len()
                && self.turn.pause_before(at + 1) <= Pause::Comma
                && !self.turn.tokens[at + 1].has_class(WordClass::NEVER.union(WordClass::STARTER));
            if !(followed && (again || token.has_class(WordClass::TITLE))) {
                break;
            }
            at += 1;
        }
        (at < self.turn.tokens.len()).then_some(at)
    }

    /// Whether a word can be a name at all: letters, not excluded, no function word.
    pub fn can_be_name(&self, at: usize) -> bool {
        let token = &self.turn.tokens[at];
        let folded = self.turn.folded(at);
        let dated = token.has_class(WordClass::CALENDAR) && !self.is_calendar_name(at);
        let elided = self.turn.language.has_elision() && is_elided(folded);
        let brand = token.has_class(WordClass::TITLE) && domain_words::is_brand(folded);
        let barred =
            token.has_digits || dated || elided || brand || token.has_class(WordClass::NEVER);
        !barred
            && folded.chars().count() >= LETTERS_MIN
            && !folded.ends_with("'s")
            && !self.excluded.contains(folded)
    }

    /// "My name is Wednesday.": a day or month that ends its clause.
    fn is_calendar_alone(&self, at: usize) -> bool {
        let token = &self.turn.tokens[at];
        token.has_class(WordClass::CALENDAR)
            && !token.has_class(WordClass::NEVER)
            && self.is_clause_end(at + 1)
            && !self
                .turn
                .tokens
                .get(at + 1)
                .is_some_and(|next| next.has_digits)
    }

    /// April, May, June and August are names too, unless a date follows.
    fn is_calendar_name(&self, at: usize) -> bool {
        let frequent = self.turn.tokens[at].entry.first_name_half_logs() >= CALENDAR_HALF_LOGS_MIN;
        let dated = self.turn.tokens.get(at + 1).is_some_and(|next| {
            next.has_digits
                || next.has_class(WordClass::NEVER)
                    && !next.has_class(WordClass::TAIL)
                    && next.pause == Pause::None
        });
        frequent && !dated
    }

    /// Written with a capital where that means something.
    pub fn is_meaningful_capital(&self, at: usize) -> bool {
        self.turn.language != Language::German
            && self.turn.has_case
            && self.turn.tokens[at].is_capital()
    }

    /// The confidence of a first name at a word, by the strength of the cue before it.
    fn first_confidence(&self, at: usize, trust: CueStrength) -> Option<f32> {
        if !self.can_be_name(at) {
            return (trust == CueStrength::Strong && self.is_calendar_alone(at)).then_some(0.82);
        }
        let token = &self.turn.tokens[at];
        let domain =
            token.entry.is_domain() && token.entry.first_name_half_logs() < DOMAIN_HALF_LOGS_MIN;
        if domain || self.is_language_word(at) {
            return (trust == CueStrength::Strong).then_some(0.6);
        }
        match trust {
            CueStrength::Strong => self.strong_confidence(at),
            CueStrength::Strict => self.strict_confidence(at),
            CueStrength::Medium => self.medium_confidence(at),
        }
    }

    fn strong_confidence(&self, at: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        let known = token.entry.is_first_name() || token.entry.surname_rank() > 0;
        match token.evidence {
            Evidence::Name => Some(0.95),
            Evidence::Unknown | Evidence::Ambiguous if self.is_lower_case_outside_english(at) => {
                Some(0.6)
            }
            Evidence::Ambiguous if self.is_lower_case_adjective(at) => Some(0.7),
            Evidence::Ambiguous => Some(0.9),
            Evidence::Unknown => Some(0.88),
            Evidence::Common if token.has_class(WordClass::FILLER.union(WordClass::STARTER)) => {
                None
            }
            Evidence::Common if self.is_phrase_continued(at + 1) => None,
            Evidence::Common if self.is_meaningful_capital(at) => {
                Some(if known { 0.82 } else { 0.6 })
            }
            Evidence::Common if self.ends_clause_as_name(at) => Some(0.82),
            Evidence::Common if known && !token.entry.is_adjective() => Some(0.62),
            Evidence::Common => None,
        }
    }

    /// "Mein Name ist falsch": written low where names have capitals; outside English, where few
    /// common words are known.
    fn is_lower_case_outside_english(&self, at: usize) -> bool {
        !self.turn.language.is_english()
            && self.turn.has_case
            && self.turn.tokens[at].word_case == WordCase::Lower
    }

    /// "my name is true": a quality, unless its capital says otherwise.
    fn is_lower_case_adjective(&self, at: usize) -> bool {
        self.turn.language.is_english()
            && self.turn.tokens[at].entry.is_adjective()
            && !self.turn.tokens[at].entry.is_noun()
            && !self.is_meaningful_capital(at)
    }

    /// "Save the Children": an article or "of" right behind makes a phrase of it.
    fn is_phrase_continued(&self, at: usize) -> bool {
        self.turn.pause_before(at) == Pause::None
            && matches!(
                self.turn.folded(at),
                "the" | "a" | "an" | "of" | "to" | "that"
            )
    }

    /// A word some are called, that ends its clause: "my name is Red".
    fn ends_clause_as_name(&self, at: usize) -> bool {
        let token = &self.turn.tokens[at];
        let called = token.entry.first_name_half_logs() >= GIVEN_HALF_LOGS_MIN
            && !token.entry.is_stop_word();
        let quality = token.entry.is_adjective();
        !quality && (called || token.entry.surname_rank() == 3) && self.may_end_name(at + 1)
    }

    fn strict_confidence(&self, at: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        if token.has_class(WordClass::FILLER.union(WordClass::DETAIL)) {
            return None;
        }
        match token.evidence {
            Evidence::Name => Some(0.92),
            Evidence::Ambiguous if self.is_lower_case_adjective(at) || self.is_nationality(at) => {
                None
            }
            Evidence::Ambiguous => Some(0.82),
            Evidence::Unknown => Some(0.82),
            Evidence::Common => (self.is_meaningful_capital(at)
                && token.entry.surname_rank() > 1
                && self.may_be_surname(at + 1))
            .then_some(0.7),
        }
    }

    fn medium_confidence(&self, at: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        if !self.turn.language.is_english() {
            return self.foreign_medium_confidence(at);
        }
        let adjective =
            token.entry.is_adjective() && evidence::name_margin(token.entry) < ADJECTIVE_MARGIN_MIN;
        match token.evidence {
            Evidence::Name if !adjective => Some(0.9),
            Evidence::Name | Evidence::Ambiguous => {
                let capital = self.is_meaningful_capital(at) && !self.is_nationality(at);
                (!adjective || self.is_meaningful_capital(at)).then_some(
                    if self.name_asked || capital {
                        0.8
                    } else {
                        0.55
                    },
                )
            }
            Evidence::Unknown if self.is_ing_verb(at) => None,
            Evidence::Unknown if self.name_asked || self.is_meaningful_capital(at) => Some(0.82),
            Evidence::Unknown if !self.is_spoken_name(at) => Some(0.45),
            Evidence::Unknown if self.has_surname(at) || self.is_greeted(at) => Some(0.82),
            Evidence::Unknown if self.courtesy_follows(at + 1) => Some(0.82),
            Evidence::Unknown => Some(0.55),
            Evidence::Common if self.is_capital_pair(at) => Some(0.8),
            Evidence::Common => {
                let named = self.is_meaningful_capital(at)
                    && token.entry.surname_rank() > 1
                    && self.may_be_surname(at + 1);
                named.then_some(0.6)
            }
        }
    }

    /// "I'm Facetiming my mother": an unlisted verb that goes on.
    fn is_ing_verb(&self, at: usize) -> bool {
        self.turn.folded(at).ends_with("ing")
            && at + 1 < self.turn.tokens.len()
            && self.turn.pause_before(at + 1) == Pause::None
    }

    /// Written in lower case and in no list: worth a question if it can be said and ends its clause.
    fn is_spoken_name(&self, at: usize) -> bool {
        self.pronounceable(at) && self.may_end_name(self.name_end(at))
    }

    /// A listed surname (or a second name) follows.
    fn has_surname(&self, at: usize) -> bool {
        self.may_be_surname(at + 1) && {
            let next = &self.turn.tokens[at + 1];
            next.entry.surname_rank() > 0 || next.entry.is_first_name()
        }
    }

    /// "hello, I'm X": an introduction right behind the greeting, before its clause ends.
    pub fn is_greeted(&self, at: usize) -> bool {
        let before = &self.turn.tokens[..at];
        let cue = before
            .iter()
            .rev()
            .take_while(|token| !token.has_class(WordClass::GREETING))
            .count();
        let greeting = before.len() > cue;
        let joined = (self.turn.tokens.get(at + 1))
            .is_some_and(|next| next.pause == Pause::None && !next.has_class(WordClass::STARTER));
        greeting && cue <= GREETED_WORDS_MAX && !joined
    }

    /// "Borg Kent": words some are called, both with capitals.
    fn is_capital_pair(&self, at: usize) -> bool {
        let word = self.turn.tokens[at].entry;
        self.is_meaningful_capital(at)
            && word.is_first_name()
            && !word.is_adjective()
            && self.may_be_surname(at + 1)
            && self.is_meaningful_capital(at + 1)
    }

    /// Outside English the list of common words is thin: an unknown word needs its capital.
    fn foreign_medium_confidence(&self, at: usize) -> Option<f32> {
        match self.turn.tokens[at].evidence {
            Evidence::Name if self.is_foreign_lower_case_name(at) => {
                Some(if self.has_surname(at) { 0.82 } else { 0.55 })
            }
            Evidence::Name => Some(0.9),
            Evidence::Ambiguous if self.is_meaningful_capital(at) => Some(0.82),
            Evidence::Unknown if self.is_meaningful_capital(at) => Some(0.7),
            Evidence::Ambiguous => Some(0.55),
            Evidence::Unknown | Evidence::Common => None,
        }
    }

    /// A name of another language that is not frequent, without a capital: as likely a word.
    fn is_foreign_lower_case_name(&self, at: usize) -> bool {
        let word = self.turn.tokens[at].entry;
        !self.is_meaningful_capital(at)
            && !word.is_first_name_in(self.turn.language)
            && word.first_name_half_logs() < FREQUENT_HALF_LOGS_MIN
    }

    /// A name after "I'm" must end its clause, or go on as a sentence does after a name.
    fn confidence_by_clause_end(&self, confidence: f32, at: usize, end: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        let question = self
            .turn
            .tokens
            .get(end)
            .map_or(self.turn.final_pause, |next| next.pause)
            == Pause::Question;
        if question && !self.name_asked
            || self.has_complement(at, end)
            || self.has_tag_question(end)
        {
            return None;
        }
        let told = token.evidence != Evidence::Name && is_third_person_verb(self.turn.folded(end));
        if told && self.turn.pause_before(end) == Pause::None {
            return None;
        }
        if self.is_label(at, end) || self.is_name_of_thing(at, end) {
            return Some(confidence.min(0.6));
        }
        if self.may_end_name(end) || end - at > 1 && token.evidence == Evidence::Name {
            return Some(confidence);
        }
        match token.evidence {
            Evidence::Name if self.name_asked || self.is_action(at, end) => {
                Some(confidence.min(0.85))
            }
            Evidence::Name => Some(0.6),
            _ if end - at > 1 && self.name_asked => Some(confidence),
            _ => None,
        }
    }

    /// "Mark checking on ...", "Tom needs ...", "Angela check ..."; not "Max level", where both
    /// are words.
    fn is_action(&self, at: usize, end: usize) -> bool {
        let (word, folded) = (self.turn.tokens[end].entry, self.turn.folded(end));
        let inflected = folded.ends_with('s') || folded.ends_with("ing");
        let only_name = self.turn.tokens[at].entry.frequency_band() == 0;
        inflected && (only_name || word.is_verb() || folded.ends_with("ing"))
            || word.is_verb() && (only_name || !word.is_noun())
    }

    /// "Jupiter Street", "Lavender Town": no sure name, and a noun that few are called.
    fn is_name_of_thing(&self, at: usize, end: usize) -> bool {
        let (first, last) = (&self.turn.tokens[at], &self.turn.tokens[end - 1]);
        self.turn.language.is_english()
            && !self.name_asked
            && end > at + 1
            && first.evidence != Evidence::Name
            && last.evidence == Evidence::Common
            && last.entry.is_noun()
            && (1..=THING_BAND_MAX).contains(&last.entry.frequency_band())
    }

    /// "frank about it", "rich with ideas": words that follow an adjective only.
    fn has_complement(&self, at: usize, end: usize) -> bool {
        self.turn.language.is_english()
            && self.turn.tokens[at].entry.is_adjective()
            && end == at + 1
            && self.turn.pause_before(end) == Pause::None
            && matches!(
                self.turn.folded(end),
                "about" | "of" | "to" | "that" | "at" | "as" | "enough" | "for" | "but"
            )
            || self.is_qualified(at, end)
    }

    /// "frank with people", "jack of all trades".
    fn is_qualified(&self, at: usize, end: usize) -> bool {
        let quality = self.turn.tokens[at].entry.is_adjective() && !self.is_meaningful_capital(at);
        self.turn.language.is_english()
            && self.turn.pause_before(end) == Pause::None
            && match self.turn.folded(end) {
                "of" => true,
                "with" => quality && end == at + 1,
                _ => false,
            }
    }

    /// "it's X again, isn't it": a question about somebody else.
    pub fn has_tag_question(&self, end: usize) -> bool {
        let clause = (end..end + TAG_QUESTION_WORDS_MAX)
            .take_while(|at| self.turn.pause_before(*at) <= Pause::Comma);
        { clause }.any(|at| {
            matches!(
                self.turn.folded(at),
                "isn't" | "isnt" | "aren't" | "arent" | "innit" | "wasn't" | "wasnt"
            )
        })
    }

    /// "english", "german": words for peoples have a capital in any use.
    fn is_nationality(&self, at: usize) -> bool {
        let word = self.turn.tokens[at].entry;
        self.turn.language.is_english() && word.is_noun() && word.is_adjective()
    }

    /// "Gen Z", "Vitamin C": a rare name and one letter are as likely a label.
    fn is_label(&self, at: usize, end: usize) -> bool {
        let word = self.turn.tokens[at].entry;
        let rare =
            word.first_name_half_logs() < RARE_NAME_HALF_LOGS_MAX && !word.is_first_name_anywhere();
        rare && end == at + 2 && self.turn.tokens[at + 1].is_single_letter
    }
}

/// "c'est", "l'amico", "anch'io"; not "d'angelo" or "o'neil".
fn is_elided(folded: &str) -> bool {
    folded
        .split_once('\'')
        .is_some_and(|(before, _)| !matches!(before, "d" | "o"))
}

/// "india is ...", "tom has ...": the sentence is about that person, who is not the speaker.
pub fn is_third_person_verb(folded: &str) -> bool {
    matches!(
        folded,
        "is" | "was"
            | "has"
            | "are"
            | "were"
            | "isn't"
            | "wasn't"
            | "does"
            | "did"
            | "do"
            | "that's"
    )
}
