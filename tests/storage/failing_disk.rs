//! Disk operations that fail one by one, below SQLite: the load goes on, everything is written once
//! the disk is well again, and nothing is acknowledged before.

use crate::crash_run::CrashScenario;
use crate::disk::{self, EIO, ENOSPC, EROFS};
use crate::random::{SeededRandom, rounds};
use crate::verification::verify;
use std::time::Duration;

/// What fails, how, the last call that may be the first to fail, and for how many at most.
const FAILURES: [(&str, &str, i32, u64, u64); 5] = [
    ("an fsync fails", "sync", EIO, 25, 1),
    ("fsyncs fail for a while", "sync", EIO, 25, 6),
    ("the disk is full", "write", ENOSPC, 600, 12),
    ("a write fails", "write", EIO, 600, 3),
    ("the disk is read-only", "write", EROFS, 600, 8),
];
/// Calls of each of the child's threads: enough to be hit, few enough to end.
const CALLS: u64 = 120;

#[test]
fn a_failing_disk_delays_and_loses_nothing() {
    let Some(library) = disk::library() else {
        return;
    };
    let mut random = SeededRandom::for_test("a_failing_disk");
    let repeats = rounds(10).div_ceil(FAILURES.len());
    let mut acknowledged = 0;
    for (name, operation, errno, from_max, count_max) in FAILURES {
        for _ in 0..repeats {
            let mut scene = CrashScenario::new();
            // The server is made first: making it on a failing disk is refused, which is no loss.
            let orders = scene.workload_config(&mut random);
            scene.run(&orders, &[], |witness| {
                witness.kill_after(Duration::from_millis(20))
            });
            let mut orders = scene.workload_config(&mut random);
            orders.calls = CALLS;
            let from = random.within(3, from_max);
            let count = random.within(1, count_max);
            let mut environment = disk::environment(library, scene.data_dir());
            environment.extend(disk::failing(operation, from, count, errno));
            let what = format!("{name}: {operation} {from} and {count} in all");
            scene.run(&orders, &environment, |witness| witness.wait(&what));
            assert!(scene.journal.done, "{what}: the load did not finish");
            assert!(
                scene.data_dir().join("disk.failed").exists(),
                "{what}: nothing failed"
            );
            let found = verify(&scene, &what);
            assert!(
                found.calls as u64 >= 3 * CALLS,
                "{what}: {} calls",
                found.calls
            );
            acknowledged += scene.journal.turns.len();
        }
    }
    println!(
        "{} failures, {repeats} times each, {acknowledged} turns acknowledged",
        FAILURES.len()
    );
}
