//! Models on terms of their own: one that is down, one behind another, one for a line, what they cost.

use crate::fake_model::FakeModel;
use crate::raw_call::RawCall;
use crate::test_server::{LINE, TestServer, TestServerBuilder};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{Dial, EndCause};
use rusqlite::Connection;
use serde_json::Value;

const MISTY: &str = "+14155550171";
const COLLEAGUE: &str = "+14155550199";
const OTHER_LINE: &str = "+15550100198";
const APOLOGY: &str = "I'm sorry, I'm having trouble answering right now.";

/// A server whose model refuses every question.
fn server_with_dead_model(model: &FakeModel) -> TestServerBuilder {
    model.answer_with(|_| Completion::status(401));
    TestServer::builder().with_model(model)
}

async fn asks_dead_model(
    test_server: &TestServer,
) -> (crate::test_caller::TestCaller, Vec<String>) {
    let phone = test_server.call(MISTY).await;
    phone.says("My name is Misty").await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(phone.says("What type is Starmie?").await);
    }
    (phone, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_down_for_a_whole_call_is_said_once_and_then_goodbye() {
    let model = FakeModel::start().await;
    let test_server = server_with_dead_model(&model).start().await;
    let (phone, heard) = asks_dead_model(&test_server).await;
    let apologies = heard.iter().filter(|words| words.starts_with(APOLOGY));
    assert_eq!(apologies.count(), 1, "{heard:?}");
    assert!(
        heard[1] != heard[2] && heard[2].ends_with("Goodbye!"),
        "{heard:?}"
    );
    let ended = phone.wait_ended().await;
    assert_eq!(ended.cause, EndCause::Twiml, "{}", phone.report());
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_a_colleague_they_have_the_call_then() {
    let model = FakeModel::start().await;
    let test_server = server_with_dead_model(&model)
        .set("twilio.handoff.dial", COLLEAGUE)
        .start()
        .await;
    let (phone, _) = asks_dead_model(&test_server).await;
    let ended = phone.wait_ended().await;
    assert_eq!(ended.cause, EndCause::HandedOver(COLLEAGUE.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_of_another_make_answers_on_its_own_terms() {
    let (first, second) = (FakeModel::start().await, FakeModel::start().await);
    first.answer_with(|_| Completion::status(401));
    let config = format!(
        "[model.default]\nbase_url = \"{}\"\ntemperature = 0.25\nreasoning_effort = \"minimal\"\n\
         [model.backup]\nbase_url = \"{}\"\nmodel = \"llama\"\n",
        first.base_url(),
        second.base_url()
    );
    let test_server = TestServer::builder()
        .config(&config)
        .set("agent.fallback", "[\"backup\"]")
        .start()
        .await;
    let phone = test_server.call(MISTY).await;
    phone.says("My name is Misty").await;
    second.next(Completion::says("Starmie is water and psychic."));
    let reply = phone.says("What type is Starmie?").await;
    assert_eq!(reply, "Starmie is water and psychic.");
    let asked = second.last_reply_request();
    assert_eq!(asked.model(), "llama");
    for field in ["temperature", "reasoning_effort"] {
        assert!(
            first.last_reply_request().body.get(field).is_some(),
            "{field}"
        );
        assert!(asked.body.get(field).is_none(), "{field}");
    }
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_its_own_model_and_its_own_colleague() {
    let (general, own) = (FakeModel::start().await, FakeModel::start().await);
    let config = format!(
        "[model.books]\nbase_url = \"{}\"\n[[line]]\nnumber = \"{OTHER_LINE}\"\nmodel = \"books\"\n\
         handoff = {{ dial = \"{COLLEAGUE}\" }}\n",
        own.base_url()
    );
    let test_server = TestServer::builder()
        .with_model(&general)
        .config(&config)
        .start()
        .await;
    let ask = async |line: &str, sid: &str| {
        let call = RawCall::new(&test_server, sid, Dial::new(MISTY, line));
        let relay = call.voice_webhook().await;
        let mut socket = call.opens(&relay, "RINGING").await;
        socket.says("What do you think about Starmie?").await;
        socket.hears("You said").await;
        socket.closes().await;
    };
    ask(OTHER_LINE, "CA0000000000000000000000000000b101").await;
    assert_eq!(
        (own.reply_requests().len(), general.reply_requests().len()),
        (1, 0)
    );
    assert!(
        own.last_reply_request()
            .tools()
            .contains(&"hand_over".to_owned())
    );
    ask(LINE, "CA0000000000000000000000000000b102").await;
    assert_eq!(
        (own.reply_requests().len(), general.reply_requests().len()),
        (1, 1)
    );
    assert!(
        !general
            .last_reply_request()
            .tools()
            .contains(&"hand_over".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_took_of_the_model_is_kept_with_it_and_what_the_call_cost() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .config("[model.default]\nprice = { input = 1.0, output = 2.0 }")
        .start()
        .await;
    let phone = test_server.call(MISTY).await;
    phone.says("My name is Misty").await;
    model.next(Completion::says("Starmie is water and psychic."));
    phone.says("What type is Starmie?").await;
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let database = Connection::open(test_server.database_path()).unwrap();
    let (messages, cost): (String, i64) = database
        .query_row(
            "SELECT messages, cost_micros FROM conversations WHERE call_sid = ?1",
            [phone.call_sid()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let turns: Vec<Value> = serde_json::from_str(&messages).unwrap();
    let last = turns
        .iter()
        .rfind(|turn| turn["role"] == "assistant")
        .unwrap();
    let (input, output) = (&last["usage"]["input"], &last["usage"]["output"]);
    let (input, output) = (input.as_i64().unwrap(), output.as_i64().unwrap());
    assert!(input > 0 && output > 0, "{last}");
    assert_eq!(last["usage"]["model"], "default");
    assert_eq!(cost, input + 2 * output);
    let counted = test_server
        .metric("calldex_model_tokens_total", "direction=\"output\"")
        .await;
    assert!(counted >= output as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_sentence_at_the_longest_reply_is_apologised_for_and_counted() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = test_server.call(MISTY).await;
    phone.says("My name is Misty").await;
    model.next(Completion::says("Starmie is water and").finish_reason("length"));
    let reply = phone.says("What type is Starmie?").await;
    assert!(
        reply.starts_with("Starmie is water and. I'm sorry"),
        "{reply}"
    );
    assert_eq!(
        test_server
            .metric(
                "calldex_model_finish_reasons_total",
                "finish_reason=\"length\""
            )
            .await,
        1.0
    );
    assert!(
        test_server.output().contains("raise max_tokens"),
        "the remedy is told"
    );
    phone.hangs_up().await;
}
