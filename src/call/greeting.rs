//! Chooses the greeting from the data that is available in time. Waits for nothing.

use super::caller_name::InitialCallerName;
use super::phrases::{CannedPhrases, fill_name, is_speakable_name};
use crate::config::PhoneLine;
use calldex_storage::record::{Caller, CallerKind, NameState};
use compact_str::CompactString;

/// The result of the caller look-up.
#[derive(Clone, Copy)]
pub enum CallerLookup<'a> {
    /// A number that called before.
    Known(&'a Caller),
    /// A number never seen.
    New,
    /// The look-up timed out.
    TooSlow,
    /// There is no number to look up.
    NoNumber,
}

/// Which greeting it was: the label `greeting` of `calldex_greetings_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GreetingKind {
    /// With the caller's name in it.
    ByName,
    /// To a number that is new, or nameless: asks for the name.
    New,
    /// Without a name, to a known number: several people use it, or they did not give one.
    Neutral,
    /// The directory did not answer in time.
    TimedOut,
    /// No number.
    Withheld,
    /// After a lost connection.
    Resumed,
}

impl GreetingKind {
    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::ByName => "by_name",
            Self::New => "new",
            Self::Neutral => "neutral",
            Self::TimedOut => "timed_out",
            Self::Withheld => "withheld",
            Self::Resumed => "resumed",
        }
    }
}

/// The greeting of a call.
#[derive(Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Which.
    pub kind: GreetingKind,
    /// The words.
    pub text: String,
    /// Whether they ask for the caller's name.
    pub asks_name: bool,
    /// What is known of the caller, whether it says so or not.
    pub initial_name: InitialCallerName,
}

impl Greeting {
    /// The greeting for a caller; `vouched` is false where the network does not vouch for the number
    /// and the operator wants it to: nothing then says that the number is known.
    pub fn choose(line: &PhoneLine, recalled: CallerLookup<'_>, number_trusted: bool) -> Self {
        let recalled = match recalled {
            CallerLookup::Known(_) if !number_trusted => CallerLookup::New,
            other => other,
        };
        let chosen = match recalled {
            CallerLookup::Known(caller) => caller.language.as_deref(),
            _ => None,
        };
        let phrases = line.phrases(call_language(line, chosen));
        match recalled {
            CallerLookup::TooSlow => {
                Self::new(GreetingKind::TimedOut, &phrases.greet_neutral, false)
            }
            CallerLookup::NoNumber => {
                Self::new(GreetingKind::Withheld, &phrases.greet_neutral, false)
            }
            CallerLookup::New => Self::new(GreetingKind::New, &phrases.greet_new, true),
            CallerLookup::Known(caller) => Self::for_known_caller(phrases, caller),
        }
    }

    fn for_known_caller(phrases: &CannedPhrases, caller: &Caller) -> Self {
        let initial_name = initial_name_of(caller);
        let plain = if let Some(name) = &initial_name.name {
            let text = fill_name(&phrases.greet_known, name);
            let initial_name = InitialCallerName {
                greeted_by_name: true,
                identifies_caller: !caller.is_shared() && caller.name_state != NameState::Heard,
                ..initial_name
            };
            return Self {
                initial_name,
                ..Self::new(GreetingKind::ByName, &text, false)
            };
        } else if !initial_name.other_people.is_empty() {
            Self::new(GreetingKind::Neutral, &phrases.greet_who, true)
        } else if caller.name_state == NameState::Declined {
            Self::new(GreetingKind::Neutral, &phrases.greet_declined, false)
        } else {
            Self::new(GreetingKind::New, &phrases.greet_unnamed, true)
        };
        Self {
            initial_name,
            ..plain
        }
    }

    /// One short sentence, said by Twilio as it connects again: after a lost connection, a handoff that
    /// nobody took, or an end of ours.
    pub fn after_reconnect(sentence: &str) -> Self {
        Self::new(GreetingKind::Resumed, sentence, false)
    }

    /// A greeting that another instance chose: only its words are known.
    pub fn from_twiml(text: &str, asks_name: bool) -> Self {
        Self::new(GreetingKind::Neutral, text, asks_name)
    }

    /// The caller became known after these words were chosen: their name was not said, but is known.
    pub fn set_known_caller(&mut self, caller: &Caller) {
        self.initial_name = initial_name_of(caller);
    }

    fn new(kind: GreetingKind, text: &str, asks_name: bool) -> Self {
        Self {
            kind,
            text: text.to_owned(),
            asks_name,
            initial_name: InitialCallerName::default(),
        }
    }
}

/// What is known of the people behind a number. A name that cannot be spoken is none.
fn initial_name_of(caller: &Caller) -> InitialCallerName {
    let name = caller
        .greeting_name()
        .filter(|name| is_speakable_name(name));
    let people = caller.people.iter().map(|person| &person.name);
    let others = people.filter(|other| caller.is_shared() && name != Some(other.as_str()));
    InitialCallerName {
        other_people: others
            .filter(|other| is_speakable_name(other))
            .cloned()
            .collect(),
        name: name.map(CompactString::from),
        ..InitialCallerName::default()
    }
}

/// The language a call begins in: the caller's own choice where the line has it, else the line's.
pub fn call_language<'a>(line: &'a PhoneLine, chosen: Option<&str>) -> &'a str {
    chosen
        .and_then(|tag| line.language_like(tag))
        .unwrap_or(&line.language)
}

/// The label `caller` of `calldex_calls_started_total`.
pub fn caller_metric_label(kind: CallerKind, known: bool) -> &'static str {
    match kind {
        CallerKind::Number if known => "known",
        CallerKind::Number => "new",
        CallerKind::Withheld => "withheld",
        CallerKind::Sip => "sip",
        CallerKind::Client => "client",
        CallerKind::Other => "unusable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, PhoneLines};
    use calldex_storage::record::PhoneNumber;

    fn caller(name: &str) -> Caller {
        let mut caller = Caller::new(PhoneNumber::parse("+14155550100").unwrap(), 1);
        caller.name = Some(name.into());
        caller.name_state = NameState::Confirmed;
        caller
    }

    fn greeting(caller: &Caller, number_trusted: bool) -> Greeting {
        let line = PhoneLines::new(&Config::default());
        Greeting::choose(
            line.for_number(""),
            CallerLookup::Known(caller),
            number_trusted,
        )
    }

    #[test]
    fn a_name_that_cannot_be_spoken_is_no_name() {
        for name in ["", "   ", "😀", "<b></b>", "12345", "-", "\u{200d}"] {
            let greeting = greeting(&caller(name), true);
            assert_eq!(
                greeting.kind,
                GreetingKind::New,
                "{name:?}: {}",
                greeting.text
            );
            assert!(
                greeting.asks_name && greeting.initial_name.name.is_none(),
                "{name:?}"
            );
        }
    }

    #[test]
    fn an_unvouched_number_is_greeted_as_if_it_were_new() {
        let line = PhoneLines::new(&Config::default());
        let new = Greeting::choose(line.for_number(""), CallerLookup::New, false);
        let mut known = caller("Misty");
        known.language = Some("es-MX".into());
        assert!(greeting(&known, false) == new);
        assert!(greeting(&known, true) != new);
    }

    #[test]
    fn only_a_confirmed_name_of_the_only_person_identifies() {
        let known = caller("Misty");
        assert!(greeting(&known, true).initial_name.identifies_caller);
        let heard = Caller {
            name_state: NameState::Heard,
            ..known
        };
        let greeting = greeting(&heard, true);
        assert!(greeting.initial_name.greeted_by_name && !greeting.initial_name.identifies_caller);
    }
}
