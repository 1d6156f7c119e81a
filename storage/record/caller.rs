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
pub struct DecisionMark {
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
    /// The number's count of calls when they were last heard.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub heard_in_call: u32,
    /// Calls in a row in which they, and nobody else, said who they are.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(rename = "calls_running")]
    pub consecutive_calls: u32,
}

// By reference, as serde calls it.
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Something the caller wants remembered.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Preference {
    /// When it was noted.
    pub mark: DecisionMark,
    /// In words, at most [`Caller::PREFERENCE_CHARS_MAX`] characters.
    pub text: CompactString,
    /// The name of whoever said it. Nobody in rows of older versions: it is then the only person's,
    /// where the number has exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<CompactString>,
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
    pub name_mark: DecisionMark,
    /// BCP 47 tag the caller chose.
    pub language: Option<CompactString>,
    /// When the language was last chosen.
    pub language_mark: DecisionMark,
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
    pub people_mark: DecisionMark,
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
    /// Whoever says who they are in this many calls in a row, and nobody else does, is taken for the
    /// likeliest person of a shared number.
    pub const CONSECUTIVE_CALLS_MIN: u32 = 3;
    /// Somebody who was not heard in this many calls of a shared number does not make it ambiguous.
    pub const UNHEARD_CALLS_MAX: u32 = 5;

    /// A number seen for the first time at `at` (Unix seconds).
    pub fn new(number: PhoneNumber, at: i64) -> Self {
        Self {
            number,
            name: None,
            name_state: NameState::Unknown,
            name_mark: DecisionMark::default(),
            language: None,
            language_mark: DecisionMark::default(),
            calls: 0,
            created_at: at,
            updated_at: at,
            last_call_at: None,
            rev: 0,
            people_mark: DecisionMark::default(),
            people: Box::default(),
            preferences: Box::default(),
        }
    }

    /// Several people use this number and none of them is the likeliest: greet without any name, a
    /// stranger must not be told who lives there.
    pub fn is_ambiguous(&self) -> bool {
        self.people.len() > 1 && self.likely_person().is_none()
    }

    /// Whether several people are known on this number, whoever of them is the likeliest.
    pub fn is_shared(&self) -> bool {
        self.people.len() > 1
    }

    /// Of several people the one who calls now, most likely: the last one heard, if they were the
    /// only one for [`Caller::CONSECUTIVE_CALLS_MIN`] calls in a row, or if nobody else was heard for
    /// [`Caller::UNHEARD_CALLS_MAX`] calls.
    fn likely_person(&self) -> Option<&Person> {
        let last = self.people.iter().max_by_key(|person| person.last_at_ms)?;
        let unheard = |person: &Person| {
            let since = self.calls.saturating_sub(person.heard_in_call);
            person.name == last.name || since >= Self::UNHEARD_CALLS_MAX
        };
        let steady = last.consecutive_calls >= Self::CONSECUTIVE_CALLS_MIN;
        let alone = last.consecutive_calls > 0 && self.people.iter().all(unheard);
        (steady || alone).then_some(last)
    }

    /// Whether somebody of that name is known on this number.
    pub fn has_person_named(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name) || self.people.iter().any(|person| person.name == name)
    }

    /// What the person of that name wants remembered, oldest first.
    pub fn preferences_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Preference> {
        let alone = !self.is_shared() && self.name.as_deref() == Some(name);
        self.preferences
            .iter()
            .filter(|preference| !preference.text.is_empty())
            .filter(move |preference| match &preference.person {
                Some(person) => person == name,
                None => alone,
            })
    }

    /// The latest of all marks: what a new decision must come after.
    pub fn latest_mark(&self) -> DecisionMark {
        let preferred = self.preferences.iter().map(|preference| preference.mark);
        [self.name_mark, self.language_mark, self.people_mark]
            .into_iter()
            .chain(preferred)
            .max()
            .unwrap_or_default()
    }

    /// The name to greet with: none when unknown, or when it is in doubt who is calling.
    pub fn greeting_name(&self) -> Option<&str> {
        if self.is_shared() {
            self.likely_person().map(|person| person.name.as_str())
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

    fn preference(person: Option<&str>) -> Preference {
        Preference {
            mark: DecisionMark::default(),
            text: format!("of {person:?}").into(),
            person: person.map(Into::into),
        }
    }

    #[test]
    fn a_preference_is_told_of_its_person_and_an_old_one_only_where_there_is_one() {
        let mut caller = Caller::new(PhoneNumber::parse("+14155550100").unwrap(), 1);
        caller.preferences = [preference(None), preference(Some("Misty"))].into();
        let told = |caller: &Caller, name: &str| caller.preferences_of(name).count();
        assert_eq!(told(&caller, "Misty"), 1, "nobody is known yet");
        caller.name = Some("Misty".into());
        assert_eq!((told(&caller, "Misty"), told(&caller, "Brock")), (2, 0));
        let person = |name: &str| Person {
            name: name.into(),
            first_at_ms: 1,
            last_at_ms: 1,
            heard_in_call: 0,
            consecutive_calls: 0,
        };
        caller.people = [person("Misty"), person("Brock")].into();
        assert_eq!((told(&caller, "Misty"), told(&caller, "Brock")), (1, 0));
    }

    #[test]
    fn preferences_and_people_of_older_rows_are_read() {
        let old = r#"[{"mark":{"at_ms":5,"step":1},"text":"likes water"}]"#;
        let read: Vec<Preference> = serde_json::from_str(old).unwrap();
        assert_eq!(read[0].person, None);
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        let old = r#"{"name":"Misty","first_at_ms":1,"last_at_ms":2}"#;
        let read: Person = serde_json::from_str(old).unwrap();
        assert_eq!(read.consecutive_calls, 0);
    }
}
