//! What the model may do besides talking: end the call, hand it over, switch the language, note a
//! preference, set the name.

use crate::fake_model::{FakeModel, conversation, prompt};
use crate::test_caller::TestCaller;
use crate::test_server::{TestServer, TestServerBuilder};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{EndCause, Utterance};
use serde_json::{Value, json};

const ERIKA: &str = "+14155550105";
const COLLEAGUE: &str = "+14155550999";

fn server_with_handoff(model: &FakeModel) -> TestServerBuilder {
    TestServer::builder()
        .with_model(model)
        .set("twilio.handoff.dial", COLLEAGUE)
}

async fn call_with_known_name(test_server: &TestServer) -> TestCaller {
    let phone = test_server.call(ERIKA).await;
    let reply = phone.says("My name is Erika").await;
    assert!(reply.starts_with("Nice to meet you, Erika!"), "{reply}");
    phone
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_handed_to_a_person_after_one_sentence() {
    let model = FakeModel::start().await;
    let test_server = server_with_handoff(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    let why = json!({"reason": "asked for a person", "summary": "Wants to sell a Tangela."});
    model.next(Completion::calls("hand_over", &why.to_string()));
    let reply = phone.says("I want to talk to a person.").await;
    assert_eq!(reply, "One moment, I'll connect you with a colleague.");
    let ended = phone.wait_ended().await;
    phone.assert_no_violations();
    assert_eq!(ended.cause, EndCause::HandedOver(COLLEAGUE.into()));
    assert!(
        phone.heard().ends_with("with a colleague."),
        "heard first: {}",
        phone.heard()
    );
    let action = &ended.actions[0];
    assert_eq!(action.session_status, "ended");
    let (_, data) = action
        .form
        .iter()
        .find(|(name, _)| name == "HandoffData")
        .expect("hand-off data");
    let data: Value = serde_json::from_str(data).expect("hand-off data is JSON");
    assert_eq!(data["reason"], "asked for a person");
    assert_eq!(data["summary"], "Wants to sell a Tangela.");
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("handed_over"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_says_beside_a_hand_over_is_heard_to_its_end() {
    let model = FakeModel::start().await;
    let test_server = server_with_handoff(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    let farewell = "Of course, Erika, I am putting you through to somebody at once.";
    model.next(Completion::says(farewell).and_calls("hand_over", "{\"reason\":\"asked\"}"));
    let reply = phone.says("A person, please.").await;
    assert_eq!(reply, farewell);
    let ended = phone.wait_ended().await;
    phone.assert_no_violations();
    assert_eq!(ended.cause, EndCause::HandedOver(COLLEAGUE.into()));
    assert!(phone.heard().ends_with("at once."), "{}", phone.heard());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_there_the_caller_is_told_so_and_the_call_goes_on() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::calls("hand_over", "{\"reason\":\"asked\"}"));
    let reply = phone.says("I want to talk to a person.").await;
    assert!(reply.starts_with("I'm sorry, nobody is free"), "{reply}");
    model.next(Completion::says("Tangela is a grass type."));
    assert_eq!(
        phone.says("Then what type is Tangela?").await,
        "Tangela is a grass type."
    );
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_ends_the_call_after_its_farewell_was_heard() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::calls(
        "end_call",
        "{\"farewell\":\"Goodbye, Erika! Call again soon.\"}",
    ));
    let reply = phone.says("That was all, goodbye.").await;
    assert_eq!(reply, "Goodbye, Erika! Call again soon.");
    let ended = phone.wait_ended().await;
    phone.assert_no_violations();
    assert_eq!(ended.cause, EndCause::Twiml);
    assert!(
        phone.heard().ends_with("Call again soon."),
        "{}",
        phone.heard()
    );
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("ended"));
    let last = row.messages.iter().rev().find(|m| m["role"] == "assistant");
    assert_eq!(last.unwrap()["content"], "Goodbye, Erika! Call again soon.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_speaks_into_the_goodbye_is_not_cut_off() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .with_product_waits()
        .twilio(|twilio| twilio.speed = 8.0)
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    let farewell = "Goodbye, Erika, it was lovely to talk with you today, and do call again soon.";
    let arguments = json!({ "farewell": farewell });
    model.next(Completion::calls("end_call", &arguments.to_string()));
    model.next(Completion::says("Of course, what is it?"));
    phone.says_it("That was all, goodbye.").await;
    let speaking = std::time::Duration::from_millis(1_000);
    phone
        .interrupt(Utterance::at_once("Wait, one more thing."), speaking)
        .await
        .unwrap();
    assert_eq!(phone.hears().await.text, "Of course, what is it?");
    model.next(Completion::says("Tangela is a grass type."));
    assert_eq!(
        phone.says("What type is Tangela?").await,
        "Tangela is a grass type."
    );
    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_is_switched_to_and_kept_for_the_next_call() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .config("[[twilio.relay.languages]]\ncode = \"es-MX\"\n")
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::calls("switch_language", "{\"code\":\"es\"}"));
    model.next(Completion::says("Claro, hablemos en español."));
    let reply = phone.says("¿Podemos hablar en español?").await;
    assert_eq!(reply, "Claro, hablemos en español.");
    let log = phone.log();
    let switch = log
        .iter()
        .filter_map(|entry| entry.json())
        .find(|frame| frame["type"] == "language")
        .expect("a language frame");
    assert_eq!(switch["ttsLanguage"], "es-MX");
    assert_eq!(switch["transcriptionLanguage"], "es-MX");
    phone.says("¿De qué tipo es Tangela?").await;
    let told = prompt(&model.last_reply_request());
    assert!(told.contains("es-MX"), "{told}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        test_server.caller(ERIKA).unwrap().language.as_deref(),
        Some("es-MX")
    );
    let again = test_server.call(ERIKA).await;
    assert_eq!(again.relay("language").as_deref(), Some("es-MX"));
    assert!(
        again.first_greeting().starts_with("¡Hola de nuevo, Erika!"),
        "{}",
        again.first_greeting()
    );
    again.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preference_reaches_the_prompt_of_the_next_call() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = call_with_known_name(&test_server).await;
    let note = "Collects grass types only.";
    let arguments = json!({ "note": note });
    model.next(Completion::calls("note_preference", &arguments.to_string()));
    model.next(Completion::says("How lovely, I will remember that."));
    let reply = phone.says("I only collect grass types.").await;
    assert_eq!(reply, "How lovely, I will remember that.");
    let told = conversation(&model.last_reply_request());
    assert!(told.iter().any(|(role, _)| role == "tool"), "{told:?}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let again = test_server.call(ERIKA).await;
    again.says("What do you suggest?").await;
    let told = prompt(&model.last_reply_request());
    assert!(told.contains(note), "{told}");
    again.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_model_sets_counts_only_if_the_caller_said_it() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = test_server.call(ERIKA).await;
    model.next(Completion::calls("set_name", "{\"name\":\"Sabrina\"}"));
    model.next(Completion::says("Gengar is a ghost type."));
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with("Gengar is a ghost type."), "{reply}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(test_server.caller(ERIKA).unwrap().name, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_caller_is_asked_twice_and_then_said_goodbye_to() {
    let test_server = TestServer::builder()
        .set("call.silence_prompt_ms", 900)
        .set("call.silence_end_ms", 900)
        .start()
        .await;
    let phone = test_server.call(ERIKA).await;
    let ended = phone.wait_ended().await;
    phone.assert_no_violations();
    assert_eq!(ended.cause, EndCause::Twiml);
    let heard = phone.heard();
    let questions = ["Are you still there?", "Hello? I can't hear you."];
    let at = questions.map(|question| heard.find(question));
    assert!(at[0].is_some() && at[0] < at[1], "{heard}");
    assert!(heard.ends_with("Goodbye!"), "{heard}");
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("idle"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_longest() {
    let test_server = TestServer::builder()
        .set("call.duration_s_max", 1)
        .start()
        .await;
    let phone = test_server.call(ERIKA).await;
    let ended = phone.wait_ended().await;
    phone.assert_no_violations();
    assert_eq!(ended.cause, EndCause::Twiml);
    assert!(
        phone.heard().contains("I have to end our call"),
        "{}",
        phone.heard()
    );
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("limit"));
}
