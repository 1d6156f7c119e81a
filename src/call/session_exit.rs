//! A session that leaves its call to another session: it waits until its writes can be read there.

use super::state::ExitReason;
use calldex_storage::Writer;
use futures_util::future::BoxFuture;
use std::future::pending;
use std::time::Duration;
use tokio::time::Instant;

/// What a call that moves has still to write is waited for this long before its socket is closed, so
/// that whoever takes it up sees it.
const RELOCATION_FLUSH_MAX: Duration = Duration::from_millis(500);
/// The same over all that is said meanwhile.
pub(super) const RELOCATION_FLUSHES_MAX: Duration = Duration::from_secs(2);

/// A session that leaves its call to another.
pub(super) struct PendingExit {
    pub(super) why: ExitReason,
    /// What is recorded, on its way to where another instance sees it.
    pub(super) flushed: BoxFuture<'static, ()>,
    pub(super) deadline: Instant,
}

pub(super) async fn wait_for_exit(parting: &mut Option<PendingExit>) -> ExitReason {
    match parting {
        Some(pending_exit) => {
            (&mut pending_exit.flushed).await;
            pending_exit.why
        }
        None => pending().await,
    }
}

/// Waits until what was recorded is where every instance sees it, within bounds.
pub(super) fn flush_within(writer: &Writer, by: Instant) -> BoxFuture<'static, ()> {
    let writer = writer.clone();
    Box::pin(async move {
        let left = by.saturating_duration_since(Instant::now());
        // Too late: it will come, and whoever has the call sees it then.
        let _ = writer.flush(RELOCATION_FLUSH_MAX.min(left)).await;
    })
}
