//! The power goes at a sync: what was not synced is gone, wholly or in part.

use crate::accidents::Scene;
use crate::autopsy::examine;
use crate::disk;
use crate::random::{Random, rounds};

/// Rounds on one data directory before a fresh one is taken, so that its making is hit too.
const ROUNDS_A_DIRECTORY: usize = 5;
/// The last sync of a round that may be the one.
const SYNC_MAX: u64 = 60;

fn cut_power(test: &str, manner: &str, cut_at: impl Fn(usize, &mut Random) -> u64, rounds: usize) {
    let Some(library) = disk::library() else {
        return;
    };
    let mut random = Random::for_test(test);
    let (mut scene, mut acknowledged, mut cuts) = (Scene::new(), 0, 0);
    for round in 0..rounds {
        if round % ROUNDS_A_DIRECTORY == 0 {
            acknowledged += scene.journal.turns.len();
            scene = Scene::new();
        }
        let mut orders = scene.orders(&mut random);
        // Each cut is a new start of the machine.
        orders.boot = format!("boot {round}");
        let sync = cut_at(round, &mut random);
        let mut environment = disk::environment(library, scene.data_dir());
        environment.push(("CALLDEX_DISK_CUT", manner.to_owned()));
        environment.push(("CALLDEX_DISK_CUT_AT", sync.to_string()));
        environment.push(("CALLDEX_DISK_SEED", random.within(1, 1 << 40).to_string()));
        let what = format!("{manner} cut {round} at sync {sync}");
        let status = scene.run(&orders, &environment, |witness| witness.wait(&what));
        assert!(!status.success(), "{what} never came");
        cuts += 1;
        // The index of the log is memory: it does not survive.
        let _ = std::fs::remove_file(scene.data_dir().join("calls.db-shm"));
        examine(&scene, &format!("boot after {round}"), &what);
    }
    acknowledged += scene.journal.turns.len();
    println!("{cuts} {manner} power cuts, {acknowledged} turns acknowledged");
    assert!(
        rounds < 10 || acknowledged > 0,
        "no cut came after an acknowledgement"
    );
}

#[test]
fn nothing_acknowledged_is_lost_when_all_that_was_not_synced_is() {
    cut_power(
        "all_that_was_not_synced",
        "whole",
        |_, random| random.within(1, SYNC_MAX),
        rounds(12),
    );
}

#[test]
fn nothing_acknowledged_is_lost_when_part_of_what_was_not_synced_is() {
    cut_power(
        "part_of_what_was_not_synced",
        "partial",
        |_, random| random.within(1, SYNC_MAX),
        rounds(12),
    );
}

#[test]
fn each_of_the_first_syncs_may_be_the_one() {
    let rounds = rounds(10).min(SYNC_MAX as usize);
    let scale = SYNC_MAX as usize / rounds;
    cut_power(
        "each_of_the_first_syncs",
        "partial",
        |round, _| (1 + round * scale) as u64,
        rounds,
    );
}
