//! Waiting for threads that were told to end. Whichever hangs in the disk is left.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked whether one has.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Waits until `has_ended` says so, at most until `end`. Whether it has.
pub(crate) fn wait_until(end: Instant, has_ended: impl Fn() -> bool) -> bool {
    while !has_ended() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    true
}

/// Waits for `thread` until `end`; one that has not ended is given back.
pub(crate) fn join_until(thread: JoinHandle<()>, end: Instant) -> Result<(), JoinHandle<()>> {
    if !wait_until(end, || thread.is_finished()) {
        return Err(thread);
    }
    // A panic of it has been printed, and nobody depends on its work any more.
    let _ = thread.join();
    Ok(())
}
