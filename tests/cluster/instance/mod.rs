//! The process that has the accidents: this same test binary, told by its environment to be one
//! instance of calldex, with real files, a real listener, and writes of its own making.

mod calls;
mod claims;
mod house;
mod names;
mod orders;
mod submitter;
mod trouble;

pub use trouble::DIES;

use crate::events::{BIRTH, Birth, Event, Load, Order};
use calldex_observability::logs::LogFormat;
use house::House;
use std::io::{BufRead, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use submitter::Submitter;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use trouble::Trouble;

/// What an instance writes to its log, which is kept when a test fails.
const LOG_LEVEL: &str = "info,openraft=warn";
/// The name of the test that is the instance, for the command line.
pub const TEST: &str = "instance::runs_when_told_to";

#[test]
fn runs_when_told_to() {
    let Ok(birth) = std::env::var(BIRTH) else {
        return;
    };
    let birth: Birth = serde_json::from_str(&birth).expect("a birth");
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
pub fn say(event: &Event) {
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
pub struct Pace {
    writes_per_s: AtomicU64,
    long_winded: AtomicBool,
    wanted_calls: AtomicU64,
    names: AtomicBool,
}

impl Pace {
    fn set(&self, load: Load) {
        self.long_winded.store(load.long_winded, Ordering::SeqCst);
        self.wanted_calls.store(load.wanted_calls, Ordering::SeqCst);
        self.names.store(load.names, Ordering::SeqCst);
        self.writes_per_s.store(load.writes_per_s, Ordering::SeqCst);
    }
}

/// Nothing is submitted.
const SILENCE: Load = Load {
    writes_per_s: 0,
    long_winded: false,
    wanted_calls: 0,
    names: false,
};

async fn live(birth: Birth) {
    let orders = listen();
    let trouble = Arc::new(Trouble::default());
    if let Some(operation) = &birth.dies_at {
        trouble.set(operation, 0, trouble::DIES, 1);
    }
    let house = match House::open(&birth, trouble.faults()).await {
        Ok(house) => Arc::new(house),
        Err(refusal) => {
            let (stage, reason) = (refusal.stage.to_owned(), refusal.reason);
            return say(&Event::Refused { stage, reason });
        }
    };
    say(&Event::Open {
        cluster_id: house.cluster_id(),
        node_id: house.node_id(),
        slot: house.slot().into(),
    });
    let pace = Arc::new(Pace::default());
    let submitter = Submitter::new(&house, birth.lies);
    calls::begin(&birth, &submitter, &pace);
    claims::begin(&birth, &house, &submitter, &pace);
    names::begin(&birth, &house, &submitter, &pace);
    house.tell_when_serving();
    obey(orders, &house, &submitter, &pace, &trouble).await;
    let given_up = house.stop().await;
    say(&Event::Stopped { given_up });
}

async fn obey(
    mut orders: UnboundedReceiver<Order>,
    house: &Arc<House>,
    submitter: &Submitter,
    pace: &Pace,
    trouble: &Trouble,
) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Load(load) => pace.set(load),
            Order::Hush => pace.set(SILENCE),
            Order::Submit { batch } => {
                let writes = calldex_storage::write::decode(batch.as_bytes());
                for write in writes.expect("a batch") {
                    drop(house.storage.writer.submit(write));
                }
            }
            Order::UnderWay { asked } => {
                let writes = submitter.under_way();
                say(&Event::UnderWay { asked, writes });
            }
            Order::Fault {
                operation,
                delay_ms,
                errno,
                times,
            } => trouble.set(&operation, delay_ms, errno, times),
            Order::Stop => return pace.set(SILENCE),
            question => {
                let house = Arc::clone(house);
                tokio::spawn(async move { say(&orders::answer(&house, question).await) });
            }
        }
    }
}

/// Orders as they come. When the test is gone, so is this process.
fn listen() -> UnboundedReceiver<Order> {
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
