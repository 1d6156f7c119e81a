//! Answers that come.

use super::fake_model_server::{
    FakeModelServer, ResponseStep, ScriptedResponse, answer, done, event, finish, head, json, raw,
    token, token_json,
};
use super::*;

#[tokio::test]
async fn tokens_are_passed_on_one_by_one_while_the_model_still_writes() {
    let script = vec![
        head(),
        token("It"),
        ResponseStep::WaitForGate,
        token(" is"),
        ResponseStep::WaitForGate,
        token(" rock."),
        finish("stop"),
        done(),
    ];
    let server = FakeModelServer::start([script]).await;
    let mut reply = agent(&config(&server)).reply(prompt_context("Onix?"));
    // The server does not go on before the gate is opened, so these cannot have been collected.
    assert_eq!(next_token(&mut reply).await, "It");
    server.open_gate();
    assert_eq!(next_token(&mut reply).await, " is");
    server.open_gate();
    let rest = collect(reply).await;
    assert_eq!(
        (rest.text.as_str(), rest.end.unwrap().text_pieces),
        (" rock.", 3)
    );
}

#[tokio::test]
async fn a_request_carries_key_headers_model_and_conversation() {
    let server = FakeModelServer::start([answer(&["Yes."])]).await;
    let headers = [("x-line".to_owned(), Secret::new("one"))].into();
    let config = TestModels {
        api_key: Some(Secret::new("key-1")),
        headers,
        ..config(&server)
    };
    ask(&config).await.end.unwrap();
    let requests = server.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(
        head.starts_with("post /v1/chat/completions http/1.1"),
        "{head}"
    );
    for header in [
        "authorization: bearer key-1",
        "x-line: one",
        "content-type: application/json",
    ] {
        assert!(head.contains(header), "{head}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&body["model"], &body["stream"]),
        (&"gpt-4o-mini".into(), &true.into())
    );
    assert_eq!(body["messages"][1]["content"], "Is Onix a rock?");
}

#[tokio::test]
async fn nothing_is_asked_before_the_reply_is_polled() {
    let server = FakeModelServer::start([answer(&["Yes."])]).await;
    let agent = agent(&config(&server));
    drop(agent.reply(prompt_context("Onix?")));
    collect(agent.reply(prompt_context("Onix?")))
        .await
        .end
        .unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn one_connection_serves_reply_after_reply() {
    let server = FakeModelServer::start((0..5).map(|_| answer(&["Yes", "."]))).await;
    let agent = agent(&config(&server));
    for _ in 0..5 {
        assert_eq!(
            collect(agent.reply(prompt_context("Onix?"))).await.text,
            "Yes."
        );
        // The end of the body is read behind the reply's back.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_opened_ahead_is_the_one_that_is_used() {
    let server = FakeModelServer::start([answer(&["Yes."])]).await;
    let agent = agent(&config(&server));
    for _ in 0..10 {
        agent.prewarm(&[], || prompt_context("Hi"));
    }
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    agent.prewarm(&[], || prompt_context("Hi"));
    collect(agent.reply(prompt_context("Onix?")))
        .await
        .end
        .unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn whatever_the_wire_does_to_the_bytes_the_words_are_the_same() {
    let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    let null = r#"{"choices":[{"index":0,"delta":{"content":null},"finish_reason":null}]}"#;
    let usage =
        r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let (first, second) = (token_json("Pokémon 😀"), token_json(" é ピカ."));
    let datas = [role, null, "ping", &first, &second, stop, usage, "[DONE]"];
    let body = |end: &str| -> Vec<u8> {
        let events = datas.map(|data| {
            format!(": keep-alive{end}id: 1{end}event: message{end}data: {data}{end}{end}")
        });
        events.concat().into_bytes()
    };
    for (end, piece_bytes) in [
        ("\n", 1),
        ("\r\n", 1),
        ("\r\n", 7),
        ("\n", 100_000),
        ("\r\n", 100_000),
    ] {
        let pieces = body(end);
        let script: ScriptedResponse = std::iter::once(head())
            .chain(pieces.chunks(piece_bytes).map(raw))
            .chain([ResponseStep::Send(b"0\r\n\r\n".to_vec())])
            .collect();
        let server = FakeModelServer::start([script]).await;
        let heard = ask(&config(&server)).await;
        assert_eq!(heard.text, "Pokémon  é ピカ.", "{end:?} {piece_bytes}");
        let usage = heard.end.unwrap().usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (7, 2));
    }
}

#[tokio::test]
async fn done_may_be_missing() {
    let script = vec![
        head(),
        token("Yes."),
        finish("stop"),
        ResponseStep::Send(b"0\r\n\r\n".to_vec()),
    ];
    let held_open = vec![
        head(),
        token("Yes."),
        finish("length"),
        ResponseStep::WaitForClose,
    ];
    let server = FakeModelServer::start([script, held_open]).await;
    let agent = agent(&config(&server));
    assert_eq!(
        collect(agent.reply(prompt_context("Onix?")))
            .await
            .end
            .unwrap()
            .finish_reason,
        FinishReason::Stop
    );
    let heard = collect(agent.reply(prompt_context("Onix?"))).await;
    assert_eq!(
        (heard.text.as_str(), heard.end.unwrap().finish_reason),
        ("Yes.", FinishReason::Length)
    );
}

#[tokio::test]
async fn an_empty_finish_reason_in_every_chunk_does_not_end_the_reply() {
    let piece = |content: &str, reason: &str| {
        event(&format!(
            r#"{{"choices":[{{"delta":{{"content":"{content}"}},"finish_reason":"{reason}"}}]}}"#
        ))
    };
    for nothing in ["", "null"] {
        let script = vec![
            head(),
            piece("It is", nothing),
            ResponseStep::WaitForGate,
            piece(" rock.", nothing),
            finish("stop"),
            done(),
        ];
        let server = FakeModelServer::start([script]).await;
        let mut reply = agent(&config(&server)).reply(prompt_context("Onix?"));
        assert_eq!(next_token(&mut reply).await, "It is");
        // Longer than the formalities after an end may take.
        let waited = timeout(std::time::Duration::from_millis(400), reply.next()).await;
        assert!(waited.is_err(), "{nothing:?} was taken for an end");
        server.open_gate();
        let rest = collect(reply).await;
        assert_eq!((rest.text.as_str(), rest.end.is_ok()), (" rock.", true));
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_heard_too() {
    let whole = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"It is **rock**."},"finish_reason":"stop"}]}"#;
    let server = FakeModelServer::start([json(whole)]).await;
    let heard = ask(&config(&server)).await;
    assert_eq!(
        (heard.text.as_str(), heard.end.unwrap().finish_reason),
        ("It is rock.", FinishReason::Stop)
    );
}

#[tokio::test]
async fn tool_calls_in_pieces_become_tools() {
    let piece = |delta: &str| {
        event(&format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{delta}]}}}}]}}"#
        ))
    };
    let script = vec![
        head(),
        token("Nice to meet you."),
        piece(
            r#"{"index":0,"id":"c1","type":"function","function":{"name":"set_name","arguments":""}}"#,
        ),
        piece(r#"{"index":0,"function":{"arguments":"{\"name\": \"Mi"}}"#),
        piece(r#"{"index":0,"function":{"arguments":"sty\"}"}}"#),
        piece(
            r#"{"index":1,"id":"c2","type":"function","function":{"name":"launch_rocket","arguments":"{}"}}"#,
        ),
        finish("tool_calls"),
        done(),
    ];
    let server = FakeModelServer::start([script]).await;
    let heard = ask(&config(&server)).await;
    assert_eq!(
        (heard.text.as_str(), heard.end.unwrap().finish_reason),
        ("Nice to meet you.", FinishReason::ToolCalls)
    );
    let expected = [
        ToolCall {
            id: "c1".into(),
            invocation: ToolInvocation::SetName {
                name: "Misty".into(),
            },
        },
        ToolCall {
            id: "c2".into(),
            invocation: ToolInvocation::Unknown {
                name: "launch_rocket".into(),
            },
        },
    ];
    assert!(heard.tool_calls == expected);
}

#[tokio::test]
async fn dropping_the_reply_closes_the_request() {
    let before_the_head = vec![ResponseStep::WaitForClose];
    let before_a_token = vec![head(), ResponseStep::WaitForClose];
    let amid_the_words = vec![head(), token("It"), ResponseStep::WaitForClose];
    let server = FakeModelServer::start([before_the_head, before_a_token, amid_the_words]).await;
    let agent = agent(&config(&server));
    for asked in 1..=2 {
        let mut reply = agent.reply(prompt_context("Onix?"));
        while server.requests().len() < asked {
            let waited = timeout(std::time::Duration::from_millis(5), reply.next()).await;
            assert!(waited.is_err(), "nothing was sent");
        }
        drop(reply);
        server.client_closed().await;
    }
    let mut reply = agent.reply(prompt_context("Onix?"));
    assert_eq!(next_token(&mut reply).await, "It");
    drop(reply);
    server.client_closed().await;
}

#[tokio::test]
async fn a_name_is_judged_by_the_words_that_were_said() {
    let verdict = r#"{"choices":[{"message":{"content":"{\"name\":\"Misty\",\"kind\":\"self\",\"quote\":\"the name's misty\"}"},"finish_reason":"stop"}]}"#;
    let server = FakeModelServer::start([
        json(verdict),
        json(verdict),
        vec![ResponseStep::WaitForClose],
    ])
    .await;
    let config = TestModels {
        name_verification_ms_max: EXPIRING_TIMEOUT_MS,
        ..config(&server)
    };
    let agent = agent(&config);
    let judged = agent
        .verify_name(&[], "May I have your name?", "Uh the name's Misty")
        .await
        .unwrap();
    assert_eq!(
        (judged.name.as_deref(), judged.kind),
        (Some("Misty"), NameVerdictKind::Own)
    );
    assert_eq!(
        agent
            .verify_name(&[], "May I have your name?", "Is Onix a rock?")
            .await,
        None
    );
    assert_eq!(
        agent
            .verify_name(&[], "May I have your name?", "It's Misty")
            .await,
        None,
        "past the deadline"
    );
    server.client_closed().await;
    let body: serde_json::Value =
        serde_json::from_str(server.requests()[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        (&body["stream"], &body["response_format"]["type"]),
        (&false.into(), &"json_object".into())
    );
}

#[tokio::test]
async fn the_offline_agent_speaks_word_by_word() {
    let agent = agent(&TestModels {
        offline_word_ms: 1,
        ..TestModels::default()
    });
    assert!(agent.is_offline());
    agent.prewarm(&[], || prompt_context("Hi"));
    let mut reply = agent.reply(prompt_context("What type is Pikachu?"));
    assert_eq!(next_token(&mut reply).await, "Just ");
    let heard = collect(reply).await;
    assert!(
        heard.text.contains("Pikachu is an electric type"),
        "{}",
        heard.text
    );
    assert_eq!(heard.end.unwrap().finish_reason, FinishReason::Stop);
    assert_eq!(agent.verify_name(&[], "Your name?", "Misty").await, None);
}
