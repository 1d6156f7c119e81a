//! How far this instance has applied the cluster's log, and how much of that is on disk for good.

use crate::sqlite::meta::AppliedLogState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nothing: indexes are kept as one more than they are.
const NONE: u64 = 0;

/// Shared by the applying thread, the checkpointer and the log.
#[derive(Default)]
pub(crate) struct AppliedIndex {
    applied: Mutex<AppliedLogState>,
    /// One more than the index up to which the database is durable.
    durable: AtomicU64,
    durable_changed: Condvar,
}

impl AppliedIndex {
    /// From the state that was read from the database.
    pub(crate) fn new(applied: AppliedLogState) -> Self {
        Self {
            applied: Mutex::new(applied),
            durable: AtomicU64::new(NONE),
            durable_changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, AppliedLogState> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is applied.
    pub(crate) fn applied_state(&self) -> AppliedLogState {
        self.lock().clone()
    }

    /// The index that is applied.
    pub(crate) fn index(&self) -> Option<u64> {
        self.lock().last_log_id.map(|last| last.index)
    }

    /// A job was committed.
    pub(crate) fn note_applied(&self, change: impl FnOnce(&mut AppliedLogState)) {
        change(&mut self.lock());
    }

    /// Everything that was applied when `index` was read has been copied into the database
    /// since, and synced.
    pub(crate) fn note_durable(&self, applied_index: Option<u64>) {
        let durable = applied_index.map_or(NONE, |index| index + 1);
        // Under the lock, so that a waiter cannot miss it.
        let _guard = self.lock();
        self.durable.fetch_max(durable, Ordering::SeqCst);
        self.durable_changed.notify_all();
    }

    /// The index up to which the database is on disk for good.
    pub(crate) fn durable_index(&self) -> Option<u64> {
        self.durable.load(Ordering::SeqCst).checked_sub(1)
    }

    /// Whether something is applied that is not durable.
    pub(crate) fn has_undurable(&self) -> bool {
        self.index() > self.durable_index()
    }

    /// Waits until `index` is durable, up to `until`. Whether it is.
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
