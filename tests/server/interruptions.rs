//! The caller speaks over the agent, presses keys, goes on with a sentence: the transcript says
//! what was heard (ARCHITECTURE.md G4).

use crate::fake_model::{FakeModel, conversation};
use crate::test_caller::TestCaller;
use crate::test_server::{TestServer, TestServerBuilder};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{Direction, Utterance};
use serde_json::Value;
use std::time::Duration;

const BROCK: &str = "+14155550104";

/// A long answer in clauses, and then some.
const LONG: &str = "Onix is a rock and ground type. It digs through the earth at great speed. \
    It eats boulders on its way, and its body grows harder with every year. \
    When it moves, the ground shakes for miles around. It is afraid of water.";

/// A server whose voice takes its time.
fn server_with_product_waits(model: &FakeModel) -> TestServerBuilder {
    TestServer::builder().with_model(model).with_product_waits()
}

async fn call_with_known_name(test_server: &TestServer) -> TestCaller {
    let phone = test_server.call(BROCK).await;
    let reply = phone.says("My name is Brock").await;
    assert!(reply.starts_with("Nice to meet you, Brock!"), "{reply}");
    phone
}

/// Waits for `answer`. Words of [`LONG`] that were on their way at a barge-in may come before it, as a reply of
/// their own: on a busy machine they lie in the socket.
async fn hears(phone: &TestCaller, answer: &str) {
    loop {
        let reply = phone.hears().await.text;
        if reply == answer {
            return;
        }
        assert!(LONG.contains(&reply), "{reply:?}\n{}", phone.report());
    }
}

/// What Twilio reported as played of [`LONG`], in order: words that were on their way at a barge-in are
/// played after it, and were heard too.
fn played_of_long(phone: &TestCaller) -> String {
    let log = phone.log();
    let reports = log
        .iter()
        .filter(|entry| entry.direction == Direction::ToApp)
        .filter_map(|entry| entry.json())
        .filter(|frame| frame["type"] == "info" && frame["name"] == "tokensPlayed")
        .filter_map(|frame: Value| frame["value"].as_str().map(str::to_owned));
    reports
        .filter(|played| LONG.contains(played.trim()))
        .collect()
}

/// Letters and digits only.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The tokens that the server sent after the first `interrupt` it was told of.
fn tokens_after_the_interrupt(phone: &TestCaller) -> String {
    let log = phone.log();
    let interrupt = log
        .iter()
        .position(|entry| entry.frame_type().as_deref() == Some("interrupt"))
        .expect("an interrupt");
    let tokens = log[interrupt..]
        .iter()
        .filter(|entry| entry.direction == Direction::FromApp)
        .filter_map(|entry| entry.json())
        .filter_map(|frame: Value| frame["token"].as_str().map(str::to_owned));
    tokens.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barge_in_stops_the_model_and_cuts_the_transcript_to_what_was_heard() {
    let model = FakeModel::start().await;
    let test_server = server_with_product_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    // It stops to think in its last sentence, long before which it is interrupted.
    model.next(Completion::says(LONG).stall_after(40, crate::test_server::WAIT_MAX));
    phone.says_it("Tell me about Onix.").await;
    model.next(Completion::says("Geodude is a rock type too."));
    let interrupted = phone
        .interrupt(Utterance::at_once("And Geodude?"), Duration::from_secs(5))
        .await
        .unwrap();
    assert!(!interrupted.replies.is_empty());
    let answer = "Geodude is a rock type too.";
    hears(&phone, answer).await;
    let stats = model.stats();
    assert_eq!((stats.open, stats.aborted), (0, 1), "{stats:?}");
    // The model stood still in the middle of a sentence: no more of it was sent than was there.
    let later = tokens_after_the_interrupt(&phone);
    let under_way = later.strip_suffix(answer);
    assert!(
        under_way.is_some_and(|words| LONG.contains(words) && !LONG.ends_with(words)
            || words.is_empty()),
        "late tokens were sent: {later:?}\n{}",
        phone.report()
    );
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let turns = test_server.database().turns(phone.call_sid());
    let cut = turns.iter().find(|turn| turn.interrupted).unwrap();
    let heard = played_of_long(&phone);
    assert!(!bare(&heard).is_empty() && bare(&heard).len() < bare(LONG).len());
    assert_eq!(bare(&cut.content), bare(&heard), "{cut:?}");
    assert!(
        LONG.starts_with(&cut.content) || under_way != Some(""),
        "{cut:?}"
    );
    // The model was told the same.
    let told = conversation(&model.last_reply_request());
    assert!(
        told.contains(&("assistant".into(), cut.content.clone())),
        "{told:?}"
    );
    assert_eq!(
        test_server
            .metric("calldex_interruptions_total", "speech")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_reply_is_cut_to_what_was_heard_of_it() {
    let model = FakeModel::start().await;
    let test_server = server_with_product_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::says(LONG));
    phone.says_it("Tell me about Onix.").await;
    phone
        .interrupt("Stop, please.", Duration::from_millis(2_700))
        .await
        .unwrap();
    hears(&phone, "You said: Stop, please. Is there more?").await;
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let turns = test_server.database().turns(phone.call_sid());
    let cut = turns.iter().find(|turn| turn.interrupted).unwrap();
    let heard = played_of_long(&phone);
    assert!(!bare(&heard).is_empty() && bare(&heard).len() < bare(LONG).len());
    assert_eq!(bare(&cut.content), bare(&heard), "{}", phone.report());
    assert_eq!(turns.iter().filter(|turn| turn.interrupted).count(), 1);
    assert_eq!(
        test_server.database().agent_texts(phone.call_sid()),
        ["My name is Brock", "Tell me about Onix.", "Stop, please."]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sentence_in_two_finals_is_answered_once_and_as_a_whole() {
    let model = FakeModel::start().await;
    let test_server = server_with_product_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::says("I do not know what you mean.").first_token_ms(5_000));
    model.next(Completion::says("Pikachu is an electric type."));
    phone.says_it("I would like to know the type").await;
    assert!(
        model
            .wait_for(|stats| stats.open == 1, crate::test_server::WAIT_MAX)
            .await
    );
    phone
        .say(Utterance::at_once("of Pikachu, please."))
        .await
        .unwrap();
    let reply = phone.hears().await;
    assert_eq!(reply.text, "Pikachu is an electric type.");
    assert!(model.wait_idle().await);
    assert_eq!(model.stats().aborted, 1);
    let told = conversation(&model.last_reply_request());
    let users: String = told
        .iter()
        .filter(|(role, _)| role == "user")
        .map(|(_, words)| format!("{words} "))
        .collect();
    assert!(
        users.ends_with("I would like to know the type of Pikachu, please. "),
        "{told:?}"
    );
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let words = test_server.database().texts_by_role(phone.call_sid());
    let agent = words.iter().filter(|(role, _)| role == "assistant").count();
    assert_eq!(agent, 3, "greeting, name, one answer: {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_two_finals_is_one_name() {
    let test_server = TestServer::start().await;
    let phone = test_server.call(BROCK).await;
    phone.says_it("My name is").await;
    phone.say(Utterance::at_once("Brock.")).await.unwrap();
    let heard = loop {
        let reply = phone.hears().await.text;
        if reply.contains("Brock") {
            break reply;
        }
    };
    assert!(heard.starts_with("Nice to meet you, Brock!"), "{heard}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        test_server.caller(BROCK).unwrap().name.as_deref(),
        Some("Brock")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_during_the_greeting_cuts_it_and_is_answered() {
    let model = FakeModel::start().await;
    // Realistic enough that the key falls into the greeting.
    let test_server = server_with_product_waits(&model)
        .twilio(|twilio| twilio.speed = 2.0)
        .start()
        .await;
    let phone = test_server.call(BROCK).await;
    model.next(Completion::says("You pressed one."));
    crate::test_server::wait_for("the greeting to sound", || {
        let log = phone.log();
        let mut frames = log.iter().filter_map(|entry| entry.json());
        frames
            .any(|frame| frame["name"] == "agentSpeaking")
            .then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let interrupted = phone
        .press('1')
        .await
        .unwrap()
        .expect("the greeting was playing");
    let reply = phone.hears().await;
    assert!(reply.text.starts_with("You pressed one."), "{}", reply.text);
    assert!(!reply.cut, "the interrupt came after the key");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let turns = test_server.database().turns(phone.call_sid());
    assert_eq!(turns[0].kind, "greeting");
    assert!(turns[0].interrupted, "{turns:?}");
    assert!(phone.first_greeting().starts_with(&turns[0].content));
    assert!(bare(&turns[0].content).ends_with(&bare(&interrupted.fragment)));
    assert_eq!(
        (turns[1].kind.as_str(), turns[1].role.as_str()),
        ("dtmf", "user")
    );
    assert!(turns[1].content.contains('1'), "{turns:?}");
    assert_eq!(
        test_server
            .metric("calldex_interruptions_total", "dtmf")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_pressed_one_after_another_are_one_answer() {
    let model = FakeModel::start().await;
    // Only the last key ends it, however long the others take.
    let test_server = server_with_product_waits(&model)
        .set("call.dtmf_wait_ms", 60_000)
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    phone.silence(crate::test_server::WAIT_MAX).await.unwrap();
    for key in ['2', '5', '#'] {
        phone.press(key).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    phone.hears().await;
    let told = conversation(&model.last_reply_request());
    assert!(told.last().unwrap().1.contains("2 5 #"), "{told:?}");
    assert_eq!(model.reply_requests().len(), 1);
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_in_the_middle_of_a_reply_stops_the_model_and_keeps_what_was_heard() {
    let model = FakeModel::start().await;
    let test_server = server_with_product_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::says(LONG).gap_ms(60));
    phone.says_it("Tell me about Onix.").await;
    assert!(phone.more_than(40, crate::test_server::WAIT_MAX).await);
    phone.hangs_up_at_once().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
    assert!(model.wait_idle().await);
    assert_eq!(model.stats().aborted, 1);
    let turns = test_server.database().turns(phone.call_sid());
    let last = turns.last().unwrap();
    assert_eq!(last.role, "assistant");
    assert!(
        last.interrupted && LONG.starts_with(&last.content),
        "{last:?}"
    );
    assert!(
        bare(&last.content).len() <= bare(&phone.heard()).len(),
        "{last:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_prompts_are_not_answered() {
    let model = FakeModel::start().await;
    let test_server = server_with_product_waits(&model)
        .set("twilio.relay.partial_prompts", true)
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    phone.silence(crate::test_server::WAIT_MAX).await.unwrap();
    phone
        .say("I would like to know everything about Onix")
        .await
        .unwrap();
    phone.hears().await;
    assert_eq!(model.reply_requests().len(), 1);
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        test_server.database().agent_texts(phone.call_sid()).len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pressed_in_the_last_moment_is_kept() {
    let test_server = TestServer::start().await;
    let phone = call_with_known_name(&test_server).await;
    phone.silence(crate::test_server::WAIT_MAX).await.unwrap();
    phone.press('7').await.unwrap();
    phone.hangs_up_at_once().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let said = test_server.database().agent_texts(phone.call_sid());
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains('7'), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_words_right_after_it_are_both_told_to_the_model() {
    let model = FakeModel::start().await;
    let test_server = server_with_product_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    phone.silence(crate::test_server::WAIT_MAX).await.unwrap();
    phone.press('7').await.unwrap();
    phone
        .say(Utterance::at_once("I mean seven."))
        .await
        .unwrap();
    phone.hears().await;
    let told = conversation(&model.last_reply_request());
    assert_eq!(told.last().unwrap().1, "[pressed 7]\nI mean seven.");
    phone.hangs_up().await;
}
