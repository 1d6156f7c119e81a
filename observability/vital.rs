//! Threads and tasks that the process cannot do without. One that panics, or returns without having
//! been told to, ends the process with [`EXIT_STATUS`], so that the service manager starts it again:
//! a process that goes on without its writer answers calls and keeps nothing of them.
//!
//! What was acknowledged is on disk; what was accepted since the last batch is lost, as at kill -9.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::thread::JoinHandle;

/// The exit status of a process that has lost a vital thread or task: `EX_SOFTWARE` of sysexits.h.
pub const EXIT_STATUS: i32 = 70;

/// Starts a thread. When `work` has returned, `should_stop` says whether it was to.
///
/// # Errors
/// What the system said when it has no thread to give.
pub fn thread(
    name: &'static str,
    should_stop: impl FnOnce() -> bool + Send + 'static,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let work = move || {
        faults::maybe_panic(name);
        if !faults::returns_early(name) {
            work();
        }
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || match catch_unwind(AssertUnwindSafe(work)) {
            Ok(()) if should_stop() => {}
            Ok(()) => exit_process(name, "returned without being told to"),
            Err(_) => exit_process(name, "panicked"),
        })
}

/// A task that never returns; aborting it is how it is told to end.
pub async fn task(name: &'static str, work: impl Future<Output = ()>) {
    task_until(name, || false, work).await;
}

/// A task that returns when it was told to, which `should_stop` says.
pub async fn task_until(
    name: &'static str,
    should_stop: impl FnOnce() -> bool,
    work: impl Future<Output = ()>,
) {
    let work = async {
        faults::maybe_panic(name);
        if !faults::returns_early(name) {
            work.await;
        }
    };
    let mut work = pin!(work);
    let poll =
        poll_fn(
            |context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(poll) => poll,
                Err(_) => exit_process(name, "panicked"),
            },
        );
    poll.await;
    if !should_stop() {
        exit_process(name, "returned without being told to");
    }
}

/// Ends the process because `name` is gone.
fn exit_process(name: &'static str, how: &'static str) -> ! {
    tracing::error!(
        name,
        reason = how,
        exit_status = EXIT_STATUS,
        "a vital part of the process is gone: the process ends, and must be started again"
    );
    std::process::exit(EXIT_STATUS)
}

/// Lets a test kill a thread or a task by its name: `FAULT_VITAL=name:panic` or `name:return`. Debug builds only.
#[cfg(debug_assertions)]
mod faults {
    fn chosen(name: &str, way: &str) -> bool {
        std::env::var("FAULT_VITAL").is_ok_and(|fault| fault == format!("{name}:{way}"))
    }

    pub(super) fn maybe_panic(name: &str) {
        assert!(!chosen(name, "panic"), "a test asked for it");
    }

    pub(super) fn returns_early(name: &str) -> bool {
        chosen(name, "return")
    }
}

#[cfg(not(debug_assertions))]
mod faults {
    pub(super) fn strike(_: &str) {}

    pub(super) fn returns_early(_: &str) -> bool {
        false
    }
}

#[cfg(test)]
#[path = "vital_tests.rs"]
mod tests;
