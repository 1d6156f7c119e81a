//! Without a primary, writes wait in the outbox, which outlives its process, and are drained in order.

use crate::events::{InstanceEvent, TestCommand};
use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY};
use crate::fault_rounds::run_fault;
use crate::node::ANSWER_MAX;
use crate::random::SeededRandom;
use std::time::Duration;

#[test]
fn writes_wait_in_the_outbox_for_a_primary_and_outlive_their_process() {
    run_fault(
        "writes_wait_in_the_outbox_for_a_primary_and_outlive_their_process",
        FaultTestPlan::three(),
        ORDINARY,
        1,
        &[("one of three is left, and dies", outbox_outlives_process)],
    );
}

fn outbox_outlives_process(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let left = random.within(0, 2) as usize;
    for index in (0..3).filter(|index| *index != left) {
        cluster.nodes[index].kill();
    }
    cluster.work(random, Duration::from_millis(1_200));
    cluster.nodes[left].send_command(&TestCommand::Hush);
    cluster.wait_for("every write to lie in the outbox", |cluster| {
        let node = &mut cluster.nodes[left];
        let kept = node.metric("calldex_outbox_writes")?;
        let answer = node.ask(|asked| TestCommand::UnderWay { asked }, ANSWER_MAX);
        let Some(InstanceEvent::UnderWay { writes, .. }) = answer else {
            return None;
        };
        (writes > 0 && kept >= writes as f64).then_some(())
    });
    cluster.nodes[left].kill();
    let life = cluster.nodes[left].life();
    let promised = cluster.record.events().history.promise(life);
    println!("{promised} writes lay in the outbox of a process that was killed");
    assert!(promised > 0, "the outbox was empty");
}
