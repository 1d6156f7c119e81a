//! The database as openraft's state machine: a handle that gives jobs to the one thread which writes.

mod applier;
mod decoded_entry;

pub(crate) use applier::EntryApplier;
pub(super) use decoded_entry::DecodedEntry;

use super::log::ReopenableLog;
use super::snapshot::{SnapshotBuilder, SnapshotStore};
use super::{AppliedIndex, EntryResult, Member, NodeId, SnapshotFile, TypeConfig};
use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, Entry, LogId, OptionalSend, Snapshot, SnapshotMeta, StorageError, StorageIOError,
    StoredMembership,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Jobs that wait for the thread. openraft gives one and waits for it; at the bound further ones wait.
pub(crate) const JOBS_MAX: usize = 4;

/// Why a job was not done. All end the engine; it may be started again.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApplyHalt {
    /// An entry was proposed by a later version of this program: nothing may be passed over, or this
    /// instance's database would differ from the others'.
    #[error(
        "an entry of the cluster's log is of a later calldex ({0}): upgrade this instance, which applies nothing until then"
    )]
    UnsupportedEntry(String),
    /// A received snapshot is not what it was said to be.
    #[error("{0}")]
    Snapshot(String),
    /// Storage is closed.
    #[error("storage is closed")]
    Closed,
}

/// Who waits for a job.
type JobReply<T> = oneshot::Sender<Result<T, ApplyHalt>>;

/// What the thread does.
pub(crate) enum ApplyJob {
    /// Entries to apply in one transaction.
    Apply(Vec<Entry<TypeConfig>>, JobReply<Vec<EntryResult>>),
    /// A snapshot that takes the database's place.
    Install(SnapshotMeta<NodeId, Member>, SnapshotFile, JobReply<()>),
    /// Only a look at whether to end.
    Wake,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct StateMachine {
    pub(crate) jobs: mpsc::Sender<ApplyJob>,
    pub(crate) snapshots: Arc<SnapshotStore>,
    pub(crate) applied_index: Arc<AppliedIndex>,
    pub(crate) log: Arc<ReopenableLog>,
}

impl StateMachine {
    async fn run_job<T>(&self, job: impl FnOnce(JobReply<T>) -> ApplyJob) -> Result<T, ApplyHalt> {
        let (answer, answered) = oneshot::channel();
        let given = self.jobs.send(job(answer)).await;
        given.map_err(|_| ApplyHalt::Closed)?;
        answered.await.unwrap_or(Err(ApplyHalt::Closed))
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<NodeId>>, StoredMembership<NodeId, Member>), StorageError<NodeId>>
    {
        let applied = self.applied_index.applied_state();
        Ok((applied.last_log_id, applied.membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<EntryResult>, StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry<TypeConfig>> = entries.into_iter().collect();
        let Some(last) = entries.last().map(|entry| entry.log_id) else {
            return Ok(Vec::new());
        };
        let outcomes = self
            .run_job(|answer| ApplyJob::Apply(entries, answer))
            .await;
        outcomes.map_err(|halt| StorageIOError::apply(last, AnyError::new(&halt)).into())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        SnapshotBuilder(Arc::clone(&self.snapshots))
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<SnapshotFile>, StorageError<NodeId>> {
        Ok(Box::new(self.snapshots.new_received_file()))
    }

    /// On disk for good when it returns, and no cache shows what was there before. The log says so too:
    /// the primary, told of it, holds this instance to what the snapshot has, and a log that a kill
    /// left as it was before would look as if it had forgotten that.
    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<NodeId, Member>,
        snapshot: Box<SnapshotFile>,
    ) -> Result<(), StorageError<NodeId>> {
        let meta = meta.clone();
        let (signature, last) = (meta.signature(), meta.last_log_id);
        let installed = self
            .run_job(|answer| ApplyJob::Install(meta, *snapshot, answer))
            .await;
        installed.map_err(|halt| {
            StorageIOError::write_snapshot(Some(signature), AnyError::new(&halt))
        })?;
        match last {
            Some(last) if self.applied_index.durable_index() >= Some(last.index) => {
                let gone = self.log.purge_durably(last).await;
                gone.map_err(|error| StorageIOError::write_logs(AnyError::new(&error)).into())
            }
            _ => Ok(()),
        }
    }

    /// Always of the present state; the file is made when it is needed.
    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<TypeConfig>>, StorageError<NodeId>> {
        Ok(self.snapshots.current())
    }
}
