//! A caller: what is known of the people behind one number.

use super::PhoneNumber;
use calldex_observability::redaction::mask_name;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a name came to be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameState {
    /// Nothing known.
    #[default]
    Unknown,
    /// Taken from what was said, not yet confirmed: a later one replaces it.
    Heard,
    /// Said yes to, or never contradicted until the call ended.
    Confirmed,
    /// Put right by the caller.
    Corrected,
    /// The caller does not wish to give a name; not to be asked again.
    Declined,
}

impl NameState {
    /// The word that stands for it in the database; nothing for unknown.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Heard => Some("heard"),
            Self::Confirmed => Some("confirmed"),
            Self::Corrected => Some("corrected"),
            Self::Declined => Some("declined"),
        }
    }

    /// The state that `word` stands for.
    pub fn parse(word: Option<&str>) -> Self {
        match word {
            Some("heard") => Self::Heard,
            Some("confirmed") => Self::Confirmed,
            Some("corrected") => Self::Corrected,
            Some("declined") => Self::Declined,
            _ => Self::Unknown,
        }
    }

    /// Whether a name in this state may not be replaced by one that was merely heard.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Confirmed | Self::Corrected)
    }
}

/// When a field was last decided: time, then the maker's step within its call. A decision is
/// applied only if its mark is higher, which is what makes applying twice change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NameMark {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The maker's step.
    pub step: u32,
}

/// One of several people who use a number.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Their name.
    pub name: CompactString,
    /// First heard, Unix milliseconds.
    pub first_at_ms: i64,
    /// Last heard, Unix milliseconds.
    pub last_at_ms: i64,
}

/// Something the caller wants remembered.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Preference {
    /// When it was noted.
    pub mark: NameMark,
    /// In words, at most [`Caller::PREFERENCE_CHARS_MAX`] characters.
    pub text: CompactString,
}

/// Everything kept about one number. `Debug` masks number and names.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Caller {
    /// The identity.
    pub number: PhoneNumber,
    /// The likeliest person's name.
    pub name: Option<CompactString>,
    /// How the name came to be known.
    pub name_state: NameState,
    /// When the name was last decided.
    pub name_mark: NameMark,
    /// BCP 47 tag the caller chose.
    pub language: Option<CompactString>,
    /// When the language was last chosen.
    pub language_mark: NameMark,
    /// Calls begun from this number.
    pub calls: u32,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds of the last change.
    pub updated_at: i64,
    /// Unix seconds of the last call's start.
    pub last_call_at: Option<i64>,
    /// The database's revision at the last change: the change feed. 0 while not yet durable.
    pub rev: u64,
    /// When the list of people was last decided.
    pub people_mark: NameMark,
    /// Who else uses the number; empty while only one person is known.
    pub people: Box<[Person]>,
    /// What to remember, oldest first, at most [`Caller::PREFERENCES_MAX`].
    pub preferences: Box<[Preference]>,
}

impl Caller {
    /// People remembered on one number; the one longest unheard goes first.
    pub const PEOPLE_MAX: usize = 8;
    /// Preferences remembered; the oldest goes first.
    pub const PREFERENCES_MAX: usize = 16;
    /// Characters of one preference; the rest is cut.
    pub const PREFERENCE_CHARS_MAX: usize = 200;
    /// Characters of a name; the rest is cut.
    pub const NAME_CHARS_MAX: usize = 80;

    /// A number seen for the first time at `at` (Unix seconds).
    pub fn new(number: PhoneNumber, at: i64) -> Self {
        Self {
            number,
            name: None,
            name_state: NameState::Unknown,
            name_mark: NameMark::default(),
            language: None,
            language_mark: NameMark::default(),
            calls: 0,
            created_at: at,
            updated_at: at,
            last_call_at: None,
            rev: 0,
            people_mark: NameMark::default(),
            people: Box::default(),
            preferences: Box::default(),
        }
    }

    /// Several people use this number: greet without any name, a stranger must not be told who
    /// lives there.
    pub fn is_ambiguous(&self) -> bool {
        self.people.len() > 1
    }

    /// The time of the last thing known, Unix milliseconds, at most a second too late.
    pub(crate) fn latest_ms(&self) -> i64 {
        let preferred = self.preferences.iter().map(|preference| preference.mark);
        let marks = [self.name_mark, self.language_mark, self.people_mark]
            .into_iter()
            .chain(preferred);
        let decided = marks.map(|mark| mark.at_ms).max().unwrap_or_default();
        let called = self
            .last_call_at
            .map_or(0, |at| at.saturating_mul(1_000).saturating_add(999));
        decided.max(called)
    }

    /// The name to greet with: none when unknown, or when it is in doubt who is calling.
    pub fn greeting_name(&self) -> Option<&str> {
        if self.is_ambiguous() {
            None
        } else {
            self.name.as_deref()
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("number", &self.number)
            .field("name", &self.name.as_deref().map(mask_name))
            .field("name_state", &self.name_state)
            .field("language", &self.language)
            .field("calls", &self.calls)
            .field("people", &self.people.len())
            .field("rev", &self.rev)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({})", mask_name(&self.name))
    }
}

impl fmt::Debug for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preference({} bytes)", self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_name_or_the_number() {
        let mut caller = Caller::new(PhoneNumber::parse("+14155550100").unwrap(), 1);
        caller.name = Some("Misty".into());
        let shown = format!("{caller:?}");
        assert!(
            !shown.contains("Misty") && !shown.contains("5550"),
            "{shown}"
        );
    }
}
