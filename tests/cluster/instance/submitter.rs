//! Gives writes to storage and tells the test of each: before, and once its fate is known.

use super::runtime::InstanceRuntime;
use super::{now_us, print_event};
use crate::events::{InstanceEvent, SubmittedWrite};
use calldex_storage::write::Write;
use calldex_storage::{Position, Receipt, WriteError, Writer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Writes under way in all, at most; then nobody submits.
pub const IN_FLIGHT_MAX: u64 = 20_000;

/// Cheap to clone. Writes of one clone are awaited in their order.
pub struct Submitter {
    writer: Writer,
    shared: Arc<SubmitterState>,
    awaited: UnboundedSender<(u64, Receipt)>,
    lies: bool,
}

#[derive(Default)]
struct SubmitterState {
    ids: AtomicU64,
    under_way: AtomicU64,
}

impl Submitter {
    /// The first. One that lies says that each write is durable when it is submitted.
    pub fn new(runtime: &InstanceRuntime, lies: bool) -> Self {
        let writer = runtime.storage.writer.clone();
        Self::with(writer, Arc::default(), lies)
    }

    fn with(writer: Writer, shared: Arc<SubmitterState>, lies: bool) -> Self {
        let (awaited, mut receipts) = unbounded_channel::<(u64, Receipt)>();
        let submitter = Self {
            writer,
            shared: Arc::clone(&shared),
            awaited,
            lies,
        };
        tokio::spawn(async move {
            while let Some((id, receipt)) = receipts.recv().await {
                let outcome = receipt.await;
                if !lies {
                    report(id, outcome);
                }
                // Only now: who hears that nothing is under way has heard what became of it.
                shared.under_way.fetch_sub(1, Ordering::SeqCst);
            }
        });
        submitter
    }

    /// Another that awaits its own writes.
    pub fn another(&self) -> Self {
        Self::with(self.writer.clone(), Arc::clone(&self.shared), self.lies)
    }

    /// Writes whose fate is not known yet.
    pub fn in_flight(&self) -> u64 {
        self.shared.under_way.load(Ordering::SeqCst)
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.in_flight() < IN_FLIGHT_MAX
    }

    /// Submits, and tells its fate when it is known.
    pub fn submit(&self, deed: SubmittedWrite, write: Write) {
        let (id, receipt) = self.begin(deed, write);
        // Only without a runtime is there nobody who waits, and then nothing else either.
        let _ = self.awaited.send((id, receipt));
    }

    /// Submits and waits; the position if it is durable.
    pub async fn submit_and_wait(&self, deed: SubmittedWrite, write: Write) -> Option<Position> {
        let (id, receipt) = self.begin(deed, write);
        let outcome = receipt.await;
        if !self.lies {
            report(id, outcome);
        }
        self.shared.under_way.fetch_sub(1, Ordering::SeqCst);
        outcome.ok()
    }

    fn begin(&self, deed: SubmittedWrite, write: Write) -> (u64, Receipt) {
        let id = self.shared.ids.fetch_add(1, Ordering::SeqCst);
        self.shared.under_way.fetch_add(1, Ordering::SeqCst);
        let at_us = now_us();
        print_event(&InstanceEvent::Submitted { id, deed, at_us });
        if self.lies {
            report(id, Ok(0));
        }
        (id, self.writer.submit(write))
    }
}

fn report(id: u64, outcome: Result<Position, WriteError>) {
    let at_us = now_us();
    match outcome {
        Ok(position) => print_event(&InstanceEvent::Acknowledged {
            id,
            position,
            at_us,
        }),
        Err(WriteError::SavedToOutbox) => print_event(&InstanceEvent::Kept { id }),
        // It may be in the outbox or not: nothing is known.
        Err(WriteError::Closed) => {}
        Err(reason) => print_event(&InstanceEvent::Denied {
            id,
            reason: reason.to_string(),
        }),
    }
}
