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

/// An input of the state machine. Texts are borrowed from the frame or token that held them.
#[derive(Clone, Copy)]
pub enum CallEvent<'a> {
    /// A transcription of the caller's speech (docs/protocol.md 4.2).
    Prompt {
        /// The words.
        text: &'a str,
        /// BCP-47, or only its first part.
        language: &'a str,
        /// The utterance is complete. Only complete utterances are answered.
        last: bool,
    },
    /// The caller pressed a key (docs/protocol.md 4.3).
    DtmfKey(char),
    /// The caller interrupted the agent. The text is the part of the current clause that they heard
    /// (docs/protocol.md 4.4).
    Interrupted(&'a str),
    /// The agent's speech started (`true`) or stopped.
    AgentSpeaking(bool),
    /// The caller started (`true`) or stopped speaking.
    CallerSpeaking(bool),
    /// Twilio played this clause to its end.
    TokensPlayed(&'a str),
    /// A token of the reply requested last.
    ReplyToken(&'a str),
    /// A tool call of that reply.
    ToolCalled(&'a ToolCall),
    /// A tool of [`CallAction::StartTool`] returned, failed or timed out.
    ToolReturned {
        /// Our id of the call.
        id: &'a str,
        /// Its result.
        outcome: &'a ToolOutcome,
    },
    /// That reply is complete.
    ReplyCompleted(&'a Finish),
    /// That reply failed.
    ReplyFailed(ReplyFailure),
    /// The model's answer to [`CallAction::VerifyName`].
    NameVerified(NameSuggestion<'a>),
    /// A new session of the same call.
    Resumed {
        /// `VX…`
        session_id: &'a str,
        /// The greeting of the TwiML that opened the session, which Twilio says itself.
        twiml_greeting: Option<&'a str>,
        /// The request before the session counted the reconnect already.
        already_counted: bool,
        /// The connection was lost. Otherwise the server had ended the call or handed it off, and the
        /// greeting is part of the conversation.
        connection_lost: bool,
    },
    /// The time of [`super::CallState::deadline`] has come.
    DeadlineReached,
    /// The server stops: the call says goodbye and ends.
    Drain,
    /// The server stops, and another instance can continue the call: it leaves between two turns.
    Relocate {
        /// The earliest time, on the clock of [`super::EventTime::ms`].
        from_ms: u64,
        /// The latest time, even within a turn.
        by_ms: u64,
    },
    /// No other instance can continue the call any more: it stays.
    CancelRelocation,
    /// Storage reported the owner of the call.
    OwnerChanged(CallOwner),
    /// The socket closed.
    SocketClosed,
}

/// A whole sentence for Twilio to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenSentence {
    /// The words.
    pub text: String,
    /// The next speech may cut it off: a filler (docs/protocol.md 5.2).
    pub preemptible: bool,
    /// The caller may not cut it off.
    pub uninterruptible: bool,
}

/// An output of the state machine. The session carries the actions out in order.
#[derive(Debug)]
pub enum CallAction {
    /// Send the token of this event unchanged.
    SendToken,
    /// Send more words of the current reply, with `last:false`.
    AppendText(String),
    /// Close the current reply with `last:true`.
    CloseReply,
    /// Send a whole sentence with its own `last:true`.
    Say(SpokenSentence),
    /// [`CallAction::AppendText`] in another language than the voice's (BCP-47).
    AppendTextInLanguage(String, CompactString),
    /// Change the languages of speech and recognition (BCP-47, or `multi`).
    SetLanguage {
        /// The language of speech.
        tts_language: String,
        /// The language of recognition.
        transcription_language: String,
    },
    /// Send `end`. The text is `handoffData`.
    EndSession(Option<String>),
    /// Request a reply from the agent. The reply before it was aborted.
    RequestReply(Box<PromptContext>),
    /// Cancel the requested reply.
    AbortReply,
    /// Run a tool of the operator. [`CallEvent::ToolReturned`] follows.
    StartTool {
        /// The tool.
        spec: Arc<ToolSpec>,
        /// Our id of the call.
        id: CompactString,
        /// Arguments that conform to its schema.
        arguments: Map<String, Value>,
        /// When it times out, on the clock of [`super::EventTime::ms`].
        by_ms: u64,
    },
    /// Cancel the tool call of this id. No event follows.
    CancelTool(CompactString),
    /// The session ends while this tool runs: its result is recorded later.
    DetachTool(Box<DetachedToolCall>),
    /// Ask the model in the background whether the answer holds the caller's name.
    VerifyName {
        /// The agent's words.
        question: String,
        /// The caller's answer.
        answer: String,
    },
    /// Record this write.
    Record(Write),
    /// Count this metric.
    Count(CallMetric),
    /// Count the end of the call and its duration in milliseconds.
    EndCall(CallOutcome, u64),
    /// Close the socket and leave the call to another session.
    ExitSession(ExitReason),
}

/// Why a session leaves a call that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// Another instance owns the call.
    TakenOver,
    /// Another instance continues the call after the writes of this session are visible there.
    Relocated,
}

impl ExitReason {
    /// The word for the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::TakenOver => "taken",
            Self::Relocated => "moved",
        }
    }
}

/// A metric of the call.
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
    /// A claim that lost against another.
    ClaimLost,
    /// A text of the prompt that could not be rendered, by its setting.
    PromptTextFailed(&'static str),
}
