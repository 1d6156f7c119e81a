//! What a session puts out: frames for the server, and what an observer may want to know.

use super::{log::ViolationKind, reply::EndCause};

/// One thing that a session wants done, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    /// Send this text frame.
    Send(String),
    /// Close the socket.
    Close(Close),
    /// Tell the observer.
    Seen(Seen),
}

/// How a session ends at Twilio's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// The caller hung up: 1000.
    HungUp,
    /// The server sent `end`, and what was queued has been played: 1000.
    EndedByApp { handoff_data: Option<String> },
    /// Ten malformed frames in a row: 1007.
    TooManyMalformed,
    /// The call is redirected: 1000, as whenever Twilio itself ends a session (assumed).
    Redirected,
}

impl Close {
    /// Code and reason of the close frame (protocol 6.2).
    pub(crate) fn frame(&self) -> (u16, &'static str) {
        match self {
            Self::HungUp | Self::EndedByApp { .. } | Self::Redirected => {
                (1000, "Closing websocket session")
            }
            Self::TooManyMalformed => (1007, "Too many consecutive malformed messages."),
        }
    }
}

/// Something an observer of a session may want to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// A token came in.
    Token {
        cycle: u64,
        text: String,
        last: bool,
        preemptible: bool,
        lang: Option<String>,
    },
    /// Some of a cycle was played.
    Played { cycle: u64, text: String },
    /// A later message cut this cycle off.
    CutShort { cycle: u64 },
    /// The caller cut everything off.
    Interrupted { fragment: String, duration_ms: u64 },
    /// A final prompt or a key went out: what comes now answers it.
    Asked,
    /// The caller has finished an utterance.
    Said,
    /// A barge-in found nobody speaking.
    NotSpeaking,
    /// The server broke the contract.
    Violation(ViolationKind, String),
}

/// Why a socket is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SocketEnd {
    /// Twilio closed it.
    Closed(Close),
    /// The server closed it, or it broke.
    Lost(String),
    /// The simulation let it vanish.
    Vanished,
}

impl SocketEnd {
    /// Cause of the call's end where nothing takes it up.
    pub(crate) fn cause(&self) -> EndCause {
        match self {
            Self::Closed(Close::HungUp) => EndCause::HungUp,
            Self::Closed(Close::Redirected) => EndCause::Failed("redirected to nowhere".into()),
            Self::Closed(Close::EndedByApp { .. }) => EndCause::Twiml,
            Self::Closed(Close::TooManyMalformed) => {
                EndCause::Failed("ten malformed frames in a row (1007)".into())
            }
            Self::Lost(reason) => EndCause::Failed(reason.clone()),
            Self::Vanished => EndCause::Failed("the socket vanished".into()),
        }
    }
}
