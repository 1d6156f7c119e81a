//! `info` frames: what happens on the line (protocol 4.6). They come only with `events` or
//! `debug` in the TwiML.

use super::heard::{bounded, owned};
use super::lenient::Loose;
use std::borrow::Cow;
use std::fmt;

/// One observation. `Debug` prints no words.
#[derive(Clone, PartialEq, Eq)]
pub enum Info<'a> {
    /// We begin (`true`) or cease to be audible.
    AgentSpeaking(bool),
    /// The caller begins (`true`) or ceases to speak.
    ClientSpeaking(bool),
    /// A chunk of ours was spoken, with its leading space; one that was cut only as far as it
    /// was heard.
    TokensPlayed(Cow<'a, str>),
    /// Milliseconds to the caller and back.
    RoundTripDelayMs(u64),
    /// Another observation, or one of the above with a value that says nothing.
    Other {
        /// Its name, cut to 32 characters of `[A-Za-z0-9_-]`.
        name: String,
    },
}

impl<'a> Info<'a> {
    pub(super) fn read(name: Loose<'a>, value: Loose<'a>) -> Self {
        let known = match name.as_str() {
            "tokensPlayed" if value.is_some() => return Self::TokensPlayed(value.text()),
            "agentSpeaking" => value.truth().map(Self::AgentSpeaking),
            "clientSpeaking" => value.truth().map(Self::ClientSpeaking),
            "roundTripDelayMs" => value.count().map(Self::RoundTripDelayMs),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other {
            name: bounded(name.as_str()),
        })
    }

    /// The same without the frame's text.
    pub fn into_owned(self) -> Info<'static> {
        match self {
            Self::AgentSpeaking(on) => Info::AgentSpeaking(on),
            Self::ClientSpeaking(on) => Info::ClientSpeaking(on),
            Self::TokensPlayed(text) => Info::TokensPlayed(owned(text)),
            Self::RoundTripDelayMs(ms) => Info::RoundTripDelayMs(ms),
            Self::Other { name } => Info::Other { name },
        }
    }
}

impl fmt::Debug for Info<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentSpeaking(on) => write!(f, "AgentSpeaking({on})"),
            Self::ClientSpeaking(on) => write!(f, "ClientSpeaking({on})"),
            Self::TokensPlayed(text) => write!(f, "TokensPlayed({} bytes)", text.len()),
            Self::RoundTripDelayMs(ms) => write!(f, "RoundTripDelayMs({ms})"),
            Self::Other { name } => write!(f, "Other({name})"),
        }
    }
}
