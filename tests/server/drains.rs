//! SIGTERM: new callers are asked to call again, live ones go on for a while, nothing is lost.

use crate::test_server::{TestServer, WAIT_MAX, wait_for};
use calldex_simulator::twilio::EndCause;
use std::time::{Duration, Instant};

const LANCE: &str = "+14155550150";

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_ends_its_calls_kindly_and_keeps_everything() {
    let mut test_server = TestServer::builder()
        .set("server.drain_ms_max", 2_500)
        .start()
        .await;
    let phone = test_server.call(LANCE).await;
    phone.says("My name is Lance").await;
    test_server.signal("TERM");
    wait_for("the server to drain", || {
        test_server.output().contains("draining").then_some(())
    })
    .await;

    let late = test_server.call("+14155550151").await;
    let ended = late.wait_ended().await;
    assert_eq!(ended.cause, EndCause::Twiml);
    assert!(
        ended.said.join(" ").contains("restarting"),
        "{:?}",
        ended.said
    );
    let ready = crate::raw_http::get(test_server.admin, "/readyz", &[]).await;
    assert_eq!(ready.status, 503, "no new calls, please: {}", ready.body);

    let reply = phone.says("What type is Dragonite?").await;
    assert!(
        reply.to_lowercase().contains("dragon"),
        "the live call goes on: {reply}"
    );
    let ended = phone.wait_ended().await;
    phone.assert_no_violations();
    assert_eq!(ended.cause, EndCause::Twiml);
    assert!(
        phone.heard().contains("I have to end our call here"),
        "{}",
        phone.heard()
    );

    let status = test_server.exit().await;
    assert_eq!(status.code(), Some(0), "{}", test_server.output());
    let row = test_server
        .database()
        .conversation(phone.call_sid())
        .unwrap();
    assert_eq!(row.outcome.as_deref(), Some("drained"));
    assert!(row.ended_at.is_some());
    let said = test_server.database().agent_texts(phone.call_sid());
    assert_eq!(said, ["My name is Lance", "What type is Dragonite?"]);
    let last = row.messages.last().unwrap()["content"].as_str().unwrap();
    assert!(last.contains("I have to end our call"), "{last}");
    assert_eq!(test_server.database().count("turns"), 0);
    assert_eq!(
        test_server.caller(LANCE).unwrap().name.as_deref(),
        Some("Lance")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_calls_stops_soon() {
    let mut test_server = TestServer::builder()
        .set("server.drain_ms_max", 600_000)
        .start()
        .await;
    let begun = Instant::now();
    test_server.signal("INT");
    let status = test_server.exit().await;
    assert_eq!(status.code(), Some(0), "{}", test_server.output());
    assert!(begun.elapsed() < WAIT_MAX / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_up_during_the_drain_ends_it_at_once() {
    let mut test_server = TestServer::builder()
        .set("server.drain_ms_max", 60_000)
        .start()
        .await;
    let phone = test_server.call(LANCE).await;
    phone.says("My name is Lance").await;
    test_server.signal("TERM");
    wait_for("the server to drain", || {
        test_server.output().contains("draining").then_some(())
    })
    .await;
    let ended = phone.hangs_up().await;
    assert_eq!(ended.actions.len(), 1);
    let status = test_server.exit().await;
    assert_eq!(status.code(), Some(0));
    let row = test_server
        .database()
        .conversation(phone.call_sid())
        .unwrap();
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
}

/// The disk takes nothing up to the end: somebody else holds the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_which_writes_are_lost_is_no_success() {
    let mut test_server = TestServer::start().await;
    let database = rusqlite::Connection::open(test_server.database_path()).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let phone = test_server.call(LANCE).await;
    phone.says("My name is Lance").await;
    phone.hangs_up().await;
    test_server.signal("TERM");
    let status = test_server.exit().await;
    let said = test_server.output();
    assert_eq!(status.code(), Some(74), "{said}");
    assert!(said.contains("accepted writes are lost"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_twice_is_not_kept_waiting_and_loses_nothing_that_was_kept() {
    let mut test_server = TestServer::builder()
        .set("server.drain_ms_max", 600_000)
        .start()
        .await;
    let phone = test_server.call(LANCE).await;
    phone.says("My name is Lance").await;
    test_server
        .wait_turn_stored(phone.call_sid(), "Nice to meet you")
        .await;
    test_server.signal("TERM");
    wait_for("the server to drain", || {
        test_server.output().contains("draining").then_some(())
    })
    .await;
    // Two signals of one stop (to a process and to its group) come closer together than this.
    test_server.signal("TERM");
    tokio::time::sleep(Duration::from_millis(700)).await;
    test_server.signal("TERM");
    let begun = Instant::now();
    let status = test_server.exit().await;
    assert!(begun.elapsed() < WAIT_MAX / 2);
    assert_ne!(status.code(), Some(0), "an unfinished stop is no success");
    let words = test_server.database().texts_by_role(phone.call_sid());
    assert_eq!(words.len(), 3, "{words:?}");
}
