//! SIGTERM: new callers are asked to call again, live ones go on for a while, nothing is lost.

use crate::house::{House, PATIENCE, soon};
use calldex_simulator::twilio::EndCause;
use std::time::{Duration, Instant};

const LANCE: &str = "+14155550150";

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_house_ends_its_calls_kindly_and_keeps_everything() {
    let mut house = House::plan()
        .set("server.drain_ms_max", 2_500)
        .start()
        .await;
    let phone = house.call(LANCE).await;
    phone.says("My name is Lance").await;
    house.signal("TERM");
    soon("the house to drain", || {
        house.output().contains("draining").then_some(())
    })
    .await;

    let late = house.call("+14155550151").await;
    let ended = late.is_ended().await;
    assert_eq!(ended.cause, EndCause::Twiml);
    assert!(
        ended.said.join(" ").contains("restarting"),
        "{:?}",
        ended.said
    );
    let ready = crate::door::get(house.admin, "/readyz", &[]).await;
    assert_eq!(ready.status, 503, "no new calls, please: {}", ready.body);

    let reply = phone.says("What type is Dragonite?").await;
    assert!(
        reply.to_lowercase().contains("dragon"),
        "the live call goes on: {reply}"
    );
    let ended = phone.is_ended().await;
    phone.obeys_the_protocol();
    assert_eq!(ended.cause, EndCause::Twiml);
    assert!(
        phone.heard().contains("I have to end our call here"),
        "{}",
        phone.heard()
    );

    let status = house.exit().await;
    assert_eq!(status.code(), Some(0), "{}", house.output());
    let row = house.rows().conversation(phone.call_sid()).unwrap();
    assert_eq!(row.outcome.as_deref(), Some("drained"));
    assert!(row.ended_at.is_some());
    let said = house.rows().said(phone.call_sid());
    assert_eq!(said, ["My name is Lance", "What type is Dragonite?"]);
    let last = row.messages.last().unwrap()["content"].as_str().unwrap();
    assert!(last.contains("I have to end our call"), "{last}");
    assert_eq!(house.rows().count("turns"), 0);
    assert_eq!(house.caller(LANCE).unwrap().name.as_deref(), Some("Lance"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_without_calls_stops_soon() {
    let mut house = House::plan()
        .set("server.drain_ms_max", 600_000)
        .start()
        .await;
    let begun = Instant::now();
    house.signal("INT");
    let status = house.exit().await;
    assert_eq!(status.code(), Some(0), "{}", house.output());
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_up_during_the_drain_ends_it_at_once() {
    let mut house = House::plan()
        .set("server.drain_ms_max", 60_000)
        .start()
        .await;
    let phone = house.call(LANCE).await;
    phone.says("My name is Lance").await;
    house.signal("TERM");
    soon("the house to drain", || {
        house.output().contains("draining").then_some(())
    })
    .await;
    let ended = phone.hangs_up().await;
    assert_eq!(ended.actions.len(), 1);
    let status = house.exit().await;
    assert_eq!(status.code(), Some(0));
    let row = house.rows().conversation(phone.call_sid()).unwrap();
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
}

/// The disk takes nothing up to the end: somebody else holds the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_which_writes_are_lost_is_no_success() {
    let mut house = House::start().await;
    let database = rusqlite::Connection::open(house.database()).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let phone = house.call(LANCE).await;
    phone.says("My name is Lance").await;
    phone.hangs_up().await;
    house.signal("TERM");
    let status = house.exit().await;
    let said = house.output();
    assert_eq!(status.code(), Some(74), "{said}");
    assert!(said.contains("accepted writes are lost"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_twice_is_not_kept_waiting_and_loses_nothing_that_was_kept() {
    let mut house = House::plan()
        .set("server.drain_ms_max", 600_000)
        .start()
        .await;
    let phone = house.call(LANCE).await;
    phone.says("My name is Lance").await;
    house.kept(phone.call_sid(), "Nice to meet you").await;
    house.signal("TERM");
    soon("the house to drain", || {
        house.output().contains("draining").then_some(())
    })
    .await;
    // Two signals of one stop (to a process and to its group) come closer together than this.
    house.signal("TERM");
    tokio::time::sleep(Duration::from_millis(700)).await;
    house.signal("TERM");
    let begun = Instant::now();
    let status = house.exit().await;
    assert!(begun.elapsed() < PATIENCE / 2);
    assert_ne!(status.code(), Some(0), "an unfinished stop is no success");
    let words = house.rows().words(phone.call_sid());
    assert_eq!(words.len(), 3, "{words:?}");
}
