//! The process that has the accident: this same test binary, told by its environment to run a load.

use crate::generated_text;
use crate::random::SeededRandom;
use calldex_storage::record::{CallOutcome, CallerKind, PhoneNumber, Turn, TurnRole};
use calldex_storage::write::{
    CallEnded, CallResumed, CallStarted, DecisionStamp, StampedName, Write,
};
use calldex_storage::{DiskOperation, FaultInjector, Receipt, Storage, StorageConfig, Writer};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The environment variable that makes a process the child; the value is [`WorkloadConfig`] as JSON.
pub const WORKLOAD_VARIABLE: &str = "CALLDEX_CRASH_CHILD";
const THREADS: u64 = 3;
/// Writes of one thread that are under way at once.
const IN_FLIGHT_MAX: usize = 48;
const AT_MS: i64 = 1_700_000_000_000;

/// What the child is to do.
#[derive(Clone, Serialize, Deserialize)]
pub struct WorkloadConfig {
    pub data_dir: String,
    pub seed: u64,
    /// Keeps identifiers of one round apart from another's.
    pub round: u64,
    /// Calls of each thread, after which it closes in order.
    pub calls: u64,
    /// Ends itself at the nth time that this operation is reached.
    pub dies_at: Option<(String, u32)>,
    /// Says that a write is durable as soon as it is submitted: the harness must find that out.
    pub lies: bool,
}

#[test]
fn runs_a_load_when_told_to() {
    if let Ok(orders) = std::env::var(WORKLOAD_VARIABLE) {
        run(&serde_json::from_str(&orders).unwrap());
    }
}

fn run(orders: &WorkloadConfig) {
    let mut config = StorageConfig::new(&orders.data_dir);
    config.faults = faults(orders);
    let storage = Storage::open(config).expect("the data directory opens after any accident");
    resume_unfinished(&storage);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let writer = storage.writer.clone();
            scope.spawn(move || {
                AcknowledgingWriter::new(writer, orders.lies).run_calls(orders, thread)
            });
        }
    });
    let given_up = storage.close(Duration::from_secs(30));
    assert_eq!(given_up, 0);
    print_line("done");
}

/// Dies as by kill -9: no destructor, no flush.
fn faults(orders: &WorkloadConfig) -> FaultInjector {
    let Some((label, nth)) = orders.dies_at.clone() else {
        return FaultInjector::default();
    };
    let at = DiskOperation::parse(&label).expect("a labelled operation");
    let reached = AtomicU32::new(0);
    FaultInjector::new(move |operation| {
        if operation == at && reached.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            std::process::abort();
        }
        Ok(())
    })
}

/// What a restarted server does with the calls that its predecessor left: goes on with them.
fn resume_unfinished(storage: &Storage) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let unfinished = runtime
        .block_on(storage.conversations.unfinished())
        .unwrap();
    let mut teller = AcknowledgingWriter::new(storage.writer.clone(), false);
    for call in unfinished {
        let call_sid = call.conversation.call_sid.to_string();
        let live = runtime
            .block_on(storage.conversations.live(&call_sid))
            .unwrap()
            .expect("it is unfinished");
        assert_eq!(
            live.turns.len(),
            call.turns,
            "all turns of {call_sid} are found again"
        );
        teller.resume_and_end(&call_sid, live.next_epoch());
    }
    teller.await_all();
}

fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())
        .and_then(|()| out.flush())
        .unwrap();
}

/// Submits writes and tells of each once it is durable, in order.
struct AcknowledgingWriter {
    writer: Writer,
    under_way: VecDeque<(String, Receipt)>,
    lies: bool,
}

impl AcknowledgingWriter {
    fn new(writer: Writer, lies: bool) -> Self {
        Self {
            writer,
            under_way: VecDeque::new(),
            lies,
        }
    }

    fn submit(&mut self, write: Write, line: String) {
        if self.lies {
            print_line(&line);
        }
        self.under_way.push_back((line, self.writer.submit(write)));
        while self.under_way.len() > IN_FLIGHT_MAX {
            self.await_one();
        }
    }

    fn await_one(&mut self) {
        let Some((line, receipt)) = self.under_way.pop_front() else {
            return;
        };
        receipt.wait().expect("nothing is refused");
        print_line(&line);
    }

    fn await_all(&mut self) {
        while !self.under_way.is_empty() {
            self.await_one();
        }
    }

    fn run_calls(&mut self, orders: &WorkloadConfig, thread: u64) {
        let mut random = SeededRandom::from_seed(orders.seed + thread);
        for call in 0..orders.calls {
            self.run_call(&mut random, orders.round, thread, call);
        }
        self.await_all();
    }

    fn run_call(&mut self, random: &mut SeededRandom, round: u64, thread: u64, call: u64) {
        let call_sid = generated_text::call_sid(round, thread, call);
        let (number, name) = generated_text::caller_of(round, thread, call);
        self.start(&call_sid, &number, &name);
        for seq in 0..random.within(3, 14) as u32 {
            self.turn(&call_sid, 0, seq, 0);
            if random.chance(20) {
                self.turn(&call_sid, 0, seq, 1);
            }
            if random.chance(10) {
                std::thread::sleep(Duration::from_micros(random.within(1, 3_000)));
            }
        }
        if random.chance(80) {
            self.end(&call_sid, 0);
        }
    }

    fn start(&mut self, call_sid: &str, number: &str, name: &str) {
        let number = PhoneNumber::parse(number).expect("a number of the harness");
        let stamp = DecisionStamp {
            call_sid: call_sid.into(),
            step: 1,
            at_ms: AT_MS,
        };
        let started = CallStarted {
            call_sid: call_sid.into(),
            number: Some(number.clone()),
            line: "+14155550999".into(),
            caller_kind: CallerKind::Number,
            identity: None,
            language: None,
            at_ms: AT_MS,
            instance: "child".into(),
        };
        let line = format!("ack-name {} {name}", number.as_str());
        self.submit(
            Write::CallStarted(started),
            format!("ack-started {call_sid}"),
        );
        self.submit(
            Write::NameConfirmed(StampedName {
                number,
                name: name.into(),
                stamp,
            }),
            line,
        );
    }

    fn turn(&mut self, call_sid: &str, epoch: u32, seq: u32, revision: u32) {
        let role = if seq.is_multiple_of(2) {
            TurnRole::Agent
        } else {
            TurnRole::Caller
        };
        let content = generated_text::of_turn(call_sid, epoch, seq, revision);
        let turn = Turn {
            revision,
            ..Turn::new(role, content, AT_MS + i64::from(seq), epoch, seq)
        };
        let line = format!("ack-turn {call_sid} {epoch} {seq} {revision}");
        let call_sid = call_sid.into();
        let write = match revision {
            0 => Write::TurnAppended { call_sid, turn },
            _ => Write::TurnAmended { call_sid, turn },
        };
        self.submit(write, line);
    }

    fn end(&mut self, call_sid: &str, epoch: u32) {
        let ended = CallEnded {
            call_sid: call_sid.into(),
            epoch: Some(epoch),
            at_ms: AT_MS + 60_000,
            outcome: CallOutcome::HungUp,
        };
        self.submit(Write::CallEnded(ended), format!("ack-ended {call_sid}"));
    }

    fn resume_and_end(&mut self, call_sid: &str, epoch: u32) {
        let resumed = CallResumed {
            call_sid: call_sid.into(),
            session_id: "VX".into(),
            epoch,
            at_ms: AT_MS + 30_000,
            instance: "child".into(),
            expected: None,
            returned: true,
        };
        self.submit(
            Write::CallResumed(resumed),
            format!("ack-resumed {call_sid}"),
        );
        self.turn(call_sid, epoch, 0, 0);
        self.end(call_sid, epoch);
    }
}
