//! Reads the name that stands after (or before) a cue.

use std::ops::Range;

use super::bare::tells_of_another;
use super::checks;
use super::domain;
use super::evidence::{self, Evidence};
use super::extraction::Excluded;
use super::grammar::{Grammar, Role};
use super::language::Language;
use super::token::{Break, Shape, Turn};

/// A US name is one in any language, without a capital, from this count (half-logs) on.
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
const LABEL_HALF_LOGS_MAX: i32 = 20;
/// A noun up to this band is a thing's name rather than a surname, behind no sure first name.
const THING_BAND_MAX: usize = 2;
/// Words behind a name within which "isn't it" makes a question of it.
const TAG_WORDS_MAX: usize = 3;
/// A month is a first name from this count (half-logs) on.
const CALENDAR_HALF_LOGS_MIN: i32 = 28;
/// After a sure cue a word that ends its clause is a name from this count (half-logs) on.
const GIVEN_HALF_LOGS_MIN: i32 = 14;

/// How far a cue is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Whatever follows is a name unless it can be none.
    Strong,
    /// A name must look like one.
    Strict,
    /// A name must look like one, and a clause must end after it.
    Medium,
}

/// A name found in a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The words of the name.
    pub words: Range<usize>,
    pub confidence: f32,
}

/// What the reader needs beside the turn.
#[derive(Clone, Copy)]
pub struct Reader<'r> {
    pub turn: &'r Turn<'r>,
    pub grammar: &'r Grammar,
    pub excluded: &'r Excluded,
    pub asked: bool,
}

impl Reader<'_> {
    /// The name that begins at a word, after titles and false starts.
    pub fn read_after(&self, from: usize, trust: Trust) -> Option<Reading> {
        let at = self.skip(from)?;
        if self.turn.pause_before(at) > Break::Comma && trust == Trust::Medium {
            return None;
        }
        let first = self.first_confidence(at, trust)?;
        let end = self.extend(at);
        let confidence = match trust {
            Trust::Medium => self.bounded(first, at, end)?,
            _ => first,
        };
        Some(Reading {
            words: at..end,
            confidence,
        })
    }

    /// The name that ends before a word: "Ana Lee" of "Ana Lee speaking".
    pub fn read_before(&self, end: usize) -> Option<Reading> {
        let mut start = end;
        while start > 0 && end - start < NAME_WORDS_MAX - 2 {
            if start < end && self.turn.pause_before(start) != Break::None {
                break;
            }
            let before = &self.turn.tokens[start - 1];
            if before.is(Role::NEVER.or(Role::FILLER).or(Role::STARTER)) {
                break;
            }
            start -= 1;
        }
        while start < end && self.turn.tokens[start].is(Role::TITLE) {
            start += 1;
        }
        (start < end).then_some(())?;
        let confidence = self.first_confidence(start, Trust::Strict)?;
        let opens = self.opens_speech(start);
        let known = self.turn.tokens[start].evidence == Evidence::Name && end - start == 2;
        let whole = (known || self.extend(start) >= end) && opens;
        whole.then_some(Reading {
            words: start..end,
            confidence,
        })
    }

    /// Whether the turn's first word is of a class.
    pub fn opens_with(&self, role: Role) -> bool {
        let first = self.turn.tokens.first();
        first.is_some_and(|token| token.is(role))
    }

    /// Whether a clause ends before a word, or the turn does.
    pub fn pauses_at(&self, at: usize) -> bool {
        self.turn.pause_before(at) != Break::None
    }

    /// Whether a word names a language or a people.
    pub fn is_language_word(&self, at: usize) -> bool {
        let evidence = self.turn.tokens[at].evidence;
        checks::language_of_word(self.turn.folded(at), evidence, self.turn.language).is_some()
    }

    /// Whether only fillers and courtesies stand between the clause's start and a word.
    pub fn opens_clause(&self, at: usize) -> bool {
        let mut index = at;
        while index > 0 && self.turn.pause_before(index) == Break::None {
            index -= 1;
            let token = &self.turn.tokens[index];
            if !token.is(Role::FILLER
                .or(Role::TITLE)
                .or(Role::STARTER)
                .or(Role::COURTESY))
            {
                return false;
            }
        }
        true
    }

    /// Whether only fillers stand before a word in its clause.
    pub fn opens_speech(&self, at: usize) -> bool {
        let clause = (1..=at)
            .rev()
            .take_while(|at| self.turn.pause_before(*at) == Break::None);
        let mut before = clause.map(|at| &self.turn.tokens[at - 1]);
        before.all(|token| token.is(Role::FILLER.or(Role::TITLE).or(Role::NO)))
    }

    /// Passes titles and repeated cue words, where a word follows them in the same clause.
    fn skip(&self, from: usize) -> Option<usize> {
        let mut at = from;
        while at < from + SKIPPED_WORDS_MAX {
            let token = self.turn.tokens.get(at)?;
            let again = matches!(
                self.turn.folded(at),
                "it's" | "its" | "is" | "ist" | "es" | "to"
            );
            let followed = at + 1 < self.turn.tokens.len()
                && self.turn.pause_before(at + 1) <= Break::Comma
                && !self.turn.tokens[at + 1].is(Role::NEVER.or(Role::STARTER));
            if !(followed && (again || token.is(Role::TITLE))) {
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
        let dated = token.is(Role::CALENDAR) && !self.is_calendar_name(at);
        let elided = self.turn.language.elides() && is_elided(folded);
        let brand = token.is(Role::TITLE) && domain::is_brand(folded);
        let barred = token.digits || dated || elided || brand || token.is(Role::NEVER);
        !barred
            && folded.chars().count() >= LETTERS_MIN
            && !folded.ends_with("'s")
            && !self.excluded.holds(folded)
    }

    /// "My name is Wednesday.": a day or month that ends its clause.
    fn is_calendar_alone(&self, at: usize) -> bool {
        let token = &self.turn.tokens[at];
        token.is(Role::CALENDAR)
            && !token.is(Role::NEVER)
            && self.pauses_at(at + 1)
            && !self.turn.tokens.get(at + 1).is_some_and(|next| next.digits)
    }

    /// April, May, June and August are names too, unless a date follows.
    fn is_calendar_name(&self, at: usize) -> bool {
        let frequent = self.turn.tokens[at].word.half_logs() >= CALENDAR_HALF_LOGS_MIN;
        let dated = self.turn.tokens.get(at + 1).is_some_and(|next| {
            next.digits || next.is(Role::NEVER) && !next.is(Role::TAIL) && next.pause == Break::None
        });
        frequent && !dated
    }

    /// Written with a capital where that means something.
    pub fn capital(&self, at: usize) -> bool {
        self.turn.language != Language::German
            && self.turn.cased
            && self.turn.tokens[at].is_capital()
    }

    /// How sure a first name at a word is, by the cue before it.
    fn first_confidence(&self, at: usize, trust: Trust) -> Option<f32> {
        if !self.can_be_name(at) {
            return (trust == Trust::Strong && self.is_calendar_alone(at)).then_some(0.82);
        }
        let token = &self.turn.tokens[at];
        let domain = token.word.is_domain() && token.word.half_logs() < DOMAIN_HALF_LOGS_MIN;
        if domain || self.is_language_word(at) {
            return (trust == Trust::Strong).then_some(0.6);
        }
        match trust {
            Trust::Strong => self.strong_confidence(at),
            Trust::Strict => self.strict_confidence(at),
            Trust::Medium => self.medium_confidence(at),
        }
    }

    fn strong_confidence(&self, at: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        let known = token.word.is_given() || token.word.surname() > 0;
        match token.evidence {
            Evidence::Name => Some(0.95),
            Evidence::Unknown | Evidence::Ambiguous if self.is_low_abroad(at) => Some(0.6),
            Evidence::Ambiguous if self.is_low_adjective(at) => Some(0.7),
            Evidence::Ambiguous => Some(0.9),
            Evidence::Unknown => Some(0.88),
            Evidence::Common if token.is(Role::FILLER.or(Role::STARTER)) => None,
            Evidence::Common if self.goes_on_as_phrase(at + 1) => None,
            Evidence::Common if self.capital(at) => Some(if known { 0.82 } else { 0.6 }),
            Evidence::Common if self.is_sole(at) => Some(0.82),
            Evidence::Common if known && !token.word.is_adjective() => Some(0.62),
            Evidence::Common => None,
        }
    }

    /// "Mein Name ist falsch": written low where names have capitals; outside English, where few
    /// common words are known.
    fn is_low_abroad(&self, at: usize) -> bool {
        !self.turn.language.is_english()
            && self.turn.cased
            && self.turn.tokens[at].shape == Shape::Lower
    }

    /// "my name is true": a quality, unless its capital says otherwise.
    fn is_low_adjective(&self, at: usize) -> bool {
        self.turn.language.is_english()
            && self.turn.tokens[at].word.is_adjective()
            && !self.turn.tokens[at].word.is_noun()
            && !self.capital(at)
    }

    /// "Save the Children": an article or "of" right behind makes a phrase of it.
    fn goes_on_as_phrase(&self, at: usize) -> bool {
        self.turn.pause_before(at) == Break::None
            && matches!(
                self.turn.folded(at),
                "the" | "a" | "an" | "of" | "to" | "that"
            )
    }

    /// A word some are called, that ends its clause: "my name is Red".
    fn is_sole(&self, at: usize) -> bool {
        let token = &self.turn.tokens[at];
        let called = token.word.half_logs() >= GIVEN_HALF_LOGS_MIN && !token.word.is_stop();
        let quality = token.word.is_adjective();
        !quality && (called || token.word.surname() == 3) && self.ends_name(at + 1)
    }

    fn strict_confidence(&self, at: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        if token.is(Role::FILLER.or(Role::DETAIL)) {
            return None;
        }
        match token.evidence {
            Evidence::Name => Some(0.92),
            Evidence::Ambiguous if self.is_low_adjective(at) || self.is_peoples(at) => None,
            Evidence::Ambiguous => Some(0.82),
            Evidence::Unknown => Some(0.82),
            Evidence::Common => {
                (self.capital(at) && token.word.surname() > 1 && self.surname_like(at + 1))
                    .then_some(0.7)
            }
        }
    }

    fn medium_confidence(&self, at: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        if !self.turn.language.is_english() {
            return self.foreign_medium_confidence(at);
        }
        let adjective =
            token.word.is_adjective() && evidence::margin(token.word) < ADJECTIVE_MARGIN_MIN;
        match token.evidence {
            Evidence::Name if !adjective => Some(0.9),
            Evidence::Name | Evidence::Ambiguous => {
                let capital = self.capital(at) && !self.is_peoples(at);
                (!adjective || self.capital(at)).then_some(if self.asked || capital {
                    0.8
                } else {
                    0.55
                })
            }
            Evidence::Unknown if self.is_doing(at) => None,
            Evidence::Unknown if self.asked || self.capital(at) => Some(0.82),
            Evidence::Unknown if !self.is_spoken_name(at) => Some(0.45),
            Evidence::Unknown if self.has_surname(at) || self.is_greeted(at) => Some(0.82),
            Evidence::Unknown if self.courtesy_follows(at + 1) => Some(0.82),
            Evidence::Unknown => Some(0.55),
            Evidence::Common if self.is_capital_pair(at) => Some(0.8),
            Evidence::Common => {
                let named =
                    self.capital(at) && token.word.surname() > 1 && self.surname_like(at + 1);
                named.then_some(0.6)
            }
        }
    }

    /// "I'm Facetiming my mother": an unlisted verb that goes on.
    fn is_doing(&self, at: usize) -> bool {
        self.turn.folded(at).ends_with("ing")
            && at + 1 < self.turn.tokens.len()
            && self.turn.pause_before(at + 1) == Break::None
    }

    /// Written in lower case and in no list: worth a question if it can be said and ends its clause.
    fn is_spoken_name(&self, at: usize) -> bool {
        self.pronounceable(at) && self.ends_name(self.extend(at))
    }

    /// A listed surname (or a second name) follows.
    fn has_surname(&self, at: usize) -> bool {
        self.surname_like(at + 1) && {
            let next = &self.turn.tokens[at + 1];
            next.word.surname() > 0 || next.word.is_given()
        }
    }

    /// "hello, I'm X": an introduction right behind the greeting, before its clause ends.
    pub fn is_greeted(&self, at: usize) -> bool {
        let before = &self.turn.tokens[..at];
        let cue = before
            .iter()
            .rev()
            .take_while(|token| !token.is(Role::GREETING))
            .count();
        let greeting = before.len() > cue;
        let joined = (self.turn.tokens.get(at + 1))
            .is_some_and(|next| next.pause == Break::None && !next.is(Role::STARTER));
        greeting && cue <= GREETED_WORDS_MAX && !joined
    }

    /// "Borg Kent": words some are called, both with capitals.
    fn is_capital_pair(&self, at: usize) -> bool {
        let word = self.turn.tokens[at].word;
        self.capital(at)
            && word.is_given()
            && !word.is_adjective()
            && self.surname_like(at + 1)
            && self.capital(at + 1)
    }

    /// Outside English the list of common words is thin: an unknown word needs its capital.
    fn foreign_medium_confidence(&self, at: usize) -> Option<f32> {
        match self.turn.tokens[at].evidence {
            Evidence::Name if self.is_foreign_and_low(at) => {
                Some(if self.has_surname(at) { 0.82 } else { 0.55 })
            }
            Evidence::Name => Some(0.9),
            Evidence::Ambiguous if self.capital(at) => Some(0.82),
            Evidence::Unknown if self.capital(at) => Some(0.7),
            Evidence::Ambiguous => Some(0.55),
            Evidence::Unknown | Evidence::Common => None,
        }
    }

    /// A name of another language that is not frequent, without a capital: as likely a word.
    fn is_foreign_and_low(&self, at: usize) -> bool {
        let word = self.turn.tokens[at].word;
        !self.capital(at)
            && !word.is_first_in(self.turn.language)
            && word.half_logs() < FREQUENT_HALF_LOGS_MIN
    }

    /// A name after "I'm" must end its clause, or go on as a sentence does after a name.
    fn bounded(&self, confidence: f32, at: usize, end: usize) -> Option<f32> {
        let token = &self.turn.tokens[at];
        let question = self
            .turn
            .tokens
            .get(end)
            .map_or(self.turn.end, |next| next.pause)
            == Break::Question;
        if question && !self.asked || self.has_complement(at, end) || self.is_tagged(end) {
            return None;
        }
        let told = token.evidence != Evidence::Name && tells_of_another(self.turn.folded(end));
        if told && self.turn.pause_before(end) == Break::None {
            return None;
        }
        if self.is_label(at, end) || self.is_titled_thing(at, end) {
            return Some(confidence.min(0.6));
        }
        if self.ends_name(end) || end - at > 1 && token.evidence == Evidence::Name {
            return Some(confidence);
        }
        match token.evidence {
            Evidence::Name if self.asked || self.is_action(at, end) => Some(confidence.min(0.85)),
            Evidence::Name => Some(0.6),
            _ if end - at > 1 && self.asked => Some(confidence),
            _ => None,
        }
    }

    /// "Mark checking on ...", "Tom needs ...", "Angela check ..."; not "Max level", where both
    /// are words.
    fn is_action(&self, at: usize, end: usize) -> bool {
        let (word, folded) = (self.turn.tokens[end].word, self.turn.folded(end));
        let inflected = folded.ends_with('s') || folded.ends_with("ing");
        let only_name = self.turn.tokens[at].word.band() == 0;
        inflected && (only_name || word.is_verb() || folded.ends_with("ing"))
            || word.is_verb() && (only_name || !word.is_noun())
    }

    /// "Jupiter Street", "Lavender Town": no sure name, and a noun that few are called.
    fn is_titled_thing(&self, at: usize, end: usize) -> bool {
        let (first, last) = (&self.turn.tokens[at], &self.turn.tokens[end - 1]);
        self.turn.language.is_english()
            && !self.asked
            && end > at + 1
            && first.evidence != Evidence::Name
            && last.evidence == Evidence::Common
            && last.word.is_noun()
            && (1..=THING_BAND_MAX).contains(&last.word.band())
    }

    /// "frank about it", "rich with ideas": what only a quality is followed by.
    fn has_complement(&self, at: usize, end: usize) -> bool {
        self.turn.language.is_english()
            && self.turn.tokens[at].word.is_adjective()
            && end == at + 1
            && self.turn.pause_before(end) == Break::None
            && matches!(
                self.turn.folded(end),
                "about" | "of" | "to" | "that" | "at" | "as" | "enough" | "for" | "but"
            )
            || self.is_qualified(at, end)
    }

    /// "frank with people", "jack of all trades".
    fn is_qualified(&self, at: usize, end: usize) -> bool {
        let quality = self.turn.tokens[at].word.is_adjective() && !self.capital(at);
        self.turn.language.is_english()
            && self.turn.pause_before(end) == Break::None
            && match self.turn.folded(end) {
                "of" => true,
                "with" => quality && end == at + 1,
                _ => false,
            }
    }

    /// "it's X again, isn't it": asked about another.
    pub fn is_tagged(&self, end: usize) -> bool {
        let clause =
            (end..end + TAG_WORDS_MAX).take_while(|at| self.turn.pause_before(*at) <= Break::Comma);
        { clause }.any(|at| {
            matches!(
                self.turn.folded(at),
                "isn't" | "isnt" | "aren't" | "arent" | "innit" | "wasn't" | "wasnt"
            )
        })
    }

    /// "english", "german": a people's word has its capital in any use.
    fn is_peoples(&self, at: usize) -> bool {
        let word = self.turn.tokens[at].word;
        self.turn.language.is_english() && word.is_noun() && word.is_adjective()
    }

    /// "Gen Z", "Vitamin C": a rare name and one letter are as likely a label.
    fn is_label(&self, at: usize, end: usize) -> bool {
        let word = self.turn.tokens[at].word;
        let rare = word.half_logs() < LABEL_HALF_LOGS_MAX && !word.is_first_anywhere();
        rare && end == at + 2 && self.turn.tokens[at + 1].letter
    }
}

/// "c'est", "l'amico", "anch'io"; not "d'angelo" or "o'neil".
fn is_elided(folded: &str) -> bool {
    folded
        .split_once('\'')
        .is_some_and(|(before, _)| !matches!(before, "d" | "o"))
}
