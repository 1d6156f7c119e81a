//! Killed at random, and killed at each labelled moment.

use crate::crash_run::CrashScenario;
use crate::random::{SeededRandom, rounds};
use crate::verification::{CrashFindings, verify};
use std::time::Duration;

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_random() {
    let mut random = SeededRandom::for_test("killed_at_random");
    let mut scene = CrashScenario::new();
    let rounds = rounds(12);
    let mut found = CrashFindings::default();
    for round in 0..rounds {
        let orders = scene.workload_config(&mut random);
        let time = Duration::from_millis(random.within(0, 350));
        scene.run(&orders, &[], |witness| witness.kill_after(time));
        found = verify(&scene, &format!("kill {round}"));
    }
    let acknowledged = scene.journal.turns.len();
    println!(
        "{rounds} kills, {acknowledged} turns acknowledged, {} found in {} calls",
        found.turns, found.calls
    );
    assert!(scene.journal.turns.len() > rounds, "the load was no load");
}

/// Each labelled moment, and up to which occurrence of it.
const CRASH_POINTS: [(&str, u64); 10] = [
    ("OpenWriter", 1),
    ("Begin", 40),
    ("CloseConversation", 30),
    ("Commit", 40),
    ("Refresh", 40),
    ("Acknowledge", 40),
    ("Checkpoint", 2),
    ("Checkpointed", 2),
    ("OpenWarm", 1),
    ("WriteWarm", 4),
];

#[test]
fn nothing_acknowledged_is_lost_when_the_process_ends_at_a_labelled_moment() {
    let mut random = SeededRandom::for_test("labelled_moment");
    let mut scene = CrashScenario::new();
    let repeats = rounds(10).div_ceil(CRASH_POINTS.len());
    for (label, last) in &CRASH_POINTS {
        for _ in 0..repeats {
            let mut orders = scene.workload_config(&mut random);
            let nth = random.within(1, *last);
            orders.dies_at = Some(((*label).to_owned(), nth as u32));
            let what = format!("{label} {nth}");
            let status = scene.run(&orders, &[], |witness| witness.wait(&what));
            assert!(!status.success(), "{what} was never reached");
            verify(&scene, &what);
        }
    }
    println!(
        "{} moments, {repeats} times each, {} turns acknowledged",
        CRASH_POINTS.len(),
        scene.journal.turns.len()
    );
    assert!(!scene.journal.turns.is_empty());
}

#[test]
fn the_harness_finds_out_a_server_that_acknowledges_too_early() {
    const TRIES: usize = 20;
    let mut random = SeededRandom::for_test("acknowledges_too_early");
    let found_out = (0..TRIES).any(|_| {
        let mut scene = CrashScenario::new();
        let mut orders = scene.workload_config(&mut random);
        orders.lies = true;
        orders.dies_at = Some(("Commit".to_owned(), random.within(5, 20) as u32));
        scene.run(&orders, &[], |witness| witness.wait("a liar"));
        std::panic::catch_unwind(|| verify(&scene, "a liar, found out as it should be")).is_err()
    });
    assert!(found_out, "{TRIES} liars went unnoticed");
}
