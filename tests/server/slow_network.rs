//! Frames take their time between Twilio and the server: what is under way at a barge-in, and a bad
//! route with 300 ms each way on which two frames in a hundred stall.

use crate::fake_model::{FakeModel, is_asked};
use crate::test_caller::TestCaller;
use crate::test_server::{TestServer, WAIT_MAX};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{Network, Utterance};
use std::sync::Arc;
use std::time::Duration;

const LONG: &str = "Onix is a rock and ground type. It digs through the earth at great speed. \
    It eats boulders on its way, and its body grows harder with every year. \
    When it moves, the ground shakes for miles around. It is afraid of water.";
const SHORT: &str = "Geodude is a rock type too.";

/// Calls on the bad route.
const CALLS: usize = 6;
/// A first word may take this long there, in real time: on the way and in a debug build; or so many times what the
/// one before took, where the machine is busy.
const FIRST_WORD_MAX: Duration = Duration::from_secs(2);
const FIRST_WORD_TIMES_MAX: u32 = 5;

/// Letters and digits only.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// What is stored of the agent is what was played, in its order.
fn stored_is_heard(test_server: &TestServer, phone: &TestCaller) {
    let turns = test_server.database().turns(phone.call_sid());
    let agent = turns.iter().filter(|turn| turn.role == "assistant");
    let stored: String = agent.map(|turn| turn.content.as_str()).collect();
    assert_eq!(
        bare(&stored),
        bare(&phone.heard()),
        "{turns:#?}\n{}",
        phone.report()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn words_under_way_at_a_barge_in_do_not_run_into_the_next_reply() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .with_product_waits()
        .twilio(|twilio| {
            twilio.speed = 5.0;
            twilio.network.uplink = Duration::from_millis(300);
        })
        .start()
        .await;
    let phone = test_server.call("+14155550171").await;
    phone.says("My name is Brock").await;
    model.next(Completion::says(LONG).gap_ms(10));
    phone.says_it("Tell me about Onix.").await;
    model.next(Completion::says(SHORT));
    phone
        .interrupt(Utterance::at_once("And Geodude?"), Duration::from_secs(1))
        .await
        .unwrap();
    let mut stray = String::new();
    let reply = loop {
        let reply = phone.hears().await.text;
        if reply.ends_with(SHORT) {
            break reply;
        }
        stray.push_str(&reply);
    };
    assert!(
        !stray.is_empty(),
        "nothing was under way\n{}",
        phone.report()
    );
    assert_eq!(reply, SHORT, "a cycle of its own\n{}", phone.report());
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    stored_is_heard(&test_server, &phone);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_on_a_bad_route_are_answered_and_kept_as_they_were_heard() {
    let model = FakeModel::start().await;
    model.answer_with(|request| match is_asked(request, "Tell me about Onix.") {
        true => Completion::says(LONG).gap_ms(5),
        false => Completion::says(SHORT),
    });
    let test_server = TestServer::builder()
        .with_model(&model)
        .with_product_waits()
        .twilio(|twilio| {
            twilio.speed = 10.0;
            twilio.network = Network {
                uplink: Duration::from_millis(300),
                downlink: Duration::from_millis(300),
                stalls_percent: 2,
                stall: Duration::from_millis(800),
            };
        })
        .start()
        .await;
    let test_server = Arc::new(test_server);
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..CALLS {
        let test_server = Arc::clone(&test_server);
        calls.spawn(async move { one_call(&test_server, number).await });
    }
    while let Some(call) = calls.join_next().await {
        if let Err(failed) = call {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
}

async fn one_call(test_server: &TestServer, number: usize) {
    let phone = test_server.call(&format!("+141555502{number:02}")).await;
    assert!(phone.first_greeting().contains("May I have your name?"));
    phone.says_it("My name is Brock").await;
    let met = phone.hears().await;
    assert!(
        met.text.starts_with("Nice to meet you, Brock!"),
        "{}",
        met.text
    );
    let usual = met.first_token.unwrap_or_default();
    phone.says_it("What about Geodude?").await;
    let reply = phone.hears().await;
    assert_eq!(reply.text, SHORT);
    let waited = reply.first_token.unwrap_or(WAIT_MAX);
    let bound = FIRST_WORD_MAX.max(usual * FIRST_WORD_TIMES_MAX);
    assert!(waited < bound, "{waited:?} of {bound:?}");
    phone.says_it("Tell me about Onix.").await;
    phone
        .interrupt(
            Utterance::at_once("And Geodude?"),
            Duration::from_millis(1_500 + 300 * number as u64),
        )
        .await
        .unwrap();
    loop {
        let reply = phone.hears().await.text;
        if reply.ends_with(SHORT) {
            assert_eq!(reply, SHORT, "{}", phone.report());
            break;
        }
    }
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    stored_is_heard(test_server, &phone);
}
