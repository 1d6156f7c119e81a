//! What the call module needs of the other instances; a single node has none, and waits for
//! nobody.

use calldex_storage::Storage;
use calldex_storage::record::CallWithTurns;
use futures_util::future::{BoxFuture, ready};
use std::time::Duration;

/// What another instance wrote may be waited for this long, where its position is known.
const POSITION_WAIT_MAX: Duration = Duration::from_millis(150);
/// And this long where the primary must be asked how far it is.
const CATCH_UP_WAIT_MAX: Duration = Duration::from_millis(250);
/// Asking the primary for a call.
const PRIMARY_QUERY_MAX: Duration = Duration::from_millis(250);

/// What came of catching up with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUpStatus {
    /// All is applied here that was acknowledged anywhere.
    UpToDate,
    /// This instance has not come so far in time; the primary has.
    Behind,
    /// There is nobody who could say how far that is: nor would they know of a call.
    NoPrimary,
}

/// The other instances of the cluster. No method waits longer than its deadline.
pub trait Peers: Send + Sync + 'static {
    /// This node's slot, part of every epoch it takes; 0: single node.
    fn slot(&self) -> u16;
    /// A number of the log that positions belong to, the same on all; 0 on a single node.
    fn log_id(&self) -> u64;
    /// Waits until this instance has applied all that is acknowledged anywhere now, up to `deadline`.
    fn catch_up(&self, deadline: Duration) -> BoxFuture<'_, CatchUpStatus>;
    /// The call as the primary has it, within `deadline`.
    fn live_call<'a>(
        &'a self,
        call_sid: &'a str,
        deadline: Duration,
    ) -> BoxFuture<'a, Option<CallWithTurns>>;
}

/// A single node has no peers.
pub struct SingleNode;

impl Peers for SingleNode {
    fn slot(&self) -> u16 {
        0
    }

    fn log_id(&self) -> u64 {
        0
    }

    fn catch_up(&self, _deadline: Duration) -> BoxFuture<'_, CatchUpStatus> {
        Box::pin(ready(CatchUpStatus::UpToDate))
    }

    fn live_call<'a>(
        &'a self,
        _call_sid: &'a str,
        _deadline: Duration,
    ) -> BoxFuture<'a, Option<CallWithTurns>> {
        Box::pin(ready(None))
    }
}

/// Where a call stood when its document was written: how far whoever takes it up must have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// The position (TXID); 0: none.
    pub position: u64,
    /// The log it belongs to.
    pub log_id: u64,
}

/// Waits until this instance knows what others wrote before `mark`, where it is of the same log.
pub(super) async fn wait_for_position(
    storage: &Storage,
    peers: &dyn Peers,
    log_position: LogPosition,
) {
    if peers.slot() != 0 && log_position.log_id == peers.log_id() && log_position.position > 0 {
        // Too late: what is known here must do.
        let _ = storage
            .wait_applied(log_position.position, POSITION_WAIT_MAX)
            .await;
    }
}

/// Waits until this instance knows all that others wrote; where that cannot be had in time, what
/// the primary itself has of the call.
pub(super) async fn call_at_primary(
    storage: &Storage,
    peers: &dyn Peers,
    call_sid: &str,
    log_position: LogPosition,
) -> Option<CallWithTurns> {
    if peers.slot() == 0 {
        return None;
    }
    let (caught_up, ()) = tokio::join!(
        peers.catch_up(CATCH_UP_WAIT_MAX),
        wait_for_position(storage, peers, log_position)
    );
    match caught_up {
        CatchUpStatus::Behind => peers.live_call(call_sid, PRIMARY_QUERY_MAX).await,
        CatchUpStatus::UpToDate | CatchUpStatus::NoPrimary => None,
    }
}
