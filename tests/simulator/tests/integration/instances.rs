//! Several instances behind one address, and the REST API that has a call go on at another one.

use crate::app::{FROM, LONG, TO, TOKEN, TestApp, USUAL};
use calldex_simulator::load::{LoadOptions, run};
use calldex_simulator::twilio::{
    AfterDrop, Dial, EndCause, RestApiServer, Routing, Twilio, TwilioConfig, ViolationKind,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn both(one: &TestApp, two: &TestApp) -> Twilio {
    let config = TwilioConfig {
        instances: vec![two.base.clone()],
        ..one.config()
    };
    Twilio::new(config).expect("the settings are good")
}

fn to_first() -> Dial {
    Dial {
        via: Routing {
            voice: Some(0),
            relay: Some(0),
            action: None,
        },
        ..Dial::new(FROM, TO)
    }
}

/// What a client of the API gets: the status.
async fn redirect(
    rest: &RestApiServer,
    account: &str,
    call_sid: &str,
    url: &str,
    token: &str,
) -> u16 {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let address = rest.base_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.expect("the API listens");
    let url = url
        .replace(':', "%3A")
        .replace('/', "%2F")
        .replace('?', "%3F");
    let body = format!("Url={url}&Method=POST");
    let user = STANDARD.encode(format!("{account}:{token}"));
    let request = format!(
        "POST /2010-04-01/Accounts/{account}/Calls/{call_sid}.json HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Basic {user}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.expect("it answers");
    let status = String::from_utf8_lossy(&answer[9..12]).into_owned();
    status.parse().expect("a status")
}

#[tokio::test]
async fn each_request_goes_to_the_next_instance_or_to_the_one_that_is_asked_for() {
    let (mut one, mut two) = (TestApp::start(USUAL).await, TestApp::start(USUAL).await);
    let twilio = both(&one, &two);
    let dial = Dial {
        via: Routing {
            voice: Some(0),
            relay: Some(1),
            action: Some(0),
        },
        ..Dial::new(FROM, TO)
    };
    let call = twilio.place(dial).await.expect("it is answered");
    let _socket = two.socket().await;
    assert_eq!(call.instance(), 1);
    call.hang_up().await.expect("a caller can hang up");
    assert_eq!(
        (one.hooks("/twilio/voice").len(), one.hooks("/over").len()),
        (1, 1)
    );
    one.answer_all();
    two.answer_all();
    for _ in 0..4 {
        let call = twilio.place_call(FROM, TO).await.expect("it is answered");
        call.hang_up().await.expect("a caller can hang up");
    }
    let hooks = |app: &TestApp| app.hooks("/").len();
    assert!(hooks(&one) > 3 && hooks(&two) > 3, "each has its turn");
}

#[tokio::test]
async fn a_call_whose_instance_is_killed_goes_on_at_the_next() {
    let (mut one, mut two) = (TestApp::start(USUAL).await, TestApp::start(USUAL).await);
    let call = both(&one, &two)
        .place(to_first())
        .await
        .expect("it is answered");
    let socket = one.socket().await;
    assert_eq!(call.instance(), 0);
    two.on_action(&two.relay(USUAL));
    call.route_via(Routing::default());
    one.kill().await;
    drop(socket);
    let after = call.after_drop(1, LONG).await.expect("something happens");
    assert!(matches!(after, AfterDrop::Reconnected { .. }), "{after:?}");
    let setup = two.socket().await.frame().await;
    assert_eq!(
        (setup["callSid"].as_str(), call.instance()),
        (Some(call.call_sid()), 1)
    );
}

#[tokio::test]
async fn the_rest_api_has_a_live_call_ask_another_webhook() {
    let mut app = TestApp::start(USUAL).await;
    let twilio = app.twilio();
    let account = app.config().account_sid;
    let rest = RestApiServer::open(&twilio, ANYWHERE)
        .await
        .expect("a free port");
    let call = twilio.place_call(FROM, TO).await.expect("it is answered");
    let mut socket = app.socket().await;
    let url = format!("{}/twilio/voice?callRef=x", app.base);
    let sid = call.call_sid().to_owned();
    assert_eq!(
        redirect(&rest, &account, &sid, &url, "another token").await,
        401
    );
    assert_eq!(redirect(&rest, &account, "CA1", &url, TOKEN).await, 404);
    rest.fails_with(429);
    assert_eq!(redirect(&rest, &account, &sid, &url, TOKEN).await, 429);
    assert_eq!(redirect(&rest, &account, &sid, &url, TOKEN).await, 200);
    let closed = socket.until("nothing").await.pop().expect("a close frame");
    assert_eq!(closed["closed"], 1000, "as Twilio ends a session itself");
    let setup = app.socket().await.frame().await;
    assert_eq!(setup["callStatus"], "IN_PROGRESS");
    let hooks = app.hooks("/twilio/voice");
    assert!(
        hooks[1].path.ends_with("?callRef=x") && hooks[1].body.contains("CallStatus=in-progress")
    );
    assert!(app.hooks("/over").is_empty(), "no action was asked for");
    call.hang_up().await.expect("a caller can hang up");
    assert_eq!(redirect(&rest, &account, &sid, &url, TOKEN).await, 400);
    let statuses: Vec<u16> = rest
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [401, 404, 429, 200, 400]);
}

#[tokio::test]
async fn a_redirect_to_nowhere_ends_the_call() {
    let mut app = TestApp::start(USUAL).await;
    let twilio = app.twilio();
    let rest = RestApiServer::open(&twilio, ANYWHERE)
        .await
        .expect("a free port");
    let call = twilio.place_call(FROM, TO).await.expect("it is answered");
    let _socket = app.socket().await;
    let account = app.config().account_sid;
    let url = "http://127.0.0.1:1/twilio/voice";
    assert_eq!(
        redirect(&rest, &account, call.call_sid(), url, TOKEN).await,
        200
    );
    let ended = call.ended(LONG).await.expect("it ends");
    assert!(matches!(ended.cause, EndCause::Failed(_)));
    let told = call.violations();
    assert!(told.iter().any(|told| told.kind == ViolationKind::Webhook));
}

#[tokio::test]
async fn a_load_goes_on_when_one_of_its_instances_is_killed() {
    let (mut one, mut two) = (TestApp::start(USUAL).await, TestApp::start(USUAL).await);
    let relay = two.relay(USUAL);
    for app in [&mut one, &mut two] {
        app.answer_all();
        for _ in 0..20 {
            app.on_action(&relay);
        }
    }
    let options = LoadOptions {
        base_url: one.base.clone(),
        instances: vec![two.base.clone()],
        auth_token: Some(TOKEN.into()),
        calls: 12,
        rate_per_s: 500.0,
        turns: 12,
        think: Duration::from_millis(60),
        speed: 50.0,
        reconnects: true,
        reply_timeout: LONG,
        ..LoadOptions::default()
    };
    let killed = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        one.kill_with_its_calls().await;
        one
    };
    let (report, _one) = tokio::join!(run(options, Vec::new()), killed);
    let report = report.expect("somebody listens");
    assert_eq!(report.errors_total(), 0, "{:?}", report.errors);
    assert!(report.losses > 0, "{report:?}");
    assert_eq!(
        (report.calls_completed, report.continued),
        (12, report.losses)
    );
    assert_eq!(report.back.count, report.losses);
    assert!(report.sessions[&0] > 0 && report.sessions[&1] > report.losses);
    assert!(report.to_table().contains("sockets lost"));
}

#[tokio::test]
async fn without_being_asked_to_a_load_does_not_follow_a_lost_socket() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    app.on_action(&app.relay(USUAL));
    let options = LoadOptions {
        base_url: app.base.clone(),
        auth_token: Some(TOKEN.into()),
        calls: 2,
        rate_per_s: 500.0,
        turns: 50,
        think: Duration::from_millis(60),
        speed: 50.0,
        ..LoadOptions::default()
    };
    let killed = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        app.kill_with_its_calls().await;
    };
    let (report, ()) = tokio::join!(run(options, Vec::new()), killed);
    assert_eq!(report.expect("somebody listens").errors_total(), 2);
}
