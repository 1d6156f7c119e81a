//! The thread that fills the warm cache from the change feed of the database, keeps it up to date, and
//! rebuilds it on request.

use super::rebuild_reason::RebuildReason;
use super::sled_store::{self, SledStore};
use super::state::{WarmCacheConfig, WarmCacheState, WorkerSignal, folder_in};
use crate::backoff::Backoff;
use crate::fault_injection::DiskOperation;
use crate::record::Caller;
use crate::sqlite::{callers, connection, meta};
use calldex_observability::catalog;
use rusqlite::Connection;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Callers read from the feed and written at once.
const FEED_ROWS_MAX: usize = 1_000;
/// Rest between two full pages of the feed, so that filling leaves the machine to the calls.
const FEED_PAUSE: Duration = Duration::from_millis(1);
/// First pause before the tier is filled anew; each further one doubles until it was filled.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Why a round ended.
enum WorkerStop {
    /// The storage closes.
    Stop,
    /// The cache is to be rebuilt.
    Rebuild(RebuildReason),
}

impl From<RebuildReason> for WorkerStop {
    fn from(reason: RebuildReason) -> Self {
        Self::Rebuild(reason)
    }
}

impl From<rusqlite::Error> for WorkerStop {
    fn from(error: rusqlite::Error) -> Self {
        tracing::warn!(%error, "the warm tier cannot read the database; trying again");
        Self::Rebuild(RebuildReason::Behind)
    }
}

/// See the module.
pub(super) struct WarmCacheWorker {
    config: WarmCacheConfig,
    shared: Arc<WarmCacheState>,
}

impl WarmCacheWorker {
    pub(super) fn new(config: WarmCacheConfig, shared: Arc<WarmCacheState>) -> Self {
        Self { config, shared }
    }

    /// Keeps the tier until the storage closes.
    pub(super) fn run(self) {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut reason = RebuildReason::Start;
        loop {
            self.reset(reason);
            let halt = match catch_unwind(AssertUnwindSafe(|| self.fill_and_follow(&mut backoff))) {
                Ok(Ok(never)) => match never {},
                Ok(Err(halt)) => halt,
                Err(_) => WorkerStop::Rebuild(RebuildReason::Panicked),
            };
            self.shared.ready.store(false, Ordering::SeqCst);
            let is_over = match halt {
                WorkerStop::Stop => true,
                WorkerStop::Rebuild(why) => {
                    reason = why;
                    self.wait_or_stop(backoff.next_delay())
                }
            };
            if is_over {
                return self.delete();
            }
        }
    }

    fn reset(&self, reason: RebuildReason) {
        catalog::WARM_REBUILDS_TOTAL
            .with(reason.as_str())
            .increment(1);
        catalog::DIRECTORY_ENTRIES.with("warm").set(0.0);
        if reason.is_failure() {
            let reason = reason.as_str();
            tracing::warn!(reason, "the warm tier is filled anew from the database");
        }
        // What comes from here on is about the database as the filling will read it.
        self.shared.lock().rebuild = None;
        self.delete();
        self.shared.behind.clear();
    }

    fn delete(&self) {
        self.shared.put_store(None);
        sled_store::remove(&folder_in(&self.config.data_dir));
    }

    /// Fills, and follows, until something ends it.
    fn fill_and_follow(&self, backoff: &mut Backoff) -> Result<Infallible, WorkerStop> {
        let faults = &self.config.faults;
        faults
            .inject(DiskOperation::OpenWarm)
            .map_err(|_| RebuildReason::Corrupt)?;
        let database = connection::open_reader(&self.config.database)?;
        let store = Arc::new(SledStore::create(&folder_in(&self.config.data_dir))?);
        self.shared.put_store(Some(Arc::clone(&store)));
        // Rows that were inserted by hand have no revision.
        let mut read_to = None;
        loop {
            self.catch_up(&database, &store, &mut read_to)?;
            if self.shared.mark_ready() {
                backoff.reset();
                self.update_gauge(&database)?;
            }
            self.wait_for_changes()?;
        }
    }

    /// Writes everything that the feed has beyond `read_to`.
    fn catch_up(
        &self,
        database: &Connection,
        store: &SledStore,
        read_to: &mut Option<u64>,
    ) -> Result<(), WorkerStop> {
        loop {
            self.check_signal()?;
            let snapshot = database.unchecked_transaction()?;
            let now = meta::read(&snapshot)?;
            let changes = callers::changed_since(&snapshot, *read_to, FEED_ROWS_MAX)?;
            drop(snapshot);
            let rev = if changes.is_full {
                changes.read_to
            } else {
                now.rev
            };
            self.write(store, &changes.callers, rev)?;
            *read_to = Some(rev);
            if !changes.is_full {
                return Ok(());
            }
            std::thread::sleep(FEED_PAUSE);
        }
    }

    /// Writes `changed`, with which the tier is in step up to `rev`.
    fn write(&self, store: &SledStore, changed: &[Caller], rev: u64) -> Result<(), WorkerStop> {
        self.config
            .faults
            .inject(DiskOperation::WriteWarm)
            .map_err(|_| RebuildReason::Corrupt)?;
        store.write(changed)?;
        self.shared.behind.retain(|_, changed_at| *changed_at > rev);
        Ok(())
    }

    fn update_gauge(&self, database: &Connection) -> rusqlite::Result<()> {
        let callers: i64 =
            database.query_row("SELECT COUNT(*) FROM callers", [], |row| row.get(0))?;
        catalog::DIRECTORY_ENTRIES.with("warm").set(callers as f64);
        Ok(())
    }

    fn check_signal(&self) -> Result<(), WorkerStop> {
        let mut signal = self.shared.lock();
        signal.changed = false;
        match signal.rebuild {
            _ if signal.stop => Err(WorkerStop::Stop),
            Some(reason) => Err(WorkerStop::Rebuild(reason)),
            None => Ok(()),
        }
    }

    fn wait_for_changes(&self) -> Result<(), WorkerStop> {
        let idle = |signal: &mut WorkerSignal| {
            !(signal.changed || signal.stop || signal.rebuild.is_some())
        };
        let waited = self.shared.changed.wait_while(self.shared.lock(), idle);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.check_signal()
    }

    /// Sleeps up to `pause`. Whether the storage closes.
    fn wait_or_stop(&self, pause: Duration) -> bool {
        let waits = |signal: &mut WorkerSignal| !signal.stop;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), pause, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }
}
