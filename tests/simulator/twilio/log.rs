//! What happened on a call, frame by frame, and what the server did wrong.

use std::time::Duration;

/// Who sent an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Twilio to the server, on the socket.
    ToApp,
    /// The server to Twilio, on the socket.
    FromApp,
    /// A webhook request or its answer.
    Http,
    /// Something about the socket itself: opened, closed, vanished.
    Socket,
}

/// One frame or request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Real time since the voice webhook was requested.
    pub at: Duration,
    /// Session number, from 1; 0 before the first.
    pub session: u32,
    pub direction: Direction,
    /// The frame as sent, or a line about the request.
    pub text: String,
}

impl LogEntry {
    /// The frame as JSON; `None` for anything that is not.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.text).ok()
    }

    /// The frame's `type`.
    pub fn frame_type(&self) -> Option<String> {
        Some(self.json()?.get("type")?.as_str()?.to_owned())
    }
}

/// Something the server did that the protocol forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Real time since the voice webhook was requested.
    pub at: Duration,
    pub kind: ViolationKind,
    /// The frame or attribute at fault.
    pub detail: String,
}

/// The kinds of violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// Not JSON, no known type, or a wrong field (64107).
    MalformedFrame,
    /// A `text` frame whose token is null or missing.
    NullToken,
    /// A frame after `end`.
    AfterEnd,
    /// A second `last:true` where no reply was open: an extra empty turn.
    SecondLast,
    /// A reply left open for a while when the session ended: its tail is never spoken.
    UnclosedReply,
    /// An attribute that no ConversationRelay knows; silently ignored by Twilio.
    UnknownAttribute,
    /// A webhook's answer that Twilio would alert about (a status callback refused, a failing action).
    Webhook,
}
