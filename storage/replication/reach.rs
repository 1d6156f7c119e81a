//! How far this instance has applied the cluster's log, and how much of that is on disk for good.

use crate::sqlite::meta::AppliedState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nothing: indexes are kept as one more than they are.
const NONE: u64 = 0;

/// Shared by the applying thread, the checkpointer and the log.
#[derive(Default)]
pub(crate) struct Reach {
    applied: Mutex<AppliedState>,
    /// One more than the index up to which the database is durable.
    durable: AtomicU64,
    moved: Condvar,
}

impl Reach {
    /// From the state that was read from the database.
    pub(crate) fn new(applied: AppliedState) -> Self {
        Self {
            applied: Mutex::new(applied),
            durable: AtomicU64::new(NONE),
            moved: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, AppliedState> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is applied.
    pub(crate) fn applied(&self) -> AppliedState {
        self.lock().clone()
    }

    /// The index that is applied.
    pub(crate) fn applied_index(&self) -> Option<u64> {
        self.lock().last.map(|last| last.index)
    }

    /// A job was committed.
    pub(crate) fn note_applied(&self, change: impl FnOnce(&mut AppliedState)) {
        change(&mut self.lock());
    }

    /// Everything that was applied when `applied_index` was read has been copied into the database
    /// since, and synced.
    pub(crate) fn note_durable(&self, applied_index: Option<u64>) {
        let durable = applied_index.map_or(NONE, |index| index + 1);
        // Under the lock, so that a waiter cannot miss it.
        let _guard = self.lock();
        self.durable.fetch_max(durable, Ordering::SeqCst);
        self.moved.notify_all();
    }

    /// The index up to which the database is on disk for good.
    pub(crate) fn durable_index(&self) -> Option<u64> {
        self.durable.load(Ordering::SeqCst).checked_sub(1)
    }

    /// Whether something is applied that is not durable.
    pub(crate) fn is_ahead(&self) -> bool {
        self.applied_index() > self.durable_index()
    }

    /// Waits until `index` is durable, up to `until`. Whether it is.
    pub(crate) fn wait_durable(&self, index: u64, until: Instant) -> bool {
        let mut guard = self.lock();
        while self.durable_index() < Some(index) {
            let Some(rest) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self
                .moved
                .wait_timeout(guard, rest.max(Duration::from_millis(1)));
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
