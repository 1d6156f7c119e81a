//! `info` frames: events on the line (docs/protocol.md 4.6). Twilio sends them only with `events` or
//! `debug` in the TwiML.

use super::lenient::LenientScalar;
use super::raw_frame::to_label;
use std::borrow::Cow;
use std::fmt;

/// One observation. `Debug` prints no words.
#[derive(Clone, PartialEq, Eq)]
pub enum InfoFrame<'a> {
    /// The agent begins (`true`) or stops to be audible.
    AgentSpeaking(bool),
    /// The caller begins (`true`) or stops to speak.
    ClientSpeaking(bool),
    /// A chunk of ours was spoken, with its leading space; one that was cut only as far as it
    /// was heard.
    TokensPlayed(Cow<'a, str>),
    /// Another observation, or one of the above with a value that says nothing.
    Other {
        /// Its name, cut to 32 characters of `[A-Za-z0-9_-]`.
        name: String,
    },
}

impl<'a> InfoFrame<'a> {
    pub(super) fn from_raw(name: LenientScalar<'a>, value: LenientScalar<'a>) -> Self {
        let known = match name.as_str() {
            "tokensPlayed" if value.is_some() => return Self::TokensPlayed(value.into_text()),
            "agentSpeaking" => value.as_bool().map(Self::AgentSpeaking),
            "clientSpeaking" => value.as_bool().map(Self::ClientSpeaking),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other {
            name: to_label(name.as_str()),
        })
    }
}

impl fmt::Debug for InfoFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentSpeaking(on) => write!(f, "AgentSpeaking({on})"),
            Self::ClientSpeaking(on) => write!(f, "ClientSpeaking({on})"),
            Self::TokensPlayed(text) => write!(f, "TokensPlayed({} bytes)", text.len()),
            Self::Other { name } => write!(f, "Other({name})"),
        }
    }
}
