//! How calls end: hang-up, `end`, drops and reconnects, TwiML without a relay.

use crate::app::{FROM, LONG, TO, TestApp, USUAL};
use calldex_simulator::twilio::{AfterDrop, EndCause, Redial, Twilio, TwilioConfig, ViolationKind};
use serde_json::json;

#[tokio::test]
async fn a_hang_up_is_followed_by_action_and_status() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    let app_side = tokio::spawn(async move { socket.until("never").await.pop() });
    let ended = call.hang_up().await.unwrap();
    assert_eq!(ended.cause, EndCause::HungUp);
    assert_eq!(ended.status_callback, Some(200));
    assert_eq!(app_side.await.unwrap(), Some(json!({"closed": 1000})));
    let action = &app.hooks("/over")[0].body;
    assert!(
        action.contains("SessionStatus=completed") && action.contains("CallStatus=completed"),
        "{action}"
    );
    assert!(!action.contains("CallToken") && !action.contains("StirVerstat"));
    let status = &app.hooks("/twilio/status")[0].body;
    assert!(
        status.contains("CallbackSource=call-progress-events") && status.contains("CallDuration="),
        "{status}"
    );
    assert!(call.say("Hello?").await.is_err());
    assert!(call.violations().is_empty(), "{:?}", call.violations());
}

#[tokio::test]
async fn end_waits_for_what_is_queued_and_hands_over() {
    let mut app = TestApp::start(USUAL).await;
    app.on_action("<Response><Dial>+14155550123</Dial></Response>");
    let (call, mut socket, _) = app.call().await;
    socket.reply(&["One moment, I connect you."]).await;
    socket
        .send(r#"{"type":"end","handoffData":"{\"reason\":\"a person\"}"}"#)
        .await;
    socket
        .send(r#"{"type":"text","token":"Too late","last":true}"#)
        .await;
    let frames = socket.until("closed").await;
    let played = frames
        .iter()
        .any(|frame| frame["value"] == "One moment, I connect you.");
    assert!(played, "{frames:?}");
    assert_eq!(frames.last(), Some(&json!({"closed": 1000})));
    let ended = call.ended(LONG).await.unwrap();
    assert_eq!(ended.cause, EndCause::HandedOver("+14155550123".into()));
    assert_eq!(ended.actions[0].session_status, "ended");
    let sent = &ended.actions[0].form;
    assert!(sent.contains(&("HandoffData".into(), r#"{"reason":"a person"}"#.into())));
    assert_eq!(call.violations()[0].kind, ViolationKind::AfterEnd);
}

#[tokio::test]
async fn a_key_during_the_farewell_does_not_hold_the_end_up() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    socket
        .reply(&["Goodbye, and many thanks for a call that was as long as this farewell is."])
        .await;
    socket.send(r#"{"type":"end"}"#).await;
    socket.until("agentSpeaking").await;
    assert!(call.press('1').await.unwrap().is_some());
    let app_side = tokio::spawn(async move { socket.until("closed").await });
    assert_eq!(
        call.ended(LONG).await.unwrap().actions[0].session_status,
        "ended"
    );
    app_side.await.unwrap();
}

#[tokio::test]
async fn a_dropped_socket_comes_back_by_the_actions_twiml() {
    let mut app = TestApp::start(USUAL).await;
    app.on_action(&app.relay(&USUAL.replace("Hello, who is calling?", "")));
    let (call, _socket, setup) = app.call().await;
    let first = call.session_id().unwrap();
    match call.drop_socket().await.unwrap() {
        AfterDrop::Reconnected { session_id } => assert_ne!(session_id, first),
        AfterDrop::Ended(ended) => panic!("{ended:?}"),
    }
    let mut socket = app.socket().await;
    let again = socket.frame().await;
    assert_eq!(again["callSid"], setup["callSid"]);
    assert_eq!(again["callStatus"], "IN_PROGRESS");
    assert_eq!(call.greeting(), None);
    let action = &app.hooks("/over")[0].body;
    assert!(
        action.contains("ErrorCode=64105")
            && action.contains("SessionStatus=failed")
            && action.contains("in-progress"),
        "{action}"
    );
    socket.reply(&["Sorry about that."]).await;
    assert_eq!(call.hear(LONG).await.unwrap().text, "Sorry about that.");
}

#[tokio::test]
async fn a_server_that_drops_the_socket_gets_the_same_action() {
    let mut app = TestApp::start(USUAL).await;
    app.on_action("<Response><Say>Please call again.</Say><Hangup/></Response>");
    let (call, socket, _) = app.call().await;
    drop(socket);
    let ended = call.ended(LONG).await.unwrap();
    assert_eq!(ended.said, ["Please call again."]);
    assert_eq!(ended.actions[0].session_status, "failed");
}

#[tokio::test]
async fn ten_malformed_frames_close_the_socket() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    for _ in 0..10 {
        socket.send("not json").await;
    }
    let frames = socket.until("closed").await;
    assert_eq!(
        frames
            .iter()
            .filter(|frame| frame["type"] == "error")
            .count(),
        10
    );
    assert_eq!(frames.last(), Some(&json!({"closed": 1007})));
    let ended = call.ended(LONG).await.unwrap();
    assert!(matches!(ended.cause, EndCause::Failed(_)));
    assert!(app.hooks("/over")[0].body.contains("ErrorCode=64105"));
}

#[tokio::test]
async fn application_reconnect_repeats_the_last_prompt_on_the_same_session() {
    let mut app = TestApp::start(&format!("{USUAL} applicationReconnect=\"true\"")).await;
    let (call, mut socket, setup) = app.call().await;
    call.say("Book a table.").await.unwrap();
    socket.until("prompt").await;
    call.drop_socket().await.unwrap();
    let mut socket = app.socket().await;
    let again = socket.frame().await;
    assert_eq!(again["sessionId"], setup["sessionId"]);
    let prompt = socket.until("prompt").await.pop().unwrap();
    assert_eq!(prompt["voicePrompt"], "Book a table.");
    assert!(app.hooks("/over").is_empty());
}

#[tokio::test]
async fn application_reconnect_can_open_a_new_session() {
    let mut app = TestApp::start(&format!("{USUAL} applicationReconnect=\"true\"")).await;
    let config = TwilioConfig {
        redial: Redial::NewSession,
        ..app.config()
    };
    let call = Twilio::new(config)
        .unwrap()
        .place_call(FROM, TO)
        .await
        .unwrap();
    let setup = app.socket().await.frame().await;
    call.drop_socket().await.unwrap();
    let again = app.socket().await.frame().await;
    assert_eq!(again["callSid"], setup["callSid"]);
    assert_ne!(again["sessionId"], setup["sessionId"]);
}

#[tokio::test]
async fn twiml_without_a_relay_is_spoken_and_ends() {
    let app = TestApp::start(USUAL).await;
    app.voice("<Response><Say>We are closing. Please call again.</Say><Hangup/></Response>");
    let call = app.twilio().place_call(FROM, TO).await.unwrap();
    let ended = call.ended(LONG).await.unwrap();
    assert_eq!(ended.said, ["We are closing. Please call again."]);
    assert_eq!(ended.cause, EndCause::Twiml);
    assert!(call.greeting().is_none() && call.hear(LONG).await.is_err());
}

#[tokio::test]
async fn a_redirect_is_followed_with_a_signed_request() {
    let app = TestApp::start(USUAL).await;
    app.voice("<Response><Redirect>/over?then=1</Redirect></Response>");
    app.on_action("<Response><Reject reason=\"busy\"/></Response>");
    let call = app.twilio().place_call(FROM, TO).await.unwrap();
    assert_eq!(call.ended(LONG).await.unwrap().cause, EndCause::Twiml);
    assert!(
        app.hooks("/over?then=1")[0]
            .head
            .contains("x-twilio-signature: ")
    );
}

#[tokio::test]
async fn a_reply_left_open_at_hang_up_is_a_violation() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    socket
        .send(r#"{"type":"text","token":"Never closed","last":false}"#)
        .await;
    assert!(call.more_than(0, LONG).await);
    // A second of Twilio's time, twenty times as fast, and some more.
    tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    let app_side = tokio::spawn(async move { socket.until("closed").await });
    call.hang_up().await.unwrap();
    app_side.await.unwrap();
    assert_eq!(call.violations()[0].kind, ViolationKind::UnclosedReply);
}
