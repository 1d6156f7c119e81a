//! Records of the other members: how often each was started, and up to which entry it acknowledged. A member
//! that comes back with less has an older disk, so what it once acknowledged may be missing.

use super::NodeId;
use super::log::{RaftLogError, ReopenableLog, meta_key};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a member sends before anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartupCheck {
    /// The node.
    pub node_id: NodeId,
    /// How often it was started, this start included.
    pub starts: u64,
    /// Random, of this start.
    pub nonce: u64,
    /// The nonces of the starts before, the latest last.
    #[serde(default)]
    #[serde(rename = "earlier")]
    pub earlier_nonces: Vec<u64>,
    /// The last entry of its log.
    pub last_log_index: Option<u64>,
}

impl StartupCheck {
    /// The nonce of an earlier start, if it is among those that were sent.
    fn nonce_of(&self, start: u64) -> Option<u64> {
        let back = usize::try_from(self.starts.checked_sub(start)?).ok()?;
        self.earlier_nonces
            .iter()
            .rev()
            .nth(back.checked_sub(1)?)
            .copied()
    }
}

/// Why a member is refused. Each message says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartupCheckError {
    /// Its data directory is an older copy of itself.
    #[error(
        "node {node_id} was started {seen} times, its data directory says {reported}: it is an older copy. Take that directory away and join anew; a restored backup makes a cluster of its own"
    )]
    OlderCopy {
        /// The node.
        node_id: NodeId,
        /// Starts that were recorded.
        seen: u64,
        /// Starts that it reports.
        reported: u64,
    },
    /// Its data directory is an older copy of itself, which was started often enough since to count
    /// as many starts.
    #[error(
        "node {node_id} was seen at its start {seen}, of which its data directory does not know: it is an older copy. Take that directory away and join anew; a restored backup makes a cluster of its own"
    )]
    DivergedCopy {
        /// The node.
        node_id: NodeId,
        /// The start that was seen.
        seen: u64,
    },
    /// Two processes run with copies of one data directory.
    #[error(
        "two processes say that they are node {node_id}: one of them runs on a copy of the other's data directory. Stop it, take its directory away and join anew"
    )]
    DuplicateProcess {
        /// The node.
        node_id: NodeId,
    },
    /// It has less than it acknowledged.
    #[error(
        "node {node_id} acknowledged entry {acknowledged} and now ends at {}: its disk has lost what it had synced. Take its data directory away and join anew", last.map_or_else(|| "none".to_owned(), |last| last.to_string())
    )]
    LostEntries {
        /// The node.
        node_id: NodeId,
        /// The entry that it acknowledged.
        acknowledged: u64,
        /// The last one that it has.
        last: Option<u64>,
    },
    /// This instance could not record it, since its own log failed. Temporary.
    #[error("this instance cannot note who is there: {0}")]
    CannotRecord(String),
}

/// The record of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PeerRecord {
    starts: u64,
    nonce: u64,
    acknowledged: Option<u64>,
}

impl PeerRecord {
    fn check(&self, startup_check: &StartupCheck) -> Result<(), StartupCheckError> {
        let node_id = startup_check.node_id;
        if startup_check.starts < self.starts {
            let (seen, said) = (self.starts, startup_check.starts);
            return Err(StartupCheckError::OlderCopy {
                node_id,
                seen,
                reported: said,
            });
        }
        if startup_check.starts == self.starts && startup_check.nonce != self.nonce {
            return Err(StartupCheckError::DuplicateProcess { node_id });
        }
        let told = startup_check.nonce_of(self.starts);
        if startup_check.starts > self.starts && told.is_some_and(|nonce| nonce != self.nonce) {
            let seen = self.starts;
            return Err(StartupCheckError::DivergedCopy { node_id, seen });
        }
        match self.acknowledged {
            Some(acknowledged) if startup_check.last_log_index < Some(acknowledged) => {
                Err(StartupCheckError::LostEntries {
                    node_id,
                    acknowledged,
                    last: startup_check.last_log_index,
                })
            }
            _ => Ok(()),
        }
    }
}

/// See the module. Kept in `raft.db`. Cheap to clone.
#[derive(Clone)]
pub struct PeerRecords {
    log: Arc<ReopenableLog>,
    records: Arc<Mutex<HashMap<NodeId, PeerRecord>>>,
}

impl PeerRecords {
    /// From the records in `raft.db`.
    pub(crate) fn new(log: Arc<ReopenableLog>, kept: StoredPeerRecords) -> Self {
        Self {
            log,
            records: Arc::new(Mutex::new(kept.0)),
        }
    }

    fn records(&self) -> MutexGuard<'_, HashMap<NodeId, PeerRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node of `hello` may be admitted. A start that is new is on disk here when this
    /// returns. Blocks; do not call it on a thread of the async runtime.
    pub fn check(&self, startup_check: StartupCheck) -> Result<(), StartupCheckError> {
        let known = self.records().get(&startup_check.node_id).copied();
        let before = known.unwrap_or_default();
        if known.is_some() {
            before.check(&startup_check)?;
        }
        if known.is_some() && startup_check.starts == before.starts {
            return Ok(());
        }
        let after = PeerRecord {
            starts: startup_check.starts,
            nonce: startup_check.nonce,
            ..before
        };
        self.store(startup_check.node_id, &after)?;
        let now = self.record_start(&startup_check, &after)?;
        if now.acknowledged != before.acknowledged {
            // Noted meanwhile, perhaps with the start before, and perhaps after this one went to disk.
            self.store(startup_check.node_id, &now)?;
            self.defer_again(startup_check.node_id, now.acknowledged);
        }
        Ok(())
    }

    fn store(&self, node_id: NodeId, known: &PeerRecord) -> Result<(), StartupCheckError> {
        let put = self.log.put_meta(peer_key(node_id), known);
        put.map_err(|error| StartupCheckError::CannotRecord(error.to_string()))
    }

    /// The start is on disk: from now on it is noted with what comes. What is known then.
    fn record_start(
        &self,
        startup_check: &StartupCheck,
        after: &PeerRecord,
    ) -> Result<PeerRecord, StartupCheckError> {
        let mut all = self.records();
        let kept = all.entry(startup_check.node_id).or_default();
        if startup_check.starts > kept.starts || kept.starts == 0 {
            (kept.starts, kept.nonce) = (after.starts, after.nonce);
        } else if kept.nonce != startup_check.nonce {
            return Err(StartupCheckError::DuplicateProcess {
                node_id: startup_check.node_id,
            });
        }
        Ok(*kept)
    }

    /// What was noted while an older mark went to disk is noted once more.
    fn defer_again(&self, node_id: NodeId, put: Option<u64>) {
        let all = self.records();
        if let Some(known) = all.get(&node_id).filter(|known| known.acknowledged > put) {
            self.log.defer_meta(peer_key(node_id), known);
        }
    }

    /// Notes that a member has the entry at `log_index`, which is committed: such entries are never
    /// taken back. On disk with the next transaction of the log. Does not block.
    pub fn note_acknowledged(&self, node_id: NodeId, log_index: u64) {
        let mut all = self.records();
        // It may have been there before this instance, and never have told it of a start.
        let known = all.entry(node_id).or_default();
        if known.acknowledged < Some(log_index) {
            known.acknowledged = Some(log_index);
            // Within the lock: a later note must not be overtaken by this one.
            self.log.defer_meta(peer_key(node_id), known);
        }
    }

    /// Deletes the record of a removed member. Its id is never given to another.
    pub fn forget(&self, node_id: NodeId) {
        self.records().remove(&node_id);
    }
}

/// The records as read when the log was opened.
pub(crate) struct StoredPeerRecords(HashMap<NodeId, PeerRecord>);

impl StoredPeerRecords {
    /// Reads it.
    pub(crate) fn read(file: &super::log::LogFile) -> Result<Self, RaftLogError> {
        let marks: Vec<(String, PeerRecord)> = file.meta_with_prefix(meta_key::PEER)?;
        let known = marks
            .into_iter()
            .filter_map(|(node_id, known)| Some((node_id.parse().ok()?, known)));
        Ok(Self(known.collect()))
    }
}

fn peer_key(node_id: NodeId) -> String {
    format!("{}{node_id}", meta_key::PEER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: PeerRecord = PeerRecord {
        starts: 3,
        nonce: 7,
        acknowledged: Some(100),
    };

    fn startup_check(starts: u64, nonce: u64, last: u64) -> StartupCheck {
        StartupCheck {
            node_id: 1,
            starts,
            nonce,
            earlier_nonces: Vec::new(),
            last_log_index: Some(last),
        }
    }

    /// A later start, with the nonces of those before.
    fn later(nonces: &[u64]) -> StartupCheck {
        let (nonce, earlier) = nonces.split_last().unwrap();
        StartupCheck {
            earlier_nonces: earlier.to_vec(),
            ..startup_check(nonces.len() as u64, *nonce, 100)
        }
    }

    #[test]
    fn an_older_copy_is_refused_however_often_it_is_started() {
        assert_eq!(KNOWN.check(&later(&[5, 6, 7])), Ok(()));
        assert_eq!(KNOWN.check(&later(&[5, 6, 7, 8, 9])), Ok(()));
        let parted = StartupCheckError::DivergedCopy {
            node_id: 1,
            seen: 3,
        };
        for copy in [&[5, 6, 70, 80][..], &[5, 60, 70, 80, 90]] {
            assert_eq!(KNOWN.check(&later(copy)), Err(parted.clone()));
        }
        // Too long ago: its nonce is not sent any more.
        let long_ago = StartupCheck {
            starts: 500,
            ..later(&[1, 2, 3])
        };
        assert_eq!(KNOWN.check(&long_ago), Ok(()));
    }

    #[test]
    fn the_same_start_and_a_later_one_with_everything_are_let_in() {
        assert_eq!(KNOWN.check(&startup_check(3, 7, 100)), Ok(()));
        assert_eq!(KNOWN.check(&startup_check(4, 9, 250)), Ok(()));
    }

    #[test]
    fn an_older_copy_a_twin_and_a_disk_that_forgot_are_refused_with_what_to_do() {
        let older = KNOWN.check(&startup_check(2, 7, 100)).unwrap_err();
        assert!(older.to_string().contains("older copy"), "{older}");
        let twin = KNOWN.check(&startup_check(3, 8, 100)).unwrap_err();
        assert!(twin.to_string().contains("two processes"), "{twin}");
        let forgot = KNOWN.check(&startup_check(4, 9, 99)).unwrap_err();
        assert!(
            forgot
                .to_string()
                .contains("acknowledged entry 100 and now ends at 99"),
            "{forgot}"
        );
    }
}
