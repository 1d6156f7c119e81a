//! How far a cluster's log is applied to the database, and how much of that is synced to disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// No index: the durable index is stored as one more than it is.
const NONE: u64 = 0;

/// Shared by the applying thread, the checkpointer and the log.
#[derive(Default)]
pub(crate) struct DurableIndex {
    applied: Mutex<Option<u64>>,
    /// One more than the index up to which the database is durable.
    durable: AtomicU64,
    durable_changed: Condvar,
}

impl DurableIndex {
    /// Of a database that is at `applied`, of which nothing is known to be durable.
    pub(crate) fn new(applied: Option<u64>) -> Self {
        Self {
            applied: Mutex::new(applied),
            durable: AtomicU64::new(NONE),
            durable_changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<u64>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of the last entry that is applied.
    pub(crate) fn applied_index(&self) -> Option<u64> {
        *self.lock()
    }

    /// Entries up to `index` were committed to the database.
    pub(crate) fn note_applied(&self, index: Option<u64>) {
        *self.lock() = index;
    }

    /// The entries up to `index` have been copied into the database, and synced.
    pub(crate) fn note_durable(&self, index: Option<u64>) {
        let durable = index.map_or(NONE, |index| index + 1);
        // Under the lock, so that a waiter cannot miss it.
        let _guard = self.lock();
        self.durable.fetch_max(durable, Ordering::SeqCst);
        self.durable_changed.notify_all();
    }

    /// The index up to which the database is durable.
    pub(crate) fn durable_index(&self) -> Option<u64> {
        self.durable.load(Ordering::SeqCst).checked_sub(1)
    }

    /// Whether something is applied that is not durable.
    pub(crate) fn has_undurable(&self) -> bool {
        self.applied_index() > self.durable_index()
    }

    /// Waits until `index` is durable, and no longer than `until`; returns whether it is. Blocks.
    pub(crate) fn wait_durable(&self, index: u64, until: Instant) -> bool {
        let mut guard = self.lock();
        while self.durable_index() < Some(index) {
            let Some(rest) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self
                .durable_changed
                .wait_timeout(guard, rest.max(Duration::from_millis(1)));
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
