//! The thread that fills the tier from the database's change feed and keeps it in step, and begins anew
//! when it is told to.

use super::store::{self, Store};
use super::{Reason, Shared, WarmConfig, folder};
use crate::faults::Operation;
use crate::pauses::Pauses;
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
const FEED_REST: Duration = Duration::from_millis(1);
/// First pause before the tier is filled anew; each further one doubles until it was filled.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Why a round ended.
enum Halt {
    /// The storage closes.
    Stop,
    /// The tier is to be filled anew.
    Refill(Reason),
}

impl From<Reason> for Halt {
    fn from(reason: Reason) -> Self {
        Self::Refill(reason)
    }
}

impl From<rusqlite::Error> for Halt {
    fn from(error: rusqlite::Error) -> Self {
        tracing::warn!(%error, "the warm tier cannot read the database; trying again");
        Self::Refill(Reason::Behind)
    }
}

/// See the module.
pub(super) struct Filler {
    config: WarmConfig,
    shared: Arc<Shared>,
}

impl Filler {
    pub(super) fn new(config: WarmConfig, shared: Arc<Shared>) -> Self {
        Self { config, shared }
    }

    /// Keeps the tier until the storage closes.
    pub(super) fn run(self) {
        let mut pauses = Pauses::new(RETRY_MIN, RETRY_MAX);
        let mut reason = Reason::Start;
        loop {
            self.begin_anew(reason);
            let halt = match catch_unwind(AssertUnwindSafe(|| self.keep(&mut pauses))) {
                Ok(Ok(never)) => match never {},
                Ok(Err(halt)) => halt,
                Err(_) => Halt::Refill(Reason::Panicked),
            };
            self.shared.ready.store(false, Ordering::SeqCst);
            let is_over = match halt {
                Halt::Stop => true,
                Halt::Refill(why) => {
                    reason = why;
                    self.rest(pauses.lengthen())
                }
            };
            if is_over {
                return self.throw_away();
            }
        }
    }

    fn begin_anew(&self, reason: Reason) {
        catalog::WARM_REBUILDS_TOTAL
            .with(reason.as_str())
            .increment(1);
        catalog::DIRECTORY_ENTRIES.with("warm").set(0.0);
        if reason.is_failure() {
            let reason = reason.as_str();
            tracing::warn!(reason, "the warm tier is filled anew from the database");
        }
        // What comes from here on is about the database as the filling will read it.
        self.shared.lock().refill = None;
        self.throw_away();
        self.shared.behind.clear();
    }

    fn throw_away(&self) {
        self.shared.put_store(None);
        store::remove(&folder(&self.config.data_dir));
    }

    /// Fills, and follows, until something ends it.
    fn keep(&self, pauses: &mut Pauses) -> Result<Infallible, Halt> {
        let faults = &self.config.faults;
        faults
            .at(Operation::OpenWarm)
            .map_err(|_| Reason::Corrupt)?;
        let database = connection::open_reader(&self.config.database)?;
        let store = Arc::new(Store::create(&folder(&self.config.data_dir))?);
        self.shared.put_store(Some(Arc::clone(&store)));
        // Rows that were put in by hand have none.
        let mut read_to = None;
        loop {
            self.catch_up(&database, &store, &mut read_to)?;
            if self.shared.trust() {
                pauses.reset();
                self.count(&database)?;
            }
            self.wait_for_changes()?;
        }
    }

    /// Writes everything that the feed has beyond `read_to`.
    fn catch_up(
        &self,
        database: &Connection,
        store: &Store,
        read_to: &mut Option<u64>,
    ) -> Result<(), Halt> {
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
            std::thread::sleep(FEED_REST);
        }
    }

    /// Writes `changed`, with which the tier is in step up to `rev`.
    fn write(&self, store: &Store, changed: &[Caller], rev: u64) -> Result<(), Halt> {
        self.config
            .faults
            .at(Operation::WriteWarm)
            .map_err(|_| Reason::Corrupt)?;
        store.write(changed)?;
        self.shared.behind.retain(|_, changed_at| *changed_at > rev);
        Ok(())
    }

    fn count(&self, database: &Connection) -> rusqlite::Result<()> {
        let callers: i64 =
            database.query_row("SELECT COUNT(*) FROM callers", [], |row| row.get(0))?;
        catalog::DIRECTORY_ENTRIES.with("warm").set(callers as f64);
        Ok(())
    }

    fn check_signal(&self) -> Result<(), Halt> {
        let mut signal = self.shared.lock();
        signal.changed = false;
        match signal.refill {
            _ if signal.stop => Err(Halt::Stop),
            Some(reason) => Err(Halt::Refill(reason)),
            None => Ok(()),
        }
    }

    fn wait_for_changes(&self) -> Result<(), Halt> {
        let idle = |signal: &mut super::Signal| {
            !(signal.changed || signal.stop || signal.refill.is_some())
        };
        let waited = self.shared.told.wait_while(self.shared.lock(), idle);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.check_signal()
    }

    /// Sleeps up to `pause`. Whether the storage closes.
    fn rest(&self, pause: Duration) -> bool {
        let waits = |signal: &mut super::Signal| !signal.stop;
        let waited = self
            .shared
            .told
            .wait_timeout_while(self.shared.lock(), pause, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }
}
