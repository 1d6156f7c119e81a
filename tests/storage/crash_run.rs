//! Starts the child, listens to it, and lets the accident happen.

use crate::acknowledged_writes::AcknowledgedWrites;
use crate::random::SeededRandom;
use crate::workload::{WORKLOAD_VARIABLE, WorkloadConfig};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before the test gives up.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A data directory over many rounds, and what was acknowledged in them.
pub struct CrashScenario {
    pub dir: TempDir,
    pub journal: AcknowledgedWrites,
    round: u64,
}

impl CrashScenario {
    pub fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            journal: AcknowledgedWrites::default(),
            round: 0,
        }
    }

    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Orders for the next round: an endless load.
    pub fn workload_config(&mut self, random: &mut SeededRandom) -> WorkloadConfig {
        self.round += 1;
        WorkloadConfig {
            data_dir: self.dir.path().display().to_string(),
            seed: random.next() >> 8,
            round: self.round,
            calls: u64::MAX,
            dies_at: None,
            lies: false,
        }
    }

    /// Runs the child until `accident` is through with it, and notes what it acknowledged.
    pub fn run(
        &mut self,
        orders: &WorkloadConfig,
        environment: &[(&str, String)],
        accident: impl FnOnce(&mut ChildObserver<'_>),
    ) -> ExitStatus {
        let mut child = start(orders, environment);
        let lines = listen(&mut child);
        accident(&mut ChildObserver {
            child: &mut child,
            lines: &lines,
            journal: &mut self.journal,
        });
        let status = child.wait().unwrap();
        // What was in the pipe when it died was said before it died.
        lines.iter().for_each(|line| self.journal.note(&line));
        status
    }
}

/// Who sees the child live.
pub struct ChildObserver<'a> {
    child: &'a mut Child,
    lines: &'a Receiver<String>,
    journal: &'a mut AcknowledgedWrites,
}

impl ChildObserver<'_> {
    /// Lets it run for `time` after its first acknowledgement, then kills it as kill -9 does.
    pub fn kill_after(&mut self, time: Duration) {
        let begun = Instant::now();
        while self.journal.turns.is_empty() && begun.elapsed() < WAIT_MAX {
            self.read_line(Duration::from_millis(50));
        }
        let end = Instant::now() + time;
        while let Some(rest) = end.checked_duration_since(Instant::now()) {
            self.read_line(rest);
        }
        self.child.kill().unwrap();
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, what: &str) {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if begun.elapsed() > WAIT_MAX {
                self.child.kill().unwrap();
                panic!("the child did not end: {what}");
            }
            self.read_line(Duration::from_millis(20));
        }
    }

    fn read_line(&mut self, time: Duration) {
        match self.lines.recv_timeout(time) {
            Ok(line) => self.journal.note(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(time.min(Duration::from_millis(20)))
            }
        }
    }
}

fn start(orders: &WorkloadConfig, environment: &[(&str, String)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "workload::runs_a_load_when_told_to",
            "--nocapture",
        ])
        .env(WORKLOAD_VARIABLE, serde_json::to_string(orders).unwrap())
        .env("RUST_BACKTRACE", "0")
        .envs(environment.iter().map(|(name, value)| (*name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn listen(child: &mut Child) -> Receiver<String> {
    let (tell, told) = channel();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        let mut line = String::new();
        // A line without its end was being written when the child died: it was not said.
        while out.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
            if tell.send(std::mem::take(&mut line)).is_err() {
                break;
            }
        }
    });
    told
}
