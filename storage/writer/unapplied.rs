//! Writes that are acknowledged and not yet in this instance's database: they stay among the pending
//! until they are.

use super::Position;
use super::pending::WriteId;
use crate::write::Write;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes with the numbers that the queue gave them.
pub(super) type Numbered = Vec<(WriteId, Arc<Write>)>;

/// See the module. Bounded by the queue's bytes, which count what is in it.
pub(crate) struct Unapplied(Mutex<State>);

struct State {
    applied: Position,
    /// By position, which only grows: one batch is proposed at a time.
    batches: VecDeque<(Position, Numbered)>,
}

impl Unapplied {
    /// Of a database that is at `applied`.
    pub(super) fn at(applied: Position) -> Self {
        Self(Mutex::new(State {
            applied,
            batches: VecDeque::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in writes that were acknowledged at `position`. Gives them back if that is applied
    /// already.
    pub(super) fn add(&self, position: Position, writes: Numbered) -> Option<Numbered> {
        let mut state = self.lock();
        if position <= state.applied {
            return Some(writes);
        }
        state.batches.push_back((position, writes));
        None
    }

    /// The database has come to `applied`, and the caches show it: what was waiting for that.
    pub(super) fn reach(&self, applied: Position) -> Numbered {
        let mut state = self.lock();
        state.applied = state.applied.max(applied);
        let mut there = Numbered::new();
        while let Some((position, _)) = state.batches.front()
            && *position <= state.applied
        {
            let batch = state.batches.pop_front();
            there.extend(batch.into_iter().flat_map(|(_, writes)| writes));
        }
        there
    }
}
