//! A voice webhook for a call that is in progress already: a redirect, or the number's fallback URL.

use crate::fake_model::{FakeModel, conversation};
use crate::test_server::{LINE, PUBLIC_URL, TOKEN, TestServer, WAIT_MAX};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{AfterDrop, Dial, EndCause, RestApiServer, TwilioConfig};
use std::net::{Ipv4Addr, SocketAddr};

const JESSIE: &str = "+14155550170";
const BACK: &str = "Sorry about that, I'm back.";

/// Has Twilio ask the server's own voice webhook about a call in progress.
async fn redirect(rest: &RestApiServer, call_sid: &str) {
    let account = TwilioConfig::default().account_sid;
    let user = STANDARD.encode(format!("{account}:{TOKEN}"));
    let url = format!("{PUBLIC_URL}/twilio/voice")
        .replace(':', "%3A")
        .replace('/', "%2F");
    let body = format!("Url={url}&Method=POST");
    let request = format!(
        "POST /2010-04-01/Accounts/{account}/Calls/{call_sid}.json HTTP/1.1\r\nHost: api\r\n\
         Authorization: Basic {user}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let address: SocketAddr = rest.base_url().replace("http://", "").parse().unwrap();
    // The API keeps the connection; what it said is among its requests.
    let asked = crate::raw_http::send(address, request.as_bytes());
    let before = rest.requests().len();
    let answered = crate::test_server::wait_for("the API to answer", || {
        rest.requests().get(before).map(|request| request.status)
    });
    tokio::select! {
        _ = asked => panic!("the API closed the connection"),
        status = answered => assert_eq!(status, 200),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_redirected_goes_on_with_its_history_and_its_open_question() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder().with_model(&model).start().await;
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let rest = RestApiServer::open(&test_server.twilio, anywhere)
        .await
        .unwrap();
    let phone = test_server.call(JESSIE).await;
    let greeting = phone.first_greeting();
    let nice = phone.says("My name is Jessie").await;
    model.next(Completion::silence());
    phone.says_it("What type is Ekans?").await;
    test_server
        .wait_turn_stored(phone.call_sid(), "What type is Ekans?")
        .await;
    model.next(Completion::says("Ekans is a poison type."));
    redirect(&rest, phone.call_sid()).await;
    match phone.after_drop(1, WAIT_MAX).await {
        Ok(AfterDrop::Reconnected { .. }) => {}
        other => panic!("{other:?}\n{}", phone.report()),
    }
    assert_eq!(phone.greeting().as_deref(), Some(BACK));
    assert_eq!(phone.hears().await.text, "Ekans is a poison type.");
    let told = conversation(&model.last_reply_request());
    let said: Vec<&str> = told.iter().map(|(_, words)| words.as_str()).collect();
    assert_eq!(
        said,
        [&greeting, "My name is Jessie", &nice, "What type is Ekans?"]
    );
    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!((row.resumes, row.outcome.as_deref()), (1, Some("hung_up")));
    assert_eq!(test_server.database().count("conversations"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_answered_before_its_first_webhook_is_greeted_like_any_other() {
    let test_server = TestServer::start().await;
    let mut dial = Dial::new(JESSIE, LINE);
    // As a call that was placed by the API.
    dial.form_overrides = vec![
        ("CallStatus".into(), "in-progress".into()),
        ("Direction".into(), "outbound-api".into()),
    ];
    let phone = test_server.dial(dial).await.unwrap();
    assert!(
        phone.first_greeting().starts_with("Hello!"),
        "{}",
        phone.first_greeting()
    );
    let reply = phone.says("My name is Jessie").await;
    assert!(reply.starts_with("Nice to meet you, Jessie!"), "{reply}");
    phone.hangs_up().await;
    assert_eq!(
        test_server
            .wait_conversation_closed(phone.call_sid())
            .await
            .resumes,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actions_address_carries_the_calls_reference_and_a_forged_one_does_no_harm() {
    let test_server = TestServer::start().await;
    let phone = test_server.call(JESSIE).await;
    phone.says("My name is Jessie").await;
    let relay = phone.twiml().relay().unwrap();
    let action = relay.action.clone().expect("an action");
    let reference = relay.parameters.iter().find(|(name, _)| name == "callRef");
    let (_, reference) = reference.expect("a reference");
    assert_eq!(
        action,
        format!("{PUBLIC_URL}/twilio/action?callRef={reference}")
    );
    let webhook = |path: String| calldex_simulator::twilio::Webhook {
        path,
        form: vec![
            (
                "CallSid".into(),
                "CA0000000000000000000000000000d001".into(),
            ),
            ("CallStatus".into(), "in-progress".into()),
            ("SessionStatus".into(), "failed".into()),
            ("ErrorCode".into(), "64105".into()),
        ],
        ..Default::default()
    };
    for path in [
        &action,
        "/twilio/action?callRef=forged",
        "/twilio/action?callRef=&callRef=%ff",
    ] {
        let answer = test_server
            .twilio
            .request(webhook(path.to_owned()))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer.body.contains("<Hangup"),
            "a call that nobody knows: {}",
            answer.body
        );
    }
    let ended = phone.hangs_up().await;
    assert_eq!(ended.cause, EndCause::HungUp);
}
