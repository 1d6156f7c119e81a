//! What the webhooks ask of the call manager, and its answers.

use crate::call::greeting::Greeting;
use crate::call::peers::LogPosition;
use crate::config::PhoneLine;
use crate::twilio::identity::{Attestation, CallerIdentity};
use calldex_storage::record::CallOutcome;
use compact_str::CompactString;

/// A call as the webhook or the `setup` frame describes it.
pub struct IncomingCall {
    /// `CA…`
    pub call_sid: CompactString,
    /// The caller.
    pub caller: CallerIdentity,
    /// The number called, as given.
    pub called_number: CompactString,
    /// The network's attestation of the number.
    pub attestation: Attestation,
}

/// A message that Twilio says before it hangs up.
pub struct SpokenRejection {
    /// The words.
    pub text: String,
    /// The language they are in (BCP-47).
    pub language: String,
}

impl SpokenRejection {
    pub(super) fn new(text: &str, language: &str) -> Self {
        Self {
            text: text.to_owned(),
            language: language.to_owned(),
        }
    }

    /// The message for a failure, in `language`.
    pub(super) fn for_failure(line: &PhoneLine, language: &str) -> Self {
        Self::new(&line.phrases(language).failed, language)
    }
}

/// The answer to a voice webhook.
pub enum WebhookReply {
    /// Connect to ConversationRelay with this TwiML.
    Connect(String),
    /// The request was repeated: the TwiML as before.
    Repeat(String),
    /// Say this and hang up.
    Reject(SpokenRejection),
}

/// The contents of the TwiML that connects a call.
pub struct RelayConnect<'a> {
    /// The number called.
    pub called_number: &'a str,
    /// The line.
    pub line: &'a PhoneLine,
    /// The greeting.
    pub greeting: &'a Greeting,
    /// The language of the greeting (BCP-47).
    pub language: &'a str,
    /// The log position of this instance, for the instance that opens the session.
    pub log_position: LogPosition,
    /// Set if the call had a session before: then the greeting is the short message for a reconnect.
    pub resume_token: Option<ResumeToken>,
    /// Its last session broke because the speech or recognition provider failed.
    pub provider_failed: bool,
}

/// The contents of the first frame of a socket.
pub struct SessionSetup<'a> {
    /// The call.
    pub incoming_call: IncomingCall,
    /// `VX…`
    pub session_id: &'a str,
    /// The greeting that the TwiML of this session held, and whether it asked for the name.
    pub greeting: Option<(&'a str, bool)>,
    /// The token in the TwiML of this session, if the call had a session before.
    pub resume_token: Option<ResumeToken>,
    /// The call had been answered before this session (`IN_PROGRESS`).
    pub in_progress: bool,
    /// The log position of the instance that wrote the TwiML.
    pub log_position: LogPosition,
}

impl SessionSetup<'_> {
    /// Whether the call had a session before this one.
    pub(super) fn had_earlier_session(&self) -> bool {
        self.resume_token.is_some() || self.in_progress
    }
}

/// The answer to a request about a call whose session ended.
pub enum ReconnectDecision {
    /// Connect again with this TwiML.
    Reconnect(String),
    /// Say this and hang up.
    SayAndHangUp(SpokenRejection),
    /// The server had ended the call itself, with this outcome: there is nothing to say.
    AlreadyEnded(CallOutcome),
}

/// Why a call has to be connected again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconnectCause {
    /// The connection was lost.
    ConnectionLost,
    /// The handoff was not answered.
    HandoffUnanswered,
    /// The server had ended the call or handed it off, and the call is still in progress.
    EndedByUs,
}

/// The kind of request that connects a call again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconnectTrigger {
    /// The action of a session that was lost.
    Action,
    /// A voice webhook for a call that is in progress.
    Redirect,
    /// The action of a `<Dial>` that nobody answered.
    HandoffUnanswered,
}

impl ReconnectTrigger {
    /// The label `of_trigger` of `calldex_calls_taken_over_total`.
    pub(super) fn takeover_label(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Redirect => "redirect",
            Self::HandoffUnanswered => "action",
        }
    }
}

/// A request about a call that had a session before.
pub struct ReconnectRequest<'a> {
    /// The kind of request.
    pub trigger: ReconnectTrigger,
    /// The log position of the instance that wrote the URL.
    pub log_position: LogPosition,
    /// The session that ended; empty if not known.
    pub session_id: &'a str,
    /// Whether the request proves that the call had a session before.
    pub proves_known: bool,
    /// The speech or recognition provider failed.
    pub provider_failed: bool,
}

impl ReconnectRequest<'_> {
    /// A request with no further details.
    pub fn of_trigger(trigger: ReconnectTrigger) -> Self {
        Self {
            trigger,
            log_position: LogPosition::default(),
            session_id: "",
            proves_known: true,
            provider_failed: false,
        }
    }
}

/// What the TwiML that reconnects a call says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeToken {
    /// The epoch of its owner, if known.
    pub owner_epoch: Option<u32>,
    /// A claim in that epoch has counted the reconnect.
    pub reconnect_counted: bool,
    /// Why it is connected again.
    pub cause: ReconnectCause,
}
