//! Killed at exactly one moment: before, between and after the labelled operations of storage.

use crate::events::TestCommand;
use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, HEAVY};
use crate::fault_rounds::is_long_form;
use crate::instance::DIES;
use crate::random::{SeededRandom, rounds};
use calldex_storage::DiskOperation;
use std::time::Duration;

/// Moments in the short form, chosen by the seed; all of them in the long one.
const SHORT: usize = 5;
/// How long a moment is waited for.
const CRASH_WAIT: Duration = Duration::from_secs(2);
/// Little, so that the log is cut and snapshots are made.
const LOG_BYTES_MAX: u64 = 2 * 1024 * 1024;

#[test]
fn nothing_is_lost_when_a_process_dies_at_a_labelled_moment() {
    let mut random =
        SeededRandom::for_test("nothing_is_lost_when_a_process_dies_at_a_labelled_moment");
    let mut plan = FaultTestPlan::three();
    plan.log_bytes_max = LOG_BYTES_MAX;
    let Some(mut cluster) = plan.open(&mut random) else {
        return;
    };
    let moments: Vec<DiskOperation> = match is_long_form() {
        true => DiskOperation::ALL
            .into_iter()
            .cycle()
            .take(DiskOperation::ALL.len() * rounds(1).min(3))
            .collect(),
        false => (0..SHORT)
            .map(|_| random.one_of(&DiskOperation::ALL))
            .collect(),
    };
    let mut reached = Vec::new();
    for moment in moments {
        let label = format!("{moment:?}");
        cluster.load(HEAVY);
        let before = random.within(200, 600);
        cluster.work(&mut random, Duration::from_millis(before));
        if crash_at(&mut cluster, &mut random, &label) {
            reached.push(label.clone());
        }
        cluster.check_after_settling(&mut random, HEAVY, &format!("killed at {label}"));
    }
    println!("killed at {reached:?}");
    cluster.close("killed at labelled moments");
}

/// Whether it came to that: not every moment comes in a running instance.
fn crash_at(cluster: &mut FaultTestCluster, random: &mut SeededRandom, label: &str) -> bool {
    let index = random.within(0, 2) as usize;
    let order = |times: u64| TestCommand::Fault {
        operation: label.to_owned(),
        delay_ms: 0,
        errno: DIES,
        times,
    };
    cluster.nodes[index].send_command(&order(1));
    let died = cluster.nodes[index].wait_end(CRASH_WAIT);
    if !died {
        cluster.nodes[index].send_command(&order(0));
    }
    died
}
