//! Many at once, and one too many.

use crate::test_server::{LINE, TestServer};
use calldex_simulator::twilio::{Dial, EndCause};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_too_many_is_asked_to_call_again() {
    let test_server = TestServer::builder().set("call.live_max", 1).start().await;
    let first = test_server.call("+14155550120").await;
    let second = test_server.call("+14155550121").await;
    let ended = second.wait_ended().await;
    assert_eq!(ended.cause, EndCause::Twiml);
    let said = ended.said.join(" ");
    assert!(said.contains("all our lines are busy"), "{said}");
    assert_eq!(
        test_server
            .metric("calldex_calls_refused_total", "busy")
            .await,
        1.0
    );
    assert!(first.says("My name is Misty").await.contains("Misty"));
    first.hangs_up().await;
    test_server.wait_conversation_closed(first.call_sid()).await;
    let third = test_server.call("+14155550122").await;
    assert!(third.first_greeting().starts_with("Hello! Welcome"));
    third.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_callers_at_once_are_all_served() {
    const CALLERS: usize = 50;
    let test_server = Arc::new(TestServer::start().await);
    let calls: Vec<_> = (0..CALLERS)
        .map(|number| {
            let test_server = Arc::clone(&test_server);
            tokio::spawn(async move {
                let from = format!("+1415555{:04}", 2_000 + number);
                let phone = test_server.dial(Dial::new(&*from, LINE)).await.unwrap();
                let reply = phone.says("My name is Misty").await;
                assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
                let reply = phone.says("What type is Pikachu?").await;
                assert!(reply.to_lowercase().contains("electric"), "{reply}");
                phone.hangs_up().await;
                (from, phone.call_sid().to_owned())
            })
        })
        .collect();
    for call in calls {
        let (from, sid) = call.await.expect("a call went wrong");
        let row = test_server.wait_conversation_closed(&sid).await;
        assert_eq!(row.outcome.as_deref(), Some("hung_up"));
        assert_eq!(
            test_server.database().agent_texts(&sid),
            ["My name is Misty", "What type is Pikachu?"]
        );
        assert_eq!(
            test_server.caller(&from).unwrap().name.as_deref(),
            Some("Misty")
        );
    }
    assert_eq!(test_server.database().count("turns"), 0);
    let live = test_server.metric("calldex_calls_live", "").await;
    assert!(live <= CALLERS as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_may_hold_two_calls_at_once() {
    let test_server = TestServer::start().await;
    let (one, two) = tokio::join!(
        test_server.call("+14155550123"),
        test_server.call("+14155550123")
    );
    assert!(one.says("My name is Misty").await.contains("Misty"));
    let reply = two.says("What type is Pikachu?").await;
    assert!(reply.to_lowercase().contains("electric"), "{reply}");
    one.hangs_up().await;
    two.hangs_up().await;
    test_server.wait_conversation_closed(one.call_sid()).await;
    test_server.wait_conversation_closed(two.call_sid()).await;
    let rows = test_server.database();
    assert_eq!((rows.count("callers"), rows.count("conversations")), (1, 2));
    assert_eq!(
        test_server.caller("+14155550123").unwrap().name.as_deref(),
        Some("Misty")
    );
}
