//! The thread "calldex-raft-log": keeps the log's file small. It checkpoints the write-ahead log
//! beside the appending thread, deletes purged entries, and gives free pages back.

use super::RaftLogError;
use super::file::{self, LogFile};
use super::store_core::LogStoreCore;
use crate::disk::WalPages;
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::sqlite::connection;
use crate::thread_join;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pages by which the write-ahead log has grown when it is copied into the database: 4 MiB.
const WAL_PAGES_MIN: u64 = 1_000;
/// Pages from which the last ones are copied while no append runs, so that the log restarts: 16 MiB.
const WAL_PAGES_MAX: u64 = 4_096;
/// Pages that it must have grown by for another attempt after a reader prevented that.
const WAL_PAGES_STEP: u64 = 256;
/// How often the worker looks for work without being woken.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Default)]
pub(super) struct LogMaintenanceWorker(Option<JoinHandle<()>>);

impl LogMaintenanceWorker {
    /// Starts the thread; it ends when the log is closed. A failure closes the log, since the
    /// file has to be verified then.
    pub(super) fn start(
        path: PathBuf,
        faults: FaultInjector,
        pages: WalPages,
        store: Arc<LogStoreCore>,
    ) -> std::io::Result<Self> {
        let kept = Arc::clone(&store);
        let mut work = LogMaintenance {
            path,
            faults,
            wal_pages: pages,
            store,
            connection: None,
            checkpointed_pages: (0, 0),
        };
        let thread = std::thread::Builder::new()
            .name("calldex-raft-log".to_owned())
            .spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| work.run()));
                let panicked = Err(RaftLogError::Disk("its thread panicked".to_owned()));
                if let Err(error) = outcome.unwrap_or(panicked)
                    && work.store.closed().is_none()
                {
                    tracing::error!(%error, "the cluster's log failed; it has to be opened anew");
                    work.store.close(error);
                }
            })?;
        // Told once, before anybody else has the store.
        let _ = kept.worker.set(thread.thread().clone());
        Ok(Self(Some(thread)))
    }

    /// Waits for the thread after the log was closed, until `end`. Returns whether it has ended.
    pub(super) fn join(&mut self, end: Instant) -> bool {
        let Some(thread) = self.0.take() else {
            return true;
        };
        match thread_join::join_until(thread, end) {
            Ok(()) => true,
            Err(hanging) => {
                self.0 = Some(hanging);
                false
            }
        }
    }
}

struct LogMaintenance {
    path: PathBuf,
    faults: FaultInjector,
    wal_pages: WalPages,
    store: Arc<LogStoreCore>,
    connection: Option<Connection>,
    /// Pages of the write-ahead log when it was last copied: beside, and while nobody appended.
    checkpointed_pages: (u64, u64),
}

impl LogMaintenance {
    fn run(&mut self) -> Result<(), RaftLogError> {
        let mut shrunk_at = Instant::now();
        while self.store.closed().is_none() {
            self.checkpoint_if_long()?;
            let is_more = if self.store.is_purging() {
                self.store.purge_step()?
            } else if shrunk_at.elapsed() >= CHECK_INTERVAL {
                let is_more = self.with_file(LogFile::shrink)?.unwrap_or(false);
                if !is_more {
                    shrunk_at = Instant::now();
                }
                is_more
            } else {
                false
            };
            if !is_more {
                std::thread::park_timeout(CHECK_INTERVAL);
            }
        }
        Ok(())
    }

    fn with_file<T>(
        &self,
        work: impl FnOnce(&LogFile) -> Result<T, RaftLogError>,
    ) -> Result<Option<T>, RaftLogError> {
        let place = self.store.writer();
        place.as_ref().map(|writer| work(&writer.file)).transpose()
    }

    fn checkpoint_if_long(&mut self) -> Result<(), RaftLogError> {
        let now = self.wal_pages.get();
        let (mut beside, mut alone) = self.checkpointed_pages;
        if now < beside.max(alone) {
            // The log was restarted.
            (beside, alone) = (0, 0);
        }
        if now - beside >= WAL_PAGES_MIN {
            self.checkpoint_with_own_connection()?;
            beside = now;
        }
        if now >= WAL_PAGES_MAX && now - alone >= WAL_PAGES_STEP {
            self.with_file(LogFile::checkpoint)?;
            alone = now;
        }
        self.checkpointed_pages = (beside, alone);
        Ok(())
    }

    fn checkpoint_with_own_connection(&mut self) -> Result<(), RaftLogError> {
        self.faults.inject(DiskOperation::RaftCheckpoint)?;
        // Taken out: after an error it is not used again.
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => file::open_writer(&self.path)?,
        };
        connection::checkpoint_passively(&connection)?;
        self.connection = Some(connection);
        Ok(())
    }
}
