//! What entries ask for, decoded; and which of an entry's writes are themselves at fault.

use super::Halt;
use crate::replication::{Member, NodeId, TypeConfig};
use crate::write::{DecodeError, Write, decode_with_origin};
use calldex_observability::catalog;
use openraft::{Entry, EntryPayload, LogId, StoredMembership};

/// An entry, ready to be applied.
pub(super) struct Decoded {
    pub log_id: LogId<NodeId>,
    pub writes: Vec<Write>,
    pub membership: Option<StoredMembership<NodeId, Member>>,
    /// The numbers of this process's own proposals in it.
    pub own: Vec<u64>,
}

impl Decoded {
    /// Decodes `entry` for `me`, a node and its start. A batch that is no batch is set aside, here as on
    /// every instance; one of a later version halts this one.
    pub(super) fn read(entry: &Entry<TypeConfig>, me: (NodeId, u64)) -> Result<Self, Halt> {
        let mut decoded = Self {
            log_id: entry.log_id,
            writes: Vec::new(),
            membership: None,
            own: Vec::new(),
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

    fn add(&mut self, batch: &[u8], me: (NodeId, u64)) -> Result<(), Halt> {
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
            }
        }
        Ok(())
    }
}

/// The writes of an entry that are set aside, found one after the other: the first that fails after
/// those before it were applied, then the next. It depends on the database before the entry and on the
/// entry alone, so every instance finds the same.
#[derive(Default)]
pub(super) struct Sieve {
    aside: Vec<usize>,
    /// The one being applied.
    at: usize,
}

impl Sieve {
    /// The writes that are not set aside; each is noted as it is given out.
    pub(super) fn pass<E>(
        &mut self,
        writes: &[Write],
        mut apply: impl FnMut(&Write) -> Result<(), E>,
    ) -> Result<(), E> {
        for (index, write) in writes.iter().enumerate() {
            if !self.aside.contains(&index) {
                self.at = index;
                apply(write)?;
            }
        }
        // What fails after the last is not of a write.
        self.at = writes.len();
        Ok(())
    }

    /// The write that was given out last failed for its own fault; whether there was one.
    pub(super) fn set_aside(&mut self, writes: &[Write], log_id: &LogId<NodeId>) -> bool {
        let Some(write) = writes.get(self.at) else {
            return false;
        };
        let (kind, index) = (write.kind(), log_id.index);
        tracing::error!(kind, index, "a write is set aside: it is itself at fault");
        self.aside.push(self.at);
        true
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
        assert_eq!(decoded.unwrap().writes.len(), 4);
        let later = br#"{"form":99,"writes":[]}"#.to_vec();
        assert!(matches!(
            Decoded::read(&entry(vec![good, later]), (1, 1)),
            Err(Halt::Newer(_))
        ));
    }

    #[test]
    fn only_writes_at_fault_are_set_aside_whatever_comes_after_them() {
        let writes = turns(6);
        let log_id = LogId::new(CommittedLeaderId::new(1, 1), 4);
        let mut sieve = Sieve::default();
        let mut applied = Vec::new();
        let is_bad = |write: &Write| {
            let at = writes.iter().position(|other| std::ptr::eq(other, write));
            at.is_some_and(|at| at == 1 || at == 4)
        };
        loop {
            applied.clear();
            let passed = sieve.pass(&writes, |write| {
                applied.push(write.clone());
                if is_bad(write) { Err(()) } else { Ok(()) }
            });
            if passed.is_ok() {
                break;
            }
            assert!(sieve.set_aside(&writes, &log_id));
        }
        assert_eq!(sieve.aside, [1, 4]);
        assert_eq!(applied.len(), 4);
        assert!(!sieve.set_aside(&writes, &log_id));
    }
}
