//! The membership changes while the network is cut.

use crate::events::Beginning;
use crate::exchange::{Exchange, ORDINARY, Plan};
use crate::random::Random;
use crate::rounds::befall;
use std::time::Duration;

/// The place of the one that joins.
const NEW: usize = 3;

#[test]
fn nothing_is_lost_when_members_change_during_a_partition() {
    befall(
        "nothing_is_lost_when_members_change_during_a_partition",
        Plan::three().with_cuts().with_spare(1),
        ORDINARY,
        1,
        &[
            (
                "a replica is cut off, replaced, and comes back",
                replace_replica,
            ),
            (
                "the primary is cut off, replaced, and comes back",
                replace_primary,
            ),
        ],
    );
}

fn replace_replica(exchange: &mut Exchange, random: &mut Random) {
    let index = exchange.replica(random);
    replace(exchange, random, index);
}

fn replace_primary(exchange: &mut Exchange, random: &mut Random) {
    let index = exchange.primary();
    replace(exchange, random, index);
}

/// `index` is cut off; another joins, and it is removed behind its back. Then it comes back and must
/// not count for anything. Then all is as it was: it joins anew, and the other leaves.
fn replace(exchange: &mut Exchange, random: &mut Random, index: usize) {
    let net = exchange.net.as_ref().expect("it was asked for");
    net.isolate(index as u64);
    exchange.work(random, Duration::from_millis(900));
    // From here on it is none of those that are asked.
    exchange.retired = vec![index];
    let primary = exchange.primary();
    exchange.nodes[NEW].start(Beginning::Join);
    exchange.wait_serving(NEW, "joining during a partition");
    exchange.load(ORDINARY);
    exchange.wait_voters(4);
    remove(exchange, primary, index);
    exchange.wait_voters(3);
    exchange.net.as_ref().expect("it was asked for").heal();
    exchange.work(random, Duration::from_millis(1_500));
    exchange.nodes[index].kill();
    exchange.nodes[index].wipe();
    exchange.nodes[index].start(Beginning::Join);
    exchange.retired.clear();
    exchange.wait_serving(index, "joining after it was removed");
    exchange.wait_voters(4);
    exchange.load(ORDINARY);
    exchange.work(random, Duration::from_millis(300));
    let by = exchange.primary();
    remove(exchange, by, NEW);
    exchange.retired.push(NEW);
    exchange.wait_voters(3);
    exchange.nodes[NEW].kill();
    exchange.nodes[NEW].wipe();
}

/// `calldex cluster remove`, on the machine of another.
fn remove(exchange: &mut Exchange, by: usize, index: usize) {
    let identity = exchange.nodes[index].standing().identity;
    let (_, node_id, _) = identity.expect("it was open");
    let node_id = node_id.to_string();
    let what = format!("removing instance {index}");
    exchange.soon(&what, |exchange| {
        let output = exchange.nodes[by].run_calldex(&["cluster", "remove", &node_id]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            println!("calldex cluster remove: {said}");
        }
        output.status.success().then_some(())
    });
}
