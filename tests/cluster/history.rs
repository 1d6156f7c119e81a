//! Everything that the instances told, over all their lives. What was under way when its instance
//! died stays undecided: it may be there or not.

use crate::events::{ClaimReport, InstanceEvent, NameOrder, SubmittedWrite};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Nothing is known.
    Undecided,
    /// It is durable, whatever happens.
    Acknowledged {
        /// The token.
        position: u64,
        /// Monotonic microseconds.
        at_us: u64,
    },
    /// Storage would not say that it is durable.
    Denied(String),
}

/// Not durable on a majority, but on the disk of its instance, which lives to propose it again.
const PROMISED: WriteOutcome = WriteOutcome::Acknowledged {
    position: u64::MAX,
    at_us: u64::MAX,
};

/// One write.
#[derive(Clone, Debug)]
pub struct WriteRecord {
    /// What.
    pub deed: SubmittedWrite,
    /// Monotonic microseconds.
    pub submitted_us: u64,
    /// What became of it.
    pub fate: WriteOutcome,
}

impl WriteRecord {
    /// Its token, if it is durable.
    pub fn position(&self) -> Option<u64> {
        match self.fate {
            WriteOutcome::Acknowledged { position, .. } => Some(position),
            _ => None,
        }
    }
}

/// An item of one life's feed of take-overs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimFeedItem {
    /// A claim was decided.
    Ruled(ClaimReport),
    /// Some were missed.
    Missed,
}

/// A question whether an acknowledged deed is seen at an instance that has reached its position.
#[derive(Clone, Debug)]
pub struct ReadCheck {
    /// The life that answered.
    pub life: u64,
    /// What was looked for.
    pub deed: SubmittedWrite,
    /// Whether the position was reached in time.
    pub reached: bool,
    /// Whether it was there.
    pub found: bool,
    /// How long the position of a token was waited for, microseconds.
    pub waited_us: Option<u64>,
}

/// The whole record.
#[derive(Default)]
pub struct History {
    /// By life and number of the write: in the order of their submission.
    pub writes: BTreeMap<(u64, u64), WriteRecord>,
    /// By life, in the order of arrival.
    pub feeds: BTreeMap<u64, Vec<ClaimFeedItem>>,
    /// By life and number, in the order of asking.
    pub names_seen: BTreeMap<(u64, String), Vec<NameOrder>>,
    /// By life and call, in the order of asking.
    pub owners_seen: BTreeMap<(u64, String), Vec<u32>>,
    /// All of them.
    pub looks: Vec<ReadCheck>,
    /// Which instance each life was of.
    pub nodes: BTreeMap<u64, u64>,
    /// Lives that are over.
    pub dead: BTreeSet<u64>,
}

impl History {
    /// Takes an event in.
    pub fn note(&mut self, life: u64, event: &InstanceEvent) {
        match event.clone() {
            InstanceEvent::Submitted { id, deed, at_us } => {
                let fresh = WriteRecord {
                    deed,
                    submitted_us: at_us,
                    fate: WriteOutcome::Undecided,
                };
                self.writes.insert((life, id), fresh);
            }
            InstanceEvent::Acknowledged {
                id,
                position,
                at_us,
            } => self.decide(life, id, WriteOutcome::Acknowledged { position, at_us }),
            InstanceEvent::Kept { id } => self.decide(life, id, PROMISED),
            InstanceEvent::Denied { id, reason } => {
                self.decide(life, id, WriteOutcome::Denied(reason))
            }
            InstanceEvent::Ruled(ruling) => self.note_claim(life, ClaimFeedItem::Ruled(ruling)),
            InstanceEvent::Missed => self.note_claim(life, ClaimFeedItem::Missed),
            InstanceEvent::NameSeen { number, mark } => self
                .names_seen
                .entry((life, number))
                .or_default()
                .push(mark),
            InstanceEvent::OwnerSeen { call, epoch } => self
                .owners_seen
                .entry((life, call))
                .or_default()
                .push(epoch),
            InstanceEvent::Looked {
                deed,
                reached,
                found,
                waited_us,
                ..
            } => self.looks.push(ReadCheck {
                life,
                deed,
                reached,
                found,
                waited_us,
            }),
            _ => {}
        }
    }

    fn decide(&mut self, life: u64, id: u64, fate: WriteOutcome) {
        let write = self.writes.get_mut(&(life, id));
        write.expect("what is decided was submitted").fate = fate;
    }

    fn note_claim(&mut self, life: u64, heard: ClaimFeedItem) {
        self.feeds.entry(life).or_default().push(heard);
    }

    /// Writes that are durable, with the life that submitted them.
    pub fn acknowledged(&self) -> impl Iterator<Item = (u64, &WriteRecord)> {
        self.writes
            .iter()
            .filter(|(_, write)| write.position().is_some())
            .map(|((life, _), write)| (*life, write))
    }

    /// How many are durable.
    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged().count()
    }

    /// From now on every write of `life` that is undecided counts as durable: it is known to lie in
    /// an outbox. How many there are.
    pub fn promise(&mut self, life: u64) -> usize {
        let writes = self.writes.range_mut((life, 0)..=(life, u64::MAX));
        let undecided = writes.filter(|(_, write)| write.fate == WriteOutcome::Undecided);
        let promised = undecided.map(|(_, write)| write.fate = PROMISED);
        promised.count()
    }

    /// Writes that storage refused, in words.
    pub fn denials(&self) -> Vec<String> {
        let denied = self.writes.values().filter_map(|write| match &write.fate {
            WriteOutcome::Denied(reason) => Some(format!("{:?}: {reason}", write.deed)),
            _ => None,
        });
        denied.collect()
    }

    /// When the first write was acknowledged that one of `lives` submitted after `since_us`.
    pub fn first_after(&self, lives: &[u64], since_us: u64) -> Option<u64> {
        let mut times = Vec::new();
        for life in lives {
            let latest = self.writes.range((*life, 0)..=(*life, u64::MAX)).rev();
            let since = latest.take_while(|(_, write)| write.submitted_us >= since_us);
            times.extend(since.filter_map(|(_, write)| match write.fate {
                WriteOutcome::Acknowledged { at_us, .. } => Some(at_us),
                _ => None,
            }));
        }
        times.into_iter().min()
    }
}
