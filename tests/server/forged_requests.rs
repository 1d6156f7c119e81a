//! Whoever is not Twilio comes no further than the door, and nothing is kept of them; what Twilio
//! repeats is done once (docs/protocol.md 2.2, 7).

use crate::raw_http;
use crate::test_server::{LINE, PUBLIC_URL, TestServer};
use calldex_simulator::twilio::{CallError, Dial, EndCause, Signing, Webhook};

const MISTY: &str = "+14155550106";
const SID: &str = "CA0000000000000000000000000000f001";

fn is_empty(test_server: &TestServer) {
    let rows = test_server.database();
    for table in ["callers", "conversations", "turns", "people"] {
        assert_eq!(rows.count(table), 0, "{table}");
    }
}

fn signatures() -> [Signing; 3] {
    [
        Signing::Forged,
        Signing::Missing,
        Signing::Over(format!("{PUBLIC_URL}/twilio/other")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_not_signed_by_twilio_is_refused_and_nothing_is_kept() {
    let test_server = TestServer::start().await;
    let form = test_server.twilio.voice_form(&Dial::new(MISTY, LINE), SID);
    let doors = [
        "/twilio/voice",
        "/twiml",
        "/twilio/action",
        "/twilio/status",
    ];
    for path in doors {
        for signing in signatures() {
            for by_get in [false, true] {
                let webhook = Webhook {
                    path: path.into(),
                    form: form.clone(),
                    by_get,
                    signing: signing.clone(),
                    ..Webhook::default()
                };
                let answer = test_server.twilio.request(webhook).await.unwrap();
                assert_eq!(answer.status, 403, "{path} {signing:?} {by_get}");
                assert!(!answer.body.contains("Response"), "{}", answer.body);
            }
        }
    }
    // A signature of other words, and one of another door.
    let mut other = form.clone();
    other.push(("Extra".into(), "word".into()));
    let url = format!("{PUBLIC_URL}/twilio/voice");
    let signature = calldex_simulator::twilio::sign_form(crate::test_server::TOKEN, &url, &other);
    let body = "CallSid=CA1&From=%2B14155550106";
    let request = format!(
        "POST /twilio/voice HTTP/1.1\r\nHost: phone.example.net\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: {signature}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(
        raw_http::send(test_server.listen, request.as_bytes())
            .await
            .status,
        403
    );
    is_empty(&test_server);
    let refused = test_server
        .metric("calldex_webhook_requests_total", "forbidden")
        .await;
    assert_eq!(refused, 25.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_not_signed_by_twilio_is_refused() {
    let test_server = TestServer::start().await;
    let wrong = [
        Signing::Forged,
        Signing::Missing,
        Signing::Over(format!("{PUBLIC_URL}/twilio/relay")),
        Signing::Over(format!("{PUBLIC_URL}/twilio/relay").replace("https", "ws")),
    ];
    for signing in wrong {
        let mut dial = Dial::new(MISTY, LINE);
        dial.sign_handshake = signing.clone();
        match test_server.dial(dial).await {
            Err(CallError::Handshake { status, .. }) => assert_eq!(status, Some(403)),
            other => panic!("{signing:?}: {other:?}"),
        }
    }
    let rows = test_server.database();
    assert_eq!(rows.count("turns"), 0, "nobody was greeted");
    for conversation in rows.conversations() {
        assert!(conversation.messages.is_empty(), "{conversation:?}");
    }
    assert_eq!(
        test_server
            .metric("calldex_websocket_handshakes_total", "forbidden")
            .await,
        4.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_without_the_reference_of_its_call_is_closed_unanswered() {
    let test_server = TestServer::start().await;
    let honest = test_server.call(MISTY).await;
    let relay = honest.twiml().relay().unwrap();
    let of_another_call = relay.parameters.clone();
    let mut forged = of_another_call.clone();
    let (_, reference) = forged
        .iter_mut()
        .find(|(name, _)| name == "callRef")
        .unwrap();
    *reference = reference.replace('A', "B");
    let mut sids = Vec::new();
    for parameters in [Vec::new(), forged, of_another_call] {
        let mut dial = Dial::new("+14155550107", LINE);
        dial.custom_parameters = Some(parameters);
        let phone = test_server.dial(dial).await.unwrap();
        let ended = phone.wait_ended().await;
        // Twilio asks for the action each time, and in the end the caller is told.
        assert!(!matches!(ended.cause, EndCause::HandedOver(_)));
        assert!(
            phone.hear(std::time::Duration::ZERO).await.is_err(),
            "{}",
            phone.report()
        );
        assert!(phone.sessions() <= 5, "{} sessions", phone.sessions());
        sids.push(phone.call_sid().to_owned());
    }
    for sid in sids {
        test_server.wait_conversation_closed(&sid).await;
        let words = test_server.database().texts_by_role(&sid);
        assert!(words.iter().all(|(role, _)| role != "user"), "{words:?}");
    }
    for reason in ["missing", "forged"] {
        let seen = test_server
            .metric("calldex_call_token_failures_total", reason)
            .await;
        assert!(seen >= 1.0, "{reason}: {seen}");
    }
    assert!(honest.says("My name is Misty").await.contains("Misty"));
    honest.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let test_server = TestServer::start().await;
    let mut form = test_server.twilio.voice_form(&Dial::new(MISTY, LINE), SID);
    form.push(("Extra".into(), "x".repeat(70 * 1024)));
    let webhook = Webhook {
        path: "/twilio/voice".into(),
        form,
        ..Webhook::default()
    };
    assert_eq!(
        test_server.twilio.request(webhook).await.unwrap().status,
        413
    );
    let lengthy = "POST /twilio/voice HTTP/1.1\r\nHost: phone.example.net\r\nConnection: close\r\n\
         X-Twilio-Signature: x\r\nContent-Length: 99999999999\r\n\r\n";
    let status = raw_http::send(test_server.listen, lengthy.as_bytes())
        .await
        .status;
    assert!([400, 403, 413].contains(&status), "{status}");
    let heady = format!(
        "GET /twilio/voice HTTP/1.1\r\nHost: phone.example.net\r\nConnection: close\r\nX-Long: {}\r\n\r\n",
        "x".repeat(1024 * 1024)
    );
    let status = raw_http::send(test_server.listen, heady.as_bytes())
        .await
        .status;
    assert!([0, 400, 403, 413, 431].contains(&status), "{status}");
    is_empty(&test_server);
    let phone = test_server.call(MISTY).await;
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_make_no_sense_are_counted_and_ignored() {
    let test_server = TestServer::start().await;
    let phone = test_server.call(MISTY).await;
    let senseless = [
        "not json",
        "[]",
        "null",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"prompt\"}",
        "{\"type\":\"dtmf\",\"digit\":\"\"}",
        "{\"type\":\"interrupt\"}",
        "{\"type\":\"weather\",\"sky\":\"blue\"}",
        "{\"type\":\"setup\",\"callSid\":\"CA1\",\"sessionId\":\"VX1\"}",
        "{\"type\":\"prompt\",\"voicePrompt\":null,\"last\":true}",
    ];
    for frame in senseless {
        phone.send_raw(frame).await.unwrap();
    }
    phone.send_raw(&"{".repeat(10_000)).await.unwrap();
    let reply = phone.says("My name is Misty").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    assert_eq!(phone.sessions(), 1);
    phone.hangs_up().await;
    let frames = "calldex_frames_received_total";
    assert!(test_server.metric(frames, "malformed").await >= 5.0);
    assert!(test_server.metric(frames, "unknown").await >= 1.0);
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        test_server.database().agent_texts(phone.call_sid()),
        ["My name is Misty"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_too_large_ends_its_session_and_not_the_call() {
    let test_server = TestServer::start().await;
    let phone = test_server.call(MISTY).await;
    phone.says("My name is Misty").await;
    let giant = format!(
        "{{\"type\":\"prompt\",\"voicePrompt\":\"{}\"}}",
        "x".repeat(2 * 1024 * 1024)
    );
    phone.send_raw(&giant).await.unwrap();
    let after = phone.after_drop(1, crate::test_server::WAIT_MAX).await;
    assert!(after.is_ok(), "{after:?}");
    let reply = phone.says("What type is Pikachu?").await;
    assert!(reply.to_lowercase().contains("electric"), "{reply}");
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_webhook_is_one_call_with_one_answer() {
    let test_server = TestServer::start().await;
    let form = test_server.twilio.voice_form(&Dial::new(MISTY, LINE), SID);
    let webhook = |token: &str| Webhook {
        path: "/twilio/voice".into(),
        form: form.clone(),
        idempotency_token: Some(token.into()),
        ..Webhook::default()
    };
    let first = test_server.twilio.request(webhook("one")).await.unwrap();
    assert_eq!(first.status, 200);
    first.twiml().unwrap();
    let again = test_server.twilio.request(webhook("one")).await.unwrap();
    assert_eq!(again, first, "the same token");
    let other = test_server.twilio.request(webhook("two")).await.unwrap();
    assert_eq!(other, first, "the same call");
    test_server
        .wait_metric("calldex_webhook_requests_total", "duplicate", 1.0)
        .await;
    assert_eq!(
        test_server.metric("calldex_calls_started_total", "").await,
        1.0
    );
    crate::test_server::wait_for("the conversation", || {
        (test_server.database().count("conversations") == 1).then_some(())
    })
    .await;
    assert!(test_server.database().conversation(SID).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aliases_of_older_applications_answer_too() {
    let relay = format!("{PUBLIC_URL}/ws").replace("https", "wss");
    let test_server = TestServer::builder()
        .set("twilio.relay.url", &relay)
        .twilio(|twilio| twilio.voice_path = "/twiml".into())
        .start()
        .await;
    let phone = test_server.call(MISTY).await;
    assert_eq!(phone.relay("url"), Some(relay));
    let reply = phone.says("My name is Misty").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_configured_for_get_is_answered_too() {
    let test_server = TestServer::start().await;
    let mut dial = Dial::new(MISTY, LINE);
    dial.by_get = true;
    let phone = test_server.dial(dial).await.unwrap();
    let reply = phone.says("My name is Misty").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_of_the_list_is_accepted_and_an_authorization_header_does_no_harm() {
    let test_server = TestServer::builder()
        .variable("TWILIO_AUTH_TOKENS", "of-ireland, of-a-sub-account")
        .variable("TWILIO_AUTH_TOKEN_OLD", "the-token-before")
        .twilio(|_| {})
        .start()
        .await;
    let url = format!("{PUBLIC_URL}/twilio/voice");
    let form = test_server.twilio.voice_form(&Dial::new(MISTY, LINE), SID);
    let body: Vec<String> = form
        .iter()
        .map(|(name, value)| {
            format!(
                "{name}={}",
                value
                    .replace('%', "%25")
                    .replace('+', "%2B")
                    .replace('{', "%7B")
                    .replace('}', "%7D")
                    .replace('"', "%22")
                    .replace(':', "%3A")
            )
        })
        .collect();
    let body = body.join("&");
    for (token, status) in [
        ("the-token-before", 200),
        ("of-ireland", 200),
        ("of-a-sub-account", 200),
        (crate::test_server::TOKEN, 200),
        ("no", 403),
    ] {
        let signature = calldex_simulator::twilio::sign_form(token, &url, &form);
        let request = format!(
            "POST /twilio/voice HTTP/1.1\r\nHost: phone.example.net\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: {signature}\r\n\
             Authorization: Bearer of-an-oauth-profile\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = raw_http::send(test_server.listen, request.as_bytes()).await;
        assert_eq!(answer.status, status, "{token}: {}", answer.body);
    }
    // Whoever has to find out why is told where the request came in and what was checked, and no secret.
    let said = test_server.output();
    assert!(said.contains("/twilio/voice"), "{said}");
    assert!(said.contains(&url), "{said}");
    assert!(
        !said.contains("of-an-oauth-profile") && !said.contains("of-ireland"),
        "{said}"
    );
}
