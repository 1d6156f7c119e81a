//! What the caller gets to hear, and how a call ends.

use super::{http::WebhookAnswer, twiml::Twiml};
use std::time::Duration;

/// One `text` frame of a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub text: String,
    /// Real time since the caller's last final prompt or key (since `setup` before there was one).
    pub at: Duration,
}

/// One reply: the text frames of a talk cycle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// All tokens strung together.
    pub text: String,
    pub tokens: Vec<Token>,
    /// Real time from the caller's last final prompt or key to the first token that is not empty.
    pub first_token: Option<Duration>,
    /// Real time from the same moment to `last:true`.
    pub whole: Duration,
    /// What has been played of it so far (what `tokensPlayed` reports, spaces kept).
    pub played: String,
    /// Every token was marked `preemptible`, in a session where that is not the rule: a bridge or a progress note,
    /// after which the real reply is to come.
    pub preemptible: bool,
    /// Cut by the caller or by a later message.
    pub cut: bool,
    /// `lang` of its first token that had one.
    pub lang: Option<String>,
}

/// An interrupt as it was reported to the server.
#[derive(Clone, Debug, PartialEq)]
pub struct InterruptReport {
    /// `utteranceUntilInterrupt`: what was heard of the clause in play.
    pub fragment: String,
    /// `durationUntilInterruptMs`, in Twilio's time.
    pub duration_ms: u64,
    /// The replies that were thrown away, the one in play first.
    pub replies: Vec<Reply>,
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The caller hung up.
    HungUp,
    /// TwiML came to its end or said so (`<Hangup>`, `<Reject>`, a `<Say>` with nothing after it).
    Twiml,
    /// TwiML handed the call to someone (`<Dial>`, `<Enqueue>`), whose address this is.
    HandedOver(String),
    /// The session failed and no TwiML took the call up.
    Failed(String),
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct EndedCall {
    pub cause: EndCause,
    /// Answers to the action requests, in order.
    pub actions: Vec<ActionAnswer>,
    /// What TwiML's `<Say>` spoke, in order.
    pub said: Vec<String>,
    /// The status callback's HTTP status; `None` if none was sent or nobody answered.
    pub status_callback: Option<u16>,
}

/// An action request and what came back.
#[derive(Clone, Debug)]
pub struct ActionAnswer {
    /// `completed`, `ended` or `failed`.
    pub session_status: String,
    /// The form that was sent.
    pub form: Vec<(String, String)>,
    pub answer: WebhookAnswer,
    /// Real time for which the server refused connections before it answered ([`super::TwilioConfig::action_patience`]).
    /// Above zero, the real Twilio would have given up (11200) unless the number has a fallback URL.
    pub refused_for: Duration,
    /// The TwiML, where the answer was valid.
    pub twiml: Option<Twiml>,
}

/// What came of a dropped socket.
#[derive(Clone, Debug)]
pub enum AfterDrop {
    /// A new session stands.
    Reconnected { session_id: String },
    /// The call is over.
    Ended(EndedCall),
}
