//! From a turn submitted to a turn durable: at a steady rate, and flat out.

use super::plain::{PlainInserts, fsyncs};
use super::scene::{PATIENCE, Scene, bytes_written, call_sid, turn};
use super::{Options, Report};
use calldex_storage::record::{CallOutcome, CallerKind};
use calldex_storage::write::{CallEnded, CallStarted, Write};
use calldex_storage::{Receipt, Storage, Writer, WriterBounds};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Calls that are live at once.
const CALLS: usize = 500;
/// fsyncs, and plain inserts, that are timed.
const SAMPLES: usize = 500;
/// Turns under way flat out: enough for full batches, below the queue's bound.
const UNDER_WAY_MAX: usize = 20_000;
/// Turns of a call from start to end.
const TURNS_A_CALL: u32 = 20;

pub(super) fn measure(scene: &Scene, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    let mut syncs = fsyncs(&scene.path("fsync"), SAMPLES)?;
    steadily(
        scene,
        options,
        WriterBounds::default(),
        "durable, as chosen",
        report,
    )?;
    syncs.extend(fsyncs(&scene.path("fsync"), SAMPLES)?);
    report.spread("one fsync, same run", "ms", &mut syncs)?;
    plainly(scene, report)?;
    flat_out(scene, options, report)?;
    whole_calls(scene, options, report)?;
    if options.sweep {
        sweep(scene, options, report)?;
    }
    Ok(())
}

fn sweep(scene: &Scene, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    for (delay_ms, writes) in [(0, 1_024), (2, 1_024), (4, 1_024), (8, 1_024), (16, 1_024)] {
        let bounds = WriterBounds {
            batch_delay: Duration::from_millis(delay_ms),
            batch_writes_max: writes,
            ..WriterBounds::default()
        };
        steadily(
            scene,
            options,
            bounds,
            &format!("durable, delay {delay_ms} ms"),
            report,
        )?;
    }
    for writes in [128, 512, 1_024, 4_096] {
        let bounds = WriterBounds {
            batch_writes_max: writes,
            ..WriterBounds::default()
        };
        let rate = flat_out_rate(scene, options, bounds)?;
        report.single(format!("flat out, batches of {writes}"), "1/s", rate)?;
    }
    Ok(())
}

fn steadily(
    scene: &Scene,
    options: &Options,
    bounds: WriterBounds,
    what: &str,
    report: &mut Report<'_>,
) -> io::Result<()> {
    let storage = scene.open("steady", bounds, true, 1_000)?;
    let (tell, told) = sync_channel(UNDER_WAY_MAX);
    let collector = std::thread::spawn(move || collect(&told));
    let position = storage.opened_at();
    let before = bytes_written();
    pace(&storage.writer, options, position as usize, &tell);
    drop(tell);
    let mut times = collector
        .join()
        .map_err(|_| io::Error::other("the collector panicked"))?;
    report.spread(
        format!("{what}, {} turns/s", options.turns_per_second),
        "ms",
        &mut times,
    )?;
    close(storage)?;
    let written = (bytes_written() - before) as f64 / times.len().max(1) as f64;
    report.single(format!("{what}, written per turn"), "bytes", written)
}

/// Submits at the steady rate, each turn at its own moment.
fn pace(
    writer: &Writer,
    options: &Options,
    first_call: usize,
    tell: &SyncSender<(Instant, Receipt)>,
) {
    let begun = Instant::now();
    let count = options.seconds * options.turns_per_second;
    for index in 0..count {
        let due = begun + Duration::from_nanos(index * 1_000_000_000 / options.turns_per_second);
        while let Some(rest) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(rest);
        }
        let call = first_call * CALLS + index as usize % CALLS;
        let submitted = Instant::now();
        let receipt = writer.submit(turn(call, (index as usize / CALLS) as u32));
        if tell.send((submitted, receipt)).is_err() {
            return;
        }
    }
}

fn collect(told: &Receiver<(Instant, Receipt)>) -> Vec<Duration> {
    let time =
        |(submitted, receipt): (Instant, Receipt)| receipt.wait().ok().map(|_| submitted.elapsed());
    told.iter().filter_map(time).collect()
}

fn plainly(scene: &Scene, report: &mut Report<'_>) -> io::Result<()> {
    let plain = PlainInserts::open(&scene.path("plain.db")).map_err(io::Error::other)?;
    let before = bytes_written();
    let mut times = plain.insert(SAMPLES, CALLS).map_err(io::Error::other)?;
    let written = bytes_written() - before;
    let total: Duration = times.iter().sum();
    report.spread("plain SQLite insert per message", "ms", &mut times)?;
    report.single(
        "plain SQLite insert per message, flat out",
        "1/s",
        SAMPLES as f64 / total.as_secs_f64(),
    )?;
    report.single(
        "plain SQLite insert, written per turn",
        "bytes",
        written as f64 / SAMPLES as f64,
    )
}

fn flat_out(scene: &Scene, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    let before = bytes_written();
    let rate = flat_out_rate(scene, options, WriterBounds::default())?;
    let written = bytes_written() - before;
    report.single("turns appended flat out", "1/s", rate)?;
    report.single(
        "turns appended, written per turn",
        "bytes",
        written as f64 / options.turns_flat_out as f64,
    )
}

fn flat_out_rate(scene: &Scene, options: &Options, bounds: WriterBounds) -> io::Result<f64> {
    let storage = scene.open("flat-out", bounds, false, 1_000)?;
    let first_call = storage.opened_at() as usize * CALLS;
    let begun = Instant::now();
    let writes = (0..options.turns_flat_out)
        .map(|index| turn(first_call + index % CALLS, (index / CALLS) as u32));
    submit_all(&storage.writer, writes);
    let rate = options.turns_flat_out as f64 / begun.elapsed().as_secs_f64();
    close(storage)?;
    Ok(rate)
}

/// Submits all, a window of them under way, and waits for the last.
fn submit_all(writer: &Writer, writes: impl Iterator<Item = Write>) {
    let mut under_way = std::collections::VecDeque::new();
    for write in writes {
        under_way.push_back(writer.submit(write));
        if under_way.len() > UNDER_WAY_MAX {
            under_way.pop_front().map(Receipt::wait);
        }
    }
    for receipt in under_way {
        // A write that is not durable shows in the storage that does not close.
        let _ = receipt.wait();
    }
}

fn whole_calls(scene: &Scene, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    let storage = scene.open("whole-calls", WriterBounds::default(), false, 1_000)?;
    let calls = (options.turns_flat_out / TURNS_A_CALL as usize).max(1);
    let (before, begun) = (bytes_written(), Instant::now());
    submit_all(&storage.writer, interleaved(calls));
    let turns = calls as f64 * f64::from(TURNS_A_CALL);
    report.single(
        "whole calls of 20 turns, turns flat out",
        "1/s",
        turns / begun.elapsed().as_secs_f64(),
    )?;
    close(storage)?;
    let written = bytes_written() - before;
    report.single(
        "whole calls of 20 turns, written per turn",
        "bytes",
        written as f64 / turns,
    )
}

/// Calls begin one after another, take their turns side by side, and end in the order of their
/// beginning: [`CALLS`] of them at a time.
fn interleaved(calls: usize) -> impl Iterator<Item = Write> {
    (0..calls.div_ceil(CALLS)).flat_map(move |group| {
        let of_group = move || group * CALLS..((group + 1) * CALLS).min(calls);
        let turns =
            (0..TURNS_A_CALL).flat_map(move |seq| of_group().map(move |call| turn(call, seq)));
        of_group()
            .map(started)
            .chain(turns)
            .chain(of_group().map(ended))
    })
}

fn started(call: usize) -> Write {
    Write::CallStarted(CallStarted {
        call_sid: call_sid(call),
        number: Some(super::scene::number(call)),
        line: "+14155550999".into(),
        caller_kind: CallerKind::Number,
        identity: None,
        language: None,
        at_ms: 1_700_000_000_000,
        instance: "bench".into(),
    })
}

fn ended(call: usize) -> Write {
    let end = CallEnded {
        call_sid: call_sid(call),
        epoch: Some(0),
        at_ms: 1_700_000_060_000,
        outcome: CallOutcome::HungUp,
    };
    Write::CallEnded(end)
}

fn close(storage: Storage) -> io::Result<()> {
    match storage.close(PATIENCE) {
        0 => Ok(()),
        left => Err(io::Error::other(format!(
            "{left} writes were not written in time"
        ))),
    }
}
