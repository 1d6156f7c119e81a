//! Makes a new cluster from the data directory of one member, after the majority is lost.
//!
//! The log of the member holds what it acknowledged, its database only what was applied and checkpointed.
//! So every entry of the log beyond the database is applied first, whether or not it is known to be
//! committed: a member learns of a commit late, and the lost members may have acknowledged the entry. An
//! entry that was never committed is a write that was submitted, and applying it acknowledges nothing. Then
//! the writes in its outbox are applied.

use super::applied_state::AppliedLogState;
use super::identity::{IdentityError, NodeIdentity};
use super::log::LogFile;
use super::state_machine::DecodedEntry;
use super::survivor_recovery::SurvivorRecovery;
use crate::data_dir::{DATABASE_FILE, LOG_FILE, OUTBOX_FILE};
use crate::disk::CommitError;
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::outbox::Outbox;
use crate::sqlite::connection;
use crate::write::decode_batch;
use crate::writer::{AppliedLogMark, BatchCommitter, WriteBatch, commit_batches};
use std::path::Path;

/// Bytes of entries that are read at once, one entry at least.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the data directory of a survivor holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurvivorReport {
    /// Its cluster.
    pub cluster_id: String,
    /// Term and index of the last entry in its log: of several survivors the one with the highest term, and
    /// among those with the highest index, is furthest.
    pub last_entry: Option<(u64, u64)>,
    /// The last entry that it knew to be committed.
    pub committed: Option<u64>,
    /// The last entry that its database had.
    pub applied: Option<u64>,
    /// Entries of its log beyond that.
    pub entries: u64,
    /// Writes in its outbox.
    pub outbox_writes: usize,
    /// Writes and batches that were themselves at fault: they are in the table `set_aside`, or still in
    /// the outbox.
    pub rejected: usize,
}

/// Why no cluster can be made from a data directory. What was applied before stays applied; the command may
/// be run again.
#[derive(Debug, thiserror::Error)]
pub enum SurvivorError {
    /// It is none, or is in use, or damaged.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There are entries of a later version.
    #[error("{0}")]
    Newer(String),
    /// The database does not take them.
    #[error("{DATABASE_FILE}: {0}")]
    Database(String),
    /// The outbox cannot be used.
    #[error("{OUTBOX_FILE}: {0}")]
    Outbox(String),
}

impl SurvivorReport {
    /// What the member in `data_dir` has; nothing of it is changed. Offline; blocks for as long as reading its log
    /// takes.
    pub fn inspect(data_dir: &Path) -> Result<Self, SurvivorError> {
        let founding = SurvivorRecovery::begin(data_dir)?;
        let Some(identity) = founding.survivor() else {
            return Ok(Self::default());
        };
        Self::of(data_dir, identity.cluster_id())
    }

    fn of(data_dir: &Path, cluster_id: &str) -> Result<Self, SurvivorError> {
        let log = data_dir.join(LOG_FILE);
        let (_, contents) =
            LogFile::open(&log, FaultInjector::default()).map_err(IdentityError::from)?;
        let applied = connection::open_reader(&data_dir.join(DATABASE_FILE))
            .and_then(|database| AppliedLogState::read(&database));
        let applied = applied.map_err(|error| SurvivorError::Database(error.to_string()))?;
        let applied = applied.last_log_id.map(|last| last.index);
        let beyond = applied.map_or(0, |applied| applied + 1);
        let waiting = Outbox::peek(data_dir, cluster_id)
            .map_err(|error| SurvivorError::Outbox(error.to_string()))?;
        let writes = waiting.iter().map(|saved| decode_batch(&saved.bytes));
        Ok(Self {
            cluster_id: cluster_id.to_owned(),
            last_entry: contents.last.map(|last| (last.leader_id.term, last.index)),
            committed: contents.committed.map(|committed| committed.index),
            applied,
            entries: contents.end().saturating_sub(beyond),
            outbox_writes: writes
                .map(|writes| writes.map_or(0, |writes| writes.len()))
                .sum(),
            rejected: 0,
        })
    }
}

impl NodeIdentity {
    /// Makes the directory of a member of a cluster that is lost the first instance of a new one, with
    /// everything it has: its database, the rest of its log, its outbox. What it had, and who it is now.
    ///
    /// Offline. Each step is on disk before the next one, and none takes anything back: whenever it ends
    /// early, run again it goes on. Run again when it is done, and before the instance was started, it
    /// changes nothing. Blocks for as long as reading and applying takes.
    pub fn init_cluster_from_survivor(
        data_dir: &Path,
        faults: &FaultInjector,
    ) -> Result<(SurvivorReport, Self), SurvivorError> {
        let mut founding = SurvivorRecovery::begin(data_dir)?;
        let mut survivor = SurvivorReport::default();
        if let Some(identity) = founding.survivor().cloned() {
            survivor = SurvivorReport::of(data_dir, identity.cluster_id())?;
            survivor.rejected = apply_log_and_outbox(data_dir, &identity, faults)?;
            step(faults)?;
            founding.mark_applied()?;
        }
        let identity = founding.create_cluster(|| step(faults))?;
        Ok((survivor, identity))
    }
}

fn step(faults: &FaultInjector) -> Result<(), IdentityError> {
    Ok(faults.inject(DiskOperation::FoundAnew)?)
}

/// Applies the rest of the log, then the outbox; all of it is on disk when it returns. How many writes were set aside.
fn apply_log_and_outbox(
    data_dir: &Path,
    identity: &NodeIdentity,
    faults: &FaultInjector,
) -> Result<usize, SurvivorError> {
    let calls = |error: &dyn std::fmt::Display| SurvivorError::Database(error.to_string());
    let database = data_dir.join(DATABASE_FILE);
    let opened = BatchCommitter::open_replicated(database, faults.clone());
    let (mut committer, _) = opened.map_err(|error| calls(&error))?;
    let applied = committer
        .applied_log()
        .and_then(|json| AppliedLogState::parse(&json))
        .map_err(|error| calls(&error))?;
    let next = applied.last_log_id.map_or(0, |last| last.index + 1);
    let log = data_dir.join(LOG_FILE);
    let (file, contents) = LogFile::open(&log, faults.clone()).map_err(IdentityError::from)?;
    let mut set_aside = apply_log(&mut committer, &file, next..contents.end(), identity)?;
    set_aside += apply_outbox(&mut committer, data_dir, identity.cluster_id(), faults)?;
    Ok(set_aside)
}

fn apply_log(
    committer: &mut BatchCommitter,
    file: &LogFile,
    mut rest: std::ops::Range<u64>,
    identity: &NodeIdentity,
) -> Result<usize, SurvivorError> {
    let mut set_aside = 0;
    while !rest.is_empty() {
        let entries = file.read(rest.clone(), READ_BYTES_MAX);
        let entries = entries.map_err(IdentityError::from)?;
        let decoded = entries.iter();
        let decoded = decoded.map(|entry| DecodedEntry::read(entry, identity.node_and_start()));
        let decoded = decoded.collect::<Result<Vec<_>, _>>();
        let decoded = decoded.map_err(|halt| SurvivorError::Newer(halt.to_string()))?;
        let Some(last) = decoded.last() else {
            break;
        };
        rest.start = last.log_id.index + 1;
        let batches: Vec<WriteBatch<'_>> = decoded.iter().map(DecodedEntry::to_batch).collect();
        let mark = DecodedEntry::log_mark(&decoded);
        set_aside += commit(committer, &batches, mark.as_ref())?;
        set_aside += decoded
            .iter()
            .map(|entry| entry.unreadable.len())
            .sum::<usize>();
    }
    Ok(set_aside)
}

fn apply_outbox(
    committer: &mut BatchCommitter,
    data_dir: &Path,
    cluster_id: &str,
    faults: &FaultInjector,
) -> Result<usize, SurvivorError> {
    let unusable = |error: CommitError| SurvivorError::Outbox(error.to_string());
    let (mut outbox, waiting) =
        Outbox::open(data_dir, cluster_id, faults.clone()).map_err(unusable)?;
    let mut set_aside = 0;
    for saved in waiting {
        match decode_batch(&saved.bytes) {
            Ok(writes) => {
                let (writes, entry) = (writes.iter().collect(), None);
                set_aside += commit(committer, &[WriteBatch { writes, entry }], None)?;
                outbox.mark_replicated(saved.id);
            }
            Err(error) => {
                tracing::error!(%error, row = saved.id, "an unreadable batch in the outbox is rejected");
                outbox.move_to_unreadable(saved.id).map_err(unusable)?;
                set_aside += 1;
            }
        }
    }
    committer
        .make_durable()
        .map_err(|error| SurvivorError::Database(error.to_string()))?;
    outbox.remove_replicated().map_err(unusable)?;
    Ok(set_aside)
}

/// Tries once: the operator sees why it failed.
fn commit(
    committer: &mut BatchCommitter,
    batches: &[WriteBatch<'_>],
    log_mark: Option<&AppliedLogMark>,
) -> Result<usize, SurvivorError> {
    let persisted = commit_batches(committer, None, batches, log_mark, &mut |_| false);
    let persisted = persisted.map_err(|error| SurvivorError::Database(error.to_string()))?;
    Ok(persisted.rejected.len())
}
