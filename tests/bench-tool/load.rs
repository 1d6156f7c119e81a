//! What one instance does while it is measured: turns, look-ups, names.

use super::instance_protocol::{InstanceReply, LookUpTimings, NameRange, TurnSeries, WriteTimings};
use crate::storage::{Random, number, words};
use calldex_storage::record::{CallSid, Turn, TurnRole};
use calldex_storage::write::{DecisionStamp, StampedName, Write};
use calldex_storage::{CacheTier, LookupResult, Receipt, Storage};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// Calls that are live at once.
const CALLS: usize = 500;
/// Turns under way flat out: enough for full batches, below the queue's bound.
const IN_FLIGHT_MAX: usize = 20_000;
/// What one look-up may take.
const LOOK_UP_MAX: Duration = Duration::from_millis(100);
/// Look-ups between two pauses, and the pause: calls that come while others speak.
const LOOK_UPS_AT_ONCE: usize = 20;
const LOOK_UPS_PAUSE: Duration = Duration::from_millis(5);
/// Callers that call so often that memory keeps them.
const FREQUENT_CALLERS: usize = 500;
/// Between two names.
const NAME_PAUSE: Duration = Duration::from_millis(10);
/// Between two looks whether a name is known.
const WATCH_STEP: Duration = Duration::from_micros(200);
/// Of everything that is written.
const AT_MS: i64 = 1_700_000_000_000;

impl From<WriteTimings> for InstanceReply {
    fn from(written: WriteTimings) -> Self {
        Self::Written(written)
    }
}

impl WriteTimings {
    fn record(&mut self, receipt: Receipt) {
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
        turn: Turn::new(TurnRole::Caller, words(call, seq), AT_MS, 0, seq),
    }
}

fn name(index: usize) -> Write {
    Write::NameConfirmed(StampedName {
        number: number(index),
        name: format!("Trainer {index}").into(),
        stamp: DecisionStamp {
            call_sid: format!("CB{index:032x}").into(),
            step: 1,
            at_ms: AT_MS,
        },
    })
}

/// Submits all, a window of them under way, and waits for the last.
fn write_all(storage: &Storage, writes: impl Iterator<Item = Write>) -> WriteTimings {
    let mut written = WriteTimings::default();
    let mut under_way = VecDeque::new();
    let begun = Instant::now();
    for write in writes {
        under_way.push_back(storage.writer.submit(write));
        if under_way.len() > IN_FLIGHT_MAX
            && let Some(receipt) = under_way.pop_front()
        {
            written.record(receipt);
        }
    }
    under_way
        .into_iter()
        .for_each(|receipt| written.record(receipt));
    written.seconds = begun.elapsed().as_secs_f64();
    written
}

pub(super) fn write_at_max_rate(storage: &Storage, turns: TurnSeries) -> WriteTimings {
    write_all(
        storage,
        (0..turns.count).map(|index| turn(turns.series, index)),
    )
}

pub(super) fn populate(storage: &Storage, callers: usize) -> WriteTimings {
    write_all(storage, (0..callers).map(name))
}

/// Turns at their moments; callers of `look_up_of` are looked up meanwhile.
pub(super) fn write_at_rate(
    storage: &Storage,
    runtime: &Runtime,
    turns: TurnSeries,
    rate: u64,
    look_up_of: Option<usize>,
) -> InstanceReply {
    let (tell, told) = sync_channel(IN_FLIGHT_MAX);
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let collector = scope.spawn(move || collect(&told));
        let looking = look_up_of.map(|of| {
            let is_over = &is_over;
            scope.spawn(move || look_up(storage, runtime, of, || is_over.load(Ordering::Relaxed)))
        });
        let begun = Instant::now();
        submit_at_rate(storage, turns, rate, tell);
        let mut written = collector.join().ok()?;
        written.seconds = begun.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        if let Some(looking) = looking {
            written.look_ups = looking.join().ok()?;
        }
        Some(written)
    });
    written.map_or_else(
        || InstanceReply::Failed {
            why: "a measuring thread panicked".to_owned(),
        },
        InstanceReply::Written,
    )
}

/// Submits at the steady rate, each turn at its own moment.
fn submit_at_rate(
    storage: &Storage,
    turns: TurnSeries,
    rate: u64,
    tell: SyncSender<(Instant, Receipt)>,
) {
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

fn collect(told: &Receiver<(Instant, Receipt)>) -> WriteTimings {
    let mut written = WriteTimings::default();
    for (submitted, receipt) in told {
        let failed = written.failed;
        written.record(receipt);
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
) -> LookUpTimings {
    let mut times = LookUpTimings::default();
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    while !is_over() {
        for at in 0..LOOK_UPS_AT_ONCE {
            let among = if at % 2 == 0 {
                FREQUENT_CALLERS.min(of)
            } else {
                of
            };
            let number = number(random.below(among));
            let begun = Instant::now();
            let asked = storage.callers.look_up_with_tier(&number, LOOK_UP_MAX);
            let (_, tier) = runtime.block_on(asked);
            let ns = begun.elapsed().as_nanos().try_into().unwrap_or(u32::MAX);
            match tier {
                Some(CacheTier::Hot) => times.hot_ns.push(ns),
                Some(CacheTier::Warm) => times.warm_ns.push(ns),
                Some(CacheTier::Cold) => times.cold_ns.push(ns),
                None => {}
            }
        }
        std::thread::sleep(LOOK_UPS_PAUSE);
    }
    times
}

/// Learns names one after the other, and says when each was acknowledged.
pub(super) fn write_names(storage: &Storage, names: NameRange) -> InstanceReply {
    let mut unix_ns = Vec::with_capacity(names.count);
    for index in names.first..names.first + names.count {
        if let Err(error) = storage.writer.submit(name(index)).wait() {
            return InstanceReply::Failed {
                why: error.to_string(),
            };
        }
        unix_ns.push(now_ns());
        std::thread::sleep(NAME_PAUSE);
    }
    InstanceReply::Timestamps { unix_ns }
}

/// Looks the same names up, and says when each was known; gives up after `patience`.
pub(super) fn wait_for_names(
    storage: &Storage,
    runtime: &Runtime,
    names: NameRange,
    patience: Duration,
) -> InstanceReply {
    let end = Instant::now() + patience;
    let mut unix_ns = Vec::with_capacity(names.count);
    for index in names.first..names.first + names.count {
        let number = number(index);
        loop {
            let recall = runtime.block_on(storage.callers.look_up(&number, LOOK_UP_MAX));
            if matches!(&recall, LookupResult::Known(caller) if caller.name.is_some()) {
                break;
            }
            if Instant::now() > end {
                return InstanceReply::Failed {
                    why: "a name did not come in time".to_owned(),
                };
            }
            std::thread::sleep(WATCH_STEP);
        }
        unix_ns.push(now_ns());
    }
    InstanceReply::Timestamps { unix_ns }
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
