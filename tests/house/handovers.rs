//! A call that is handed over, and what becomes of it: answered, not answered, left. Sessions that fail at
//! Twilio for other reasons than a lost socket.

use crate::by_hand::HandCall;
use crate::house::{House, LINE, PUBLIC_URL};
use crate::mind::{Mind, conversation};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{Dial, EndCause};

const ERIKA: &str = "+14155550155";
const COLLEAGUE: &str = "+14155550999";
const NOBODY: &str = "I'm sorry, nobody is free to take your call right now.";

struct HandedOver {
    sid: String,
    /// The document of the hand-over.
    document: String,
    /// Where its result goes.
    action: String,
}

async fn hands_over(house: &House, mind: &Mind) -> HandedOver {
    let phone = house.call(ERIKA).await;
    phone.says("My name is Erika").await;
    mind.next(Completion::calls("hand_over", "{\"reason\":\"asked\"}"));
    phone.says("I want to talk to a person.").await;
    let ended = phone.is_ended().await;
    assert_eq!(ended.cause, EndCause::HandedOver(COLLEAGUE.into()));
    let document = ended.actions[0].answer.body.clone();
    let (_, action) = document
        .split_once("action=\"")
        .expect("a dial with an action");
    let (action, _) = action.split_once('"').unwrap();
    HandedOver {
        sid: phone.call_sid().to_owned(),
        action: action.replace("&amp;", "&"),
        document,
    }
}

async fn staffed(mind: &Mind) -> House {
    House::plan()
        .with_model(mind)
        .set("twilio.handoff.dial", COLLEAGUE)
        .set("twilio.handoff.caller_id", LINE)
        .set("twilio.handoff.timeout_s", 17)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_comes_back_when_nobody_takes_the_call() {
    let mind = Mind::awake().await;
    let house = staffed(&mind).await;
    let over = hands_over(&house, &mind).await;
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
        house.closed(&over.sid).await.outcome.as_deref(),
        Some("handed_over")
    );
    let call = HandCall::new(&house, &over.sid, Dial::new(ERIKA, LINE));
    let keys = [
        ("CallStatus", "in-progress"),
        ("DialCallStatus", "no-answer"),
    ];
    let relay = call.connects(&over.action, &keys).await;
    let greeting = relay.attribute("welcomeGreeting").unwrap_or_default();
    assert!(greeting.starts_with(NOBODY), "{greeting}");
    let mut socket = call.opens(&relay, "IN_PROGRESS").await;
    mind.next(Completion::says("Tangela is a grass type."));
    socket.says("Then what type is Tangela?").await;
    socket.hears("Tangela is a grass type.").await;
    let told = conversation(&mind.last_question());
    let has = |words: &str| told.iter().any(|(_, content)| content.contains(words));
    assert!(
        has("I want to talk to a person.") && has(NOBODY),
        "{told:?}"
    );
    // Until then the row still tells of the hand-over.
    house.kept(&over.sid, "Tangela is a grass type.").await;
    socket.closes().await;
    call.asks("/twilio/status", &[("CallStatus", "completed")])
        .await;
    let row = house.closed(&over.sid).await;
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
    assert_eq!(row.resumes, 0, "no failure of ours");
    let words: Vec<String> = house
        .rows()
        .words(&over.sid)
        .into_iter()
        .map(|(_, words)| words)
        .collect();
    let words = words.join(" ");
    assert!(
        words.contains(NOBODY) && words.contains("grass type"),
        "{words}"
    );
    assert_eq!(
        house.metric("calldex_handovers_total", "no_answer").await,
        1.0
    );
    assert_eq!(
        house
            .metric("calldex_calls_resumed_total", "unanswered")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_was_answered_ends_the_call_and_one_that_was_left_is_told_so() {
    let mind = Mind::awake().await;
    let house = staffed(&mind).await;
    let over = hands_over(&house, &mind).await;
    house.closed(&over.sid).await;
    let call = HandCall::new(&house, &over.sid, Dial::new(ERIKA, LINE));
    let keys = [
        ("CallStatus", "in-progress"),
        ("DialCallStatus", "completed"),
    ];
    let answer = call.asks(&over.action, &keys).await;
    assert!(answer.contains("<Hangup/>"), "{answer}");
    assert_eq!(
        house.closed(&over.sid).await.outcome.as_deref(),
        Some("handed_over")
    );
    // The caller hung up while it rang: nobody has had the call.
    let left = hands_over(&house, &mind).await;
    house.closed(&left.sid).await;
    let call = HandCall::new(&house, &left.sid, Dial::new(ERIKA, LINE));
    let keys = [("CallStatus", "completed"), ("DialCallStatus", "canceled")];
    let answer = call.asks(&left.action, &keys).await;
    assert!(answer.contains("<Hangup/>"), "{answer}");
    crate::house::soon("the true end", || {
        let row = house.rows().conversation(&left.sid)?;
        (row.outcome.as_deref() == Some("hung_up") && row.ended_at.is_some()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_sent_back_is_not_told_that_the_line_was_lost() {
    let mind = Mind::awake().await;
    let house = staffed(&mind).await;
    let over = hands_over(&house, &mind).await;
    house.closed(&over.sid).await;
    let call = HandCall::new(&house, &over.sid, Dial::new(ERIKA, LINE));
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
    call.asks(
        "/twilio/action",
        &[("CallStatus", "completed"), ("SessionStatus", "completed")],
    )
    .await;
    assert_eq!(house.closed(&over.sid).await.resumes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_session_can_cure_is_connected_again_with_another_provider() {
    let house = House::plan()
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
        let call = HandCall::new(&house, &sid, Dial::new(ERIKA, LINE));
        let relay = call.rings().await;
        let socket = call.opens(&relay, "RINGING").await;
        house.kept(&sid, "Welcome").await;
        socket.closes().await;
        let keys = [
            ("CallStatus", "in-progress"),
            ("SessionStatus", "failed"),
            ("ErrorCode", code),
        ];
        let answer = call.asks("/twilio/action", &keys).await;
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
    let mind = Mind::awake().await;
    let house = House::plan()
        .with_model(&mind)
        .set(
            "twilio.handoff.workflow",
            "WW0123456789abcdef0123456789abcdef",
        )
        .start()
        .await;
    let phone = house.call(ERIKA).await;
    phone.says("My name is Erika").await;
    mind.next(Completion::calls("hand_over", "{\"reason\":\"asked\"}"));
    phone.says("I want to talk to a person.").await;
    let ended = phone.is_ended().await;
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
        house.closed(&sid).await.outcome.as_deref(),
        Some("handed_over")
    );
    let call = HandCall::new(&house, &sid, Dial::new(ERIKA, LINE));
    let keys = [("CallStatus", "in-progress"), ("QueueResult", "leave")];
    let relay = call.connects(&action, &keys).await;
    let greeting = relay.attribute("welcomeGreeting").unwrap_or_default();
    assert!(greeting.starts_with(NOBODY), "{greeting}");
}
