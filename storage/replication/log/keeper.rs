//! The thread "calldex-raft-log": keeps the log's file small. It copies the write-ahead log into the database
//! beside whoever appends, removes entries that were let go of, and gives free pages back.

use super::LogError;
use super::file::{self, LogFile};
use super::store::Store;
use crate::ending;
use crate::faults::{Faults, Operation};
use crate::sqlite::connection;
use crate::writer::LogPages;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pages by which the write-ahead log has grown when it is copied into the database: 4 MiB.
const LOG_PAGES_MIN: u64 = 1_000;
/// Pages from which the last ones are copied while nobody appends, so that the log begins anew: 16 MiB.
const LOG_PAGES_MAX: u64 = 4_096;
/// Pages that it must have grown by for that to be tried again, where a reader hinders it.
const LOG_PAGES_STEP: u64 = 256;
/// How often it is looked whether there is something to do, if nobody says so.
const REST: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Default)]
pub(super) struct Keeper(Option<JoinHandle<()>>);

impl Keeper {
    /// Starts the thread; it ends when the log is closed. A failure of its closes the log: what the disk
    /// holds has to be verified then.
    pub(super) fn start(
        path: PathBuf,
        faults: Faults,
        pages: LogPages,
        store: Arc<Store>,
    ) -> std::io::Result<Self> {
        let kept = Arc::clone(&store);
        let mut work = Work {
            path,
            faults,
            pages,
            store,
            connection: None,
            copied_pages: (0, 0),
        };
        let thread = std::thread::Builder::new()
            .name("calldex-raft-log".to_owned())
            .spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| work.run()));
                let panicked = Err(LogError::Disk("its thread panicked".to_owned()));
                if let Err(error) = outcome.unwrap_or(panicked)
                    && work.store.closed().is_none()
                {
                    tracing::error!(%error, "the cluster's log failed; it has to be opened anew");
                    work.store.close(error);
                }
            })?;
        // Told once, before anybody else has the store.
        let _ = kept.keeper.set(thread.thread().clone());
        Ok(Self(Some(thread)))
    }

    /// Waits for the thread, the log having been closed, until `end`. Whether it ended.
    pub(super) fn join(&mut self, end: Instant) -> bool {
        let Some(thread) = self.0.take() else {
            return true;
        };
        match ending::join(thread, end) {
            Ok(()) => true,
            Err(hanging) => {
                self.0 = Some(hanging);
                false
            }
        }
    }
}

struct Work {
    path: PathBuf,
    faults: Faults,
    pages: LogPages,
    store: Arc<Store>,
    connection: Option<Connection>,
    /// Pages of the write-ahead log when it was last copied: beside, and while nobody appended.
    copied_pages: (u64, u64),
}

impl Work {
    fn run(&mut self) -> Result<(), LogError> {
        let mut shrunk_at = Instant::now();
        while self.store.closed().is_none() {
            self.copy_if_long()?;
            let is_more = if self.store.is_purging() {
                self.store.purge_step()?
            } else if shrunk_at.elapsed() >= REST {
                let is_more = self.with_file(LogFile::shrink)?.unwrap_or(false);
                if !is_more {
                    shrunk_at = Instant::now();
                }
                is_more
            } else {
                false
            };
            if !is_more {
                std::thread::park_timeout(REST);
            }
        }
        Ok(())
    }

    fn with_file<T>(
        &self,
        work: impl FnOnce(&LogFile) -> Result<T, LogError>,
    ) -> Result<Option<T>, LogError> {
        let place = self.store.writer();
        place.as_ref().map(|writer| work(&writer.file)).transpose()
    }

    fn copy_if_long(&mut self) -> Result<(), LogError> {
        let now = self.pages.now();
        let (mut beside, mut alone) = self.copied_pages;
        if now < beside.max(alone) {
            // It was begun anew.
            (beside, alone) = (0, 0);
        }
        if now - beside >= LOG_PAGES_MIN {
            self.copy_beside()?;
            beside = now;
        }
        if now >= LOG_PAGES_MAX && now - alone >= LOG_PAGES_STEP {
            self.with_file(LogFile::copy_log)?;
            alone = now;
        }
        self.copied_pages = (beside, alone);
        Ok(())
    }

    fn copy_beside(&mut self) -> Result<(), LogError> {
        self.faults.at(Operation::RaftCheckpoint)?;
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
