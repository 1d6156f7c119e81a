//! What one instance does while it is measured: turns, look-ups, names.

use super::orders::{Answer, LookUps, Names, Turns, Written};
use calldex_storage::bench::{Random, number, words};
use calldex_storage::record::{CallSid, Role, Turn};
use calldex_storage::write::{NameGiven, Stamp, Write};
use calldex_storage::{Recall, Receipt, Storage, Tier};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// Calls that are live at once.
const CALLS: usize = 500;
/// Turns under way flat out: enough for full batches, below the queue's bound.
const UNDER_WAY_MAX: usize = 20_000;
/// What one look-up may take.
const LOOK_UP_MAX: Duration = Duration::from_millis(100);
/// Look-ups between two pauses, and the pause: calls that come while others speak.
const LOOK_UPS_AT_ONCE: usize = 20;
const LOOK_UPS_PAUSE: Duration = Duration::from_millis(5);
/// Callers that call so often that memory keeps them.
const REGULARS: usize = 500;
/// Between two names.
const NAME_PAUSE: Duration = Duration::from_millis(10);
/// Between two looks whether a name is known.
const WATCH_STEP: Duration = Duration::from_micros(200);
/// Of everything that is written.
const AT_MS: i64 = 1_700_000_000_000;

impl From<Written> for Answer {
    fn from(written: Written) -> Self {
        Self::Written(written)
    }
}

impl Written {
    fn note(&mut self, receipt: Receipt) {
        match receipt.wait() {
            Ok(position) => self.position = self.position.max(position),
            Err(_) => self.failed += 1,
        }
    }
}

fn turn(series: u32, index: usize) -> Write {
    let (call, seq) = (index % CALLS, (index / CALLS) as u32);
    Write::TurnAppended {
        call_sid: CallSid::from(format!("CA{series:016x}{call:016x}")),
        turn: Turn::new(Role::Caller, words(call, seq), AT_MS, 0, seq),
    }
}

fn name(index: usize) -> Write {
    Write::NameConfirmed(NameGiven {
        number: number(index),
        name: format!("Trainer {index}").into(),
        stamp: Stamp {
            call_sid: format!("CB{index:032x}").into(),
            step: 1,
            at_ms: AT_MS,
        },
    })
}

/// Submits all, a window of them under way, and waits for the last.
fn write_all(storage: &Storage, writes: impl Iterator<Item = Write>) -> Written {
    let mut written = Written::default();
    let mut under_way = VecDeque::new();
    let begun = Instant::now();
    for write in writes {
        under_way.push_back(storage.writer.submit(write));
        if under_way.len() > UNDER_WAY_MAX
            && let Some(receipt) = under_way.pop_front()
        {
            written.note(receipt);
        }
    }
    under_way
        .into_iter()
        .for_each(|receipt| written.note(receipt));
    written.seconds = begun.elapsed().as_secs_f64();
    written
}

pub(super) fn flat_out(storage: &Storage, turns: Turns) -> Written {
    write_all(
        storage,
        (0..turns.count).map(|index| turn(turns.series, index)),
    )
}

pub(super) fn populate(storage: &Storage, callers: usize) -> Written {
    write_all(storage, (0..callers).map(name))
}

/// Turns at their moments; callers of `look_up_of` are looked up meanwhile.
pub(super) fn steady(
    storage: &Storage,
    runtime: &Runtime,
    turns: Turns,
    rate: u64,
    look_up_of: Option<usize>,
) -> Answer {
    let (tell, told) = sync_channel(UNDER_WAY_MAX);
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let collector = scope.spawn(move || collect(&told));
        let looking = look_up_of.map(|of| {
            let is_over = &is_over;
            scope.spawn(move || look_up(storage, runtime, of, || is_over.load(Ordering::Relaxed)))
        });
        let begun = Instant::now();
        pace(storage, turns, rate, tell);
        let mut written = collector.join().ok()?;
        written.seconds = begun.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        if let Some(looking) = looking {
            written.look_ups = looking.join().ok()?;
        }
        Some(written)
    });
    written.map_or_else(
        || Answer::Failed {
            why: "a measuring thread panicked".to_owned(),
        },
        Answer::Written,
    )
}

/// Submits at the steady rate, each turn at its own moment.
fn pace(storage: &Storage, turns: Turns, rate: u64, tell: SyncSender<(Instant, Receipt)>) {
    let begun = Instant::now();
    for index in 0..turns.count {
        let due = begun + Duration::from_nanos(index as u64 * 1_000_000_000 / rate.max(1));
        while let Some(rest) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(rest);
        }
        let submitted = Instant::now();
        let receipt = storage.writer.submit(turn(turns.series, index));
        if tell.send((submitted, receipt)).is_err() {
            return;
        }
    }
}

fn collect(told: &Receiver<(Instant, Receipt)>) -> Written {
    let mut written = Written::default();
    for (submitted, receipt) in told {
        let failed = written.failed;
        written.note(receipt);
        if written.failed == failed {
            let us = submitted.elapsed().as_micros();
            written.times_us.push(us.try_into().unwrap_or(u32::MAX));
        }
    }
    written
}

/// Looks callers up, half of them regulars, until it is over.
pub(super) fn look_up(
    storage: &Storage,
    runtime: &Runtime,
    of: usize,
    is_over: impl Fn() -> bool,
) -> LookUps {
    let mut times = LookUps::default();
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    while !is_over() {
        for at in 0..LOOK_UPS_AT_ONCE {
            let among = if at % 2 == 0 { REGULARS.min(of) } else { of };
            let number = number(random.below(among));
            let begun = Instant::now();
            let asked = storage.directory.recall_from(&number, LOOK_UP_MAX);
            let (_, tier) = runtime.block_on(asked);
            let ns = begun.elapsed().as_nanos().try_into().unwrap_or(u32::MAX);
            match tier {
                Some(Tier::Hot) => times.hot_ns.push(ns),
                Some(Tier::Warm) => times.warm_ns.push(ns),
                Some(Tier::Cold) => times.cold_ns.push(ns),
                None => {}
            }
        }
        std::thread::sleep(LOOK_UPS_PAUSE);
    }
    times
}

/// Learns names one after the other, and says when each was acknowledged.
pub(super) fn learn(storage: &Storage, names: Names) -> Answer {
    let mut unix_ns = Vec::with_capacity(names.count);
    for index in names.first..names.first + names.count {
        if let Err(error) = storage.writer.submit(name(index)).wait() {
            return Answer::Failed {
                why: error.to_string(),
            };
        }
        unix_ns.push(now_ns());
        std::thread::sleep(NAME_PAUSE);
    }
    Answer::Moments { unix_ns }
}

/// Looks the same names up, and says when each was known; gives up after `patience`.
pub(super) fn watch(
    storage: &Storage,
    runtime: &Runtime,
    names: Names,
    patience: Duration,
) -> Answer {
    let end = Instant::now() + patience;
    let mut unix_ns = Vec::with_capacity(names.count);
    for index in names.first..names.first + names.count {
        let number = number(index);
        loop {
            let recall = runtime.block_on(storage.directory.recall(&number, LOOK_UP_MAX));
            if matches!(&recall, Recall::Known(caller) if caller.name.is_some()) {
                break;
            }
            if Instant::now() > end {
                return Answer::Failed {
                    why: "a name did not come in time".to_owned(),
                };
            }
            std::thread::sleep(WATCH_STEP);
        }
        unix_ns.push(now_ns());
    }
    Answer::Moments { unix_ns }
}

/// The clock that all processes of this machine share.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .unwrap_or_default()
        .as_nanos()
        .try_into()
        .unwrap_or(u64::MAX)
}
