//! The power goes at a sync: what was not synced is gone, wholly or in part.

use crate::crash_run::CrashScenario;
use crate::disk;
use crate::random::{SeededRandom, rounds};
use crate::verification::verify;
use std::os::unix::process::ExitStatusExt;

/// Rounds on one data directory before a fresh one is taken, so that its making is hit too.
const ROUNDS_A_DIRECTORY: usize = 5;
/// The last sync of a round that may be the one.
const SYNC_MAX: u64 = 60;
/// The signal by which the simulated disk ends the process.
const SIGKILL: i32 = 9;

/// One cut: at which sync of all, and which syncs of the database fail before it.
struct PowerCut {
    manner: &'static str,
    sync: u64,
    failing: Option<(u64, u64)>,
}

impl PowerCut {
    fn environment(&self, seed: u64) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("CALLDEX_DISK_CUT", self.manner.to_owned()),
            ("CALLDEX_DISK_CUT_AT", self.sync.to_string()),
            ("CALLDEX_DISK_SEED", seed.to_string()),
        ];
        if let Some((from, count)) = self.failing {
            environment.extend(disk::failing("sync", from, count, disk::EIO));
        }
        environment
    }
}

fn cut_power(test: &str, rounds: usize, plan: impl Fn(usize, &mut SeededRandom) -> PowerCut) {
    let Some(library) = disk::library() else {
        return;
    };
    let mut random = SeededRandom::for_test(test);
    let (mut scene, mut acknowledged) = (CrashScenario::new(), 0);
    for round in 0..rounds {
        if round % ROUNDS_A_DIRECTORY == 0 {
            acknowledged += scene.journal.turns.len();
            scene = CrashScenario::new();
        }
        let orders = scene.workload_config(&mut random);
        let cut = plan(round, &mut random);
        let mut environment = disk::environment(library, scene.data_dir());
        environment.extend(cut.environment(random.within(1, 1 << 40)));
        let what = format!(
            "{} cut {round} at sync {}, failing {:?}",
            cut.manner, cut.sync, cut.failing
        );
        let status = scene.run(&orders, &environment, |witness| witness.wait(&what));
        assert_eq!(status.signal(), Some(SIGKILL), "{what} never came");
        // The index of the log is memory: it does not survive.
        let _ = std::fs::remove_file(scene.data_dir().join("calls.db-shm"));
        verify(&scene, &what);
    }
    acknowledged += scene.journal.turns.len();
    println!("{rounds} power cuts, {acknowledged} turns acknowledged");
    assert!(
        rounds < 10 || acknowledged > 0,
        "no cut came after an acknowledgement"
    );
}

#[test]
fn nothing_acknowledged_is_lost_when_all_that_was_not_synced_is() {
    cut_power("all_that_was_not_synced", rounds(12), |_, random| {
        PowerCut {
            manner: "whole",
            sync: random.within(1, SYNC_MAX),
            failing: None,
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_part_of_what_was_not_synced_is() {
    cut_power("part_of_what_was_not_synced", rounds(12), |_, random| {
        PowerCut {
            manner: "partial",
            sync: random.within(1, SYNC_MAX),
            failing: None,
        }
    });
}

#[test]
fn each_of_the_first_syncs_may_be_the_one() {
    let rounds = rounds(10).min(SYNC_MAX as usize);
    let scale = SYNC_MAX as usize / rounds;
    cut_power("each_of_the_first_syncs", rounds, |round, _| PowerCut {
        manner: "partial",
        sync: (1 + round * scale) as u64,
        failing: None,
    });
}

/// What a failed sync left in the kernel looks written and is not. Whoever just tries again
/// acknowledges what the next power cut takes away.
#[test]
fn nothing_acknowledged_after_a_failed_sync_is_lost_at_a_power_cut() {
    cut_power("after_a_failed_sync", rounds(12), |_, random| {
        // Past the making of the database, which is refused when its sync fails.
        let from = random.within(12, 30);
        let count = random.within(1, 2);
        PowerCut {
            manner: "whole",
            sync: from + count + random.within(3, 25),
            failing: Some((from, count)),
        }
    });
}
