//! The first minute: a new caller, a name, and a second call that knows it.

use crate::test_caller::TestCaller;
use crate::test_server::{PUBLIC_URL, TestServer};
use serde_json::Value;

const MISTY: &str = "+14155550101";

async fn is_greeted_answered_and_remembered(test_server: &TestServer) -> (TestCaller, TestCaller) {
    let first = test_server.call(MISTY).await;
    assert!(
        first.first_greeting().contains("May I have your name?"),
        "{}",
        first.first_greeting()
    );
    let reply = first.says("My name is Misty").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    let ended = first.hangs_up().await;
    assert_eq!(ended.status_callback, Some(204));
    test_server.wait_conversation_closed(first.call_sid()).await;

    let second = test_server.call(MISTY).await;
    assert_eq!(
        second.first_greeting(),
        "Welcome back, Misty! What Pokémon information can I help you with today?"
    );
    let reply = second.says("What type is Pikachu?").await;
    assert!(reply.to_lowercase().contains("electric"), "{reply}");
    second.hangs_up().await;
    test_server
        .wait_conversation_closed(second.call_sid())
        .await;
    (first, second)
}

/// `started_at <= every turn <= ended_at`, both sides, the greeting first.
fn is_a_whole_conversation(test_server: &TestServer, phone: &TestCaller) {
    let row = test_server
        .database()
        .conversation(phone.call_sid())
        .unwrap();
    assert_eq!(row.phone_number.as_deref(), Some(MISTY));
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
    let (started, ended) = (row.started_at, row.ended_at.unwrap());
    assert!(started <= ended, "{started} {ended}");
    let field = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let roles: Vec<String> = row.messages.iter().map(|m| field(m, "role")).collect();
    assert_eq!(roles, ["assistant", "user", "assistant"], "{row:?}");
    assert_eq!(field(&row.messages[0], "content"), phone.first_greeting());
    for message in &row.messages {
        let at = message["at"].as_i64().expect("a turn has its time") / 1_000;
        assert!((started..=ended).contains(&at), "{message}");
        assert!(!field(message, "content").is_empty(), "{message}");
    }
}

fn is_kept(test_server: &TestServer, calls: &(TestCaller, TestCaller)) {
    let caller = test_server.caller(MISTY).expect("a row for the caller");
    assert_eq!(caller.name.as_deref(), Some("Misty"));
    let rows = test_server.database();
    assert_eq!((rows.count("callers"), rows.count("conversations")), (1, 2));
    assert_eq!(rows.count("turns"), 0, "closed calls leave no live turns");
    for phone in [&calls.0, &calls.1] {
        is_a_whole_conversation(test_server, phone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_caller_gives_a_name_and_is_welcomed_back_by_it() {
    let test_server = TestServer::start().await;
    let calls = is_greeted_answered_and_remembered(&test_server).await;
    is_kept(&test_server, &calls);
    let relay = calls.0.relay("url").unwrap();
    let public = PUBLIC_URL.replace("https", "wss");
    assert!(relay.starts_with(&public), "{relay}");
    assert_eq!(
        test_server
            .metric("calldex_greetings_total", "by_name")
            .await,
        1.0
    );
    assert_eq!(
        test_server.metric("calldex_calls_ended_total", "").await,
        2.0
    );
    test_server
        .wait_metric("calldex_names_total", "captured", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_setting_the_same_works_unsigned_on_loopback() {
    let test_server = TestServer::builder().unsigned().start().await;
    let calls = is_greeted_answered_and_remembered(&test_server).await;
    is_kept(&test_server, &calls);
    let output = test_server.output();
    assert!(output.contains("offline"), "{output}");
    assert!(output.contains("calldex call"), "the next step: {output}");
    assert!(
        output.contains("TWILIO_AUTH_TOKEN"),
        "how to go live: {output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_said_and_no_number_is_ever_logged() {
    let test_server = TestServer::builder()
        .set("log.level", "debug")
        .start()
        .await;
    is_greeted_answered_and_remembered(&test_server).await;
    let output = test_server.output();
    for secret in ["Misty", "Pikachu", MISTY, "4155550101"] {
        assert!(!output.contains(secret), "{secret} in\n{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_known_after_a_restart() {
    let mut test_server = TestServer::start().await;
    let first = test_server.call(MISTY).await;
    first.says("My name is Misty").await;
    first.hangs_up().await;
    test_server.wait_conversation_closed(first.call_sid()).await;
    test_server.kill();
    test_server.restart().await;
    let second = test_server.call(MISTY).await;
    assert!(second.first_greeting().starts_with("Welcome back, Misty!"));
    second.hangs_up().await;
}
