//! The process that has the accidents: this same test binary, told by its environment to be one
//! instance of calldex, with real files, a real listener, and writes of its own making.

mod calls;
mod claims;
mod commands;
mod fault_plan;
mod names;
mod runtime;
mod submitter;

pub use fault_plan::DIES;

use crate::events::{InstanceEvent, InstanceSetup, SETUP_VARIABLE, TestCommand, WorkloadRates};
use calldex_observability::logs::LogFormat;
use fault_plan::FaultPlan;
use runtime::InstanceRuntime;
use std::io::{BufRead, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use submitter::Submitter;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What an instance writes to its log, which is kept when a test fails.
const LOG_LEVEL: &str = "info,openraft=warn";
/// The name of the test that is the instance, for the command line.
pub const TEST: &str = "instance::runs_when_told_to";

#[test]
fn runs_when_told_to() {
    let Ok(birth) = std::env::var(SETUP_VARIABLE) else {
        return;
    };
    let birth: InstanceSetup = serde_json::from_str(&birth).expect("a birth");
    calldex_observability::recorder::install();
    calldex_observability::logs::init(LogFormat::Human, LOG_LEVEL).expect("a log");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(live(birth));
    // Nothing is left to be waited for.
    std::process::exit(0);
}

/// Tells the test; whoever hears it may rely on it, whatever happens to this process.
pub fn print_event(event: &InstanceEvent) {
    let line = event.to_line();
    let mut out = std::io::stdout().lock();
    // Without its parent there is nothing to live for.
    if out
        .write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(1);
    }
}

/// Monotonic microseconds, the same for all processes of the machine.
pub fn now_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1_000
}

/// What is to be submitted at present.
#[derive(Default)]
pub struct WorkloadPace {
    writes_per_s: AtomicU64,
    long_winded: AtomicBool,
    wanted_calls: AtomicU64,
    names: AtomicBool,
}

impl WorkloadPace {
    fn set(&self, load: WorkloadRates) {
        self.long_winded.store(load.long_winded, Ordering::SeqCst);
        self.wanted_calls.store(load.wanted_calls, Ordering::SeqCst);
        self.names.store(load.names, Ordering::SeqCst);
        self.writes_per_s.store(load.writes_per_s, Ordering::SeqCst);
    }
}

/// Nothing is submitted.
const SILENCE: WorkloadRates = WorkloadRates {
    writes_per_s: 0,
    long_winded: false,
    wanted_calls: 0,
    names: false,
};

async fn live(birth: InstanceSetup) {
    let orders = listen();
    let fault_plan = Arc::new(FaultPlan::default());
    if let Some(operation) = &birth.dies_at {
        fault_plan.set(operation, 0, fault_plan::DIES, 1);
    }
    let runtime = match InstanceRuntime::open(&birth, fault_plan.faults()).await {
        Ok(runtime) => Arc::new(runtime),
        Err(refusal) => {
            let (stage, reason) = (refusal.stage.to_owned(), refusal.reason);
            return print_event(&InstanceEvent::Refused { stage, reason });
        }
    };
    print_event(&InstanceEvent::Open {
        cluster_id: runtime.cluster_id(),
        node_id: runtime.node_id(),
        slot: runtime.slot().into(),
    });
    let pace = Arc::new(WorkloadPace::default());
    let submitter = Submitter::new(&runtime, birth.lies);
    calls::begin(&birth, &submitter, &pace);
    claims::begin(&birth, &runtime, &submitter, &pace);
    names::begin(&birth, &runtime, &submitter, &pace);
    runtime.report_when_serving();
    execute(orders, &runtime, &submitter, &pace, &fault_plan).await;
    let given_up = runtime.stop().await;
    print_event(&InstanceEvent::Stopped { given_up });
}

async fn execute(
    mut orders: UnboundedReceiver<TestCommand>,
    runtime: &Arc<InstanceRuntime>,
    submitter: &Submitter,
    pace: &WorkloadPace,
    fault_plan: &FaultPlan,
) {
    while let Some(order) = orders.recv().await {
        match order {
            TestCommand::Load(load) => pace.set(load),
            TestCommand::Hush => pace.set(SILENCE),
            TestCommand::Submit { batch } => {
                let writes = calldex_storage::write::decode_batch(batch.as_bytes());
                for write in writes.expect("a batch") {
                    drop(runtime.storage.writer.submit(write));
                }
            }
            TestCommand::UnderWay { asked } => {
                let writes = submitter.in_flight();
                print_event(&InstanceEvent::UnderWay { asked, writes });
            }
            TestCommand::Fault {
                operation,
                delay_ms,
                errno,
                times,
            } => fault_plan.set(&operation, delay_ms, errno, times),
            TestCommand::Stop => return pace.set(SILENCE),
            question => {
                let runtime = Arc::clone(runtime);
                tokio::spawn(
                    async move { print_event(&commands::answer(&runtime, question).await) },
                );
            }
        }
    }
}

/// Orders as they come. When the test is gone, so is this process.
fn listen() -> UnboundedReceiver<TestCommand> {
    let (tell, told) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let order = serde_json::from_str(&line).expect("an order");
            if tell.send(order).is_err() {
                return;
            }
        }
        std::process::exit(1);
    });
    told
}
