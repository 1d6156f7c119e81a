//! The link to the primary: it sends proposals once a proposer is connected, and reports each result when
//! the answer comes or this instance has applied the entry, whichever is first.

use super::proposer::{ProposeError, Proposer};
use crate::record::Position;
use bytes::Bytes;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

type ConnectedProposer = (Arc<dyn Proposer>, Handle);
type ProposeResult = Result<Position, ProposeError>;

/// See the module. Without a proposer every proposal fails with [`ProposeError::NoPrimary`].
#[derive(Default)]
pub(crate) struct PrimaryLink(Mutex<PrimaryLinkState>);

#[derive(Default)]
struct PrimaryLinkState {
    proposer: Option<ConnectedProposer>,
    /// The number of the last proposal, and the sender of its result.
    in_flight: Option<(u64, SyncSender<ProposeResult>)>,
    /// The number of the last proposal of this process that this instance has applied, and where.
    applied: Option<(u64, Position)>,
}

impl PrimaryLink {
    fn lock(&self) -> MutexGuard<'_, PrimaryLinkState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on proposals go to `proposer`, on `runtime`.
    pub(crate) fn connect(&self, proposer: Arc<dyn Proposer>, runtime: Handle) {
        self.lock().proposer = Some((proposer, runtime));
    }

    /// The proposal `number` of this process is in this instance's database, and the caches show it.
    pub(crate) fn note_applied(&self, number: u64, position: Position) {
        let mut state = self.lock();
        if state.applied.is_some_and(|(last, _)| last >= number) {
            return;
        }
        state.applied = Some((number, position));
        if let Some((asked, tell)) = &state.in_flight
            && *asked == number
        {
            // The receiver has an answer already, or has given up and proposes again.
            let _ = tell.try_send(Ok(position));
        }
    }

    /// Sends the proposal `number`. One that this instance has applied meanwhile is not sent again.
    pub(super) fn propose(
        &self,
        number: u64,
        batch: Bytes,
        writes: usize,
    ) -> Result<ProposalCall, ProposeError> {
        // One place for each way in which it may be answered.
        let (tell, told) = sync_channel(2);
        let mut state = self.lock();
        if let Some((landed, position)) = state.applied
            && landed == number
        {
            let _ = tell.try_send(Ok(position));
            return Ok(ProposalCall {
                result: told,
                task: None,
            });
        }
        let Some((proposer, runtime)) = state.proposer.clone() else {
            return Err(ProposeError::NoPrimary);
        };
        state.in_flight = Some((number, tell.clone()));
        drop(state);
        let task = runtime.spawn(async move {
            // The receiver may have given up.
            let _ = tell.try_send(proposer.propose(batch, writes).await);
        });
        Ok(ProposalCall {
            result: told,
            task: Some(task),
        })
    }
}

/// A proposal that was sent. After it is dropped the answer is ignored; the batch may still be committed.
pub(super) struct ProposalCall {
    result: Receiver<ProposeResult>,
    task: Option<JoinHandle<()>>,
}

impl ProposalCall {
    /// The answer, if it comes within `pause`.
    pub(super) fn wait(&self, pause: Duration) -> Option<ProposeResult> {
        match self.result.recv_timeout(pause) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => {
                // The runtime has ended, or the task has panicked.
                let is_gone = self.task.as_ref().is_some_and(JoinHandle::is_finished);
                is_gone.then(|| {
                    self.result
                        .try_recv()
                        .unwrap_or(Err(ProposeError::TimedOut))
                })
            }
            Err(RecvTimeoutError::Disconnected) => Some(Err(ProposeError::TimedOut)),
        }
    }
}

impl Drop for ProposalCall {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
