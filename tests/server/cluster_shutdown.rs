//! Instances that stop where there is nobody to move their calls to: callers hear a goodbye.

use crate::cluster::TestCluster;
use crate::test_caller::TestCaller;
use calldex_simulator::twilio::{EndCause, Routing};

const BROCK: &str = "+14155550130";

async fn a_call_at_the_first(several: &TestCluster) -> TestCaller {
    let phone = several.call(BROCK, Routing::only(0)).await;
    let nice = phone.says("My name is Brock").await;
    several.wait_turn_stored(phone.call_sid(), &nice).await;
    phone
}

/// The call stayed where it was, and was ended kindly.
async fn hears_a_goodbye(several: &mut TestCluster, phone: &TestCaller) {
    let ended = phone.wait_ended().await;
    assert_eq!(ended.cause, EndCause::Twiml, "{}", phone.report());
    let heard = phone.heard();
    assert!(heard.contains("I have to end our call here"), "{heard}");
    assert!(!heard.contains("I'm back"), "{heard}");
    let status = several.instances[0].exit().await;
    assert_eq!(
        status.code(),
        Some(0),
        "{}",
        several.instances[0].log_text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_stop_at_once_no_call_is_moved_to_one_that_stops() {
    let plan = TestCluster::builder()
        .set("server.drain_notice_ms", 1_000)
        .set("server.drain_ms_max", 2_500);
    let mut several = plan.start().await;
    let phone = a_call_at_the_first(&several).await;
    for instance in &several.instances {
        instance.signal("TERM");
    }
    hears_a_goodbye(&mut several, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_only_other_is_lost_while_one_stops_its_calls_stay() {
    let plan = TestCluster::builder()
        .with_a_third_voter()
        .set("server.drain_notice_ms", 5_000)
        .set("server.drain_ms_max", 2_500);
    let mut several = plan.start().await;
    let phone = a_call_at_the_first(&several).await;
    several.instances[0].signal("TERM");
    several.instances[1].kill();
    hears_a_goodbye(&mut several, &phone).await;
}
