//! Writes that are acknowledged and not yet in this instance's database. They stay pending until they are.

use crate::pending_writes::WriteId;
use crate::record::Position;
use crate::write::Write;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes with the numbers that the queue gave them.
pub(super) type NumberedWrites = Vec<(WriteId, Arc<Write>)>;

/// See the module. Bounded by the queue's bytes, which count what is in it.
pub(crate) struct UnappliedWrites(Mutex<UnappliedState>);

struct UnappliedState {
    applied: Position,
    /// By position, which only grows: one batch is proposed at a time.
    batches: VecDeque<(Position, NumberedWrites)>,
}

impl UnappliedWrites {
    /// Of a database that is at `applied`.
    pub(super) fn at(applied: Position) -> Self {
        Self(Mutex::new(UnappliedState {
            applied,
            batches: VecDeque::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, UnappliedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in writes that were acknowledged at `position`. Gives them back if that is applied
    /// already.
    pub(super) fn add(&self, position: Position, writes: NumberedWrites) -> Option<NumberedWrites> {
        let mut state = self.lock();
        if position <= state.applied {
            return Some(writes);
        }
        state.batches.push_back((position, writes));
        None
    }

    /// The database has come to `applied`, and the caches show it: what was waiting for that.
    pub(super) fn take_applied(&self, applied: Position) -> NumberedWrites {
        let mut state = self.lock();
        state.applied = state.applied.max(applied);
        let mut there = NumberedWrites::new();
        while let Some((position, _)) = state.batches.front()
            && *position <= state.applied
        {
            let batch = state.batches.pop_front();
            there.extend(batch.into_iter().flat_map(|(_, writes)| writes));
        }
        there
    }
}
