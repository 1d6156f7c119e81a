//! How far this instance's database has come, told to whoever waits for it; and what came of the
//! claims of calls on the way.

use super::Position;
use crate::write::{Applied, Takeover};
use calldex_observability::catalog;
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// Take-overs that a slow reader of [`crate::Storage::takeovers`] may be behind. Beyond it the oldest
/// are dropped for that reader, which is told so.
pub const TAKEOVERS_BEHIND_MAX: usize = 4_096;

/// See the module.
pub(crate) struct Progress {
    applied: watch::Sender<Position>,
    takeovers: broadcast::Sender<Takeover>,
}

impl Progress {
    /// A database opened at `position`.
    pub(crate) fn at(position: Position) -> Self {
        Self {
            applied: watch::Sender::new(position),
            takeovers: broadcast::Sender::new(TAKEOVERS_BEHIND_MAX),
        }
    }

    /// Tells what was applied; the caches show it already.
    pub(crate) fn tell(&self, applied: &Applied) {
        for takeover in &applied.takeovers {
            // Nobody listens: nobody has a live call.
            let _ = self.takeovers.send(takeover.clone());
        }
        self.applied.send_if_modified(|position| {
            let is_further = applied.position > *position;
            *position = applied.position.max(*position);
            is_further
        });
    }

    /// The position that is applied.
    pub(crate) fn applied(&self) -> Position {
        *self.applied.borrow()
    }

    /// Waits until `position` is applied, `deadline` at most. Whether it is.
    pub(crate) async fn wait(&self, position: Position, deadline: Duration) -> bool {
        if self.applied() >= position {
            catalog::POSITION_WAITS_TOTAL.with("there").increment(1);
            return true;
        }
        let mut applied = self.applied.subscribe();
        let there = applied.wait_for(|applied| *applied >= position);
        let is_there = matches!(tokio::time::timeout(deadline, there).await, Ok(Ok(_)));
        let result = if is_there { "waited" } else { "timed_out" };
        catalog::POSITION_WAITS_TOTAL.with(result).increment(1);
        is_there
    }

    /// What comes of claims from now on.
    pub(crate) fn takeovers(&self) -> broadcast::Receiver<Takeover> {
        self.takeovers.subscribe()
    }
}
