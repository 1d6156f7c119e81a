//! What the call room needs of the other instances; one that runs alone has none, and waits for
//! nobody.

use calldex_storage::Storage;
use calldex_storage::record::LiveCall;
use futures_util::future::{BoxFuture, ready};
use std::time::Duration;

/// What another instance wrote may be waited for this long, where its position is known.
const POSITION_MAX: Duration = Duration::from_millis(150);
/// And this long where the primary must be asked how far it is.
const CATCH_UP_MAX: Duration = Duration::from_millis(250);
/// Asking the primary for a call.
const ASK_MAX: Duration = Duration::from_millis(250);

/// What came of catching up with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaughtUp {
    /// All is applied here that was acknowledged anywhere.
    Fully,
    /// This instance has not come so far in time; the primary has.
    Behind,
    /// There is nobody who could say how far that is: nor would they know of a call.
    NoPrimary,
}

/// The other instances. Nothing in it may wait longer than it is told.
pub trait Others: Send + Sync + 'static {
    /// This instance's own place among them, part of every epoch it takes; 0: it runs alone.
    fn slot(&self) -> u16;
    /// A number of the log that positions belong to, the same on all; 0 alone.
    fn log(&self) -> u64;
    /// Waits until this instance has applied all that is acknowledged anywhere now, up to `deadline`.
    fn catch_up(&self, deadline: Duration) -> BoxFuture<'_, CaughtUp>;
    /// The call as the primary has it, within `deadline`.
    fn live_call<'a>(
        &'a self,
        call_sid: &'a str,
        deadline: Duration,
    ) -> BoxFuture<'a, Option<LiveCall>>;
}

/// No others.
pub struct Alone;

impl Others for Alone {
    fn slot(&self) -> u16 {
        0
    }

    fn log(&self) -> u64 {
        0
    }

    fn catch_up(&self, _deadline: Duration) -> BoxFuture<'_, CaughtUp> {
        Box::pin(ready(CaughtUp::Fully))
    }

    fn live_call<'a>(
        &'a self,
        _call_sid: &'a str,
        _deadline: Duration,
    ) -> BoxFuture<'a, Option<LiveCall>> {
        Box::pin(ready(None))
    }
}

/// Where a call stood when its document was written: how far whoever takes it up must have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The position (TXID); 0: none.
    pub position: u64,
    /// The log it belongs to.
    pub log: u64,
}

/// Waits until this instance knows what others wrote before `mark`, where it is of the same log.
pub(super) async fn reach(storage: &Storage, others: &dyn Others, mark: Mark) {
    if others.slot() != 0 && mark.log == others.log() && mark.position > 0 {
        // Too late: what is known here must do.
        let _ = storage.wait_applied(mark.position, POSITION_MAX).await;
    }
}

/// Waits until this instance knows all that others wrote; where that cannot be had in time, what
/// the primary itself has of the call.
pub(super) async fn latest(
    storage: &Storage,
    others: &dyn Others,
    call_sid: &str,
    mark: Mark,
) -> Option<LiveCall> {
    if others.slot() == 0 {
        return None;
    }
    let (caught_up, ()) = tokio::join!(others.catch_up(CATCH_UP_MAX), reach(storage, others, mark));
    match caught_up {
        CaughtUp::Behind => others.live_call(call_sid, ASK_MAX).await,
        CaughtUp::Fully | CaughtUp::NoPrimary => None,
    }
}
