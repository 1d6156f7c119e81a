//! The batches that the proposing thread has taken from the queue and that are not acknowledged, in order.
//! They are joined into proposals, and split after a rejection.

use super::proposer::PROPOSAL_BYTES_MAX;
use super::write_queue::{BATCH_WRITES_MAX, QueueItem, count_writes};
use crate::write::{ProposalId, Write, encode_batch, encode_proposal};
use std::collections::VecDeque;
use std::time::Instant;

/// Batches, oldest first.
#[derive(Default)]
pub(super) struct ProposalBacklog(VecDeque<UnacknowledgedBatch>);

/// A batch of the backlog.
pub(super) struct UnacknowledgedBatch {
    /// Its writes and flush markers.
    pub items: Vec<QueueItem>,
    /// Its row in the outbox, if it is there; parts of a split batch share one.
    pub outbox_row: Option<i64>,
    /// Whether it is proposed as it is, and not together with others.
    pub propose_alone: bool,
}

impl UnacknowledgedBatch {
    pub(super) fn new(items: Vec<QueueItem>) -> Self {
        Self {
            items,
            outbox_row: None,
            propose_alone: false,
        }
    }

    fn bytes(&self) -> usize {
        self.items.iter().map(QueueItem::bytes).sum()
    }

    fn writes(&self) -> impl Iterator<Item = &Write> {
        self.items.iter().filter_map(|item| item.write.as_deref())
    }

    /// Whether it holds writes that are not in the outbox.
    pub(super) fn is_unsaved(&self) -> bool {
        self.outbox_row.is_none() && self.writes().next().is_some()
    }

    /// The batch as bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        encode_batch(&self.writes().collect::<Vec<_>>())
    }

    fn split_in_half(mut self) -> [Self; 2] {
        let rest = self.items.split_off(self.items.len() / 2);
        [self.items, rest].map(|items| Self {
            items,
            outbox_row: self.outbox_row,
            propose_alone: true,
        })
    }
}

impl ProposalBacklog {
    pub(super) fn push(&mut self, batch: UnacknowledgedBatch) {
        self.0.push_back(batch);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every batch.
    pub(super) fn batches_mut(&mut self) -> impl Iterator<Item = &mut UnacknowledgedBatch> {
        self.0.iter_mut()
    }

    /// Writes in it.
    pub(super) fn writes(&self) -> usize {
        self.0.iter().map(|batch| count_writes(&batch.items)).sum()
    }

    /// The first batch.
    pub(super) fn first(&self) -> Option<&UnacknowledgedBatch> {
        self.0.front()
    }

    /// The name of its first write.
    pub(super) fn first_kind(&self) -> Option<&'static str> {
        self.0.front()?.writes().next().map(Write::kind)
    }

    /// When its oldest part was made.
    pub(super) fn oldest_submitted_at(&self) -> Option<Instant> {
        Some(self.0.front()?.items.first()?.submitted_at)
    }

    /// When the oldest part was made that is not in the outbox.
    pub(super) fn unsaved_since(&self) -> Option<Instant> {
        // Saved batches come before unsaved ones.
        let unkept = self
            .0
            .iter()
            .rev()
            .take_while(|batch| batch.outbox_row.is_none());
        let oldest = unkept.filter(|batch| batch.is_unsaved()).last()?;
        Some(oldest.items.first()?.submitted_at)
    }

    /// How many batches, from the first, make the next proposal.
    pub(super) fn next_count(&self) -> usize {
        let (mut writes, mut bytes) = (0, 0);
        let fits = |batch: &&UnacknowledgedBatch| {
            writes += batch.items.len();
            bytes += batch.bytes();
            !batch.propose_alone && writes <= BATCH_WRITES_MAX && bytes <= PROPOSAL_BYTES_MAX
        };
        self.0.iter().take_while(fits).count().max(1)
    }

    /// The proposal of the first `count` batches under `origin`, and how many writes it holds; `None`
    /// if they hold flush markers only.
    pub(super) fn encode_first(
        &self,
        count: usize,
        origin: ProposalId,
    ) -> Option<(Vec<u8>, usize)> {
        let first = self.0.iter().take(count);
        let writes: Vec<&Write> = first.flat_map(UnacknowledgedBatch::writes).collect();
        (!writes.is_empty()).then(|| (encode_proposal(Some(origin), &writes), writes.len()))
    }

    /// Removes the first `count` batches. Returns their items, and the row of the outbox up to which no
    /// remaining batch has one.
    pub(super) fn take_first(&mut self, count: usize) -> (Vec<QueueItem>, Option<i64>) {
        let mut items = Vec::new();
        let mut last_row = None;
        for batch in self.0.drain(..count) {
            items.extend(batch.items);
            last_row = batch.outbox_row.or(last_row);
        }
        let next_row = self.0.front().and_then(|batch| batch.outbox_row);
        // The rest of a split batch has the same row.
        let settled = match next_row {
            Some(_) if next_row == last_row => last_row.map(|row| row - 1),
            _ => last_row,
        };
        (items, settled)
    }

    /// Splits the first `count` batches into smaller proposals: each batch alone, or a single batch into
    /// halves. Returns whether anything could be split.
    pub(super) fn split(&mut self, count: usize) -> bool {
        if count > 1 {
            self.0
                .iter_mut()
                .take(count)
                .for_each(|batch| batch.propose_alone = true);
            return true;
        }
        match self.0.pop_front() {
            Some(batch) if batch.items.len() > 1 => {
                let [first, rest] = batch.split_in_half();
                self.0.push_front(rest);
                self.0.push_front(first);
                true
            }
            whole => {
                whole.into_iter().for_each(|batch| self.0.push_front(batch));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Turn, TurnRole};
    use std::sync::Arc;

    fn batch(seqs: std::ops::Range<u32>, row: Option<i64>) -> UnacknowledgedBatch {
        let item = |seq| {
            let turn = Turn::new(TurnRole::Caller, "hello", 1, 0, seq);
            let call_sid = "CA1".into();
            let write = Arc::new(Write::TurnAppended { call_sid, turn });
            QueueItem::without_receipt(u64::from(seq), Instant::now(), write)
        };
        let mut batch = UnacknowledgedBatch::new(seqs.map(item).collect());
        batch.outbox_row = row;
        batch
    }

    fn ids(items: &[QueueItem]) -> Vec<u64> {
        items.iter().map(|item| item.id).collect()
    }

    #[test]
    fn batches_are_joined_up_to_the_bound() {
        let mut backlog = ProposalBacklog::default();
        let most = BATCH_WRITES_MAX as u32;
        backlog.push(batch(0..most - 1, None));
        backlog.push(batch(most - 1..most, None));
        backlog.push(batch(most..most + 1, None));
        assert_eq!(backlog.next_count(), 2);
        drop(backlog.take_first(2));
        assert_eq!(backlog.next_count(), 1);
    }

    #[test]
    fn a_row_of_the_outbox_is_settled_with_the_last_piece_of_its_batch() {
        let mut backlog = ProposalBacklog::default();
        backlog.push(batch(0..4, Some(7)));
        backlog.push(batch(4..5, Some(8)));
        assert!(backlog.split(2), "each by itself");
        assert!(backlog.split(1), "into halves");
        assert_eq!(backlog.next_count(), 1);
        let (first, settled) = backlog.take_first(1);
        assert_eq!((ids(&first), settled), (vec![0, 1], Some(6)));
        let (second, settled) = backlog.take_first(1);
        assert_eq!((ids(&second), settled), (vec![2, 3], Some(7)));
        assert!(!backlog.split(1), "one write cannot be cut");
        let (last, settled) = backlog.take_first(1);
        assert_eq!((ids(&last), settled), (vec![4], Some(8)));
        assert!(backlog.is_empty());
    }
}
