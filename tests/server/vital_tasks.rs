//! A thread or a task that the process cannot do without: when one dies, the process ends with a status of
//! its own, so that whoever looks after it starts it again.

use crate::test_server::{WAIT_MAX, bare_command, wait_for};
use std::io::Read;
use std::process::Stdio;
use std::time::Instant;

/// As sysexits.h has it: an internal error.
const EXIT_STATUS: i32 = 70;
/// What an instance alone has.
const SINGLE_NODE_TASKS: [&str; 9] = [
    "calldex-writer",
    "calldex-checkpoint",
    "calldex-watch",
    "admin.listen",
    "server.listen",
    "sweep",
    "recovery",
    "storage health",
    "metrics upkeep",
];
/// What one of several has besides.
const CLUSTER_MODE_TASKS: [&str; 12] = [
    "calldex-writer",
    "calldex-proposer",
    "heartbeat",
    "upgrade",
    "cluster health",
    "watchdog",
    "engine",
    "gather",
    "pings",
    "membership",
    "log purge",
    "cluster gauges",
];

/// Starts an instance in which `name` dies in this way; what became of the process, and what it said.
async fn exit_after_fault(name: &str, way: &str, several: bool) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let command = |words: &[&str]| {
        let mut command = bare_command();
        command.current_dir(folder.path()).args(words);
        command.args(["--data", "data"]);
        if several {
            command
                .env("CALLDEX_CLUSTER__LISTEN", "127.0.0.1:0")
                .env("CALLDEX_CLUSTER__ADVERTISE", "127.0.0.1:1")
                .env("CALLDEX_CLUSTER__SECRET", "0123456789abcdef".repeat(4));
        }
        command
    };
    if several {
        let founded = command(&["cluster", "init"]).output().unwrap();
        assert!(founded.status.success(), "{founded:?}");
    }
    let mut child = command(&["serve"])
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .env("FAULT_VITAL", format!("{name}:{way}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let ended = wait_for("the process to end", || {
        let ended = child.try_wait().unwrap();
        if ended.is_none() && begun.elapsed() > WAIT_MAX / 2 {
            child.kill().unwrap();
        }
        ended
    })
    .await;
    let mut said = String::new();
    let mut pipe = child.stderr.take().unwrap();
    pipe.read_to_string(&mut said).unwrap();
    (ended.code(), said)
}

async fn each_ends_the_process(names: &[&str], several: bool) {
    for name in names {
        let (status, said) = exit_after_fault(name, "panic", several).await;
        assert_eq!(status, Some(EXIT_STATUS), "{name}: {said}");
        assert!(
            said.contains(&format!("name=\"{name}\"")) && said.contains("panicked"),
            "{name}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vital_task_that_panics_ends_the_process() {
    each_ends_the_process(&SINGLE_NODE_TASKS, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vital_task_of_one_of_several_that_panics_ends_the_process() {
    each_ends_the_process(&CLUSTER_MODE_TASKS, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vital_task_that_returns_ends_the_process() {
    for (name, several) in [("sweep", false), ("gather", true)] {
        let (status, said) = exit_after_fault(name, "return", several).await;
        assert_eq!(status, Some(EXIT_STATUS), "{name}: {said}");
        assert!(said.contains("returned without being told to"), "{said}");
    }
}
