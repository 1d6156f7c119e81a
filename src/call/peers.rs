//! The interface of the call module to the other instances. A single node has none and does not wait.

use calldex_storage::Storage;
use calldex_storage::record::CallWithTurns;
use futures_util::future::{BoxFuture, ready};
use std::time::Duration;

/// How long to wait for the writes of another instance up to a known log position.
const POSITION_WAIT_MAX: Duration = Duration::from_millis(150);
/// How long to wait for all writes that were acknowledged by now.
const CATCH_UP_WAIT_MAX: Duration = Duration::from_millis(250);
/// How long a query of a call at the primary may take.
const PRIMARY_QUERY_MAX: Duration = Duration::from_millis(250);

/// The result of [`Peers::catch_up`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUpStatus {
    /// Every acknowledged write is applied here.
    UpToDate,
    /// The deadline passed before; the primary has applied more.
    Behind,
    /// No primary answered.
    NoPrimary,
}

/// The other instances of the cluster. No method waits longer than its deadline.
pub trait Peers: Send + Sync + 'static {
    /// This node's slot, part of every epoch it takes; 0: single node.
    fn slot(&self) -> u16;
    /// A number of the log that positions belong to, the same on all; 0 on a single node.
    fn log_id(&self) -> u64;
    /// Waits until this instance has applied every write acknowledged by now, at most `deadline`.
    fn catch_up(&self, deadline: Duration) -> BoxFuture<'_, CatchUpStatus>;
    /// Reads the call at the primary, within `deadline`.
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

/// The log position when the TwiML of a call was written. The instance that opens the session must have
/// applied the log up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// The position (TXID); 0: none.
    pub position: u64,
    /// The log it belongs to.
    pub log_id: u64,
}

/// Waits until this instance has applied the log up to `log_position`, at most [`POSITION_WAIT_MAX`]. Does
/// not wait if the position belongs to another log.
pub(super) async fn wait_for_position(
    storage: &Storage,
    peers: &dyn Peers,
    log_position: LogPosition,
) {
    if peers.slot() != 0 && log_position.log_id == peers.log_id() && log_position.position > 0 {
        // After a timeout the call continues with the local data.
        let _ = storage
            .wait_applied(log_position.position, POSITION_WAIT_MAX)
            .await;
    }
}

/// Waits until this instance has applied every acknowledged write, at most [`CATCH_UP_WAIT_MAX`]. If it is
/// behind after that, reads the call at the primary, within [`PRIMARY_QUERY_MAX`].
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
