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
pub struct LoadVerdict {
    /// One line for each limit that was passed; empty: all kept.
    pub failures: Vec<String>,
}

impl LoadVerdict {
    /// No limit was passed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Everything measured; serialises as the JSON of `--json`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct LoadReport {
    pub seconds: f64,
    /// Calls asked for; with a duration, calls at once asked for.
    pub calls_wanted: u64,
    pub calls_started: u64,
    pub calls_completed: u64,
    pub calls_at_once_max: u64,
    pub turns: u64,
    pub tokens: u64,
    #[serde(rename = "barge_ins")]
    pub interruptions: u64,
    pub hang_ups: u64,
    pub drops: u64,
    pub reconnects: u64,
    /// Sockets that the server lost, or that a redirect ended.
    pub losses: u64,
    /// Of those the ones whose call went on: the caller heard another whole reply.
    pub continued: u64,
    /// Replies that knew less than the caller had said.
    pub forgotten: u64,
    /// Sessions opened, by the place of their instance.
    pub sessions: BTreeMap<usize, u64>,
    /// From a lost socket to the next session of its call.
    pub back: Percentiles,
    pub webhook: Percentiles,
    pub handshake: Percentiles,
    pub first_token: Percentiles,
    /// First token less the model's own; empty unless that was given.
    pub overhead: Percentiles,
    pub token_gap: Percentiles,
    pub whole_turn: Percentiles,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    pub verdict: LoadVerdict,
}

impl LoadReport {
    /// All errors together.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings always serialise")
    }

    /// A table for people.
    pub fn to_table(&self) -> String {
        let mut table = format!(
            "{} of {} calls completed, {} asked for, in {} s, {} at once; {} turns, {} tokens, {} barge-ins, {} hang-ups, {} drops, {} reconnects\n\n",
            self.calls_completed,
            self.calls_started,
            self.calls_wanted,
            self.seconds,
            self.calls_at_once_max,
            self.turns,
            self.tokens,
            self.interruptions,
            self.hang_ups,
            self.drops,
            self.reconnects
        );
        if self.losses > 0 {
            table.insert_str(
                table.len() - 1,
                &format!(
                    "{} sockets lost, {} calls went on; {} replies had forgotten something\n",
                    self.losses, self.continued, self.forgotten
                ),
            );
        }
        table.push_str(&format!(
            "{:<24}{:>9}{:>11}{:>11}{:>11}{:>11}\n",
            "ms", "count", "p50", "p90", "p99", "max"
        ));
        for (name, found) in [
            ("webhook", self.webhook),
            ("handshake", self.handshake),
            ("first token", self.first_token),
            ("  over the model's own", self.overhead),
            ("token gap", self.token_gap),
            ("whole turn", self.whole_turn),
            ("lost to back again", self.back),
        ] {
            if found.count > 0 {
                let Percentiles {
                    count,
                    p50_ms,
                    p90_ms,
                    p99_ms,
                    max_ms,
                } = found;
                table.push_str(&format!(
                    "{name:<24}{count:>9}{p50_ms:>11.2}{p90_ms:>11.2}{p99_ms:>11.2}{max_ms:>11.2}\n"
                ));
            }
        }
        table.push_str(&self.trouble());
        table
    }

    fn trouble(&self) -> String {
        let mut text = format!("\n{} errors\n", self.errors_total());
        for (kind, count) in &self.errors {
            text.push_str(&format!("{count:>9}  {kind}\n"));
        }
        for failure in &self.verdict.failures {
            text.push_str(&format!("FAILED: {failure}\n"));
        }
        text
    }
}
