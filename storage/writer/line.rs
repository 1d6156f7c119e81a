//! The line to the primary: where proposals go, once somebody has connected it, and how this instance
//! learns that one has landed: by an answer, or by applying it itself, whichever comes first.

use crate::replication::{ProposeError, Proposer};
use crate::writer::Position;
use bytes::Bytes;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

type End = (Arc<dyn Proposer>, Handle);
type Answer = Result<Position, ProposeError>;

/// See the module. Before it is connected there is no primary.
#[derive(Default)]
pub(crate) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    end: Option<End>,
    /// The number of the last proposal that was asked, and who waits for it.
    asked: Option<(u64, SyncSender<Answer>)>,
    /// The number of the last proposal of this process that this instance has applied, and where.
    landed: Option<(u64, Position)>,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on proposals go to `proposer`, on `runtime`.
    pub(crate) fn connect(&self, proposer: Arc<dyn Proposer>, runtime: Handle) {
        self.lock().end = Some((proposer, runtime));
    }

    /// The proposal `number` of this process is in this instance's database, and the caches show it.
    pub(crate) fn landed(&self, number: u64, position: Position) {
        let mut state = self.lock();
        if state.landed.is_some_and(|(last, _)| last >= number) {
            return;
        }
        state.landed = Some((number, position));
        if let Some((asked, tell)) = &state.asked
            && *asked == number
        {
            // Whoever asked has an answer already, or has given up and asks again.
            let _ = tell.try_send(Ok(position));
        }
    }

    /// Sends the proposal `number` on its way. One that has landed since it was asked last is not
    /// sent again.
    pub(super) fn ask(
        &self,
        number: u64,
        batch: Bytes,
        writes: usize,
    ) -> Result<Question, ProposeError> {
        // One place for each way in which it may be answered.
        let (tell, told) = sync_channel(2);
        let mut state = self.lock();
        if let Some((landed, position)) = state.landed
            && landed == number
        {
            let _ = tell.try_send(Ok(position));
            return Ok(Question { told, task: None });
        }
        let Some((proposer, runtime)) = state.end.clone() else {
            return Err(ProposeError::NoPrimary);
        };
        state.asked = Some((number, tell.clone()));
        drop(state);
        let task = runtime.spawn(async move {
            // Whoever asked may have given up.
            let _ = tell.try_send(proposer.propose(batch, writes).await);
        });
        Ok(Question {
            told,
            task: Some(task),
        })
    }
}

/// A batch on its way; dropped, nobody waits for the primary's answer, and it may land all the same.
pub(super) struct Question {
    told: Receiver<Answer>,
    task: Option<JoinHandle<()>>,
}

impl Question {
    /// The answer, if it comes within `pause`.
    pub(super) fn wait(&self, pause: Duration) -> Option<Answer> {
        match self.told.recv_timeout(pause) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => {
                // The runtime has ended, or the task has panicked.
                let is_gone = self.task.as_ref().is_some_and(JoinHandle::is_finished);
                is_gone.then(|| self.told.try_recv().unwrap_or(Err(ProposeError::TimedOut)))
            }
            Err(RecvTimeoutError::Disconnected) => Some(Err(ProposeError::TimedOut)),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
