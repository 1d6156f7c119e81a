//! Founding, joining, writing, losing the primary.

use super::test_node::*;
use crate::cluster::{CatchUpResult, NodeRole, OperatorClient};
use calldex_observability::redaction::Secret;
use calldex_storage::{DiskOperation, FaultInjector};
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_write_on_any_instance_is_on_all_and_survives_the_primary() {
    let mut nodes = three_nodes().await;
    let position = nodes[1].write("CA1").await;
    for node in &nodes {
        assert!(node.storage().wait_applied(position, WAIT_MAX).await);
        node.wait_has_call("CA1").await;
    }
    // Its own writes an instance reads at once, anywhere else what was acknowledged before.
    let third = nodes[2].cluster();
    assert!(third.catch_up(WAIT_MAX).await);
    let call = third.live_call("CA1", WAIT_MAX).await.unwrap();
    assert_eq!(call.conversation.instance.as_deref(), Some("two"));
    assert!(third.live_call("CA9", WAIT_MAX).await.is_none());

    let first = primary_of(&nodes.each_ref()).await;
    let lost = nodes[first].name.clone();
    let began = Instant::now();
    nodes[first].stop().await;
    let rest: Vec<&TestNode> = nodes.iter().filter(|node| node.name != lost).collect();
    let next = rest[primary_of(&rest).await];
    println!("another primary after {:?}", began.elapsed());
    rest[0].write("CA2").await;
    rest[1].write("CA3").await;
    println!("written again after {:?}", began.elapsed());
    assert!(rest[0].has_call("CA2").await && rest[1].has_call("CA3").await);
    wait_until("the lost one is known to be gone", || {
        let watched = next.cluster().member_liveness().unwrap_or_default();
        watched
            .iter()
            .any(|member| member.instance == lost && member.gone_since.is_some())
    })
    .await;

    let back = &mut nodes[first];
    back.start().await;
    back.wait_ready().await;
    assert!(back.has_call("CA1").await);
    back.wait_has_call("CA3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_single_instance_had_is_on_all_of_several() {
    let mut one = TestNode::new("one", &[]);
    let config = calldex_storage::StorageConfig::new(one.data());
    let alone = tokio::task::spawn_blocking(move || {
        let storage = calldex_storage::Storage::open(config).unwrap();
        storage
            .writer
            .submit(started("CA1", "alone"))
            .wait()
            .unwrap();
        storage.close(Duration::from_secs(5));
    });
    alone.await.unwrap();
    one.init_cluster();
    one.start().await;
    one.wait_ready().await;
    let mut two = TestNode::new("two", &[&one]);
    two.start().await;
    two.wait_ready().await;
    two.wait_has_call("CA1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writes_come_together_and_all_arrive() {
    let [one, two, three] = three_nodes().await;
    let began = Instant::now();
    let mut receipts = Vec::new();
    for round in 0..300 {
        for node in [&one, &two, &three] {
            let write = started(&format!("CA-{}-{round}", node.name), &node.name);
            receipts.push(node.storage().writer.submit(write));
        }
    }
    let mut last = 0;
    for receipt in receipts {
        let durable = tokio::time::timeout(WAIT_MAX, receipt).await;
        last = last.max(durable.unwrap().unwrap());
    }
    println!("900 writes on three instances in {:?}", began.elapsed());
    assert!(last < 600, "nothing was gathered: {last} entries");
    for node in [&one, &two, &three] {
        assert!(node.storage().wait_applied(last, WAIT_MAX).await);
        for other in ["one", "two", "three"] {
            assert!(node.has_call(&format!("CA-{other}-299")).await);
        }
    }
}

/// A disk whose fsync of the cluster's log takes so long once it is told to.
fn slow_log(pause: Duration) -> (Arc<AtomicBool>, FaultInjector) {
    let is_slow = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_slow);
    let faults = FaultInjector::new(move |operation| {
        if operation == DiskOperation::RaftCommit && told.load(Ordering::SeqCst) {
            std::thread::sleep(pause);
        }
        Ok(())
    });
    (is_slow, faults)
}

/// Writes on a node, one after the other; how many entries the log has more than before.
async fn entries_of(node: &TestNode, writes: u32) -> u64 {
    let storage = node.storage();
    let before = node.write("CA-first").await;
    let mut receipts = Vec::new();
    for number in 0..writes {
        let write = started(&format!("CA-{number}"), &node.name);
        receipts.push(storage.writer.submit(write));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut last = 0;
    for receipt in receipts {
        let durable = tokio::time::timeout(WAIT_MAX, receipt).await;
        last = durable.expect("acknowledged in time").unwrap();
    }
    last - before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_takes_longer_than_a_second_is_waited_for_and_not_written_twice() {
    let (is_slow, faults) = slow_log(Duration::from_millis(1_300));
    let mut one = TestNode::new("one", &[]);
    one.faults = faults;
    one.init_cluster();
    one.start().await;
    one.wait_ready().await;
    is_slow.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let entries = entries_of(&one, 10).await;
    println!(
        "one voter: 10 writes in {entries} entries and {:?}",
        began.elapsed()
    );
    assert!(entries <= 10, "{entries} entries for 10 writes");
    assert_eq!(one.storage().writer.status().depth.writes, 0);
    is_slow.store(false, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_voters_on_slow_disks_acknowledge_everything_once() {
    let mut nodes: [TestNode; 3] = [
        TestNode::new("one", &[]),
        TestNode::new("two", &[]),
        TestNode::new("three", &[]),
    ];
    let (address, mut switches) = (nodes[0].address(), Vec::new());
    for node in &mut nodes {
        let (is_slow, faults) = slow_log(Duration::from_millis(1_300));
        node.faults = faults;
        // As such disks need it: an election must not begin while one of them works.
        (node.section.election_ms_min, node.section.election_ms_max) = (6_000, 9_000);
        switches.push(is_slow);
    }
    nodes[0].init_cluster();
    for node in &mut nodes {
        if node.name != "one" {
            node.section.join = vec![address.clone()];
        }
        node.start().await;
        node.wait_ready().await;
    }
    wait_until("three vote", || has_voters(&nodes[0], 3)).await;
    let first = primary_of(&nodes.each_ref()).await;
    switches
        .iter()
        .for_each(|switch| switch.store(true, Ordering::SeqCst));
    for at in [first, (first + 1) % 3] {
        let began = Instant::now();
        let entries = entries_of(&nodes[at], 10).await;
        println!(
            "three voters, at {}: 10 writes in {entries} entries and {:?}",
            nodes[at].name,
            began.elapsed()
        );
        assert!(entries <= 10, "{entries} entries for 10 writes");
    }
    switches
        .iter()
        .for_each(|switch| switch.store(false, Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_secret_comes_in() {
    let mut one = TestNode::new("one", &[]);
    one.init_cluster();
    one.start().await;
    one.wait_ready().await;

    let mut section = one.section.clone();
    section.secret = Some(Secret::new("another secret, as long as the first one is"));
    let stranger = OperatorClient::new(&section).unwrap().status().await;
    assert!(stranger.is_err());
    let friend = OperatorClient::new(&one.section).unwrap().status().await;
    assert_eq!(friend.unwrap().role, NodeRole::Primary);

    let mut plain = TcpStream::connect(one.address()).await.unwrap();
    let request = b"POST /v1/standing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    plain.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(WAIT_MAX, plain.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed");
    assert!(!answer.starts_with(b"HTTP"), "it speaks no plain HTTP");
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_who_ask_the_primary_at_once_cost_the_majority_few_questions() {
    let nodes = three_nodes().await;
    let first = primary_of(&nodes.each_ref()).await;
    let confirmations = &nodes[first].cluster().context.peer_health.confirmations;
    let asks = |node: usize| {
        let cluster = Arc::clone(nodes[node].cluster());
        async move { cluster.catch_up_result(WAIT_MAX).await }
    };
    let before = confirmations.begun();
    let all = join_all((0..300).map(|number| asks(number % 3))).await;
    assert!(
        all.iter()
            .all(|caught_up| *caught_up == CatchUpResult::Fully)
    );
    let rounds = confirmations.begun() - before;
    assert!((1..150).contains(&rounds), "{rounds} for 300");
    println!("{rounds} rounds for 300 who asked");
}
