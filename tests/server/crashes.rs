//! kill -9 in the middle of a call: what was acknowledged is there, and the call goes on (ARCHITECTURE.md G2, G6).

use crate::fake_model::{FakeModel, conversation};
use crate::test_caller::TestCaller;
use crate::test_server::{LINE, TestServer, TestServerBuilder, WAIT_MAX};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{AfterDrop, Dial, EndCause, Webhook};
use futures_util::SinkExt;
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const BROCK: &str = "+14155550130";
const BACK: &str = "Sorry about that, I'm back.";

/// Twilio asks for the action 1.2 s after a lost socket, in its own time: here that is real, so that
/// a server has time to start again. The voice is fast instead.
fn real_time(plan: TestServerBuilder) -> TestServerBuilder {
    plan.twilio(|twilio| {
        twilio.speed = 1.0;
        twilio.pace.characters_per_s = 600.0;
        twilio.pace.clause = Duration::ZERO;
        twilio.pace.first_audio = Duration::from_millis(20);
        twilio.pace.synthesis = Duration::from_millis(10);
        twilio.pace.greeting_after = Duration::from_millis(20);
    })
}

async fn comes_back(phone: &TestCaller, session: u32) {
    match phone.after_drop(session, WAIT_MAX).await {
        Ok(AfterDrop::Reconnected { .. }) => {}
        other => panic!("{other:?}\n{}", phone.report()),
    }
}

fn pairs(words: &[(&str, &str)]) -> Vec<(String, String)> {
    words
        .iter()
        .map(|(role, words)| ((*role).to_owned(), (*words).to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_its_server_with_its_history_and_its_open_question() {
    let model = FakeModel::start().await;
    let mut test_server = real_time(TestServer::builder().with_model(&model))
        .start()
        .await;
    let phone = test_server.call(BROCK).await;
    let greeting = phone.first_greeting();
    let nice = phone.says("My name is Brock").await;
    model.next(Completion::says("Onix is a rock type."));
    phone.says("What type is Onix?").await;
    model.answer_with(|_| Completion::silence());
    phone.says_it("And what does it evolve into?").await;
    test_server
        .wait_turn_stored(phone.call_sid(), "And what does it evolve into?")
        .await;
    let before = test_server.database().texts_by_role(phone.call_sid());

    test_server.kill();
    model.answer_with(|_| Completion::says("It evolves into Steelix."));
    test_server.restart().await;
    let kept = test_server.database().texts_by_role(phone.call_sid());
    assert_eq!(kept, before, "what was acknowledged is there");
    comes_back(&phone, 1).await;
    assert_eq!(phone.greeting().as_deref(), Some(BACK));
    let reply = phone.hears().await;
    assert_eq!(reply.text, "It evolves into Steelix.", "{}", phone.report());

    let action = &phone.actions()[0];
    assert_eq!(action.session_status, "failed");
    let relay = action
        .twiml
        .as_ref()
        .unwrap()
        .relay()
        .expect("a relay again");
    assert_eq!(relay.attribute("welcomeGreeting"), Some(BACK));
    let told = conversation(&model.last_reply_request());
    let talk = pairs(&[
        ("assistant", &greeting),
        ("user", "My name is Brock"),
        ("assistant", &nice),
        ("user", "What type is Onix?"),
        ("assistant", "Onix is a rock type."),
        ("user", "And what does it evolve into?"),
    ]);
    assert_eq!(told, talk, "the model sees the whole conversation");

    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!((row.resumes, row.outcome.as_deref()), (1, Some("hung_up")));
    let mut all = talk;
    all.extend(pairs(&[
        ("assistant", BACK),
        ("assistant", "It evolves into Steelix."),
    ]));
    assert_eq!(
        test_server.database().texts_by_role(phone.call_sid()),
        all,
        "every turn once"
    );
    let rows = test_server.database();
    assert_eq!((rows.count("conversations"), rows.count("callers")), (1, 1));
    assert_eq!(
        test_server
            .metric("calldex_calls_resumed_total", "restart")
            .await,
        1.0
    );
    assert_eq!(
        test_server.caller(BROCK).unwrap().name.as_deref(),
        Some("Brock")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_in_the_middle_of_an_answer_the_model_goes_on_from_there() {
    let model = FakeModel::start().await;
    let mut test_server = real_time(TestServer::builder().with_model(&model))
        .start()
        .await;
    let phone = test_server.call(BROCK).await;
    phone.says("My name is Brock").await;
    let answer = "Onix is a rock type. It digs through the ground at great speed.";
    model.next(Completion::says(answer).stall_after(6, WAIT_MAX));
    phone.says_it("What type is Onix?").await;
    assert!(phone.more_than("Onix is a rock type".len(), WAIT_MAX).await);
    test_server
        .wait_turn_stored(phone.call_sid(), "What type is Onix?")
        .await;
    test_server.kill();
    model.answer_with(|_| Completion::says("As I said, it is a rock type."));
    test_server.restart().await;
    comes_back(&phone, 1).await;
    assert_eq!(phone.hears().await.text, "As I said, it is a rock type.");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        test_server.database().agent_texts(phone.call_sid()),
        ["My name is Brock", "What type is Onix?"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_nothing_is_asked_makes_no_new_answer() {
    let model = FakeModel::start().await;
    let mut test_server = real_time(TestServer::builder().with_model(&model))
        .start()
        .await;
    let phone = test_server.call(BROCK).await;
    phone.says("My name is Brock").await;
    phone.silence(WAIT_MAX).await.unwrap();
    test_server
        .wait_turn_stored(phone.call_sid(), "Nice to meet you")
        .await;
    test_server.kill();
    test_server.restart().await;
    comes_back(&phone, 1).await;
    model.next(Completion::says("Onix is a rock type."));
    assert_eq!(
        phone.says("What type is Onix?").await,
        "Onix is a rock type."
    );
    assert_eq!(model.reply_requests().len(), 1);
    let prompt = crate::fake_model::prompt(&model.last_reply_request());
    assert!(
        prompt.contains("\"Brock\""),
        "the name is still known: {prompt}"
    );
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_its_server_twice() {
    let mut test_server = real_time(TestServer::builder()).start().await;
    let phone = test_server.call(BROCK).await;
    phone.says("My name is Brock").await;
    test_server
        .wait_turn_stored(phone.call_sid(), "Nice to meet you")
        .await;
    for session in 1..=2 {
        test_server.kill();
        test_server.restart().await;
        comes_back(&phone, session).await;
        let reply = phone.says("What type is Onix?").await;
        assert!(reply.to_lowercase().contains("rock"), "{reply}");
        phone.silence(WAIT_MAX).await.unwrap();
        test_server.wait_turn_stored(phone.call_sid(), &reply).await;
    }
    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.resumes, 2);
    let said = test_server.database().agent_texts(phone.call_sid());
    assert_eq!(
        said,
        [
            "My name is Brock",
            "What type is Onix?",
            "What type is Onix?"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_socket_leaves_a_call_that_can_connect() {
    let mut test_server = TestServer::start().await;
    let mut dial = Dial::new(BROCK, LINE);
    let sid = "CA0000000000000000000000000000c001";
    dial.call_sid = Some(sid.into());
    let webhook = Webhook {
        path: "/twilio/voice".into(),
        form: test_server.twilio.voice_form(&dial, sid),
        ..Default::default()
    };
    let twiml = test_server
        .twilio
        .request(webhook)
        .await
        .unwrap()
        .twiml()
        .unwrap();
    crate::test_server::wait_for("the call to be kept", || {
        test_server.database().conversation(sid)
    })
    .await;
    test_server.kill();
    test_server.restart().await;
    // The socket brings the parameters of the answer that the dead process gave.
    dial.custom_parameters = Some(twiml.relay().unwrap().parameters.clone());
    let phone = test_server.dial(dial).await.unwrap();
    let reply = phone.says("My name is Brock").await;
    assert!(reply.starts_with("Nice to meet you, Brock!"), "{reply}");
    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(sid).await;
    assert_eq!(row.messages[0]["kind"], "greeting");
    assert_eq!(test_server.database().count("conversations"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_lost_again_and_again_is_said_goodbye_to_in_the_end() {
    let test_server = TestServer::start().await;
    let phone = test_server.call(BROCK).await;
    phone.says("My name is Brock").await;
    phone.silence(WAIT_MAX).await.unwrap();
    for session in 1..=3 {
        match phone.drop_socket().await.unwrap() {
            AfterDrop::Reconnected { .. } => {}
            AfterDrop::Ended(ended) => panic!("drop {session}: {ended:?}"),
        }
        let reply = phone.says("What type is Onix?").await;
        assert!(
            reply.to_lowercase().contains("rock"),
            "{reply}\n{}",
            phone.report()
        );
        // What was not heard is gone on with after the loss, into the next question.
        phone.silence(WAIT_MAX).await.unwrap();
    }
    let AfterDrop::Ended(ended) = phone.drop_socket().await.unwrap() else {
        panic!("a fourth reconnect\n{}", phone.report());
    };
    assert_eq!(ended.cause, EndCause::Twiml);
    let said = ended.said.join(" ");
    assert!(said.contains("something went wrong"), "{said}");
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.resumes, 3);
    assert_eq!(
        test_server.database().agent_texts(phone.call_sid()).len(),
        4
    );
    phone.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_comes_back_is_closed_with_its_true_end() {
    let mut test_server = TestServer::builder()
        .set("call.resume_s_max", 1)
        .start()
        .await;
    let phone = test_server.call(BROCK).await;
    phone.says("My name is Brock").await;
    let last = test_server
        .wait_turn_stored(phone.call_sid(), "Nice to meet you")
        .await;
    test_server.kill();
    phone.wait_ended().await;
    // Long enough for the true end to differ from the time at which it is found out.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    test_server.restart().await;
    assert_eq!(
        test_server.database().texts_by_role(phone.call_sid()).len(),
        3
    );
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("abandoned"));
    let (ended, last) = (row.ended_at.unwrap(), last.at / 1_000);
    assert!((last..=last + 1).contains(&ended), "{ended} is not {last}");
    assert_eq!(row.messages.len(), 3);
    assert_eq!(test_server.database().count("turns"), 0);
    assert_eq!(
        test_server.caller(BROCK).unwrap().name.as_deref(),
        Some("Brock")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_call_of_which_nothing_more_is_heard_is_closed_by_itself() {
    let test_server = TestServer::builder()
        .set("call.resume_s_max", 1)
        .start()
        .await;
    let sid = "CA0000000000000000000000000000c002";
    let dial = Dial::new(BROCK, LINE);
    let webhook = Webhook {
        path: "/twilio/voice".into(),
        form: test_server.twilio.voice_form(&dial, sid),
        ..Webhook::default()
    };
    let answer = test_server.twilio.request(webhook).await.unwrap();
    let twiml = answer.twiml().unwrap();
    let relay = twiml.relay().unwrap();
    let mut socket = crate::raw_http::open_websocket(test_server.listen, relay.url()).await;
    let parameters: serde_json::Map<_, _> = relay
        .parameters
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let setup = json!({"type": "setup", "sessionId": "VX1", "callSid": sid, "from": BROCK, "to": LINE,
                       "direction": "inbound", "callType": "PSTN", "callStatus": "RINGING",
                       "customParameters": parameters});
    let name =
        json!({"type": "prompt", "voicePrompt": "My name is Brock", "lang": "en", "last": true});
    for frame in [setup, name] {
        socket.send(Message::text(frame.to_string())).await.unwrap();
    }
    test_server
        .wait_turn_stored(sid, "Nice to meet you, Brock!")
        .await;
    assert_eq!(
        test_server.database().conversation(sid).unwrap().ended_at,
        None
    );
    drop(socket);
    let row = test_server.wait_conversation_closed(sid).await;
    assert_eq!(row.outcome.as_deref(), Some("abandoned"));
    assert_eq!(row.messages.len(), 3);
    assert_eq!(
        test_server.caller(BROCK).unwrap().name.as_deref(),
        Some("Brock")
    );
}
