//! A call that is handed over, and what becomes of it: answered, not answered, left. Sessions that fail at
//! Twilio for other reasons than a lost socket.

use crate::fake_model::{FakeModel, conversation};
use crate::raw_call::RawCall;
use crate::test_server::{LINE, PUBLIC_URL, TestServer};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{Dial, EndCause};

const ERIKA: &str = "+14155550155";
const COLLEAGUE: &str = "+14155550999";
const NOBODY: &str = "I'm sorry, nobody is free to take your call right now.";

struct HandoffCall {
    sid: String,
    /// The document of the hand-over.
    document: String,
    /// Where its result goes.
    action: String,
}

async fn hands_over(test_server: &TestServer, model: &FakeModel) -> HandoffCall {
    let phone = test_server.call(ERIKA).await;
    phone.says("My name is Erika").await;
    model.next(Completion::calls("hand_over", "{\"reason\":\"asked\"}"));
    phone.says("I want to talk to a person.").await;
    let ended = phone.wait_ended().await;
    assert_eq!(ended.cause, EndCause::HandedOver(COLLEAGUE.into()));
    let document = ended.actions[0].answer.body.clone();
    let (_, action) = document
        .split_once("action=\"")
        .expect("a dial with an action");
    let (action, _) = action.split_once('"').unwrap();
    HandoffCall {
        sid: phone.call_sid().to_owned(),
        action: action.replace("&amp;", "&"),
        document,
    }
}

async fn server_with_handoff(model: &FakeModel) -> TestServer {
    TestServer::builder()
        .with_model(model)
        .set("twilio.handoff.dial", COLLEAGUE)
        .set("twilio.handoff.caller_id", LINE)
        .set("twilio.handoff.timeout_s", 17)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_comes_back_when_nobody_takes_the_call() {
    let model = FakeModel::start().await;
    let test_server = server_with_handoff(&model).await;
    let over = hands_over(&test_server, &model).await;
    for attribute in [
        "timeout=\"17\"",
        "answerOnBridge=\"true\"",
        &format!("callerId=\"{LINE}\""),
        "method=\"POST\"",
    ] {
        assert!(
            over.document.contains(attribute),
            "{attribute}: {}",
            over.document
        );
    }
    assert!(over.action.starts_with(PUBLIC_URL), "{}", over.action);
    assert_eq!(
        test_server
            .wait_conversation_closed(&over.sid)
            .await
            .outcome
            .as_deref(),
        Some("handed_over")
    );
    let call = RawCall::new(&test_server, &over.sid, Dial::new(ERIKA, LINE));
    let keys = [
        ("CallStatus", "in-progress"),
        ("DialCallStatus", "no-answer"),
    ];
    let relay = call.connects(&over.action, &keys).await;
    let greeting = relay.attribute("welcomeGreeting").unwrap_or_default();
    assert!(greeting.starts_with(NOBODY), "{greeting}");
    let mut socket = call.opens(&relay, "IN_PROGRESS").await;
    model.next(Completion::says("Tangela is a grass type."));
    socket.says("Then what type is Tangela?").await;
    socket.hears("Tangela is a grass type.").await;
    let told = conversation(&model.last_reply_request());
    let has = |words: &str| told.iter().any(|(_, content)| content.contains(words));
    assert!(
        has("I want to talk to a person.") && has(NOBODY),
        "{told:?}"
    );
    // Until then the row still tells of the hand-over.
    test_server
        .wait_turn_stored(&over.sid, "Tangela is a grass type.")
        .await;
    socket.closes().await;
    call.webhook("/twilio/status", &[("CallStatus", "completed")])
        .await;
    let row = test_server.wait_conversation_closed(&over.sid).await;
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
    assert_eq!(row.resumes, 0, "no failure of ours");
    let words: Vec<String> = test_server
        .database()
        .texts_by_role(&over.sid)
        .into_iter()
        .map(|(_, words)| words)
        .collect();
    let words = words.join(" ");
    assert!(
        words.contains(NOBODY) && words.contains("grass type"),
        "{words}"
    );
    assert_eq!(
        test_server
            .metric("calldex_handoffs_total", "no_answer")
            .await,
        1.0
    );
    assert_eq!(
        test_server
            .metric("calldex_calls_resumed_total", "handoff_unanswered")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_was_answered_ends_the_call_and_one_that_was_left_is_told_so() {
    let model = FakeModel::start().await;
    let test_server = server_with_handoff(&model).await;
    let over = hands_over(&test_server, &model).await;
    test_server.wait_conversation_closed(&over.sid).await;
    let call = RawCall::new(&test_server, &over.sid, Dial::new(ERIKA, LINE));
    let keys = [
        ("CallStatus", "in-progress"),
        ("DialCallStatus", "completed"),
    ];
    let answer = call.webhook(&over.action, &keys).await;
    assert!(answer.contains("<Hangup/>"), "{answer}");
    assert_eq!(
        test_server
            .wait_conversation_closed(&over.sid)
            .await
            .outcome
            .as_deref(),
        Some("handed_over")
    );
    // The caller hung up while it rang: nobody has had the call.
    let left = hands_over(&test_server, &model).await;
    test_server.wait_conversation_closed(&left.sid).await;
    let call = RawCall::new(&test_server, &left.sid, Dial::new(ERIKA, LINE));
    let keys = [("CallStatus", "completed"), ("DialCallStatus", "canceled")];
    let answer = call.webhook(&left.action, &keys).await;
    assert!(answer.contains("<Hangup/>"), "{answer}");
    crate::test_server::wait_for("the true end", || {
        let row = test_server.database().conversation(&left.sid)?;
        (row.outcome.as_deref() == Some("hung_up") && row.ended_at.is_some()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_sent_back_is_not_told_that_the_line_was_lost() {
    let model = FakeModel::start().await;
    let test_server = server_with_handoff(&model).await;
    let over = hands_over(&test_server, &model).await;
    test_server.wait_conversation_closed(&over.sid).await;
    let call = RawCall::new(&test_server, &over.sid, Dial::new(ERIKA, LINE));
    let relay = call
        .connects("/twilio/voice", &[("CallStatus", "in-progress")])
        .await;
    assert_eq!(
        relay.attribute("welcomeGreeting"),
        Some("Welcome back to the Pokédex Call Center. What else can I do for you?")
    );
    let mut socket = call.opens(&relay, "IN_PROGRESS").await;
    socket.says("What type is Onix?").await;
    socket.hears("What type is Onix?").await;
    socket.closes().await;
    call.webhook(
        "/twilio/action",
        &[("CallStatus", "completed"), ("SessionStatus", "completed")],
    )
    .await;
    assert_eq!(
        test_server
            .wait_conversation_closed(&over.sid)
            .await
            .resumes,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_session_can_cure_is_connected_again_with_another_provider() {
    let test_server = TestServer::builder()
        .config(
            "[twilio.relay]\ntranscription_provider = \"Deepgram\"\nspeech_model = \"flux\"\n\
             [twilio.fallback]\ntranscription_provider = \"Google\"\nspeech_model = \"telephony\"\n",
        )
        .start()
        .await;
    for (number, (code, again, model)) in [
        ("64103", true, "flux"),
        ("64105", true, "flux"),
        ("64111", true, "telephony"),
        ("64114", true, "telephony"),
        ("64101", false, ""),
        ("64109", false, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let sid = format!("CA000000000000000000000000000064{number:02}");
        let call = RawCall::new(&test_server, &sid, Dial::new(ERIKA, LINE));
        let relay = call.voice_webhook().await;
        let socket = call.opens(&relay, "RINGING").await;
        test_server.wait_turn_stored(&sid, "Welcome").await;
        socket.closes().await;
        let keys = [
            ("CallStatus", "in-progress"),
            ("SessionStatus", "failed"),
            ("ErrorCode", code),
        ];
        let answer = call.webhook("/twilio/action", &keys).await;
        let twiml = calldex_simulator::twilio::twiml::Twiml::parse(&answer).unwrap();
        let connected = twiml
            .relay()
            .and_then(|relay| relay.attribute("speechModel"));
        assert_eq!(connected, again.then_some(model), "{code}: {answer}");
        if !again {
            assert!(answer.contains("something went wrong"), "{code}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_comes_back_from_a_queue_that_nobody_serves() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .set(
            "twilio.handoff.workflow",
            "WW0123456789abcdef0123456789abcdef",
        )
        .start()
        .await;
    let phone = test_server.call(ERIKA).await;
    phone.says("My name is Erika").await;
    model.next(Completion::calls("hand_over", "{\"reason\":\"asked\"}"));
    phone.says("I want to talk to a person.").await;
    let ended = phone.wait_ended().await;
    let document = ended.actions[0].answer.body.clone();
    let (_, action) = document
        .split_once("action=\"")
        .expect("a queue with an action");
    let action = action.split_once('"').unwrap().0.replace("&amp;", "&");
    assert!(
        document.contains("<Enqueue") && document.contains("<Task>"),
        "{document}"
    );
    let sid = phone.call_sid().to_owned();
    assert_eq!(
        test_server
            .wait_conversation_closed(&sid)
            .await
            .outcome
            .as_deref(),
        Some("handed_over")
    );
    let call = RawCall::new(&test_server, &sid, Dial::new(ERIKA, LINE));
    let keys = [("CallStatus", "in-progress"), ("QueueResult", "leave")];
    let relay = call.connects(&action, &keys).await;
    let greeting = relay.attribute("welcomeGreeting").unwrap_or_default();
    assert!(greeting.starts_with(NOBODY), "{greeting}");
}
