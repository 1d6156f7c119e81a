//! How far this instance has applied the cluster's log, and how much of that is durable.

use super::applied_state::AppliedLogState;
use crate::disk::DurableIndex;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the applying thread, the snapshots and the engine; the checkpointer and the log know only
/// its [`DurableIndex`].
#[derive(Default)]
pub(crate) struct AppliedIndex {
    state: Mutex<AppliedLogState>,
    /// Changed only while `state` is locked: the index is never ahead of it.
    indexes: Arc<DurableIndex>,
}

impl AppliedIndex {
    /// From the state that was read from the database.
    pub(crate) fn new(applied: AppliedLogState) -> Self {
        let index = applied.last_log_id.map(|last| last.index);
        Self {
            state: Mutex::new(applied),
            indexes: Arc::new(DurableIndex::new(index)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, AppliedLogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The indexes alone.
    pub(crate) fn indexes(&self) -> Arc<DurableIndex> {
        Arc::clone(&self.indexes)
    }

    /// What is applied.
    pub(crate) fn applied_state(&self) -> AppliedLogState {
        self.lock().clone()
    }

    /// A job was committed.
    pub(crate) fn note_applied(&self, change: impl FnOnce(&mut AppliedLogState)) {
        let mut state = self.lock();
        change(&mut state);
        self.indexes
            .note_applied(state.last_log_id.map(|last| last.index));
    }

    /// As [`DurableIndex::note_durable`].
    pub(crate) fn note_durable(&self, index: Option<u64>) {
        self.indexes.note_durable(index);
    }

    /// The index up to which the database is durable.
    pub(crate) fn durable_index(&self) -> Option<u64> {
        self.indexes.durable_index()
    }
}
