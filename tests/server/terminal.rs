//! `calldex call --script`: the product's own simulated caller against the product.

use crate::test_server::{PUBLIC_URL, TOKEN, TestServer, WAIT_MAX, bare_command};
use std::process::{Output, Stdio};

async fn calldex_call(test_server: &TestServer, script: &str, signed: bool) -> String {
    let file = test_server.folder().join("script.txt");
    std::fs::write(&file, script).unwrap();
    let mut command = bare_command();
    command
        .arg("call")
        .args(["--url", &format!("http://{}", test_server.listen)])
        .args(["--from", "+14155550102", "--speed", "20"])
        .arg("--script")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if signed {
        command
            .env("TWILIO_AUTH_TOKEN", TOKEN)
            .env("PUBLIC_URL", PUBLIC_URL);
    }
    let run = tokio::task::spawn_blocking(move || command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::time::timeout(WAIT_MAX, run)
        .await
        .expect("a script ends")
        .unwrap()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    assert!(status.success(), "{status}\n{text}");
    text
}

async fn the_second_call_is_welcomed_back(test_server: &TestServer, signed: bool) {
    let first = calldex_call(test_server, "# the usual\nMy name is Misty\n/bye\n", signed).await;
    assert!(first.contains("May I have your name?"), "{first}");
    assert!(first.contains("Nice to meet you, Misty!"), "{first}");
    let second = calldex_call(test_server, "What type is Pikachu?\n!hangup\n", signed).await;
    assert!(second.contains("Welcome back, Misty!"), "{second}");
    assert_eq!(
        test_server.caller("+14155550102").unwrap().name.as_deref(),
        Some("Misty")
    );
    let rows = test_server.database().conversations();
    assert_eq!(rows.len(), 2);
    for row in rows {
        test_server.wait_conversation_closed(&row.call_sid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_in_the_terminal_gives_a_name_and_is_welcomed_back() {
    let test_server = TestServer::builder().unsigned().start().await;
    the_second_call_is_welcomed_back(&test_server, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_in_the_terminal_is_signed_by_the_same_environment_as_the_server() {
    let test_server = TestServer::start().await;
    the_second_call_is_welcomed_back(&test_server, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_can_barge_in_press_keys_and_drop_the_line() {
    let test_server = TestServer::builder().unsigned().start().await;
    let script =
        "My name is Misty\n!press 1\nWhat type is Pikachu?\n!drop\nWhat type is Gengar?\n/bye\n";
    let text = calldex_call(&test_server, script, false).await;
    assert!(text.contains("Sorry about that, I'm back."), "{text}");
    assert!(text.to_lowercase().contains("ghost"), "{text}");
    let row = test_server.database().conversations().pop().unwrap();
    let row = test_server.wait_conversation_closed(&row.call_sid).await;
    assert_eq!(row.resumes, 1);
}
