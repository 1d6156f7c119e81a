//! What entries ask for, decoded.

use super::ApplyHalt;
use crate::record::StateDigest;
use crate::replication::applied_state::applied_log_mark;
use crate::replication::{Member, NodeId, TypeConfig};
use crate::write::{DecodeError, Write, decode_proposal};
use crate::writer::{AppliedLogMark, LogEntryContext, WriteBatch};
use calldex_observability::catalog;
use openraft::{Entry, EntryPayload, LogId, StoredMembership};

/// An entry, ready to be applied.
pub(in crate::replication) struct DecodedEntry {
    pub log_id: LogId<NodeId>,
    pub writes: Vec<Write>,
    pub membership: Option<StoredMembership<NodeId, Member>>,
    /// The numbers of this process's own proposals in it.
    pub own_proposals: Vec<u64>,
    /// Batches that are none.
    pub unreadable: Vec<Vec<u8>>,
    /// What stands for its place in the log and all of its bytes.
    pub content_digest: StateDigest,
}

/// What stands for an entry's place in the log.
fn log_id_digest(log_id: &LogId<NodeId>) -> StateDigest {
    let leader = &log_id.leader_id;
    StateDigest::START.next(b"", &[leader.term, leader.node_id, log_id.index])
}

impl DecodedEntry {
    /// Decodes `entry` for `me`, a node and its start. A batch that is no batch is set aside, here as on
    /// every instance; one of a later version halts this one.
    pub(in crate::replication) fn read(
        entry: &Entry<TypeConfig>,
        me: (NodeId, u64),
    ) -> Result<Self, ApplyHalt> {
        let mut decoded = Self {
            log_id: entry.log_id,
            writes: Vec::new(),
            membership: None,
            own_proposals: Vec::new(),
            unreadable: Vec::new(),
            content_digest: log_id_digest(&entry.log_id),
        };
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership.clone());
                decoded.membership = Some(stored);
            }
            EntryPayload::Normal(batches) => {
                for batch in &batches.0 {
                    decoded.add(batch, me)?;
                }
            }
        }
        Ok(decoded)
    }

    /// What is applied of it.
    pub(in crate::replication) fn to_batch(&self) -> WriteBatch<'_> {
        WriteBatch {
            writes: self.writes.iter().collect(),
            entry: Some(LogEntryContext {
                index: self.log_id.index,
                unreadable: &self.unreadable,
                content_digest: self.content_digest,
            }),
        }
    }

    /// What the database notes once `entries` are applied; nothing if there are none.
    pub(in crate::replication) fn log_mark(entries: &[Self]) -> Option<AppliedLogMark> {
        let membership = entries
            .iter()
            .rev()
            .find_map(|entry| entry.membership.as_ref());
        let last = entries.last()?;
        Some(applied_log_mark(&last.log_id, membership))
    }

    fn add(&mut self, batch: &[u8], me: (NodeId, u64)) -> Result<(), ApplyHalt> {
        self.content_digest = self.content_digest.next(batch, &[]);
        match decode_proposal(batch) {
            Ok((origin, writes)) => {
                let own = origin.filter(|origin| (origin.node_id, origin.start) == me);
                self.own_proposals.extend(own.map(|origin| origin.number));
                match self.writes.is_empty() {
                    true => self.writes = writes,
                    false => self.writes.extend(writes),
                }
            }
            Err(error @ (DecodeError::Newer(_) | DecodeError::Unknown(_))) => {
                return Err(ApplyHalt::UnsupportedEntry(error.to_string()));
            }
            Err(error) => {
                catalog::WRITE_FAILURES_TOTAL.with("other").increment(1);
                let (index, bytes) = (self.log_id.index, batch.len());
                tracing::error!(%error, index, bytes, "an unreadable batch of the log is rejected");
                self.unreadable.push(batch.to_vec());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Turn, TurnRole};
    use crate::replication::EntryBatches;
    use crate::write::encode_batch;
    use openraft::CommittedLeaderId;

    fn turns(count: u32) -> Vec<Write> {
        (0..count)
            .map(|seq| Write::TurnAppended {
                call_sid: "CA1".into(),
                turn: Turn::new(TurnRole::Caller, "hello", 5, 0, seq),
            })
            .collect()
    }

    fn entry(batches: Vec<Vec<u8>>) -> Entry<TypeConfig> {
        Entry {
            log_id: LogId::new(CommittedLeaderId::new(1, 1), 4),
            payload: EntryPayload::Normal(EntryBatches(
                batches.into_iter().map(Into::into).collect(),
            )),
        }
    }

    #[test]
    fn a_batch_that_is_none_is_set_aside_alone_and_a_later_one_halts() {
        let good = encode_batch(&turns(2));
        let decoded = DecodedEntry::read(
            &entry(vec![good.clone(), b"junk".to_vec(), good.clone()]),
            (1, 1),
        );
        let decoded = decoded.unwrap();
        assert_eq!(decoded.writes.len(), 4);
        assert_eq!(decoded.unreadable, [b"junk"]);
        let later = br#"{"form":99,"writes":[]}"#.to_vec();
        assert!(matches!(
            DecodedEntry::read(&entry(vec![good, later]), (1, 1)),
            Err(ApplyHalt::UnsupportedEntry(_))
        ));
    }
}
