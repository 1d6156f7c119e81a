//! One instance as the test sees it: a folder, a machine, and a process that comes and goes.

use crate::event_record::{EventRecord, LifeStatus};
use crate::events::{IdentitySource, InstanceEvent, InstanceSetup, SETUP_VARIABLE, TestCommand};
use crate::instance;
use crate::simulated_machine::{MachineFault, SimulatedMachine};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an answer may take.
pub const ANSWER_MAX: Duration = crate::fault_cluster::WAIT_MAX;
/// How long a process may take to end in order.
const STOP_MAX: Duration = crate::fault_cluster::WAIT_MAX;

/// Numbers of lives and of questions: no two are alike.
static COUNT: AtomicU64 = AtomicU64::new(1);

/// A number that nothing else has.
pub fn fresh_number() -> u64 {
    COUNT.fetch_add(1, Ordering::SeqCst)
}

/// See the module.
pub struct NodeHandle {
    /// Which of the instances, from 0.
    pub index: u64,
    /// Its disk and its clock, if they are simulated.
    pub machine: Option<SimulatedMachine>,
    folder: PathBuf,
    section: Value,
    enter: Vec<String>,
    record: Arc<EventRecord>,
    process: Option<NodeProcess>,
    /// Its last life.
    life: u64,
    /// The binary that it runs.
    pub binary: PathBuf,
    /// Whether it says that writes are durable when they are submitted.
    pub lies: bool,
    /// The operation at which its next life ends itself.
    pub dies_at: Option<String>,
}

struct NodeProcess {
    child: Child,
    orders: ChildStdin,
    ear: JoinHandle<()>,
    is_paused: bool,
}

impl NodeHandle {
    /// An instance that does not run yet. `enter` is what stands before its command.
    pub fn new(
        index: u64,
        folder: PathBuf,
        section: Value,
        enter: Vec<String>,
        record: Arc<EventRecord>,
    ) -> Self {
        std::fs::create_dir_all(folder.join("data")).expect("a folder of ours");
        Self {
            index,
            machine: None,
            folder,
            section,
            enter,
            record,
            process: None,
            life: 0,
            binary: std::env::current_exe().expect("this binary"),
            lies: false,
            dies_at: None,
        }
    }

    /// Puts it on a simulated machine; whether there is one.
    pub fn simulate(&mut self, seed: u64) -> bool {
        let control = self.folder.join("machine");
        self.machine = SimulatedMachine::build(&self.data(), &control, seed);
        self.machine.is_some()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A file beside the data directory.
    pub fn path_beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its last life.
    pub fn life(&self) -> u64 {
        self.life
    }

    /// What its last life told of itself.
    pub fn life_status(&self) -> LifeStatus {
        self.record.life(self.life)
    }

    /// Whether there is a process.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Whether there is one that hears.
    pub fn is_awake(&self) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| !process.is_paused) && !self.life_status().is_gone
    }

    /// Starts a process.
    pub fn start(&mut self, beginning: IdentitySource) {
        assert!(!self.is_running(), "instance {} runs already", self.index);
        self.life = fresh_number();
        let mut section = self.section.clone();
        if beginning == IdentitySource::Found {
            // Nobody is there before it.
            section["join"] = Value::Array(Vec::new());
        }
        let birth = InstanceSetup {
            life: self.life,
            node: self.index,
            data_dir: self.data().display().to_string(),
            beginning,
            section,
            lies: self.lies,
            dies_at: self.dies_at.take(),
        };
        let index = self.index;
        self.record.events().history.nodes.insert(self.life, index);
        let mut child = self.command(&birth).spawn().expect("this binary runs");
        let orders = child.stdin.take().expect("it is piped");
        let out = child.stdout.take().expect("it is piped");
        self.process = Some(NodeProcess {
            child,
            orders,
            ear: listen(out, self.life, Arc::clone(&self.record)),
            is_paused: false,
        });
    }

    fn command(&self, birth: &InstanceSetup) -> Command {
        // The machine is under the instance, not under what brings it into its namespace.
        let mut words = self.enter.clone();
        words.push("env".to_owned());
        let machine = self
            .machine
            .as_ref()
            .map_or(&[][..], SimulatedMachine::environment);
        words.extend(
            machine
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        words.push(self.binary.display().to_string());
        words.extend(["--exact", instance::TEST, "--nocapture"].map(str::to_owned));
        let log = self.folder.join(format!("log-{}", birth.life));
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env(
                SETUP_VARIABLE,
                serde_json::to_string(birth).expect("a birth is JSON"),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log).expect("a file of ours"));
        command
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.child.kill();
            self.record_exit(process);
        }
    }

    /// Waits until it has ended by itself; whether it did within `patience`.
    pub fn wait_end(&mut self, patience: Duration) -> bool {
        let life = self.life;
        let gone = |told: &mut crate::event_record::ReceivedEvents| {
            told.lives.get(&life)?.is_gone.then_some(())
        };
        if self.record.wait(patience, gone).is_none() {
            return false;
        }
        if let Some(process) = self.process.take() {
            self.record_exit(process);
        }
        true
    }

    fn record_exit(&self, mut process: NodeProcess) {
        process.child.wait().expect("a child of ours");
        // What was in the pipe when it died was said before it died.
        process.ear.join().expect("listening does not panic");
    }

    /// The power of its machine goes; `part` of what was not synced survives.
    pub fn cut_power(&mut self, part: bool) {
        let machine = self.machine.as_ref().expect("a machine");
        machine.inject(MachineFault::Cut, 1 + i64::from(part));
        assert!(
            self.wait_end(STOP_MAX),
            "the power of {} was not cut",
            self.index
        );
        // The index of a log is memory: it does not survive.
        let files = std::fs::read_dir(self.data()).expect("a folder of ours");
        for file in files.filter_map(Result::ok) {
            if file.file_name().to_string_lossy().ends_with("-shm") {
                std::fs::remove_file(file.path()).expect("a file of ours");
            }
        }
        self.machine.as_ref().expect("a machine").recover();
    }

    /// Ends it in order. How many writes it gave up.
    pub fn stop(&mut self) -> Option<u64> {
        self.send_command(&TestCommand::Stop);
        let ended = self.wait_end(STOP_MAX);
        assert!(ended, "instance {} does not stop", self.index);
        self.life_status().stopped
    }

    /// SIGSTOP: it does nothing, and does not know it.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP, true);
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        if self
            .process
            .as_ref()
            .is_some_and(|process| process.is_paused)
        {
            self.signal(Signal::CONT, false);
        }
    }

    fn signal(&mut self, signal: Signal, pauses: bool) {
        let process = self.process.as_mut().expect("a process");
        let id = Pid::from_raw(process.child.id().cast_signed()).expect("its id");
        kill_process(id, signal).expect("a child of ours");
        process.is_paused = pauses;
    }

    /// Tells it something; one that has died does not hear it.
    pub fn send_command(&mut self, order: &TestCommand) {
        let line = serde_json::to_string(order).expect("an order is JSON");
        if let Some(process) = &mut self.process {
            // The pipe of a dead process is broken.
            let _ = process.orders.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Asks it something; nothing if it does not answer.
    pub fn ask(
        &mut self,
        question: impl FnOnce(u64) -> TestCommand,
        patience: Duration,
    ) -> Option<InstanceEvent> {
        let (asked, life) = (fresh_number(), self.life);
        self.send_command(&question(asked));
        let answer = self.record.wait(patience, |told| {
            let is_gone = told.lives.get(&life).is_some_and(|life| life.is_gone);
            match told.answers.remove(&asked) {
                None if is_gone => Some(None),
                None => None,
                found => Some(found),
            }
        });
        answer.flatten()
    }

    /// How it sees the cluster.
    pub fn view(&mut self) -> Option<ClusterView> {
        match self.ask(|asked| TestCommand::Standing { asked }, ANSWER_MAX)? {
            InstanceEvent::Standing { standing, .. } => {
                Some(serde_json::from_value(standing).expect("a standing"))
            }
            _ => None,
        }
    }

    /// The value of a metric.
    pub fn metric(&mut self, series: &str) -> Option<f64> {
        let series = series.to_owned();
        match self.ask(|asked| TestCommand::Figure { asked, series }, ANSWER_MAX)? {
            InstanceEvent::Figure { value, .. } => value,
            _ => None,
        }
    }

    /// Runs the calldex binary on this instance's machine and directory, as an operator does.
    pub fn run_calldex(&self, words: &[&str]) -> std::process::Output {
        let mut command = self.enter.clone();
        command.push(env!("CARGO_BIN_EXE_calldex").to_owned());
        let setting = |name: &str| self.section[name].as_str().unwrap_or_default().to_owned();
        Command::new(&command[0])
            .args(&command[1..])
            .args(words)
            .arg("--data")
            .arg(self.data())
            .env("CALLDEX_CLUSTER__LISTEN", setting("listen"))
            .env("CALLDEX_CLUSTER__ADVERTISE", setting("advertise"))
            .env("CALLDEX_CLUSTER__SECRET", setting("secret"))
            .output()
            .expect("the binary runs")
    }

    /// Copies the whole data directory to `to`, while nothing is written to it.
    pub fn copy_data(&self, to: &Path) {
        assert!(!self.is_awake(), "a directory in use is not copied");
        copy(&self.data(), to);
    }

    /// Replaces the whole data directory by `from`.
    pub fn replace_data(&self, from: &Path) {
        assert!(!self.is_running(), "a running directory is not replaced");
        std::fs::remove_dir_all(self.data()).expect("a folder of ours");
        copy(from, &self.data());
    }

    /// Empties the data directory.
    pub fn wipe(&self) {
        assert!(!self.is_running(), "a running directory is not wiped");
        std::fs::remove_dir_all(self.data()).expect("a folder of ours");
        std::fs::create_dir_all(self.data()).expect("a folder of ours");
    }

    /// Removes files of the data directory whose names begin so.
    pub fn remove(&self, beginning: &str) {
        let files = std::fs::read_dir(self.data()).expect("a folder of ours");
        for file in files.filter_map(Result::ok) {
            if file.file_name().to_string_lossy().starts_with(beginning) {
                std::fs::remove_file(file.path()).expect("a file of ours");
            }
        }
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

fn listen(out: ChildStdout, life: u64, record: Arc<EventRecord>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut out = BufReader::new(out);
        let mut line = String::new();
        // A line without its end was being written when the process died: it was not said.
        while out.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
            if let Some(event) = InstanceEvent::from_line(&line) {
                record.record(life, event);
            }
            line.clear();
        }
        record.end(life);
    })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder of ours");
    let entries = std::fs::read_dir(from).expect("a folder of ours");
    for entry in entries.filter_map(Result::ok) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => std::fs::copy(entry.path(), target)
                .map(|_| ())
                .expect("a file of ours"),
        }
    }
}

/// The cluster as one instance sees it.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct ClusterView {
    /// What it is: "primary", "replica", ...
    pub role: String,
    /// Of which election.
    pub term: u64,
    /// Everybody.
    pub members: Vec<MemberView>,
    /// Whether a majority follows that primary.
    pub has_quorum: bool,
    /// What is wrong, if something is.
    pub trouble: Option<String>,
}

/// A member of the cluster.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct MemberView {
    /// Who.
    pub node_id: u64,
    /// Whether it votes.
    pub voter: bool,
}
