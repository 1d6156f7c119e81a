//! What the caller hears first. Decided from what is known in time; nothing is waited for here.

use super::naming::NameStart;
use super::phrases::{Phrases, is_speakable, with_name};
use crate::config::Line;
use calldex_storage::record::{Caller, CallerKind, NameState};
use compact_str::CompactString;

/// What the directory said in time.
#[derive(Clone, Copy)]
pub enum Recalled<'a> {
    /// A number that called before.
    Known(&'a Caller),
    /// A number never seen.
    New,
    /// The directory was too slow.
    TooSlow,
    /// No number to look up.
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

/// The first words of a call.
#[derive(Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Which.
    pub kind: GreetingKind,
    /// The words.
    pub text: String,
    /// Whether they ask for the caller's name.
    pub asks_name: bool,
    /// What is known of the caller, whether it says so or not.
    pub start: NameStart,
}

impl Greeting {
    /// The greeting for a caller; `vouched` is false where the network does not vouch for the number
    /// and the operator wants it to: nothing then says that the number is known.
    pub fn choose(line: &Line, recalled: Recalled<'_>, vouched: bool) -> Self {
        let recalled = match recalled {
            Recalled::Known(_) if !vouched => Recalled::New,
            other => other,
        };
        let chosen = match recalled {
            Recalled::Known(caller) => caller.language.as_deref(),
            _ => None,
        };
        let phrases = line.phrases(language_of(line, chosen));
        match recalled {
            Recalled::TooSlow => Self::plain(GreetingKind::TimedOut, &phrases.greet_neutral, false),
            Recalled::NoNumber => {
                Self::plain(GreetingKind::Withheld, &phrases.greet_neutral, false)
            }
            Recalled::New => Self::plain(GreetingKind::New, &phrases.greet_new, true),
            Recalled::Known(caller) => Self::to_known(phrases, caller),
        }
    }

    fn to_known(phrases: &Phrases, caller: &Caller) -> Self {
        let start = known_start(caller);
        let plain = if let Some(name) = &start.name {
            let text = with_name(&phrases.greet_known, name);
            let start = NameStart {
                said: true,
                identifies: !caller.is_shared() && caller.name_state != NameState::Heard,
                ..start
            };
            return Self {
                start,
                ..Self::plain(GreetingKind::ByName, &text, false)
            };
        } else if !start.people.is_empty() {
            Self::plain(GreetingKind::Neutral, &phrases.greet_who, true)
        } else if caller.name_state == NameState::Declined {
            Self::plain(GreetingKind::Neutral, &phrases.greet_declined, false)
        } else {
            Self::plain(GreetingKind::New, &phrases.greet_unnamed, true)
        };
        Self { start, ..plain }
    }

    /// One short sentence, said by Twilio as it connects again: after a lost connection, a hand-over that
    /// nobody took, or an end of ours.
    pub fn resumed(sentence: &str) -> Self {
        Self::plain(GreetingKind::Resumed, sentence, false)
    }

    /// A greeting that another instance chose: only its words are known.
    pub fn said(text: &str, asks_name: bool) -> Self {
        Self::plain(GreetingKind::Neutral, text, asks_name)
    }

    /// The caller became known after these words were chosen: their name was not said, but is known.
    pub fn know(&mut self, caller: &Caller) {
        self.start = known_start(caller);
    }

    fn plain(kind: GreetingKind, text: &str, asks_name: bool) -> Self {
        Self {
            kind,
            text: text.to_owned(),
            asks_name,
            start: NameStart::default(),
        }
    }
}

/// What is known of the people behind a number. A name that cannot be spoken is none.
fn known_start(caller: &Caller) -> NameStart {
    let name = caller.greeting_name().filter(|name| is_speakable(name));
    let people = caller.people.iter().map(|person| &person.name);
    let others = people.filter(|other| caller.is_shared() && name != Some(other.as_str()));
    NameStart {
        people: others
            .filter(|other| is_speakable(other))
            .cloned()
            .collect(),
        name: name.map(CompactString::from),
        ..NameStart::default()
    }
}

/// The language a call begins in: the caller's own choice where the line has it, else the line's.
pub fn language_of<'a>(line: &'a Line, chosen: Option<&str>) -> &'a str {
    chosen
        .and_then(|tag| line.offered(tag))
        .unwrap_or(&line.language)
}

/// The label `caller` of `calldex_calls_started_total`.
pub fn caller_label(kind: CallerKind, known: bool) -> &'static str {
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
    use crate::config::{Config, Lines};
    use calldex_storage::record::PhoneNumber;

    fn caller(name: &str) -> Caller {
        let mut caller = Caller::new(PhoneNumber::parse("+14155550100").unwrap(), 1);
        caller.name = Some(name.into());
        caller.name_state = NameState::Confirmed;
        caller
    }

    fn greeting(caller: &Caller, vouched: bool) -> Greeting {
        let line = Lines::new(&Config::default());
        Greeting::choose(line.of(""), Recalled::Known(caller), vouched)
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
                greeting.asks_name && greeting.start.name.is_none(),
                "{name:?}"
            );
        }
    }

    #[test]
    fn an_unvouched_number_is_greeted_as_if_it_were_new() {
        let line = Lines::new(&Config::default());
        let new = Greeting::choose(line.of(""), Recalled::New, false);
        let mut known = caller("Misty");
        known.language = Some("es-MX".into());
        assert!(greeting(&known, false) == new);
        assert!(greeting(&known, true) != new);
    }

    #[test]
    fn only_a_confirmed_name_of_the_only_person_identifies() {
        let known = caller("Misty");
        assert!(greeting(&known, true).start.identifies);
        let heard = Caller {
            name_state: NameState::Heard,
            ..known
        };
        let greeting = greeting(&heard, true);
        assert!(greeting.start.said && !greeting.start.identifies);
    }
}
