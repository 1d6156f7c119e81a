//! The loop of the thread "calldex-writer" where there are several instances: commits the entries of a
//! job in one transaction with how far the log is applied, shows them, then answers.

use super::sieve::{Decoded, Sieve};
use super::{Halt, Job};
use crate::faults::{Faults, Operation};
use crate::pauses::{self, Pauses};
use crate::replication::snapshot::Snapshots;
use crate::replication::{Member, NodeId, Outcome, Reach, SnapshotFile, TypeConfig};
use crate::sqlite::ledger::{Ledger, Places};
use crate::sqlite::meta::{self, AppliedState};
use crate::write::{Applied, Write, apply_at};
use crate::writer::{
    CommitError, Line, LogPages, OnApplied, Position, Scribe, Shared, WriterConnection,
};
use calldex_observability::catalog;
use openraft::{Entry, SnapshotMeta};
use rusqlite::{Connection, Transaction};
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
    me: (NodeId, u64),
    shared: &'a Shared,
    line: &'a Line,
    on_applied: OnApplied,
    on_replaced: OnApplied,
}

/// Why a transaction was given up.
enum Setback {
    /// A write is itself at fault.
    OfTheWrites,
    Halt(Halt),
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
        match self.commit(&decoded) {
            Ok(()) => {}
            Err(Setback::Halt(halt)) => return Err(halt),
            Err(Setback::OfTheWrites) => self.commit_singly(&decoded)?,
        }
        let outcome = |entry: &Entry<TypeConfig>| Outcome {
            position: entry.log_id.index,
        };
        Ok(entries.iter().map(outcome).collect())
    }

    /// One transaction for all of `entries`.
    fn commit(&mut self, entries: &[Decoded]) -> Result<(), Setback> {
        let Some(last) = entries.last() else {
            return Ok(());
        };
        let writes: Vec<&Write> = entries.iter().flat_map(|entry| &entry.writes).collect();
        let membership = entries
            .iter()
            .rev()
            .find_map(|entry| entry.membership.as_ref());
        let begun = Instant::now();
        let applied = self.persist(|transaction, ledger| {
            let applied = apply_at(transaction, ledger, &writes, last.log_id.index)?;
            meta::advance_to(transaction, &last.log_id, membership)?;
            Ok(applied)
        })?;
        catalog::WRITE_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
        catalog::WRITE_BATCH_SIZE.record(writes.len() as f64);
        self.show(&applied, |state| {
            state.last = Some(last.log_id);
            if let Some(membership) = membership {
                state.membership = membership.clone();
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

    /// A write is at fault: each entry gets a transaction of its own, and what fails by itself is set
    /// aside.
    fn commit_singly(&mut self, entries: &[Decoded]) -> Result<(), Halt> {
        for entry in entries {
            let mut sieve = Sieve::default();
            loop {
                match self.commit_sifted(entry, &mut sieve) {
                    Ok(()) => break,
                    Err(Setback::Halt(halt)) => return Err(halt),
                    Err(Setback::OfTheWrites) => {
                        if !sieve.set_aside(&entry.writes, &entry.log_id) {
                            // No write was at work: the tables themselves refuse. It passes, or a
                            // person has to look.
                            self.pause(pauses::DISK_MAX)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn commit_sifted(&mut self, entry: &Decoded, sieve: &mut Sieve) -> Result<(), Setback> {
        let index = entry.log_id.index;
        let mut shown = Applied::default();
        self.persist(|transaction, ledger| {
            shown = apply_at(transaction, ledger, &[], index)?;
            sieve.pass(&entry.writes, |write| {
                let applied = apply_at(transaction, ledger, &[write], index)?;
                shown.rev = applied.rev;
                shown.callers.extend(applied.callers);
                shown.takeovers.extend(applied.takeovers);
                shown.level = applied.level.or(shown.level);
                Ok::<(), CommitError>(())
            })?;
            meta::advance_to(transaction, &entry.log_id, entry.membership.as_ref())?;
            Ok(Applied {
                position: index,
                ..Applied::default()
            })
        })?;
        self.show(&shown, |state| {
            state.last = Some(entry.log_id);
            if let Some(membership) = &entry.membership {
                state.membership = membership.clone();
            }
        });
        self.tell_own(std::slice::from_ref(entry));
        Ok(())
    }

    /// Commits, again and again until the disk takes it, a write is at fault, or storage is closed.
    fn persist(
        &mut self,
        mut work: impl FnMut(&Transaction<'_>, &Ledger) -> Result<Applied, CommitError>,
    ) -> Result<Applied, Setback> {
        let mut pauses = Pauses::of_disk();
        loop {
            let operation = Some(Operation::ApplyEntries);
            let error = match self.scribe.transact(operation, &mut work) {
                Ok(applied) => {
                    self.shared.recover();
                    return Ok(applied);
                }
                Err(error) => error,
            };
            if error.is_of_the_writes() {
                catalog::WRITE_FAILURES_TOTAL
                    .with(error.kind())
                    .increment(1);
                return Err(Setback::OfTheWrites);
            }
            self.shared.degrade(&error);
            self.pause(pauses.lengthen()).map_err(Setback::Halt)?;
        }
    }

    /// Sleeps, unless storage is being closed.
    fn pause(&self, pause: Duration) -> Result<(), Halt> {
        const STEP: Duration = Duration::from_millis(20);
        let end = Instant::now() + pause;
        while Instant::now() < end {
            if self.stop.load(Ordering::SeqCst) {
                return Err(Halt::Closed);
            }
            std::thread::sleep(STEP.min(pause));
        }
        Ok(())
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
            self.pause(pauses.lengthen())?;
        }
    }
}
