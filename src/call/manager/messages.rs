//! What the webhooks ask of the call manager, and its answers.

use crate::call::greeting::Greeting;
use crate::call::peers::LogPosition;
use crate::config::PhoneLine;
use crate::twilio::identity::{Attestation, CallerIdentity};
use calldex_storage::record::CallOutcome;
use compact_str::CompactString;

/// Who calls, as the webhook or the `setup` frame says.
pub struct IncomingCall {
    /// `CA…`
    pub call_sid: CompactString,
    /// Who.
    pub caller: CallerIdentity,
    /// The number called, as given.
    pub called_number: CompactString,
    /// How far the network vouches for the number.
    pub attestation: Attestation,
}

/// A sentence that Twilio itself says before it hangs up.
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

    /// The worst case, in the language of the line.
    pub(super) fn for_failure(line: &PhoneLine, language: &str) -> Self {
        Self::new(&line.phrases(language).failed, language)
    }
}

/// What a webhook is answered with.
pub enum WebhookReply {
    /// Connect to the relay, with this document.
    Connect(String),
    /// The same document as before: the request was repeated.
    Repeat(String),
    /// Say this and hang up.
    Reject(SpokenRejection),
}

/// What the document that connects a call must say.
pub struct RelayConnect<'a> {
    /// The number called.
    pub called_number: &'a str,
    /// The line.
    pub line: &'a PhoneLine,
    /// The first words.
    pub greeting: &'a Greeting,
    /// The language they are in.
    pub language: &'a str,
    /// What this instance knows, for whoever takes the call up.
    pub log_position: LogPosition,
    /// The call was up before: the greeting is the one short sentence for that.
    pub resume_token: Option<ResumeToken>,
    /// Its last session broke because the speech or recognition provider failed.
    pub provider_failed: bool,
}

/// What the first frame of a socket says.
pub struct SessionSetup<'a> {
    /// Who calls.
    pub incoming_call: IncomingCall,
    /// `VX…`
    pub session_id: &'a str,
    /// The greeting that the TwiML of this session held, and whether it asked for the name.
    pub greeting: Option<(&'a str, bool)>,
    /// The TwiML of this session was an answer to a lost one; what it said of the call.
    pub resume_token: Option<ResumeToken>,
    /// The call had been answered before this session (`IN_PROGRESS`).
    pub in_progress: bool,
    /// How far the instance had come that wrote the TwiML.
    pub log_position: LogPosition,
}

impl SessionSetup<'_> {
    /// Whether the call had a session before this one.
    pub(super) fn had_earlier_session(&self) -> bool {
        self.resume_token.is_some() || self.in_progress
    }
}

/// What happens after a session ended while its call goes on.
pub enum ReconnectDecision {
    /// Connect again, with this document.
    Reconnect(String),
    /// Say this and hang up.
    SayAndHangUp(SpokenRejection),
    /// We had ended it ourselves, with this outcome: nothing is left to say.
    AlreadyEnded(CallOutcome),
}

/// Why a call has to be connected again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconnectCause {
    /// Its session broke.
    ConnectionLost,
    /// It was handed off, and nobody took it.
    HandoffUnanswered,
    /// We had ended it or given it away, and it came back.
    EndedByUs,
}

/// What brings a call back.
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

/// A request about a call that was up before.
pub struct ReconnectRequest<'a> {
    /// What it is.
    pub trigger: ReconnectTrigger,
    /// How far the instance had come that wrote the URL.
    pub log_position: LogPosition,
    /// The session that ended; empty if that is not said.
    pub session_id: &'a str,
    /// Whether it proves that the call was up before.
    pub proves_known: bool,
    /// The speech or recognition provider failed.
    pub provider_failed: bool,
}

impl ReconnectRequest<'_> {
    /// A request that says nothing more.
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

/// What is known of a call that is connected again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeToken {
    /// The epoch that it is owned in, as far as is known.
    pub owner_epoch: Option<u32>,
    /// Its return was counted with a claim in that epoch.
    pub reconnect_counted: bool,
    /// Why it is connected again.
    pub cause: ReconnectCause,
}
