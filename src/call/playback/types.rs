//! The types and durations that the parts of the playback model share.

/// Words that left this long before an interruption was told may have reached Twilio after it: there and
/// back took 90 ms on recorded calls, and takes 600 ms on a route with 300 ms each way.
pub(super) const IN_FLIGHT_MS_MAX: u64 = 700;
/// A greeting whose sound was not reported within this time began before the socket did (recorded:
/// up to 0.15 s before, or 0.76 s after).
pub(super) const GREETING_START_MS_MAX: u64 = 760;
/// From the first word of a clause to its sound, in milliseconds.
pub(super) const TTS_LEAD_MS: u64 = 400;

/// The turn (by its sequence number) that an utterance belongs to.
pub type TurnSeq = u32;

/// How much of a turn was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardText {
    /// The turn.
    pub turn: TurnSeq,
    /// What of it was heard; empty when nothing was.
    pub text: String,
    /// The end of it was not reported, but estimated from the time that passed.
    pub estimated: bool,
    /// All of it was heard.
    pub complete: bool,
}

/// Since when the clause in play sounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct AudioStart {
    pub(super) since: u64,
    /// A report said so.
    pub(super) reported: bool,
}
