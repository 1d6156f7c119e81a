//! What the caller hears first. Decided from what is known in time; nothing is waited for here.

use super::phrases::{Phrases, with_name};
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
    /// The name spoken in it.
    pub name: Option<CompactString>,
    /// People known on this number, where it names nobody.
    pub people: Vec<CompactString>,
}

impl Greeting {
    /// The greeting for a caller; `may_name` is false where the network does not vouch for the
    /// number and the operator wants it to.
    pub fn choose(line: &Line, recalled: Recalled<'_>, may_name: bool) -> Self {
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
            Recalled::Known(caller) => Self::to_known(phrases, caller, may_name),
        }
    }

    fn to_known(phrases: &Phrases, caller: &Caller, may_name: bool) -> Self {
        if caller.is_ambiguous() || (caller.name.is_some() && !may_name) {
            let people = caller.people.iter().map(|person| person.name.clone());
            let people = people.chain(caller.name.clone()).collect();
            return Self {
                people,
                ..Self::plain(GreetingKind::Neutral, &phrases.greet_who, true)
            };
        }
        match caller.greeting_name() {
            Some(name) => Self {
                name: Some(name.into()),
                ..Self::plain(
                    GreetingKind::ByName,
                    &with_name(&phrases.greet_known, name),
                    false,
                )
            },
            None if caller.name_state == NameState::Declined => {
                Self::plain(GreetingKind::Neutral, &phrases.greet_declined, false)
            }
            None => Self::plain(GreetingKind::New, &phrases.greet_unnamed, true),
        }
    }

    /// After a lost connection: one short sentence, said by Twilio as it connects again.
    pub fn resumed(phrases: &Phrases) -> Self {
        Self::plain(GreetingKind::Resumed, &phrases.resumed, false)
    }

    /// A greeting that another instance chose: only its words are known.
    pub fn said(text: &str, asks_name: bool) -> Self {
        Self::plain(GreetingKind::Neutral, text, asks_name)
    }

    /// The caller became known after these words were chosen: their name was not said, but is known.
    pub fn know(&mut self, caller: &Caller) {
        self.name = caller.greeting_name().map(Into::into);
        if caller.is_ambiguous() {
            self.people = caller
                .people
                .iter()
                .map(|person| person.name.clone())
                .collect();
        }
    }

    /// The name and people that the name workflow begins with.
    pub fn naming(&self) -> (Option<CompactString>, Vec<CompactString>) {
        (self.name.clone(), self.people.clone())
    }

    fn plain(kind: GreetingKind, text: &str, asks_name: bool) -> Self {
        Self {
            kind,
            text: text.to_owned(),
            asks_name,
            name: None,
            people: Vec::new(),
        }
    }
}

/// The language a call begins in: the caller's own choice where the line has it, else the line's.
pub fn language_of<'a>(line: &'a Line, chosen: Option<&'a str>) -> &'a str {
    let offered = |tag: &&str| {
        line.languages
            .iter()
            .any(|offered| offered.eq_ignore_ascii_case(tag))
    };
    chosen.filter(offered).unwrap_or(&line.language)
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
