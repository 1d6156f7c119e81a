//! What entries ask for, decoded.

use super::Halt;
use crate::record::Digest;
use crate::replication::{Member, NodeId, TypeConfig};
use crate::write::{DecodeError, Write, decode_with_origin};
use crate::writer::{Batch, LogEntry};
use calldex_observability::catalog;
use openraft::{Entry, EntryPayload, LogId, StoredMembership};

/// An entry, ready to be applied.
pub(in crate::replication) struct Decoded {
    pub log_id: LogId<NodeId>,
    pub writes: Vec<Write>,
    pub membership: Option<StoredMembership<NodeId, Member>>,
    /// The numbers of this process's own proposals in it.
    pub own: Vec<u64>,
    /// Batches that are none.
    pub unreadable: Vec<Vec<u8>>,
    /// What stands for its place in the log and all of its bytes.
    pub content: Digest,
}

/// What stands for an entry's place in the log.
fn place(log_id: &LogId<NodeId>) -> Digest {
    let leader = &log_id.leader_id;
    Digest::START.next(b"", &[leader.term, leader.node_id, log_id.index])
}

impl Decoded {
    /// Decodes `entry` for `me`, a node and its start. A batch that is no batch is set aside, here as on
    /// every instance; one of a later version halts this one.
    pub(in crate::replication) fn read(
        entry: &Entry<TypeConfig>,
        me: (NodeId, u64),
    ) -> Result<Self, Halt> {
        let mut decoded = Self {
            log_id: entry.log_id,
            writes: Vec::new(),
            membership: None,
            own: Vec::new(),
            unreadable: Vec::new(),
            content: place(&entry.log_id),
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
    pub(in crate::replication) fn batch(&self) -> Batch<'_> {
        Batch {
            writes: self.writes.iter().collect(),
            entry: Some(LogEntry {
                log_id: self.log_id,
                membership: self.membership.as_ref(),
                unreadable: &self.unreadable,
                content: self.content,
            }),
        }
    }

    fn add(&mut self, batch: &[u8], me: (NodeId, u64)) -> Result<(), Halt> {
        self.content = self.content.next(batch, &[]);
        match decode_with_origin(batch) {
            Ok((origin, writes)) => {
                let own = origin.filter(|origin| (origin.node_id, origin.start) == me);
                self.own.extend(own.map(|origin| origin.number));
                match self.writes.is_empty() {
                    true => self.writes = writes,
                    false => self.writes.extend(writes),
                }
            }
            Err(error @ (DecodeError::Newer(_) | DecodeError::Unknown(_))) => {
                return Err(Halt::Newer(error.to_string()));
            }
            Err(error) => {
                catalog::WRITE_FAILURES_TOTAL.with("other").increment(1);
                let (index, bytes) = (self.log_id.index, batch.len());
                tracing::error!(%error, index, bytes, "a batch of the log is set aside");
                self.unreadable.push(batch.to_vec());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Role, Turn};
    use crate::replication::Batches;
    use crate::write::encode;
    use openraft::CommittedLeaderId;

    fn turns(count: u32) -> Vec<Write> {
        (0..count)
            .map(|seq| Write::TurnAppended {
                call_sid: "CA1".into(),
                turn: Turn::new(Role::Caller, "hello", 5, 0, seq),
            })
            .collect()
    }

    fn entry(batches: Vec<Vec<u8>>) -> Entry<TypeConfig> {
        Entry {
            log_id: LogId::new(CommittedLeaderId::new(1, 1), 4),
            payload: EntryPayload::Normal(Batches(batches.into_iter().map(Into::into).collect())),
        }
    }

    #[test]
    fn a_batch_that_is_none_is_set_aside_alone_and_a_later_one_halts() {
        let good = encode(&turns(2));
        let decoded = Decoded::read(
            &entry(vec![good.clone(), b"junk".to_vec(), good.clone()]),
            (1, 1),
        );
        let decoded = decoded.unwrap();
        assert_eq!(decoded.writes.len(), 4);
        assert_eq!(decoded.unreadable, [b"junk"]);
        let later = br#"{"form":99,"writes":[]}"#.to_vec();
        assert!(matches!(
            Decoded::read(&entry(vec![good, later]), (1, 1)),
            Err(Halt::Newer(_))
        ));
    }
}
