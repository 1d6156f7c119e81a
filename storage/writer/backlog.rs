//! What the proposing thread holds: batches that were taken and are not acknowledged, in their order,
//! joined into proposals and cut into smaller ones.

use super::BATCH_WRITES_MAX;
use super::queue::{Part, writes_in};
use crate::replication::PROPOSAL_BYTES_MAX;
use crate::write::{Origin, Write, encode, encode_from};
use std::collections::VecDeque;
use std::time::Instant;

/// Batches, oldest first.
#[derive(Default)]
pub(super) struct Backlog(VecDeque<Held>);

/// A batch that is held.
pub(super) struct Held {
    /// Its writes, and the marks among them.
    pub parts: Vec<Part>,
    /// Its row in the outbox, if it is there; parts of a batch that was cut share one.
    pub row: Option<i64>,
    /// Whether it is proposed as it is, and not together with others.
    pub is_alone: bool,
}

impl Held {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        Self {
            parts,
            row: None,
            is_alone: false,
        }
    }

    fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }

    fn writes(&self) -> impl Iterator<Item = &Write> {
        self.parts.iter().filter_map(|part| part.write.as_deref())
    }

    /// Whether it holds writes that are not in the outbox.
    pub(super) fn is_unkept(&self) -> bool {
        self.row.is_none() && self.writes().next().is_some()
    }

    /// The batch as bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        encode(&self.writes().collect::<Vec<_>>())
    }

    fn halves(mut self) -> [Self; 2] {
        let rest = self.parts.split_off(self.parts.len() / 2);
        [self.parts, rest].map(|parts| Self {
            parts,
            row: self.row,
            is_alone: true,
        })
    }
}

impl Backlog {
    pub(super) fn push(&mut self, held: Held) {
        self.0.push_back(held);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every batch, to be looked at or marked.
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Held> {
        self.0.iter_mut()
    }

    /// Writes in it.
    pub(super) fn writes(&self) -> usize {
        self.0.iter().map(|held| writes_in(&held.parts)).sum()
    }

    /// The first batch.
    pub(super) fn first(&self) -> Option<&Held> {
        self.0.front()
    }

    /// The name of its first write.
    pub(super) fn first_kind(&self) -> Option<&'static str> {
        self.0.front()?.writes().next().map(Write::kind)
    }

    /// When its oldest part was made.
    pub(super) fn oldest(&self) -> Option<Instant> {
        Some(self.0.front()?.parts.first()?.at)
    }

    /// When the oldest part was made that is not in the outbox.
    pub(super) fn unkept_since(&self) -> Option<Instant> {
        // Whatever is kept came before what is not.
        let unkept = self.0.iter().rev().take_while(|held| held.row.is_none());
        let oldest = unkept.filter(|held| held.is_unkept()).last()?;
        Some(oldest.parts.first()?.at)
    }

    /// How many batches, from the first, make the next proposal.
    pub(super) fn next_count(&self) -> usize {
        let (mut writes, mut bytes) = (0, 0);
        let fits = |held: &&Held| {
            writes += held.parts.len();
            bytes += held.bytes();
            !held.is_alone && writes <= BATCH_WRITES_MAX && bytes <= PROPOSAL_BYTES_MAX
        };
        self.0.iter().take_while(fits).count().max(1)
    }

    /// The proposal of the first `count` batches, from `origin`, and how many writes it holds; nothing
    /// if there are only marks in them.
    pub(super) fn encode(&self, count: usize, origin: Origin) -> Option<(Vec<u8>, usize)> {
        let first = self.0.iter().take(count);
        let writes: Vec<&Write> = first.flat_map(Held::writes).collect();
        (!writes.is_empty()).then(|| (encode_from(Some(origin), &writes), writes.len()))
    }

    /// Takes the first `count` batches out: their parts, and the row up to which the outbox holds
    /// nothing more of what is left.
    pub(super) fn take(&mut self, count: usize) -> (Vec<Part>, Option<i64>) {
        let mut parts = Vec::new();
        let mut last_row = None;
        for held in self.0.drain(..count) {
            parts.extend(held.parts);
            last_row = held.row.or(last_row);
        }
        let next_row = self.0.front().and_then(|held| held.row);
        // The rest of a batch that was cut is in the same row still.
        let settled = match next_row {
            Some(_) if next_row == last_row => last_row.map(|row| row - 1),
            _ => last_row,
        };
        (parts, settled)
    }

    /// Cuts the first `count` batches into smaller proposals: into each batch by itself, or a single
    /// one into halves. Whether there was anything to cut.
    pub(super) fn cut(&mut self, count: usize) -> bool {
        if count > 1 {
            self.0
                .iter_mut()
                .take(count)
                .for_each(|held| held.is_alone = true);
            return true;
        }
        match self.0.pop_front() {
            Some(held) if held.parts.len() > 1 => {
                let [first, rest] = held.halves();
                self.0.push_front(rest);
                self.0.push_front(first);
                true
            }
            whole => {
                whole.into_iter().for_each(|held| self.0.push_front(held));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Role, Turn};
    use std::sync::Arc;

    fn held(seqs: std::ops::Range<u32>, row: Option<i64>) -> Held {
        let part = |seq| {
            let turn = Turn::new(Role::Caller, "hello", 1, 0, seq);
            let call_sid = "CA1".into();
            let write = Arc::new(Write::TurnAppended { call_sid, turn });
            Part::unattended(u64::from(seq), Instant::now(), write)
        };
        let mut held = Held::new(seqs.map(part).collect());
        held.row = row;
        held
    }

    fn ids(parts: &[Part]) -> Vec<u64> {
        parts.iter().map(|part| part.id).collect()
    }

    #[test]
    fn batches_are_joined_up_to_the_bound() {
        let mut backlog = Backlog::default();
        let most = BATCH_WRITES_MAX as u32;
        backlog.push(held(0..most - 1, None));
        backlog.push(held(most - 1..most, None));
        backlog.push(held(most..most + 1, None));
        assert_eq!(backlog.next_count(), 2);
        drop(backlog.take(2));
        assert_eq!(backlog.next_count(), 1);
    }

    #[test]
    fn a_row_of_the_outbox_is_settled_with_the_last_piece_of_its_batch() {
        let mut backlog = Backlog::default();
        backlog.push(held(0..4, Some(7)));
        backlog.push(held(4..5, Some(8)));
        assert!(backlog.cut(2), "each by itself");
        assert!(backlog.cut(1), "into halves");
        assert_eq!(backlog.next_count(), 1);
        let (first, settled) = backlog.take(1);
        assert_eq!((ids(&first), settled), (vec![0, 1], Some(6)));
        let (second, settled) = backlog.take(1);
        assert_eq!((ids(&second), settled), (vec![2, 3], Some(7)));
        assert!(!backlog.cut(1), "one write cannot be cut");
        let (last, settled) = backlog.take(1);
        assert_eq!((ids(&last), settled), (vec![4], Some(8)));
        assert!(backlog.is_empty());
    }
}
