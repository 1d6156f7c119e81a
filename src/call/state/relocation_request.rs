//! A requested relocation of the call to another instance.

/// A requested relocation (cluster mode only).
pub(super) struct RelocationRequest {
    /// The earliest time, on the clock of [`super::EventTime::ms`].
    pub(super) from_ms: u64,
    /// The latest time, even within a turn.
    pub(super) by_ms: u64,
    /// The call has left: the session says nothing more.
    pub(super) has_left: bool,
}
