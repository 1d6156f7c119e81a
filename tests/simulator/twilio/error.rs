//! Why a simulated call cannot go on.

use super::reply::Reply;
use std::time::Duration;

/// What went wrong, in the terms in which Twilio or the caller would see it.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The configuration cannot be used (a bad URL, a speed of zero).
    #[error("the simulator's settings are wrong: {0}")]
    Settings(String),
    /// Nothing answers at the server's address; a caller hears busy (11205).
    #[error("nothing answers at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The server's machine refuses the connection: no process listens there (11205).
    #[error("nothing listens at {url}")]
    Refused { url: String },
    /// No answer within the 15 seconds that Twilio allows (11205).
    #[error("no answer from {url} within {waited:?}")]
    WebhookTimedOut { url: String, waited: Duration },
    /// The webhook answered with something else than 200 (11200).
    #[error("the webhook {url} answered {status}")]
    WebhookStatus { url: String, status: u16 },
    /// The webhook's answer is no TwiML (12100, 12200, 12300).
    #[error("the answer is not valid TwiML: {0}")]
    Twiml(#[from] super::twiml::TwimlError),
    /// The relay's attributes are refused (64101).
    #[error("the relay's settings are refused (64101): {0}")]
    RelaySettings(String),
    /// The WebSocket was not opened (64102); `status` is the HTTP answer if there was one.
    #[error("the relay socket {url} was not opened (64102): {reason}")]
    Handshake {
        url: String,
        status: Option<u16>,
        reason: String,
    },
    /// The call has ended.
    #[error("the call has ended")]
    Ended,
    /// There is no relay session just now (between a drop and the reconnect).
    #[error("there is no relay session at this moment")]
    NoSession,
    /// The agent was to be interrupted, and was not speaking.
    #[error("the agent was not speaking, so nothing could be interrupted")]
    NotSpeaking,
    /// The caller spoke over the agent, and the agent spoke on (`interruptible`).
    #[error("the agent could not be interrupted")]
    NotInterrupted,
    /// No whole reply in time; what had come is in it.
    #[error("no whole reply within {waited:?}; {} tokens so far", partial.tokens.len())]
    NoReply {
        waited: Duration,
        partial: Box<Reply>,
    },
    /// Something else was waited for in vain.
    #[error("waited {waited:?} in vain for {what}")]
    TimedOut {
        what: &'static str,
        waited: Duration,
    },
}
