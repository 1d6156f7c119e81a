//! The types and durations that the parts of the playback model share.

/// Words sent at most this long before the report of an interruption may have reached Twilio after it. The
/// round trip took 90 ms in recorded calls, and takes 600 ms on a route with 300 ms each way.
pub(super) const IN_FLIGHT_MS_MAX: u64 = 700;
/// A greeting whose speech was not reported within this time started before the socket opened (recorded:
/// at most 0.15 s before, or 0.76 s after).
pub(super) const GREETING_START_MS_MAX: u64 = 760;
/// The time from sending a clause to its speech, in milliseconds.
pub(super) const TTS_LEAD_MS: u64 = 400;

/// The turn (by its sequence number) that an utterance belongs to.
pub type TurnSeq = u32;

/// How much of a turn was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardText {
    /// The turn.
    pub turn: TurnSeq,
    /// The heard text; may be empty.
    pub text: String,
    /// The end of the heard text was estimated from the time, not reported.
    pub estimated: bool,
    /// All of it was heard.
    pub complete: bool,
}

/// When the current clause became audible.
#[derive(Debug, Clone, Copy)]
pub(super) struct AudioStart {
    pub(super) since: u64,
    /// The time was reported, not assumed.
    pub(super) reported: bool,
}
