//! `calldex call --script`: the product's own simulated caller against the product.

use crate::house::{House, PATIENCE, PUBLIC_URL, TOKEN, bare_command};
use std::process::{Output, Stdio};

async fn calldex_call(house: &House, script: &str, signed: bool) -> String {
    let file = house.folder().join("script.txt");
    std::fs::write(&file, script).unwrap();
    let mut command = bare_command();
    command
        .arg("call")
        .args(["--url", &format!("http://{}", house.listen)])
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
    } = tokio::time::timeout(PATIENCE, run)
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

async fn the_second_call_is_welcomed_back(house: &House, signed: bool) {
    let first = calldex_call(house, "# the usual\nMy name is Misty\n/bye\n", signed).await;
    assert!(first.contains("May I have your name?"), "{first}");
    assert!(first.contains("Nice to meet you, Misty!"), "{first}");
    let second = calldex_call(house, "What type is Pikachu?\n!hangup\n", signed).await;
    assert!(second.contains("Welcome back, Misty!"), "{second}");
    assert_eq!(
        house.caller("+14155550102").unwrap().name.as_deref(),
        Some("Misty")
    );
    let rows = house.rows().conversations();
    assert_eq!(rows.len(), 2);
    for row in rows {
        house.closed(&row.call_sid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_in_the_terminal_gives_a_name_and_is_welcomed_back() {
    let house = House::plan().unsigned().start().await;
    the_second_call_is_welcomed_back(&house, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_in_the_terminal_is_signed_by_the_same_environment_as_the_server() {
    let house = House::start().await;
    the_second_call_is_welcomed_back(&house, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_can_barge_in_press_keys_and_drop_the_line() {
    let house = House::plan().unsigned().start().await;
    let script =
        "My name is Misty\n!press 1\nWhat type is Pikachu?\n!drop\nWhat type is Gengar?\n/bye\n";
    let text = calldex_call(&house, script, false).await;
    assert!(text.contains("Sorry about that, I'm back."), "{text}");
    assert!(text.to_lowercase().contains("ghost"), "{text}");
    let row = house.rows().conversations().pop().unwrap();
    let row = house.closed(&row.call_sid).await;
    assert_eq!(row.resumes, 1);
}
