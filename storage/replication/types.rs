//! The types with which openraft is configured.

use crate::record::Position;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A node's random identity, made with its data directory and never given to another.
pub type NodeId = u64;

/// An entry's place in the log, and the election of its primary.
pub(crate) type RaftLogId = openraft::LogId<NodeId>;
/// Who belongs to the cluster, and since which entry.
pub(crate) type RaftMembership = openraft::StoredMembership<NodeId, Member>;

openraft::declare_raft_types!(
    /// openraft's types as calldex uses them.
    pub TypeConfig:
        D = EntryBatches,
        R = EntryResult,
        NodeId = NodeId,
        Node = Member,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = SnapshotFile,
        AsyncRuntime = openraft::TokioRuntime,
);

/// The payload of one entry: batches of writes of one or several instances, each as
/// [`crate::write::encode_batch`] made it where it was proposed, applied in this order in one transaction.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryBatches(pub Vec<Bytes>);

impl EntryBatches {
    /// Bytes of all batches.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }
}

/// Prints sizes only: the batches hold what was said.
impl fmt::Debug for EntryBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} batches of {} bytes", self.0.len(), self.bytes())
    }
}

impl fmt::Display for EntryBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry gives back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryResult {
    /// The database's position after it (TXID): the entry's index in the log.
    pub position: Position,
}

/// A member of the cluster as the others know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where its cluster listener is reached: `host:port`.
    pub address: String,
    /// The name of the instance, as in `conversations.instance`.
    pub instance: String,
    /// Whether it takes calls; a voter need not.
    pub takes_calls: bool,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.instance, self.address)
    }
}

/// A whole database in a file of its own; the file is removed with the last handle to it. One that
/// stands for the present state is made when it is asked for: openraft asks for snapshots of which it
/// needs no more than the description.
#[derive(Clone)]
pub struct SnapshotFile(Arc<SnapshotFileState>);

type SnapshotMaker = dyn Fn(&Path) -> io::Result<()> + Send + Sync;

struct SnapshotFileState {
    path: PathBuf,
    /// How it is made, if it is not there yet.
    make: Mutex<Option<Box<SnapshotMaker>>>,
}

impl Drop for SnapshotFileState {
    fn drop(&mut self) {
        // A file that stays behind is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotFile({})", self.path().display())
    }
}

impl SnapshotFile {
    /// Takes over the file at `path`.
    pub fn existing(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(SnapshotFileState {
            path: path.into(),
            make: Mutex::new(None),
        }))
    }

    /// A file that `make` makes at `path` when it is needed.
    pub(crate) fn lazy(
        path: impl Into<PathBuf>,
        make: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(SnapshotFileState {
            path: path.into(),
            make: Mutex::new(Some(Box::new(make))),
        }))
    }

    /// Where it lies, or will.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where it lies; makes it first if it is not there. Blocks for as long as that takes.
    pub(crate) fn materialize(&self) -> io::Result<&Path> {
        let mut make = self.0.make.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(how) = make.as_ref() {
            how(self.path())?;
            *make = None;
        }
        Ok(self.path())
    }
}
