//! `applicationReconnect`: Twilio dials again by itself and may repeat what it said before
//! (docs/protocol.md 6.4, both forms assumed). Nothing is answered twice.

use crate::fake_model::FakeModel;
use crate::test_caller::TestCaller;
use crate::test_server::{TestServer, WAIT_MAX};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{AfterDrop, Redial};

const GARY: &str = "+14155550140";

async fn start_server(model: &FakeModel, redial: Redial) -> TestServer {
    TestServer::builder()
        .with_model(model)
        .set("twilio.relay.application_reconnect", true)
        .twilio(|twilio| twilio.redial = redial)
        .start()
        .await
}

async fn drops_and_is_back(phone: &TestCaller) {
    match phone.drop_socket().await.unwrap() {
        AfterDrop::Reconnected { .. } => {}
        AfterDrop::Ended(ended) => panic!("{ended:?}\n{}", phone.report()),
    }
}

async fn an_answered_prompt_is_not_answered_again(redial: Redial) {
    let model = FakeModel::start().await;
    let test_server = start_server(&model, redial).await;
    let phone = test_server.call(GARY).await;
    assert_eq!(phone.relay("applicationReconnect").as_deref(), Some("true"));
    phone.says("My name is Gary").await;
    model.next(Completion::says("Eevee is a normal type."));
    phone.says("What type is Eevee?").await;
    phone.silence(WAIT_MAX).await.unwrap();
    drops_and_is_back(&phone).await;
    model.next(Completion::says("It has eight evolutions."));
    let reply = phone.says("How many evolutions does it have?").await;
    // What is said on coming back is at most the one sentence.
    let reply = if reply.contains("I'm back") {
        phone.hears().await.text
    } else {
        reply
    };
    assert_eq!(reply, "It has eight evolutions.", "{}", phone.report());
    assert_eq!(model.reply_requests().len(), 2, "{}", phone.report());
    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        (row.resumes, test_server.database().count("conversations")),
        (1, 1)
    );
    assert_eq!(
        test_server.database().agent_texts(phone.call_sid()),
        [
            "My name is Gary",
            "What type is Eevee?",
            "How many evolutions does it have?"
        ]
    );
}

async fn an_open_question_is_answered_once(redial: Redial) {
    let model = FakeModel::start().await;
    let test_server = start_server(&model, redial).await;
    let phone = test_server.call(GARY).await;
    phone.says("My name is Gary").await;
    model.next(Completion::silence());
    phone.says_it("What type is Eevee?").await;
    test_server
        .wait_turn_stored(phone.call_sid(), "What type is Eevee?")
        .await;
    model.next(Completion::says("Eevee is a normal type."));
    drops_and_is_back(&phone).await;
    let reply = loop {
        let reply = phone.hears().await.text;
        if !reply.contains("I'm back") {
            break reply;
        }
    };
    assert_eq!(reply, "Eevee is a normal type.", "{}", phone.report());
    phone.silence(WAIT_MAX).await.unwrap();
    assert_eq!(model.reply_requests().len(), 2, "one lost, one answered");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        test_server.database().agent_texts(phone.call_sid()),
        ["My name is Gary", "What type is Eevee?"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_twilio_repeats_is_not_answered_again() {
    an_answered_prompt_is_not_answered_again(Redial::SameSession).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_session_of_the_same_call_goes_on_where_it_was() {
    an_answered_prompt_is_not_answered_again(Redial::NewSession).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_question_that_is_still_open_is_answered_once() {
    an_open_question_is_answered_once(Redial::SameSession).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_left_open_by_a_lost_session_is_answered_in_the_next() {
    an_open_question_is_answered_once(Redial::NewSession).await;
}
