//! Each case runs in a child of this test's own binary, since it ends the process.

use super::{EXIT_STATUS, task, task_until, thread};
use std::process::{Command, Output};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Which case a child is to run.
const CASE: &str = "CALLDEX_TEST_VITAL_CASE";
/// A child that is still there when its case is over.
const SURVIVED: i32 = 3;

struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

/// Polls once: whether it is over.
fn poll_once(work: impl Future<Output = ()>) -> bool {
    let waker = Waker::from(Arc::new(Quiet));
    let mut work = std::pin::pin!(work);
    work.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(())
}

fn run(case: &str) {
    match case {
        "a thread that panics" => {
            drop(thread("t", || true, || panic!("on purpose")).map(|t| t.join()))
        }
        "a thread that returns" => drop(thread("t", || false, || {}).map(|t| t.join())),
        "a thread that was told to end" => drop(thread("t", || true, || {}).map(|t| t.join())),
        "a task that panics" => drop(poll_once(task("t", async { panic!("on purpose") }))),
        "a task that returns" => drop(poll_once(task("t", async {}))),
        "a task that was told to end" => assert!(poll_once(task_until("t", || true, async {}))),
        "a task that is dropped" => drop(poll_once(task("t", std::future::pending()))),
        "a thread that a test kills" => drop(thread("t", || true, || {}).map(|t| t.join())),
        "a thread that a test ends" => drop(thread("t", || false, || {}).map(|t| t.join())),
        other => panic!("no such case: {other}"),
    }
    std::process::exit(SURVIVED);
}

/// What a child does when it is asked to.
#[test]
fn child() {
    if let Ok(case) = std::env::var(CASE) {
        run(&case);
    }
}

fn status_of(case: &str, fault: &str) -> Option<i32> {
    let this = std::env::current_exe().unwrap();
    let Output { status, .. } = Command::new(this)
        .args(["vital::tests::child", "--exact", "--nocapture"])
        .env(CASE, case)
        .env("FAULT_VITAL", fault)
        .output()
        .unwrap();
    status.code()
}

#[test]
fn who_panics_or_returns_too_early_ends_the_process() {
    for case in [
        "a thread that panics",
        "a thread that returns",
        "a task that panics",
        "a task that returns",
    ] {
        assert_eq!(status_of(case, ""), Some(EXIT_STATUS), "{case}");
    }
}

#[test]
fn who_was_told_to_end_does_not() {
    for case in [
        "a thread that was told to end",
        "a task that was told to end",
        "a task that is dropped",
    ] {
        assert_eq!(status_of(case, ""), Some(SURVIVED), "{case}");
    }
}

#[test]
fn a_test_can_kill_each_by_its_name() {
    let case = "a thread that a test kills";
    assert_eq!(status_of(case, "t:panic"), Some(EXIT_STATUS));
    assert_eq!(status_of(case, "u:panic"), Some(SURVIVED));
    let case = "a thread that a test ends";
    assert_eq!(status_of(case, "t:return"), Some(EXIT_STATUS));
}
