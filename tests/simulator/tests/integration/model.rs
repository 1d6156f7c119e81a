//! The fake model read back with a real client.

use calldex_simulator::model::{Completion, ModelServer, WireLayout, role_faults};
use serde_json::{Value, json};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(10);

fn ask(model: &ModelServer, stream: bool, text: &str) -> reqwest::RequestBuilder {
    // A client wants one, whatever it is used for. An error: another test has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(LONG);
    let body = json!({"model": "m-1", "stream": stream, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]});
    client
        .build()
        .expect("a client")
        .post(format!("{}/chat/completions", model.base_url()))
        .header("authorization", "Bearer k")
        .body(body.to_string())
}

/// Reads a whole stream; the deltas of its good chunks, and whether it said `[DONE]`.
async fn read(request: reqwest::RequestBuilder) -> (Vec<Value>, bool) {
    let text = request
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a whole answer");
    parse(&text)
}

fn parse(text: &str) -> (Vec<Value>, bool) {
    let data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    let chunks = data
        .iter()
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .collect();
    (chunks, data.contains(&"[DONE]"))
}

fn content(chunks: &[Value]) -> String {
    chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect()
}

#[tokio::test]
async fn a_stream_begins_with_the_role_and_ends_with_done() {
    let model = ModelServer::start().await.unwrap();
    model.next(Completion::says("Hello there, friend."));
    let (chunks, done) = read(ask(&model, true, "Hi")).await;
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(content(&chunks), "Hello there, friend.");
    assert_eq!(
        chunks.last().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );
    assert!(done);
    let request = &model.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer k"));
    assert_eq!(
        (
            request.last_user().as_str(),
            request.model(),
            request.messages().len()
        ),
        ("Hi", "m-1", 2)
    );
    assert_eq!((model.stats().finished, model.stats().open), (1, 0));
}

#[tokio::test]
async fn without_a_script_it_repeats_the_question() {
    let model = ModelServer::start().await.unwrap();
    let answer = ask(&model, false, "Which way?")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "You said: Which way? Is there more?"
    );
    model.answer(|request| Completion::says(&request.last_user().to_uppercase()));
    let (chunks, _) = read(ask(&model, true, "loud")).await;
    assert_eq!(content(&chunks), "LOUD");
}

#[tokio::test]
async fn a_function_call_comes_in_pieces() {
    let model = ModelServer::start().await.unwrap();
    model.next(Completion::calls("set_name", r#"{"name":"Misty"}"#));
    let (chunks, _) = read(ask(&model, true, "I am Misty")).await;
    let calls: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| call.is_object())
        .collect();
    let arguments: String = calls
        .iter()
        .filter_map(|call| call["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, r#"{"name":"Misty"}"#);
    assert!(calls.len() > 2);
    assert_eq!(calls[0]["function"]["name"], "set_name");
    assert_eq!(
        chunks.last().unwrap()["choices"][0]["finish_reason"],
        "tool_calls"
    );
}

#[tokio::test]
async fn errors_carry_their_status_and_header() {
    let model = ModelServer::start().await.unwrap();
    model.next(Completion::status(429).retry_after("7"));
    let answer = ask(&model, true, "Hi").send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    assert!(answer.text().await.unwrap().contains("rate_limit"));
}

#[tokio::test]
async fn a_cut_breaks_the_stream_in_the_middle() {
    let model = ModelServer::start().await.unwrap();
    model.next(Completion::words(10).cut_after(3));
    let mut answer = ask(&model, true, "Hi").send().await.unwrap();
    let mut got = Vec::new();
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(bytes)) => got.extend_from_slice(&bytes),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken, "the end of a cut stream is an error");
    let (chunks, done) = parse(&String::from_utf8_lossy(&got));
    assert_eq!(content(&chunks), Completion::words(3).text());
    assert!(!done);
    assert_eq!(model.stats().cut, 1);
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_as_an_abort() {
    let model = ModelServer::start().await.unwrap();
    model.next(Completion::words(100).gap_ms(20));
    let mut answer = ask(&model, true, "Hi").send().await.unwrap();
    answer.chunk().await.unwrap();
    assert_eq!(model.stats().open, 1);
    drop(answer);
    assert!(
        model
            .wait_for(|stats| stats.aborted == 1 && stats.open == 0, LONG)
            .await,
        "{:?}",
        model.stats()
    );
    assert!(model.stats().tokens < 100);
}

#[tokio::test]
async fn silence_lasts_until_the_client_gives_up() {
    let model = ModelServer::start().await.unwrap();
    model.next(Completion::silence());
    let waited = ask(&model, true, "Hi")
        .timeout(Duration::from_millis(200))
        .send()
        .await;
    assert!(waited.unwrap_err().is_timeout());
    assert!(model.wait_for(|stats| stats.aborted == 1, LONG).await);
}

#[tokio::test]
async fn bytes_can_be_laid_out_badly() {
    let model = ModelServer::start().await.unwrap();
    let text = "Déjà vu: 日本 and more.";
    for wire in [
        WireLayout {
            crlf: true,
            ..WireLayout::default()
        },
        WireLayout {
            split_bytes: 1,
            ..WireLayout::default()
        },
        WireLayout {
            crlf: true,
            split_bytes: 3,
            junk: true,
        },
    ] {
        model.next(Completion::says(text).wire(wire));
        let (chunks, done) = read(ask(&model, true, "Hi")).await;
        assert_eq!(content(&chunks), text, "{wire:?}");
        assert!(done);
    }
    model.next(Completion::says("One two three.").garble_after(1));
    let raw = ask(&model, true, "Hi")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let bad = raw
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]" && serde_json::from_str::<Value>(data).is_err());
    assert_eq!(bad.count(), 1);
}

#[tokio::test]
async fn a_closed_port_refuses_and_opens_again() {
    let model = ModelServer::start().await.unwrap();
    model.refuse().await;
    assert!(
        ask(&model, false, "Hi")
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    model.accept_again().await.unwrap();
    assert!(ask(&model, false, "Hi").send().await.is_ok());
}

#[tokio::test]
async fn a_stall_in_the_middle_holds_the_rest_back() {
    let model = ModelServer::start().await.unwrap();
    model.next(Completion::words(4).stall_after(2, Duration::from_millis(250)));
    let begun = std::time::Instant::now();
    let (chunks, _) = read(ask(&model, true, "Hi")).await;
    assert_eq!(content(&chunks), Completion::words(4).text());
    assert!(begun.elapsed() >= Duration::from_millis(250));
}

#[test]
fn what_strict_servers_refuse_is_named() {
    let faults = |messages: Value| role_faults(&json!({ "messages": messages }));
    let system = json!({"role": "system", "content": "Be brief."});
    let user = json!({"role": "user", "content": "Hi"});
    let assistant = json!({"role": "assistant", "content": "Hello!"});
    let call =
        json!({"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let calls = json!({"role": "assistant", "content": "", "tool_calls": [call]});
    let result = json!({"role": "tool", "content": "done", "tool_call_id": "a"});
    let fine = [
        json!([system, user]),
        json!([system, user, assistant, user]),
        json!([system, user, calls, result]),
        json!([system, user, calls, result, assistant, user]),
    ];
    for messages in fine {
        assert_eq!(faults(messages), Vec::<String>::new());
    }
    let refused = [
        json!([]),
        json!([system]),
        json!([user, assistant, user]),
        json!([system, assistant, user]),
        json!([system, user, user]),
        json!([system, user, system, user]),
        json!([system, user, assistant]),
        json!([system, user, calls, user]),
        json!([system, user, calls, result, user]),
        json!([system, user, calls, result, result]),
        json!([system, user, calls]),
        json!([system, user, result]),
        json!([system, user, calls, result, calls, result]),
        json!([system, {"role": "user", "content": " "}]),
        json!([system, {"role": "user", "content": null}]),
    ];
    for messages in refused {
        assert_ne!(faults(messages.clone()), Vec::<String>::new(), "{messages}");
    }
}
