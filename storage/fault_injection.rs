//! Labelled disk operations: each has a name, so that a test can slow, fail or end the process at
//! exactly one of them.

use std::fmt;
use std::io;
use std::sync::Arc;

/// An operation on the disk, or a moment between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskOperation {
    /// Before the writer's connection is opened or opened anew.
    OpenWriter,
    /// Before a batch's transaction begins.
    Begin,
    /// Before each write of a batch that closes a conversation.
    CloseConversation,
    /// After the batch was applied, before its commit.
    Commit,
    /// After the commit, before the caches are refreshed.
    Refresh,
    /// After the refresh, before the writes are acknowledged.
    Acknowledge,
    /// Before the log is copied into the database.
    Checkpoint,
    /// After the log was copied.
    Checkpointed,
    /// Before a database of doubtful state is verified.
    Verify,
    /// Before that database is read through, which takes as long as it is large.
    ReadThrough,
    /// Before a look-up in SQLite.
    ReadCold,
    /// Before a look-up in sled.
    ReadWarm,
    /// Before sled is opened.
    OpenWarm,
    /// Before sled is written.
    WriteWarm,
    /// Before the log of several instances (`raft.db`) is opened, or opened anew.
    RaftOpen,
    /// Before that log, just opened, is verified.
    RaftVerify,
    /// Before a transaction of that log begins.
    RaftBegin,
    /// Before its commit.
    RaftCommit,
    /// After its commit, before anybody is told.
    RaftCommitted,
    /// Before that log's write-ahead log is copied into it.
    RaftCheckpoint,
    /// Before a part of that log is removed.
    RaftPurge,
    /// Before the entries of a job are applied in one transaction.
    ApplyEntries,
    /// Before a snapshot is made into a file.
    MakeSnapshot,
    /// Before a received snapshot takes the database's place.
    InstallSnapshot,
    /// Before each step of copying it; the last one commits.
    CopySnapshot,
    /// After its commit, before anybody is told.
    SnapshotInstalled,
    /// Before the outbox is opened, or opened anew.
    OutboxOpen,
    /// Before what is kept in the outbox, or taken out, is committed.
    OutboxCommit,
    /// Before each step of founding a cluster anew from a survivor.
    FoundAnew,
}

impl DiskOperation {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::OpenWriter,
        Self::Begin,
        Self::CloseConversation,
        Self::Commit,
        Self::Refresh,
        Self::Acknowledge,
        Self::Checkpoint,
        Self::Checkpointed,
        Self::Verify,
        Self::ReadThrough,
        Self::ReadCold,
        Self::ReadWarm,
        Self::OpenWarm,
        Self::WriteWarm,
        Self::RaftOpen,
        Self::RaftVerify,
        Self::RaftBegin,
        Self::RaftCommit,
        Self::RaftCommitted,
        Self::RaftCheckpoint,
        Self::RaftPurge,
        Self::ApplyEntries,
        Self::MakeSnapshot,
        Self::InstallSnapshot,
        Self::CopySnapshot,
        Self::SnapshotInstalled,
        Self::OutboxOpen,
        Self::OutboxCommit,
        Self::FoundAnew,
    ];

    /// The operation whose `Debug` form is `label`.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| format!("{operation:?}") == label)
    }
}

type FaultHook = dyn Fn(DiskOperation) -> io::Result<()> + Send + Sync;

/// What happens at the labelled operations: nothing, unless a test says otherwise. The hook may
/// block (a slow disk), fail, panic, or end the process.
#[derive(Clone, Default)]
pub struct FaultInjector(Option<Arc<FaultHook>>);

impl FaultInjector {
    /// Calls `hook` at each operation.
    pub fn new(hook: impl Fn(DiskOperation) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(crate) fn inject(&self, operation: DiskOperation) -> io::Result<()> {
        match &self.0 {
            Some(hook) => hook(operation),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FaultInjector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Faults(set)"
        } else {
            "Faults(none)"
        })
    }
}
