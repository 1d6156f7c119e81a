//! Look-ups by tier, and starting with many callers.

use super::scene::{PATIENCE, Random, Scene, number, populate};
use super::{Options, Report};
use calldex_storage::{CacheTier, DATABASE_FILE, LookupResult, Storage, WriterBounds, measured};
use rusqlite::Connection;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

/// Look-ups before those that are measured: enough to touch every page once, which is when it comes
/// from the disk.
const WARMING: usize = 200_000;

pub(super) fn measure(scene: &Scene, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    scene
        .open("callers", WriterBounds::default(), false, 1)?
        .close(PATIENCE);
    let database = scene.path("callers").join(DATABASE_FILE);
    populate(&database, options.callers).map_err(io::Error::other)?;
    start(scene, options, report)?;
    let storage = scene.open(
        "callers",
        WriterBounds::default(),
        true,
        options.callers + 1_000,
    )?;
    wait_until_warm(&storage)?;
    plain(options, &database, report)?;
    cold(options, &database, report)?;
    warm(&storage, options, report)?;
    end_to_end(&storage, options, report)?;
    hot(&storage, options, report)?;
    storage.close(PATIENCE);
    Ok(())
}

/// The first start builds the warm tier; the second finds it.
fn start(scene: &Scene, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    for what in ["first", "second"] {
        let begun = Instant::now();
        let storage = scene.open("callers", WriterBounds::default(), true, 1_000)?;
        let opened = begun.elapsed();
        wait_until_warm(&storage)?;
        let what = format!("{what} start with {} callers", options.callers);
        report.single(what.clone(), "ms", opened.as_secs_f64() * 1e3)?;
        report.single(
            format!("{what}, warm tier in step"),
            "ms",
            begun.elapsed().as_secs_f64() * 1e3,
        )?;
        storage.close(PATIENCE);
    }
    Ok(())
}

fn wait_until_warm(storage: &Storage) -> io::Result<()> {
    let begun = Instant::now();
    while !storage.callers.is_warm_cache_ready() {
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::other("the warm tier did not get ready"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Times `look_up` for callers drawn at random, after warming up.
fn time(options: &Options, mut look_up: impl FnMut(usize) -> bool) -> io::Result<Vec<Duration>> {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    let mut times = Vec::with_capacity(options.lookups);
    for round in 0..WARMING.min(options.callers) + options.lookups {
        let index = random.below(options.callers);
        let begun = Instant::now();
        let found = black_box(look_up(index));
        let time = begun.elapsed();
        if !found {
            return Err(io::Error::other("a caller was not found"));
        }
        if round >= WARMING.min(options.callers) {
            times.push(time);
        }
    }
    Ok(times)
}

fn plain(options: &Options, database: &std::path::Path, report: &mut Report<'_>) -> io::Result<()> {
    let connection = Connection::open(database).map_err(io::Error::other)?;
    let mut times = time(options, |index| {
        let name: rusqlite::Result<String> = connection.query_row(
            "SELECT name FROM callers WHERE phone_number = ?1",
            [number(index).as_str()],
            |row| row.get(0),
        );
        name.is_ok()
    })?;
    report.spread("plain SQLite look-up", "us", &mut times)
}

fn cold(options: &Options, database: &std::path::Path, report: &mut Report<'_>) -> io::Result<()> {
    let mut reader = measured::ColdReader::open(database);
    let numbers: Vec<_> = (0..options.callers).map(number).collect();
    let mut times = time(options, |index| reader.finds(&numbers[index]))?;
    report.spread("look-up, cold tier", "us", &mut times)
}

fn warm(storage: &Storage, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    let keys: Vec<_> = (0..options.callers)
        .map(|index| number(index).digits())
        .collect();
    let mut times = time(options, |index| {
        measured::is_in_warm_cache(storage, keys[index])
    })?;
    report.spread("look-up, warm tier", "us", &mut times)
}

/// A look-up as a call makes it, that has to go to the disk: with the hop to a reader and back.
fn end_to_end(storage: &Storage, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let mut times = Vec::new();
    for index in 0..options.lookups.min(20_000).min(options.callers) {
        let number = number(index);
        let begun = Instant::now();
        let (recall, tier) = runtime.block_on(storage.callers.look_up_with_tier(&number, PATIENCE));
        if matches!(recall, LookupResult::Known(_)) && tier != Some(CacheTier::Hot) {
            times.push(begun.elapsed());
        }
    }
    report.spread("recall from disk, as a call makes it", "us", &mut times)
}

fn hot(storage: &Storage, options: &Options, report: &mut Report<'_>) -> io::Result<()> {
    let numbers: Vec<_> = (0..options.callers).map(number).collect();
    for number in &numbers {
        while storage.callers.prefetch(number).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let begun = Instant::now();
    while storage.callers.hot_callers() < options.callers && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut times = time(options, |index| {
        matches!(
            storage.callers.look_up_cached(&numbers[index]),
            Some(LookupResult::Known(_))
        )
    })?;
    report.spread("look-up, hot tier", "us", &mut times)
}
