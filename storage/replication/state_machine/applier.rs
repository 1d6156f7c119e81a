//! The loop of the thread "calldex-writer" in a cluster: commits the entries of a job in one transaction
//! with how far the log is applied, refreshes the caches, then answers.

use super::{ApplyHalt, ApplyJob, DecodedEntry};
use crate::backoff::Backoff;
use crate::disk::WalPages;
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::record::Position;
use crate::replication::applied_state::AppliedLogState;
use crate::replication::snapshot::SnapshotStore;
use crate::replication::{
    AppliedIndex, DigestHistory, EntryResult, Member, NodeId, SnapshotFile, TypeConfig,
};
use crate::sqlite::live_turn_index::LiveTurnIndexReader;
use crate::sqlite::meta;
use crate::write::AppliedWrites;
use crate::writer::{
    BatchCommitter, OnApplied, PrimaryLink, WriteBatch, WriterConnection, WriterShared,
    commit_batches,
};
use calldex_observability::catalog;
use openraft::{Entry, SnapshotMeta};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// See the module.
pub(crate) struct EntryApplier {
    pub(crate) committer: BatchCommitter,
    pub(crate) jobs: mpsc::Receiver<ApplyJob>,
    pub(crate) snapshots: Arc<SnapshotStore>,
    pub(crate) applied_index: Arc<AppliedIndex>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) faults: FaultInjector,
    pub(crate) opened_at: Position,
    pub(crate) digests: Arc<DigestHistory>,
    pub(crate) format_version: u32,
    /// This node, and its start: whose proposals are this process's own.
    pub(crate) this_process: (NodeId, u64),
}

impl EntryApplier {
    /// The live-turn index as readers see it.
    pub(crate) fn turn_index_reader(&self) -> LiveTurnIndexReader {
        self.committer.turn_index_reader()
    }

    /// The writing connection, shared with whoever looks for changes by others.
    pub(crate) fn connection(&self) -> WriterConnection {
        self.committer.connection()
    }

    /// The length of the database's write-ahead log, shared with the checkpointer.
    pub(crate) fn wal_pages(&self) -> WalPages {
        self.committer.wal_pages()
    }

    /// The position that was applied when the database was opened.
    pub(crate) fn opened_at(&self) -> Position {
        self.opened_at
    }

    /// The format version that was in use when the database was opened.
    pub(crate) fn format_version(&self) -> u32 {
        self.format_version
    }

    /// Does jobs until storage is closed. `on_applied` is called for each commit before openraft and `primary_link`
    /// are told, `on_replaced` when a snapshot has taken the database's place: what it is given has the position
    /// and no callers, everything may have changed.
    pub(crate) fn run(
        self,
        shared: &WriterShared,
        primary_link: &PrimaryLink,
        on_applied: OnApplied,
        on_replaced: OnApplied,
    ) {
        let mut apply_loop = ApplyLoop {
            committer: self.committer,
            snapshots: self.snapshots,
            applied_index: self.applied_index,
            stop: self.stop,
            faults: self.faults,
            digests: self.digests,
            this_process: self.this_process,
            shared,
            primary_link,
            on_applied,
            on_replaced,
        };
        let mut jobs = self.jobs;
        while !apply_loop.stop.load(Ordering::SeqCst)
            && let Some(job) = jobs.blocking_recv()
        {
            apply_loop.run_job(job);
            apply_loop.committer.truncate_wal_if_long();
        }
        apply_loop.committer.truncate_wal();
    }
}

/// The thread's own.
struct ApplyLoop<'a> {
    committer: BatchCommitter,
    snapshots: Arc<SnapshotStore>,
    applied_index: Arc<AppliedIndex>,
    stop: Arc<AtomicBool>,
    faults: FaultInjector,
    digests: Arc<DigestHistory>,
    this_process: (NodeId, u64),
    shared: &'a WriterShared,
    primary_link: &'a PrimaryLink,
    on_applied: OnApplied,
    on_replaced: OnApplied,
}

impl ApplyLoop<'_> {
    fn run_job(&mut self, job: ApplyJob) {
        // Whoever asked may have gone; what was committed stays.
        match job {
            ApplyJob::Apply(entries, answer) => {
                let _ = answer.send(self.apply(&entries));
            }
            ApplyJob::Install(meta, file, answer) => {
                let _ = answer.send(self.install(&meta, &file));
            }
            ApplyJob::Wake => {}
        }
    }

    fn apply(&mut self, entries: &[Entry<TypeConfig>]) -> Result<Vec<EntryResult>, ApplyHalt> {
        let applied = self.applied_index.applied_state().last_log_id;
        let decoded = entries
            .iter()
            // An engine that was started again may ask for what its predecessor's last job did.
            .filter(|entry| Some(entry.log_id) > applied)
            .map(|entry| DecodedEntry::read(entry, self.this_process))
            .collect::<Result<Vec<_>, _>>()?;
        self.commit(&decoded)?;
        let outcome = |entry: &Entry<TypeConfig>| EntryResult {
            position: entry.log_id.index,
        };
        Ok(entries.iter().map(outcome).collect())
    }

    /// One transaction for all of `entries`, however often it takes.
    fn commit(&mut self, entries: &[DecodedEntry]) -> Result<(), ApplyHalt> {
        let Some(last) = entries.last() else {
            return Ok(());
        };
        let batches: Vec<WriteBatch<'_>> = entries.iter().map(DecodedEntry::to_batch).collect();
        let writes: usize = batches.iter().map(|batch| batch.writes.len()).sum();
        let (shared, stop) = (self.shared, &self.stop);
        let mut backoff = Backoff::for_disk();
        let mut begun = Instant::now();
        let operation = Some(DiskOperation::ApplyEntries);
        let mark = DecodedEntry::log_mark(entries);
        let (committer, mark) = (&mut self.committer, mark.as_ref());
        let persisted = commit_batches(committer, operation, &batches, mark, &mut |error| {
            shared.degrade(error);
            let goes_on = sleep_unless_stopped(stop, backoff.next_delay()).is_ok();
            begun = Instant::now();
            goes_on
        });
        let persisted = persisted.map_err(|_| ApplyHalt::Closed)?;
        shared.recover();
        catalog::WRITE_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
        catalog::WRITE_BATCH_SIZE.record(writes as f64);
        let mut latest = entries.iter().rev();
        let membership = latest.find_map(|entry| entry.membership.clone());
        self.digests.extend(&persisted.applied.digests);
        self.publish(&persisted.applied, |state| {
            state.last_log_id = Some(last.log_id);
            if let Some(membership) = membership {
                state.membership = membership;
            }
        });
        self.report_own_proposals(entries);
        Ok(())
    }

    /// Says which of this process's own proposals have landed.
    fn report_own_proposals(&self, entries: &[DecodedEntry]) {
        for entry in entries {
            for number in &entry.own_proposals {
                self.primary_link.note_applied(*number, entry.log_id.index);
            }
        }
    }

    /// Refreshes the caches; then what is applied is said to be.
    fn publish(&mut self, applied: &AppliedWrites, change: impl FnOnce(&mut AppliedLogState)) {
        // These moments are for tests that end the process; there is nothing to fail.
        let _ = self.faults.inject(DiskOperation::Refresh);
        (self.on_applied)(applied);
        self.applied_index.note_applied(change);
        let _ = self.faults.inject(DiskOperation::Acknowledge);
    }

    fn install(
        &mut self,
        meta: &SnapshotMeta<NodeId, Member>,
        file: &SnapshotFile,
    ) -> Result<(), ApplyHalt> {
        if meta.last_log_id <= self.applied_index.applied_state().last_log_id {
            return Ok(());
        }
        let opened = self.snapshots.open_received(meta, file);
        let source = opened.map_err(|error| ApplyHalt::Snapshot(error.to_string()))?;
        let replaced = self.replace(&source)?;
        let applied = AppliedWrites {
            position: replaced.position,
            rev: replaced.rev,
            format_version: Some(replaced.format_version),
            ..AppliedWrites::default()
        };
        self.digests.reset(replaced.position, replaced.digest);
        let _ = self.faults.inject(DiskOperation::SnapshotInstalled);
        (self.on_replaced)(&applied);
        self.applied_index.note_applied(|state| {
            state.last_log_id = meta.last_log_id;
            state.membership = meta.last_membership.clone();
        });
        self.applied_index
            .note_durable(meta.last_log_id.map(|last| last.index));
        Ok(())
    }

    fn replace(&mut self, source: &Connection) -> Result<meta::DatabaseMeta, ApplyHalt> {
        let mut backoff = Backoff::for_disk();
        loop {
            match self.committer.replace_with(source) {
                Ok(meta) => {
                    self.shared.recover();
                    return Ok(meta);
                }
                Err(error) => {
                    self.shared.degrade(&error);
                    if error.kind() == "full" {
                        // What came takes room itself. It is sent again when there is enough.
                        return Err(ApplyHalt::Snapshot(error.to_string()));
                    }
                }
            }
            sleep_unless_stopped(&self.stop, backoff.next_delay())?;
        }
    }
}

/// Sleeps, unless storage is being closed.
fn sleep_unless_stopped(stop: &AtomicBool, pause: Duration) -> Result<(), ApplyHalt> {
    const STEP: Duration = Duration::from_millis(20);
    let end = Instant::now() + pause;
    while Instant::now() < end {
        if stop.load(Ordering::SeqCst) {
            return Err(ApplyHalt::Closed);
        }
        std::thread::sleep(STEP.min(pause));
    }
    Ok(())
}
