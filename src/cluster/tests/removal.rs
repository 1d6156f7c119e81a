//! Replacing, removing, refusing.

use super::test_node::*;
use crate::cluster::{NodeReadiness, NodeRole, OperatorClient, OperatorError, await_identity};
use calldex_storage::WriteError;
use calldex_storage::record::PhoneNumber;
use calldex_storage::replication::{IdentityError, LOG_FILE, NodeIdentity, OUTBOX_FILE};
use calldex_storage::write::{DecisionStamp, StampedName, Write};
use std::sync::Mutex;

fn problem_of(node: &TestNode) -> String {
    match node.cluster().readiness() {
        NodeReadiness::Failed(why) => why,
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_a_member_is_not_let_in() {
    let [one, two, mut three] = three_nodes().await;
    three.stop().await;
    let older = three.dir.path().join("older");
    copy(&three.data(), &older);
    three.start().await;
    three.wait_ready().await;
    three.stop().await;
    // As if the disk had been put back from a backup.
    std::fs::remove_dir_all(three.data()).unwrap();
    copy(&older, &three.data());
    three.start().await;
    wait_until("it is refused", || {
        problem_of(&three).contains("not let into")
    })
    .await;
    assert!(
        problem_of(&three).contains("join anew"),
        "{}",
        problem_of(&three)
    );
    assert_eq!(three.status().role, NodeRole::None);
    // The others go on without it.
    one.write("CA1").await;
    two.wait_has_call("CA1").await;

    three.stop().await;
    std::fs::remove_file(three.data().join(LOG_FILE)).unwrap();
    let refused = NodeIdentity::read(&three.data());
    assert!(matches!(refused, Err(IdentityError::LogMissing { .. })));
}

/// Asks to join until it is told why it cannot, in these words.
async fn waits_with_message(node: &TestNode, words: &str) {
    let told = Mutex::new(String::new());
    let data = node.data();
    let tell = |why: &str| *told.lock().unwrap() = why.to_owned();
    let joining = await_identity(&node.section, &node.name, true, &data, tell);
    let waiting = wait_until(words, || told.lock().unwrap().contains(words));
    tokio::select! {
        joined = joining => panic!("it is not kept waiting: {joined:?}"),
        () = waiting => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_away_keeps_its_place_for_minutes_or_until_an_operator_gives_it_away() {
    let [one, two, mut three] = three_nodes().await;
    let old = three.status().node_id;
    three.stop().await;
    // A second machine with its name, or its own after its disk was lost.
    std::fs::remove_dir_all(three.data()).unwrap();
    one.write("CA1").await;
    waits_with_message(&three, &format!("`calldex cluster remove {old}`")).await;
    assert!(
        one.status()
            .members
            .iter()
            .any(|member| member.node_id == old)
    );
    let operator = OperatorClient::new(&one.section).unwrap();
    operator.remove("three", false).await.unwrap();
    three.start().await;
    three.wait_ready().await;
    three.wait_has_call("CA1").await;
    for node in [&one, &two, &three] {
        wait_until("three vote, and not the old one", || {
            let members = node.status().members;
            has_voters(node, 3) && members.iter().all(|member| member.node_id != old)
        })
        .await;
    }
    assert_ne!(three.status().node_id, old);
    three.write("CA2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_member_still_had_to_write_goes_on_with_who_joins_with_its_outbox() {
    let [mut one, mut two, mut three] = three_nodes().await;
    one.stop().await;
    two.stop().await;
    let receipt = three.storage().writer.submit(started("CA7", "three"));
    three.stop().await;
    assert_eq!(receipt.await, Err(WriteError::SavedToOutbox));
    tokio::join!(one.start(), two.start());
    one.wait_ready().await;
    let operator = OperatorClient::new(&one.section).unwrap();
    operator.remove("three", false).await.unwrap();

    let outbox = three.data().join(OUTBOX_FILE);
    let kept = std::fs::read(&outbox).unwrap();
    std::fs::remove_dir_all(three.data()).unwrap();
    std::fs::create_dir_all(three.data()).unwrap();
    std::fs::write(&outbox, kept).unwrap();
    three.start().await;
    three.wait_ready().await;
    one.wait_has_call("CA7").await;
    two.wait_has_call("CA7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_calls_stand_still_has_lost_them_and_still_votes() {
    let nodes = three_nodes().await;
    let primary = primary_of(&nodes.each_ref()).await;
    let stuck = (primary + 1) % 3;
    // The runtime of its calls moved once, and does no more.
    nodes[stuck].cluster().call_runtime_alive();
    wait_until("its calls count as lost", || {
        let watched = nodes[primary]
            .cluster()
            .member_liveness()
            .unwrap_or_default();
        watched
            .iter()
            .any(|member| member.instance == nodes[stuck].name && member.gone_since.is_some())
    })
    .await;
    let standing = nodes[primary].status();
    let name = &nodes[stuck].name;
    let member = standing
        .members
        .iter()
        .find(|member| &member.instance == name);
    assert!(member.is_some_and(|member| member.reachable && member.voter));
    nodes[stuck].write("CA1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_changed_behind_everybodys_back_is_seen_to_differ() {
    let [one, two, mut three] = three_nodes().await;
    let name = || {
        let given = StampedName {
            number: PhoneNumber::parse("+14155550100").unwrap(),
            name: "Misty".into(),
            stamp: DecisionStamp {
                call_sid: "CA1".into(),
                step: 1,
                at_ms: 1_700_000_000_001,
            },
        };
        one.storage().writer.submit(Write::NameConfirmed(given))
    };
    let position = name().await.unwrap();
    assert!(three.storage().wait_applied(position, WAIT_MAX).await);
    let node_id = three.status().node_id;
    three.stop().await;
    let calls = rusqlite::Connection::open(three.data().join("calls.db")).unwrap();
    assert_eq!(calls.execute("DELETE FROM callers", []).unwrap(), 1);
    drop(calls);
    three.start().await;
    three.wait_ready().await;
    // The same once more: no news but to one.
    name().await.unwrap();
    let differs = |node: &TestNode, whom: u64| {
        let members = node.status().members;
        members
            .iter()
            .any(|member| member.node_id == whom && member.differs_at.is_some())
    };
    for node in [&one, &two] {
        wait_until("it is seen to differ", || differs(node, node_id)).await;
    }
    let own = one.status().node_id;
    wait_until("it sees so itself", || differs(&three, own)).await;
    assert!(!differs(&one, two.status().node_id));
    assert!(
        matches!(one.cluster().readiness(), NodeReadiness::Degraded(why) if why.contains("DatabasesDiffer"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_stays_one_and_a_removed_member_notices() {
    let mut one = TestNode::new("one", &[]);
    one.init_cluster();
    one.start().await;
    one.wait_ready().await;
    let mut two = TestNode::new("two", &[&one]);
    two.section.voter = false;
    two.start().await;
    two.wait_ready().await;
    let position = two.write("CA1").await;
    assert!(one.storage().wait_applied(position, WAIT_MAX).await);
    // Longer than a promotion takes.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(two.status().role, NodeRole::Learner);
    assert!(has_voters(&one, 1));

    let operator = OperatorClient::new(&two.section).unwrap();
    let last = operator.remove("one", true).await;
    assert!(matches!(last, Err(OperatorError::Refused(why)) if why.contains("last voter")));
    let removed = operator.remove("two", false).await.unwrap();
    assert_eq!(removed.instance, "two");
    wait_until("it notices", || {
        problem_of(&two).contains("removed from the cluster")
    })
    .await;
    assert_eq!(one.status().members.len(), 1);
    one.write("CA2").await;
}
