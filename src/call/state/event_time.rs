//! The moment of an event.

/// The moment of an event, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// Milliseconds on a clock that never jumps; its zero is arbitrary.
    pub ms: u64,
    /// Unix milliseconds, for stored data.
    pub unix_ms: i64,
}
