//! Input events and output actions of the call state machine.

use super::ownership_claim::CallOwner;
use super::tool_records::DetachedToolCall;
use crate::agent::{Finish, PromptContext, ReplyFailure, ToolCall, ToolSpec};
use crate::call::caller_name::NameSuggestion;
use crate::call::tool_runner::ToolOutcome;
use calldex_storage::record::CallOutcome;
use calldex_storage::write::Write;
use compact_str::CompactString;
use serde_json::{Map, Value};
use std::sync::Arc;

/// One thing that happened. Texts are borrowed from the frame or token they came in.
#[derive(Clone, Copy)]
pub enum CallEvent<'a> {
    /// Twilio understood the caller; `last` when the utterance is finished (docs/protocol.md 4.2).
    Prompt {
        /// The words.
        text: &'a str,
        /// BCP-47, or only its first part.
        language: &'a str,
        /// Only finished ones are answered.
        last: bool,
    },
    /// A key (docs/protocol.md 4.3).
    DtmfKey(char),
    /// The caller cut our speech; what they had heard of the clause in play (docs/protocol.md 4.4).
    Interrupted(&'a str),
    /// Our speech is audible, or no longer.
    AgentSpeaking(bool),
    /// The caller speaks, or no longer.
    CallerSpeaking(bool),
    /// A clause was played.
    TokensPlayed(&'a str),
    /// A token of the reply asked for last.
    ReplyToken(&'a str),
    /// A tool call of that reply.
    ToolCalled(&'a ToolCall),
    /// A tool of [`CallAction::StartTool`] is done, or its time is over.
    ToolReturned {
        /// Our id of the call.
        id: &'a str,
        /// What came of it.
        outcome: &'a ToolOutcome,
    },
    /// That reply is complete.
    ReplyCompleted(&'a Finish),
    /// That reply failed.
    ReplyFailed(ReplyFailure),
    /// The model's opinion about the caller's name.
    NameVerified(NameSuggestion<'a>),
    /// A new session of the same call: after a lost socket.
    Resumed {
        /// `VX…`
        session_id: &'a str,
        /// Whether the caller has already been told (by the greeting of the TwiML).
        twiml_greeting: Option<&'a str>,
        /// Whether the return was counted already, by whoever answered the request before it.
        already_counted: bool,
        /// Whether the connection was lost; else the call had been ended or given away by us, and what the
        /// caller is told belongs to the conversation.
        connection_lost: bool,
    },
    /// A deadline of [`super::CallState::deadline`] has passed.
    DeadlineReached,
    /// The server cannot wait for this call any longer.
    Drain,
    /// The server is stopping and others are not: the call is to leave at a turn boundary.
    Relocate {
        /// Not before, on the clock of [`super::EventTime::ms`].
        from_ms: u64,
        /// And then whatever is being said.
        by_ms: u64,
    },
    /// The others are gone before the call has left: it stays.
    CancelRelocation,
    /// Storage told who owns the call.
    OwnerChanged(CallOwner),
    /// The socket is gone.
    SocketClosed,
}

/// A sentence of ours, said at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenSentence {
    /// The words.
    pub text: String,
    /// The next thing we say may cut it off: a filler (docs/protocol.md 5.2).
    pub preemptible: bool,
    /// The caller may not cut it off.
    pub uninterruptible: bool,
}

/// One thing to be done, in order.
#[derive(Debug)]
pub enum CallAction {
    /// The token of this event goes to the socket as it is.
    SendToken,
    /// More words of the reply in play, without ending it.
    AppendText(String),
    /// The reply in play is complete: `last:true`.
    CloseReply,
    /// A whole sentence, closed by its own `last:true`.
    Say(SpokenSentence),
    /// The same in another language than the voice's own (BCP 47).
    AppendTextInLanguage(String, CompactString),
    /// Speech and recognition change to these languages (BCP 47, or `multi`).
    SetLanguage {
        /// Spoken from now on.
        tts_language: String,
        /// Understood from now on.
        transcription_language: String,
    },
    /// The session ends; the text is `handoffData`.
    EndSession(Option<String>),
    /// The agent is to reply; a reply before it was aborted.
    RequestReply(Box<PromptContext>),
    /// The reply is not wanted any more.
    AbortReply,
    /// A tool of the operator is to be run; [`CallEvent::ToolReturned`] follows.
    StartTool {
        /// Which.
        spec: Arc<ToolSpec>,
        /// Our id of the call.
        id: CompactString,
        /// Arguments that fit its schema.
        arguments: Map<String, Value>,
        /// When its time is over, on the clock of [`super::EventTime::ms`].
        by_ms: u64,
    },
    /// The tool call of this id is broken off; nothing follows.
    CancelTool(CompactString),
    /// The call is left while this tool runs: what comes of it is kept.
    DetachTool(Box<DetachedToolCall>),
    /// The model verifies a name in the background.
    VerifyName {
        /// What we had said.
        question: String,
        /// What the caller answered.
        answer: String,
    },
    /// To be kept.
    Record(Write),
    /// To be counted.
    Count(CallMetric),
    /// The call is over, whatever the socket does; it took this many milliseconds.
    EndCall(CallOutcome, u64),
    /// The session closes its socket and leaves the call to another.
    ExitSession(ExitReason),
}

/// Why a session leaves a call that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// Another session has it.
    TakenOver,
    /// So that another instance takes it up; what is recorded must be there first.
    Relocated,
}

impl ExitReason {
    /// In a word, for the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::TakenOver => "taken",
            Self::Relocated => "moved",
        }
    }
}

/// What operators count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CallMetric {
    /// A turn, by role.
    Turn(&'static str),
    /// An interruption, by `speech` or `dtmf`.
    Interruption(&'static str),
    /// A filler.
    Filler,
    /// An apology for the model.
    Apology,
    /// A step of the name workflow.
    NameEvent(&'static str),
    /// From the caller's last word to our first, in milliseconds.
    FirstToken(u64),
    /// An answer begun on a partial prompt.
    PreemptiveStart,
    /// A repeated event after a reconnect.
    RepeatedPrompt,
    /// A claim on the call that came too late.
    ClaimLost,
    /// A text of the prompt that could not be rendered, by its setting.
    PromptTextFailed(&'static str),
}
