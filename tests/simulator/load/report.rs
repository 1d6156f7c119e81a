//! What a load measured.

use std::collections::BTreeMap;

/// Milliseconds at several ranks; zero without a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// Whether the load kept within the limits it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// One line for each limit that was passed; empty: all kept.
    pub failures: Vec<String>,
}

impl Verdict {
    /// No limit was passed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Everything measured; serialises as the JSON of `--json`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Report {
    pub seconds: f64,
    pub calls_started: u64,
    pub calls_completed: u64,
    pub calls_at_once_max: u64,
    pub turns: u64,
    pub tokens: u64,
    pub barge_ins: u64,
    pub hang_ups: u64,
    pub drops: u64,
    pub reconnects: u64,
    pub webhook: Percentiles,
    pub handshake: Percentiles,
    pub first_token: Percentiles,
    /// First token less the model's own; empty unless that was given.
    pub overhead: Percentiles,
    pub token_gap: Percentiles,
    pub whole_turn: Percentiles,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    pub verdict: Verdict,
}

impl Report {
    /// All errors together.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        todo!()
    }

    /// A table for people.
    pub fn to_table(&self) -> String {
        todo!()
    }
}
