//! What the child said was durable: one line each, printed after the acknowledgement.

use std::collections::{BTreeMap, BTreeSet};

/// Everything acknowledged so far, over all rounds on one data directory.
#[derive(Default)]
pub struct AcknowledgedWrites {
    /// The highest acknowledged revision of each turn, by call, epoch and seq.
    pub turns: BTreeMap<(String, u32, u32), u32>,
    /// Calls whose end was acknowledged.
    pub ended: BTreeSet<String>,
    /// Names by number.
    pub names: BTreeMap<String, String>,
    /// Whether the child finished its load and closed in order.
    pub done: bool,
}

impl AcknowledgedWrites {
    /// Takes a line in. Others than the child's own (the test runner prints some) are passed over.
    pub fn note(&mut self, line: &str) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            ["ack-turn", call_sid, epoch, seq, revision] => {
                let key = (
                    call_sid.to_owned(),
                    epoch.parse().unwrap(),
                    seq.parse().unwrap(),
                );
                let revision = revision.parse().unwrap();
                let highest = self.turns.entry(key).or_insert(revision);
                *highest = revision.max(*highest);
            }
            ["ack-ended", call_sid] => {
                self.ended.insert(call_sid.to_owned());
            }
            ["ack-name", number, name] => {
                self.names.insert(number.to_owned(), name.to_owned());
            }
            ["done"] => self.done = true,
            _ => {}
        }
    }
}
