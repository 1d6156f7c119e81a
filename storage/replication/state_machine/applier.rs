//! The loop of the thread "calldex-writer" where there are several instances: commits the entries of a
//! job in one transaction with how far the log is applied, shows them, then answers.

use super::{Decoded, Halt, Job};
use crate::faults::{Faults, Operation};
use crate::pauses::Pauses;
use crate::replication::snapshot::Snapshots;
use crate::replication::{Digests, Member, NodeId, Outcome, Reach, SnapshotFile, TypeConfig};
use crate::sqlite::ledger::Places;
use crate::sqlite::meta::{self, AppliedState};
use crate::write::Applied;
use crate::writer::{
    Batch, Line, LogPages, OnApplied, Position, Scribe, Shared, WriterConnection, persist,
};
use calldex_observability::catalog;
use openraft::{Entry, SnapshotMeta};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// See the module.
pub(crate) struct Applier {
    pub(crate) scribe: Scribe,
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) faults: Faults,
    pub(crate) opened_at: Position,
    pub(crate) digests: Arc<Digests>,
    pub(crate) level: u32,
    /// This node, and its start: whose proposals are this process's own.
    pub(crate) me: (NodeId, u64),
}

impl Applier {
    /// The ledger as the readers see it.
    pub(crate) fn places(&self) -> Places {
        self.scribe.places()
    }

    /// The writing connection, shared with whoever looks for changes by others.
    pub(crate) fn connection(&self) -> WriterConnection {
        self.scribe.connection()
    }

    /// The length of the database's write-ahead log, shared with the checkpointer.
    pub(crate) fn log_pages(&self) -> LogPages {
        self.scribe.log_pages()
    }

    /// The position that was applied when the database was opened.
    pub(crate) fn opened_at(&self) -> Position {
        self.opened_at
    }

    /// The level that was in use when the database was opened.
    pub(crate) fn level(&self) -> u32 {
        self.level
    }

    /// Does jobs until storage is closed. `on_applied` is told of each commit before openraft and `line`
    /// are, `on_replaced` when a snapshot has taken the database's place: what it is given has the position
    /// and no callers, everything may have changed.
    pub(crate) fn run(
        self,
        shared: &Shared,
        line: &Line,
        on_applied: OnApplied,
        on_replaced: OnApplied,
    ) {
        let mut room = Room {
            scribe: self.scribe,
            snapshots: self.snapshots,
            reach: self.reach,
            stop: self.stop,
            faults: self.faults,
            digests: self.digests,
            me: self.me,
            shared,
            line,
            on_applied,
            on_replaced,
        };
        let mut jobs = self.jobs;
        while !room.stop.load(Ordering::SeqCst)
            && let Some(job) = jobs.blocking_recv()
        {
            room.work(job);
            room.scribe.cut_log_if_long();
        }
        room.scribe.cut_log();
    }
}

/// The thread's own.
struct Room<'a> {
    scribe: Scribe,
    snapshots: Arc<Snapshots>,
    reach: Arc<Reach>,
    stop: Arc<AtomicBool>,
    faults: Faults,
    digests: Arc<Digests>,
    me: (NodeId, u64),
    shared: &'a Shared,
    line: &'a Line,
    on_applied: OnApplied,
    on_replaced: OnApplied,
}

impl Room<'_> {
    fn work(&mut self, job: Job) {
        // Whoever asked may have gone; what was committed stays.
        match job {
            Job::Apply(entries, answer) => {
                let _ = answer.send(self.apply(&entries));
            }
            Job::Install(meta, file, answer) => {
                let _ = answer.send(self.install(&meta, &file));
            }
            Job::Wake => {}
        }
    }

    fn apply(&mut self, entries: &[Entry<TypeConfig>]) -> Result<Vec<Outcome>, Halt> {
        let applied = self.reach.applied().last;
        let decoded = entries
            .iter()
            // An engine that was started again may ask for what its predecessor's last job did.
            .filter(|entry| Some(entry.log_id) > applied)
            .map(|entry| Decoded::read(entry, self.me))
            .collect::<Result<Vec<_>, _>>()?;
        self.commit(&decoded)?;
        let outcome = |entry: &Entry<TypeConfig>| Outcome {
            position: entry.log_id.index,
        };
        Ok(entries.iter().map(outcome).collect())
    }

    /// One transaction for all of `entries`, however often it takes.
    fn commit(&mut self, entries: &[Decoded]) -> Result<(), Halt> {
        let Some(last) = entries.last() else {
            return Ok(());
        };
        let batches: Vec<Batch<'_>> = entries.iter().map(Decoded::batch).collect();
        let writes: usize = batches.iter().map(|batch| batch.writes.len()).sum();
        let (shared, stop) = (self.shared, &self.stop);
        let mut pauses = Pauses::of_disk();
        let mut begun = Instant::now();
        let operation = Some(Operation::ApplyEntries);
        let persisted = persist(&mut self.scribe, operation, &batches, &mut |error| {
            shared.degrade(error);
            let goes_on = pause(stop, pauses.lengthen()).is_ok();
            begun = Instant::now();
            goes_on
        });
        let persisted = persisted.map_err(|_| Halt::Closed)?;
        shared.recover();
        catalog::WRITE_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
        catalog::WRITE_BATCH_SIZE.record(writes as f64);
        let mut latest = entries.iter().rev();
        let membership = latest.find_map(|entry| entry.membership.clone());
        self.digests.extend(&persisted.applied.digests);
        self.show(&persisted.applied, |state| {
            state.last = Some(last.log_id);
            if let Some(membership) = membership {
                state.membership = membership;
            }
        });
        self.tell_own(entries);
        Ok(())
    }

    /// Says which of this process's own proposals have landed.
    fn tell_own(&self, entries: &[Decoded]) {
        for entry in entries {
            for number in &entry.own {
                self.line.landed(*number, entry.log_id.index);
            }
        }
    }

    /// Refreshes the caches; then what is applied is said to be.
    fn show(&mut self, applied: &Applied, change: impl FnOnce(&mut AppliedState)) {
        // These moments are for tests that end the process; there is nothing to fail.
        let _ = self.faults.at(Operation::Refresh);
        (self.on_applied)(applied);
        self.reach.note_applied(change);
        let _ = self.faults.at(Operation::Acknowledge);
    }

    fn install(
        &mut self,
        meta: &SnapshotMeta<NodeId, Member>,
        file: &SnapshotFile,
    ) -> Result<(), Halt> {
        if meta.last_log_id <= self.reach.applied().last {
            return Ok(());
        }
        let opened = self.snapshots.open_received(meta, file);
        let source = opened.map_err(|error| Halt::Snapshot(error.to_string()))?;
        let replaced = self.replace(&source)?;
        let applied = Applied {
            position: replaced.position,
            rev: replaced.rev,
            level: Some(replaced.level),
            ..Applied::default()
        };
        self.digests.begin(replaced.position, replaced.digest);
        let _ = self.faults.at(Operation::SnapshotInstalled);
        (self.on_replaced)(&applied);
        self.reach.note_applied(|state| {
            state.last = meta.last_log_id;
            state.membership = meta.last_membership.clone();
        });
        self.reach
            .note_durable(meta.last_log_id.map(|last| last.index));
        Ok(())
    }

    fn replace(&mut self, source: &Connection) -> Result<meta::Meta, Halt> {
        let mut pauses = Pauses::of_disk();
        loop {
            match self.scribe.replace_with(source) {
                Ok(meta) => {
                    self.shared.recover();
                    return Ok(meta);
                }
                Err(error) => {
                    self.shared.degrade(&error);
                    if error.kind() == "full" {
                        // What came takes room itself. It is sent again when there is enough.
                        return Err(Halt::Snapshot(error.to_string()));
                    }
                }
            }
            pause(&self.stop, pauses.lengthen())?;
        }
    }
}

/// Sleeps, unless storage is being closed.
fn pause(stop: &AtomicBool, pause: Duration) -> Result<(), Halt> {
    const STEP: Duration = Duration::from_millis(20);
    let end = Instant::now() + pause;
    while Instant::now() < end {
        if stop.load(Ordering::SeqCst) {
            return Err(Halt::Closed);
        }
        std::thread::sleep(STEP.min(pause));
    }
    Ok(())
}
