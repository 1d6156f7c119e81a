//! What the caller's ear gets: clauses, pace, queue, interrupts, preemption.

/// How fast the voice is.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Characters spoken in a second (protocol 9.3: 19-22).
    pub characters_per_s: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            characters_per_s: 20.0,
        }
    }
}
