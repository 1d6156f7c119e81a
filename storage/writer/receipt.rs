//! What a submitted write gives back: the promise of a position.

use crate::record::Position;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Why a write did not become durable. Every one of them is counted and logged by the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The storage was closed, or its time to close ran out, before the disk took the write.
    #[error("storage closed before the write was durable")]
    Closed,
    /// The storage was closed before a primary took the write: it is in the outbox on this instance's
    /// disk, and is proposed at the next start.
    #[error("storage closed; the write waits in the outbox for a primary")]
    SavedToOutbox,
    /// The queue holds [`super::QUEUE_BYTES_MAX`] already: the disk has been failing for long.
    #[error("the queue of writes is full")]
    QueueFull,
    /// The database rejects this one write (a defect, not the disk): it is kept in `set_aside`.
    #[error("the database refused the write")]
    Rejected,
    /// The format version in use does not have such a write yet, and needs nothing of it
    /// ([`crate::write::for_format_version`]).
    #[error("the write is of a later level than the one in use")]
    Skipped,
}

/// The promise that a write becomes durable. May be dropped: the write goes on without it.
#[must_use = "a receipt is the only way to know that a write is durable; drop it on purpose"]
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Position, WriteError>>);

/// The other end, kept by the queue.
pub(super) type ReceiptSender = oneshot::Sender<Result<Position, WriteError>>;

impl Receipt {
    pub(super) fn pair() -> (ReceiptSender, Self) {
        let (acknowledge, receipt) = oneshot::channel();
        (acknowledge, Self(receipt))
    }

    /// Waits for the position outside of async code. Blocks the thread.
    pub fn wait(self) -> Result<Position, WriteError> {
        self.0.blocking_recv().unwrap_or(Err(WriteError::Closed))
    }

    /// The position if the write is durable by now, without waiting: `None` while it is not.
    pub fn peek(&mut self) -> Option<Result<Position, WriteError>> {
        match self.0.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(WriteError::Closed)),
        }
    }
}

impl Future for Receipt {
    type Output = Result<Position, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|outcome| outcome.unwrap_or(Err(WriteError::Closed)))
    }
}
