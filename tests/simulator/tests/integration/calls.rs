//! Calls in progress: setup, replies, barge-ins, keys, malformed frames.

use crate::app::{FROM, LONG, TO, TOKEN, TestApp, USUAL};
use calldex_simulator::twilio::{
    CallError, Dial, Partials, Signing, Twilio, TwilioConfig, Utterance, ViolationKind, sign_form,
    sign_url,
};
use serde_json::{Value, json};
use std::time::Duration;

fn short(frames: &[Value]) -> Vec<String> {
    let of = |frame: &Value| match frame["type"].as_str() {
        Some("info") => format!(
            "{} {}",
            frame["name"].as_str().unwrap_or_default(),
            frame["value"].as_str().unwrap_or_default()
        ),
        Some("prompt") => format!(
            "prompt {} {}",
            frame["last"],
            frame["voicePrompt"].as_str().unwrap_or_default()
        ),
        Some("interrupt") => format!(
            "interrupt {}",
            frame["utteranceUntilInterrupt"]
                .as_str()
                .unwrap_or_default()
        ),
        Some(kind) => kind.to_owned(),
        None => frame.to_string(),
    };
    frames.iter().map(of).collect()
}

#[tokio::test]
async fn a_call_is_signed_set_up_and_greeted() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, setup) = app.call().await;
    assert_eq!(setup["callSid"], call.call_sid());
    assert_eq!(setup["customParameters"], json!({"ref": "r&1"}));
    assert_eq!(setup["callStatus"], "RINGING");
    assert_eq!(call.greeting().as_deref(), Some("Hello, who is calling?"));
    let greeted = [
        socket.frame().await,
        socket.frame().await,
        socket.frame().await,
    ];
    assert_eq!(
        short(&greeted),
        [
            "agentSpeaking on",
            "tokensPlayed Hello, who is calling?",
            "agentSpeaking off"
        ]
    );
    let voice = &app.hooks("/twilio/voice")[0];
    let form = app
        .twilio()
        .voice_form(&Dial::new(FROM, TO), call.call_sid());
    let signature = sign_form(TOKEN, &format!("{}/twilio/voice", app.base), &form);
    assert!(
        voice
            .head
            .contains(&format!("x-twilio-signature: {signature}")),
        "{}",
        voice.head
    );
    let relay = format!("{}/relay?k=v", app.base.replace("http", "wss"));
    assert!(app.handshakes()[0].contains(&sign_url(TOKEN, &relay)));
    assert!(app.handshakes()[0].contains("Jetty/11.0.24"));
    assert!(call.violations().is_empty());
}

#[tokio::test]
async fn a_question_is_heard_and_its_reply_comes_back_with_times() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    call.silence(LONG).await.unwrap();
    let app_side = tokio::spawn(async move {
        loop {
            let frame = socket.until("prompt").await.pop().unwrap();
            if frame["last"] == true {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        socket.reply(&["Nice to", " meet you.", " What now?"]).await;
        socket
    });
    let reply = call.ask("My name is Misty", LONG).await.unwrap();
    assert_eq!(reply.text, "Nice to meet you. What now?");
    assert_eq!(reply.tokens.len(), 3);
    assert!(
        reply.first_token.unwrap() >= Duration::from_millis(25),
        "{reply:?}"
    );
    assert!(reply.whole >= reply.first_token.unwrap());
    let _socket = app_side.await.unwrap();
    call.silence(LONG).await.unwrap();
    assert_eq!(
        call.heard(),
        "Hello, who is calling? Nice to meet you. What now?"
    );
}

#[tokio::test]
async fn partials_revise_what_was_understood() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    call.silence(LONG).await.unwrap();
    let said = Utterance {
        partials: Partials::Given(vec!["For".into(), "Four seven".into()]),
        ..Utterance::new("Four seven.")
    };
    call.say(said).await.unwrap();
    let mut frames = socket.until("clientSpeaking").await;
    frames.extend([
        socket.frame().await,
        socket.frame().await,
        socket.frame().await,
        socket.frame().await,
    ]);
    let frames = &short(&frames)[3..];
    assert_eq!(
        frames,
        [
            "clientSpeaking on",
            "prompt false For",
            "prompt false Four seven",
            "clientSpeaking off",
            "prompt true Four seven."
        ]
    );
}

#[tokio::test]
async fn a_barge_in_comes_in_the_recorded_order() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    call.silence(LONG).await.unwrap();
    socket.until("tokensPlayed").await;
    socket.frame().await;
    socket
        .reply(&[
            "Sentence one is here. Sentence two is a good deal longer than it. Sentence three.",
        ])
        .await;
    let cut = call
        .interrupt(
            Utterance {
                partials: Partials::Given(vec!["Stop".into()]),
                ..Utterance::new("Stop that.")
            },
            Duration::from_millis(1800),
        )
        .await
        .unwrap();
    assert!(
        "Sentence two is a good deal longer than it.".starts_with(&cut.fragment),
        "{cut:?}"
    );
    assert_eq!(cut.replies.len(), 1);
    assert!(
        cut.replies[0].cut
            && cut.replies[0]
                .played
                .starts_with("Sentence one is here. Sentence"),
        "{cut:?}"
    );
    let mut frames = socket.until("clientSpeaking").await;
    for _ in 0..6 {
        frames.push(socket.frame().await);
    }
    let fragment = &cut.fragment;
    assert_eq!(
        short(&frames),
        [
            "agentSpeaking on".to_owned(),
            "tokensPlayed Sentence one is here.".into(),
            "clientSpeaking on".into(),
            format!("tokensPlayed {fragment}"),
            format!("interrupt {fragment}"),
            "prompt false Stop".into(),
            "agentSpeaking off".into(),
            "clientSpeaking off".into(),
            "prompt true Stop that.".into(),
        ]
    );
    socket.reply(&["Yes?"]).await;
    assert_eq!(call.hear(LONG).await.unwrap().text, "Yes?");
}

#[tokio::test]
async fn a_key_comes_before_the_interrupt_that_it_causes() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    socket.until("agentSpeaking").await;
    let cut = call
        .press('1')
        .await
        .unwrap()
        .expect("the greeting is interrupted");
    assert!("Hello, who is calling?".starts_with(&cut.fragment));
    let frames = [
        socket.frame().await,
        socket.frame().await,
        socket.frame().await,
        socket.frame().await,
    ];
    assert_eq!(short(&frames)[0], "dtmf");
    assert!(short(&frames)[2].starts_with("interrupt "));
    assert_eq!(short(&frames)[3], "agentSpeaking off");
    assert_eq!(call.press('2').await.unwrap(), None);
    assert_eq!(socket.frame().await, json!({"type": "dtmf", "digit": "2"}));
}

#[tokio::test]
async fn a_firm_reply_is_not_interrupted_and_silence_cannot_be() {
    let mut app = TestApp::start(&USUAL.replace("Hello, who is calling?", "")).await;
    let (call, mut socket, _) = app.call().await;
    socket.send(r#"{"type":"text","token":"This has to be heard to its very end.","last":true,"interruptible":false}"#).await;
    let firm = call.interrupt("But I", Duration::from_millis(300)).await;
    assert!(matches!(firm, Err(CallError::NotInterrupted)), "{firm:?}");
    call.silence(LONG).await.unwrap();
    assert_eq!(
        call.hear_out(LONG).await.unwrap().played,
        "This has to be heard to its very end."
    );
}

#[tokio::test]
async fn every_malformed_frame_is_answered_and_counted() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    socket.send(r#"{"type":"pong"}"#).await;
    let error = socket.until("error").await.pop().unwrap();
    assert_eq!(
        error["description"],
        r#"Invalid message received, code: 64107, {"type":"pong"}"#
    );
    socket
        .send(r#"{"type":"text","token":null,"last":true}"#)
        .await;
    socket.until("error").await;
    socket.reply(&["Fine."]).await;
    socket
        .send(r#"{"type":"text","token":"","last":true}"#)
        .await;
    call.hear(LONG).await.unwrap();
    call.send_raw("{\"type\":\"from the test\"}").await.unwrap();
    socket.until("from the test").await;
    let kinds: Vec<ViolationKind> = call
        .violations()
        .iter()
        .map(|violation| violation.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            ViolationKind::MalformedFrame,
            ViolationKind::NullToken,
            ViolationKind::SecondLast
        ]
    );
}

#[tokio::test]
async fn a_public_address_is_signed_and_the_server_behind_it_is_asked() {
    let mut app = TestApp::start(USUAL).await;
    app.voice(
        &app.relay(USUAL)
            .replace(app.base.trim_start_matches("http://"), "phone.example.net"),
    );
    let config = TwilioConfig {
        public_url: Some("https://phone.example.net".into()),
        ..app.config()
    };
    let call = Twilio::new(config)
        .unwrap()
        .place_call(FROM, TO)
        .await
        .unwrap();
    let _socket = app.socket().await;
    let head = &app.handshakes()[0];
    assert!(head.contains(&sign_url(TOKEN, "wss://phone.example.net/relay?k=v")));
    assert!(
        head.to_ascii_lowercase()
            .contains("host: phone.example.net"),
        "{head}"
    );
    assert!(
        app.hooks("/twilio/voice")[0]
            .head
            .to_ascii_lowercase()
            .contains("x-forwarded-proto: https")
    );
    assert!(call.log().len() >= 3);
}

#[tokio::test]
async fn forged_and_missing_signatures_can_be_sent() {
    let app = TestApp::start(USUAL).await;
    let relay = format!("{}/relay", app.base.replace("http", "wss"));
    assert_eq!(
        app.twilio()
            .handshake(&relay, &Signing::Missing)
            .await
            .unwrap(),
        101
    );
    assert!(
        !app.handshakes()[0]
            .to_ascii_lowercase()
            .contains("x-twilio-signature")
    );
    app.refuse_sockets();
    assert_eq!(
        app.twilio()
            .handshake(&relay, &Signing::Forged)
            .await
            .unwrap(),
        403
    );
}

#[tokio::test]
async fn what_a_caller_hears_as_busy_is_told_apart() {
    let app = TestApp::start(USUAL).await;
    app.voice_status(403);
    let refused = app.twilio().place_call(FROM, TO).await;
    assert!(
        matches!(refused, Err(CallError::WebhookStatus { status: 403, .. })),
        "{refused:?}"
    );
    app.voice_status(200);
    app.refuse_sockets();
    let closed = app.twilio().place_call(FROM, TO).await;
    assert!(
        matches!(
            closed,
            Err(CallError::Handshake {
                status: Some(403),
                ..
            })
        ),
        "{closed:?}"
    );
    let config = TwilioConfig {
        base_url: "http://127.0.0.1:1".into(),
        ..app.config()
    };
    let nobody = Twilio::new(config).unwrap().place_call(FROM, TO).await;
    assert!(
        matches!(nobody, Err(CallError::Refused { .. })),
        "{nobody:?}"
    );
    app.voice("<Response><Connect><ConversationRelay url='wss://h' events='everything'/></Connect></Response>");
    let settings = app.twilio().place_call(FROM, TO).await;
    assert!(
        matches!(settings, Err(CallError::RelaySettings(_))),
        "{settings:?}"
    );
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_reported_with_what_came() {
    let mut app = TestApp::start(USUAL).await;
    let (call, mut socket, _) = app.call().await;
    socket
        .send(r#"{"type":"text","token":"Half a","last":false}"#)
        .await;
    match call.hear(Duration::from_millis(300)).await {
        Err(CallError::NoReply { partial, .. }) => assert_eq!(partial.text, "Half a"),
        other => panic!("{other:?}"),
    }
}
