//! A session that leaves its call to another session: it waits until its writes can be read there.

use super::state::ExitReason;
use calldex_storage::Writer;
use futures_util::future::BoxFuture;
use std::future::pending;
use std::time::Duration;
use tokio::time::Instant;

/// How long one flush of a relocating call's writes may take before its socket is closed. The instance
/// that continues the call reads these writes.
const RELOCATION_FLUSH_MAX: Duration = Duration::from_millis(500);
/// The limit for all such flushes together: words said during one start another.
pub(super) const RELOCATION_FLUSHES_MAX: Duration = Duration::from_secs(2);

/// A session that is about to leave its call to another session.
pub(super) struct PendingExit {
    pub(super) why: ExitReason,
    /// Completes when the writes so far are visible to every instance, or their time is over.
    pub(super) flushed: BoxFuture<'static, ()>,
    pub(super) deadline: Instant,
}

pub(super) async fn wait_for_exit(exit: &mut Option<PendingExit>) -> ExitReason {
    match exit {
        Some(pending_exit) => {
            (&mut pending_exit.flushed).await;
            pending_exit.why
        }
        None => pending().await,
    }
}

/// Waits until the writes so far are visible to every instance: at most [`RELOCATION_FLUSH_MAX`], and not
/// after `by`.
pub(super) fn flush_within(writer: &Writer, by: Instant) -> BoxFuture<'static, ()> {
    let writer = writer.clone();
    Box::pin(async move {
        let left = by.saturating_duration_since(Instant::now());
        // After a timeout the writes still arrive, but later than the next session starts.
        let _ = writer.flush(RELOCATION_FLUSH_MAX.min(left)).await;
    })
}
