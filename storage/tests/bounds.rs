//! The bounds that DESIGN.md names are the code's: every row of its tables of bounds is held against the
//! constants that it is about, as they stand in the source.

use std::fs;
use std::path::Path;

/// A row: its name, its bound with a place for each constant, and the constants: file, name, and what one
/// of the document's units is.
type BoundRow = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str, u64)],
);

const ONE: u64 = 1;
const MIB: u64 = 1024 * 1024;
/// Pages of SQLite's, of which the document speaks in MiB, cut to whole ones.
const PAGES_OF_A_MIB: u64 = 250;

const ROWS: &[BoundRow] = &[
    (
        "batch",
        "{} writes or {} ms",
        &[
            ("writer/write_queue.rs", "BATCH_WRITES_MAX", ONE),
            ("writer/write_queue.rs", "BATCH_DELAY_MS", ONE),
        ],
    ),
    (
        "queue",
        "{} MiB",
        &[("writer/write_queue.rs", "QUEUE_BYTES_MAX", MIB)],
    ),
    (
        "reads of calls waiting",
        "{}, for {} threads",
        &[
            ("reader_pool.rs", "CALL_READS_QUEUED_MAX", ONE),
            ("reader_pool.rs", "CALL_READERS", ONE),
        ],
    ),
    (
        "bulk reads waiting",
        "{}, for {} threads",
        &[
            ("reader_pool.rs", "BULK_READS_QUEUED_MAX", ONE),
            ("reader_pool.rs", "BULK_READERS", ONE),
        ],
    ),
    (
        "hot",
        "{} callers",
        &[("caller_directory/hot_cache.rs", "HOT_CALLERS_MAX", ONE)],
    ),
    (
        "sled's cache",
        "{} MiB",
        &[(
            "caller_directory/warm_cache/sled_store.rs",
            "WARM_CACHE_BYTES",
            MIB,
        )],
    ),
    (
        "warm cache behind",
        "{} numbers",
        &[("caller_directory/warm_cache/mod.rs", "WARM_BEHIND_MAX", ONE)],
    ),
    (
        "ends of calls that are not known",
        "{}",
        &[("sqlite/early_ends.rs", "EARLY_ENDS_MAX", ONE)],
    ),
    (
        "rejected writes",
        "{} writes or {} MiB, {} MiB of each",
        &[
            ("sqlite/rejected_writes.rs", "REJECTED_WRITES_ROWS_MAX", ONE),
            (
                "sqlite/rejected_writes.rs",
                "REJECTED_WRITES_BYTES_MAX",
                MIB,
            ),
            (
                "sqlite/rejected_writes.rs",
                "REJECTED_WRITE_BODY_BYTES_MAX",
                MIB,
            ),
        ],
    ),
    (
        "log",
        "checkpoint beside the writer from {} MiB, by the writer from {} MiB",
        &[
            ("writer/checkpointer.rs", "WAL_PAGES_MIN", PAGES_OF_A_MIB),
            ("writer/batch_committer.rs", "WAL_PAGES_MAX", 256),
        ],
    ),
    (
        "preferences, people, name",
        "{} of {} characters, {}, {} characters",
        &[
            ("record/caller.rs", "PREFERENCES_MAX", ONE),
            ("record/caller.rs", "PREFERENCE_CHARS_MAX", ONE),
            ("record/caller.rs", "PEOPLE_MAX", ONE),
            ("record/caller.rs", "NAME_CHARS_MAX", ONE),
        ],
    ),
    (
        "proposal",
        "{} writes or {} MiB",
        &[
            ("writer/write_queue.rs", "BATCH_WRITES_MAX", ONE),
            ("writer/proposer.rs", "PROPOSAL_BYTES_MAX", MIB),
        ],
    ),
    (
        "waiting for a primary",
        "the queue's {} MiB, outbox included",
        &[("writer/write_queue.rs", "QUEUE_BYTES_MAX", MIB)],
    ),
    (
        "answer to a proposal",
        "{} ms, then it is kept on disk too; {} s, then proposed again",
        &[
            ("writer/proposal_worker.rs", "OUTBOX_AFTER_MS", ONE),
            ("writer/proposal_worker.rs", "PROPOSE_MS_MAX", 1_000),
        ],
    ),
    (
        "entries in memory",
        "{} MiB",
        &[("replication/log/entry_cache.rs", "CACHE_BYTES_MAX", MIB)],
    ),
    (
        "jobs for the applying thread",
        "{}",
        &[("replication/state_machine/mod.rs", "JOBS_MAX", ONE)],
    ),
    (
        "claim results that a listener is behind",
        "{}",
        &[("writer/apply_progress.rs", "CLAIM_RESULTS_BEHIND_MAX", ONE)],
    ),
    (
        "a snapshot's copying",
        "{} MiB, then {} ms of rest",
        &[
            ("replication/snapshot.rs", "PAGES_STEP", 256),
            ("replication/snapshot.rs", "STEP_PAUSE", ONE),
        ],
    ),
    (
        "the disk's rest while snapshots are made or come",
        "{} MiB",
        &[("replication/snapshot.rs", "FREE_BYTES_MIN", MIB)],
    ),
    (
        "digests of entries",
        "{}",
        &[("replication/digest_history.rs", "DIGESTS_MAX", ONE)],
    ),
];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The value of a constant, as its source has it: a product or a quotient of numbers and of other
/// constants of the same file, or milliseconds.
fn value_of(file: &str, name: &str) -> u64 {
    let source = read(file);
    let known = |word: &str| match word {
        // Of `wal_pages.rs`.
        "PAGE_BYTES" => 4_096,
        word => number(word).unwrap_or_else(|| panic!("{file}: {name}: {word}")),
    };
    let begin = format!("const {name}: ");
    let line = source.lines().find(|line| line.contains(&begin));
    let line = line.unwrap_or_else(|| panic!("{file} has no {name} of one line"));
    let (_, value) = line.split_once(" = ").expect("a constant has a value");
    let value = value.trim_end_matches(';');
    let value = value
        .strip_prefix("Duration::from_millis(")
        .map_or(value, |rest| rest.trim_end_matches(')'));
    let mut words = value.split(' ');
    let mut product = known(words.next().expect("a value"));
    while let (Some(operator), Some(word)) = (words.next(), words.next()) {
        match operator {
            "*" => product *= known(word),
            "/" => product /= known(word),
            other => panic!("{file}: {name}: {other}"),
        }
    }
    product
}

fn number(digits: &str) -> Option<u64> {
    digits.replace('_', "").parse().ok()
}

/// As the document writes it: thousands apart.
fn written(value: u64) -> String {
    let digits = value.to_string();
    let mut written = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// The rows of the tables of bounds: name and bound.
fn rows(document: &str) -> Vec<(String, String)> {
    let sections = document
        .split("\n## ")
        .flat_map(|part| part.split("\n### "));
    let tables = sections.filter(|section| section.starts_with("Bounds\n"));
    let lines = tables.flat_map(|table| table.lines());
    let cells = lines.filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    });
    cells.filter(|(name, _)| name != "|").collect()
}

#[test]
fn every_bound_of_the_design_is_the_codes() {
    let rows = rows(&read("DESIGN.md"));
    let mut wrong = Vec::new();
    for (name, form, constants) in ROWS {
        let values = constants
            .iter()
            .map(|(file, name, unit)| written(value_of(file, name) / unit));
        let expected = values.fold((*form).to_owned(), |form, value| {
            form.replacen("{}", &value, 1)
        });
        match rows.iter().find(|(row, _)| row == name) {
            Some((_, bound)) if *bound == expected => {}
            Some((_, bound)) => wrong.push(format!("{name}: {bound}, in the code {expected}")),
            None => wrong.push(format!("{name} is not in DESIGN.md")),
        }
    }
    for (name, bound) in &rows {
        if !ROWS.iter().any(|(row, ..)| row == name) {
            wrong.push(format!("{name} ({bound}) is held against no constant"));
        }
    }
    assert!(rows.len() >= 15, "{rows:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
