//! The line to the primary: where proposals go, once somebody has connected it.

use crate::replication::{ProposeError, Proposer};
use crate::writer::Position;
use bytes::Bytes;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

type End = (Arc<dyn Proposer>, Handle);

/// See the module. Before it is connected there is no primary.
#[derive(Default)]
pub(crate) struct Line(Mutex<Option<End>>);

impl Line {
    /// From now on proposals go to `proposer`, on `runtime`.
    pub(crate) fn connect(&self, proposer: Arc<dyn Proposer>, runtime: Handle) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((proposer, runtime));
    }

    /// Sends a batch on its way.
    pub(super) fn ask(&self, batch: Bytes, writes: usize) -> Result<Question, ProposeError> {
        let end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((proposer, runtime)) = end.clone() else {
            return Err(ProposeError::NoPrimary);
        };
        let (tell, told) = sync_channel(1);
        let task = runtime.spawn(async move {
            // Whoever asked may have given up.
            let _ = tell.send(proposer.propose(batch, writes).await);
        });
        Ok(Question { told, task })
    }
}

/// A batch on its way; dropped, it is given up, and may land all the same.
pub(super) struct Question {
    told: Receiver<Result<Position, ProposeError>>,
    task: JoinHandle<()>,
}

impl Question {
    /// The answer, if it comes within `pause`.
    pub(super) fn wait(&self, pause: Duration) -> Option<Result<Position, ProposeError>> {
        match self.told.recv_timeout(pause) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            // The runtime has ended, or the task has panicked.
            Err(RecvTimeoutError::Disconnected) => Some(Err(ProposeError::TimedOut)),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.task.abort();
    }
}
