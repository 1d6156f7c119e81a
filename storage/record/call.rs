//! A call as it is kept: while it lives, and after it has ended.

use super::{PhoneNumber, Turn};
use calldex_observability::redaction::mask_number;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Twilio's identifier of a call, at most 64 bytes: no personal data.
pub type CallSid = CompactString;

/// What kind of identity was on the line. Only [`CallerKind::Number`] is ever a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// A telephone number that can be an identity.
    Number,
    /// Withheld, or one of the keypad pseudo-numbers.
    Withheld,
    /// A SIP address.
    Sip,
    /// A client identity of the provider.
    Client,
    /// Anything else.
    Other,
}

impl CallerKind {
    /// The word that stands for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Withheld => "withheld",
            Self::Sip => "sip",
            Self::Client => "client",
            Self::Other => "other",
        }
    }

    /// The kind that `word` stands for; an unknown word is [`CallerKind::Other`].
    pub fn parse(word: &str) -> Self {
        let all = [Self::Number, Self::Withheld, Self::Sip, Self::Client];
        all.into_iter()
            .find(|kind| kind.as_str() == word)
            .unwrap_or(Self::Other)
    }
}

/// How a conversation ended; the same words as the metric of ended calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// The caller hung up.
    HungUp,
    /// The agent ended it.
    Ended,
    /// Given to a human.
    #[serde(rename = "handed_over")]
    HandedOff,
    /// Ended by a failure.
    Failed,
    /// Ended by a drain of the server.
    Drained,
    /// Ended because nobody spoke.
    Idle,
    /// Never came back after its server or its socket was gone.
    Abandoned,
    /// Ended at a bound: length, or number of reconnections.
    Limit,
}

impl CallOutcome {
    const ALL: [Self; 8] = [
        Self::HungUp,
        Self::Ended,
        Self::HandedOff,
        Self::Failed,
        Self::Drained,
        Self::Idle,
        Self::Abandoned,
        Self::Limit,
    ];

    /// The word that stands for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::Ended => "ended",
            Self::HandedOff => "handed_over",
            Self::Failed => "failed",
            Self::Drained => "drained",
            Self::Idle => "idle",
            Self::Abandoned => "abandoned",
            Self::Limit => "limit",
        }
    }

    /// The outcome that `word` stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// Bits of an epoch that say who took it.
const SLOT_BITS: u32 = 16;

/// The epoch in which `slot` takes over a call that is at `current`. Two slots never share one, so
/// that two instances that cannot hear of each other do not either. Slot 0 is an instance that runs
/// alone: it counts one by one. At the top (65,535 claims) it is `current` again, which wins
/// nothing.
pub fn next_epoch(current: u32, slot: u16) -> u32 {
    let generation = (current >> SLOT_BITS) + 1;
    match slot {
        // Of a cluster: a generation of its own, since others have taken from this.
        0 if current >> SLOT_BITS > 0 => at_generation(generation, 0).unwrap_or(current),
        0 => current + 1,
        slot => at_generation(generation, slot).unwrap_or(current),
    }
}

fn at_generation(generation: u32, slot: u16) -> Option<u32> {
    let generation = u16::try_from(generation).ok()?;
    Some(u32::from(generation) << SLOT_BITS | u32::from(slot))
}

/// A conversation's row, without its words.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// The call.
    pub call_sid: CallSid,
    /// Whose call, if the number can be an identity.
    pub number: Option<PhoneNumber>,
    /// The number that was called.
    pub line: Option<CompactString>,
    /// The kind of identity on the line; unknown until the call's start has been applied.
    pub caller_kind: Option<CallerKind>,
    /// A SIP or client identity as it was given.
    pub identity: Option<CompactString>,
    /// Language of the call.
    pub language: Option<CompactString>,
    /// The instance that owns it.
    pub instance: Option<CompactString>,
    /// ConversationRelay's session of the last claim.
    pub session_id: Option<CompactString>,
    /// Ownership: 0 from the start, higher at each claim; see [`next_epoch`].
    pub epoch: u32,
    /// Claims so far.
    pub resumes: u32,
    /// Unix seconds.
    pub started_at: i64,
    /// Unix seconds; none while it lives.
    pub ended_at: Option<i64>,
    /// How it ended.
    pub outcome: Option<CallOutcome>,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("call_sid", &self.call_sid)
            .field("number", &self.number)
            .field("line", &self.line.as_deref().map(mask_number))
            .field("caller_kind", &self.caller_kind)
            .field("epoch", &self.epoch)
            .field("resumes", &self.resumes)
            .field("started_at", &self.started_at)
            .field("ended_at", &self.ended_at)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// A call with all its turns in order, written or still waiting to be: what a resume needs, and
/// what a reader of an ended call gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallWithTurns {
    /// The row.
    pub conversation: Conversation,
    /// All turns by [`super::TurnKey`].
    pub turns: Vec<Turn>,
}

impl CallWithTurns {
    /// Whether it still lives.
    pub fn is_live(&self) -> bool {
        self.conversation.ended_at.is_none()
    }

    /// The epoch that an instance which runs alone takes next.
    pub fn next_epoch(&self) -> u32 {
        next_epoch(self.conversation.epoch, 0)
    }

    /// The number for the next turn in `epoch`.
    pub fn next_seq(&self, epoch: u32) -> u32 {
        self.turns
            .iter()
            .filter(|turn| turn.epoch == epoch)
            .map(|turn| turn.seq + 1)
            .max()
            .unwrap_or(0)
    }

    /// Last sign of life, Unix milliseconds.
    pub fn last_activity_ms(&self) -> i64 {
        let started = self.conversation.started_at.saturating_mul(1000);
        self.turns
            .iter()
            .map(|turn| turn.at)
            .max()
            .unwrap_or(started)
            .max(started)
    }
}

/// A call that was left without an end.
#[derive(Clone, Debug, PartialEq)]
pub struct UnfinishedCall {
    /// The row.
    pub conversation: Conversation,
    /// Last sign of life, Unix milliseconds.
    pub last_activity_ms: i64,
    /// Turns written so far.
    pub turns: usize,
}
