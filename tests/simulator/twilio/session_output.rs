//! What a session puts out: frames for the server, and what an observer may want to know.

use super::{log::ViolationKind, reply::EndCause};

/// One thing that a session wants done, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SessionOutput {
    /// Send this text frame.
    Send(String),
    /// Close the socket.
    Close(SessionClose),
    /// Tell the observer.
    Seen(SessionObservation),
}

/// How a session ends at Twilio's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionClose {
    /// The caller hung up: 1000.
    HungUp,
    /// The server sent `end`, and what was queued has been played: 1000.
    EndedByApp { handoff_data: Option<String> },
    /// Ten malformed frames in a row: 1007.
    TooManyMalformed,
    /// The call is redirected: 1000, as whenever Twilio itself ends a session (assumed).
    Redirected,
}

impl SessionClose {
    /// Code and reason of the close frame (docs/protocol.md 6.2).
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
pub(crate) enum SessionObservation {
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
    Closed(SessionClose),
    /// The server closed it, or it broke.
    Lost(String),
    /// The simulation let it vanish.
    Vanished,
}

impl SocketEnd {
    /// Cause of the call's end where nothing takes it up.
    pub(crate) fn cause(&self) -> EndCause {
        match self {
            Self::Closed(SessionClose::HungUp) => EndCause::HungUp,
            Self::Closed(SessionClose::Redirected) => {
                EndCause::Failed("redirected to nowhere".into())
            }
            Self::Closed(SessionClose::EndedByApp { .. }) => EndCause::Twiml,
            Self::Closed(SessionClose::TooManyMalformed) => {
                EndCause::Failed("ten malformed frames in a row (1007)".into())
            }
            Self::Lost(reason) => EndCause::Failed(reason.clone()),
            Self::Vanished => EndCause::Failed("the socket vanished".into()),
        }
    }
}
