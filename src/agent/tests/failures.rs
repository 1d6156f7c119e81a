//! Answers that do not come, or not to their end.

use super::fake_model_server::{
    FakeModelServer, ResponseStep, ScriptedResponse, answer, done, event, finish, head, status,
    token,
};
use super::*;
use std::time::Duration;

async fn fallback_to(server: &FakeModelServer, primary: &TestModels) -> TestModels {
    let fallback = FallbackSetup {
        base_url: Some(server.base_url.clone()),
        api_key: Some(Secret::new("second-key")),
        model: "second".into(),
        ..FallbackSetup::default()
    };
    TestModels {
        fallback: Some(fallback),
        ..primary.clone()
    }
}

#[tokio::test]
async fn silence_before_the_first_token_is_tried_once_more_and_then_given_up() {
    let silent: [ScriptedResponse; 3] = [
        vec![ResponseStep::WaitForClose],
        vec![
            head(),
            event(r#"{"choices":[{"delta":{"role":"assistant"}}]}"#),
            ResponseStep::WaitForClose,
        ],
        vec![],
    ];
    let server = FakeModelServer::start(silent).await;
    let config = TestModels {
        first_token_ms_max: EXPIRING_TIMEOUT_MS,
        ..config(&server)
    };
    assert_eq!(ask(&config).await.end, Err(ReplyFailure::FirstTokenTimeout));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn silence_in_the_middle_is_a_stall() {
    let server = FakeModelServer::start([vec![
        head(),
        token("It"),
        token(" is"),
        ResponseStep::WaitForClose,
    ]])
    .await;
    let config = TestModels {
        idle_ms_max: EXPIRING_TIMEOUT_MS,
        ..config(&server)
    };
    let heard = ask(&config).await;
    assert_eq!(
        (heard.text.as_str(), heard.end),
        ("It is", Err(ReplyFailure::Stalled))
    );
    server.client_closed().await;
    assert_eq!(
        server.requests().len(),
        1,
        "nothing is tried again after the first token"
    );
}

#[tokio::test]
async fn thinking_and_keep_alives_do_not_hide_a_stall() {
    let thought = || event(r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#);
    let mut script = vec![head(), token("It")];
    script.extend((0..3).flat_map(|_| [thought(), ResponseStep::WaitForGate]));
    let server = FakeModelServer::start([script]).await;
    let config = TestModels {
        idle_ms_max: EXPIRING_TIMEOUT_MS,
        ..config(&server)
    };
    let mut reply = agent(&config).reply(prompt_context("Onix?"));
    assert_eq!(next_token(&mut reply).await, "It");
    server.open_gate();
    assert_eq!(
        next(&mut reply).await,
        Some(ReplyEvent::Failed(ReplyFailure::Stalled))
    );
}

#[tokio::test]
async fn a_broken_connection_is_a_cut() {
    let broken = vec![head(), token("It is"), ResponseStep::Close];
    let without_an_end = vec![
        head(),
        token("It is"),
        ResponseStep::Send(b"0\r\n\r\n".to_vec()),
    ];
    for script in [broken, without_an_end] {
        let server = FakeModelServer::start([script]).await;
        let heard = ask(&config(&server)).await;
        assert_eq!(
            (heard.text.as_str(), heard.end),
            ("It is", Err(ReplyFailure::ConnectionLost))
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_once_more() {
    let empty = vec![head(), finish("stop"), done()];
    let error = vec![
        head(),
        event(r#"{"error":{"message":"overloaded","code":503}}"#),
        done(),
    ];
    for first in [
        status(500, ""),
        status(503, ""),
        status(429, ""),
        vec![ResponseStep::Close],
        empty,
        error,
    ] {
        let server = FakeModelServer::start([first, answer(&["Yes."])]).await;
        let heard = ask(&config(&server)).await;
        assert_eq!((heard.text.as_str(), heard.end.is_ok()), ("Yes.", true));
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for code in [302, 400, 401, 404] {
        let server = FakeModelServer::start([status(code, ""), answer(&["Yes."])]).await;
        assert_eq!(
            ask(&config(&server)).await.end,
            Err(ReplyFailure::Refused(code))
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn the_providers_word_on_waiting_is_kept_if_it_fits() {
    let server =
        FakeModelServer::start([status(429, "retry-after-ms: 1\r\n"), answer(&["Yes."])]).await;
    assert_eq!(ask(&config(&server)).await.text, "Yes.");
    let server =
        FakeModelServer::start([status(429, "retry-after: 60\r\n"), answer(&["Yes."])]).await;
    let retry_after = Some(Duration::from_secs(60));
    assert_eq!(
        ask(&config(&server)).await.end,
        Err(ReplyFailure::RateLimited { retry_after })
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_a_failure_to_connect() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = Some(format!("http://{}/v1", listener.local_addr().unwrap()));
    drop(listener);
    assert_eq!(
        ask(&TestModels {
            base_url,
            ..TestModels::default()
        })
        .await
        .end,
        Err(ReplyFailure::Connect)
    );
}

#[tokio::test]
async fn what_is_no_stream_at_all_is_not_spoken() {
    let page =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 14\r\n\r\n<html>x</html>"
            .to_vec();
    let noise = || event("no such route");
    let nonsense = || vec![head(), noise(), noise(), noise(), noise(), done()];
    let server = FakeModelServer::start([
        vec![ResponseStep::Send(page.clone())],
        vec![ResponseStep::Send(page)],
        nonsense(),
        nonsense(),
    ])
    .await;
    assert_eq!(
        ask(&config(&server)).await.end,
        Err(ReplyFailure::Protocol(ProtocolError::Malformed))
    );
    assert_eq!(
        ask(&config(&server)).await.end,
        Err(ReplyFailure::Protocol(ProtocolError::Malformed))
    );
}

#[tokio::test]
async fn an_error_after_the_first_token_ends_the_reply() {
    let server = FakeModelServer::start([vec![
        head(),
        token("It"),
        event(r#"{"error":{"message":"x"}}"#),
        done(),
    ]])
    .await;
    let heard = ask(&config(&server)).await;
    assert_eq!(
        (heard.text.as_str(), heard.end),
        (
            "It",
            Err(ReplyFailure::Protocol(ProtocolError::ErrorInStream))
        )
    );
}

#[tokio::test]
async fn a_reply_that_never_ends_is_ended() {
    let mut script = vec![head(), token("And")];
    for _ in 0..50 {
        script.extend([ResponseStep::WaitForGate, token(" and")]);
    }
    let server = FakeModelServer::start([script]).await;
    let config = TestModels {
        first_token_ms_max: 4 * EXPIRING_TIMEOUT_MS,
        reply_ms_max: 4 * EXPIRING_TIMEOUT_MS,
        ..config(&server)
    };
    let mut reply = agent(&config).reply(prompt_context("Onix?"));
    let end = loop {
        match next(&mut reply).await {
            Some(ReplyEvent::Token(_)) => {
                tokio::time::sleep(Duration::from_millis(EXPIRING_TIMEOUT_MS / 2)).await;
                server.open_gate();
            }
            other => break other,
        }
    };
    assert_eq!(end, Some(ReplyEvent::Failed(ReplyFailure::LimitExceeded)));
}

#[tokio::test]
async fn the_fallback_answers_with_its_own_key_and_model() {
    for refusal in [500, 401] {
        let (first, second) = (
            FakeModelServer::start([status(refusal, ""), status(refusal, "")]).await,
            FakeModelServer::start([answer(&["Yes."])]).await,
        );
        let config = fallback_to(
            &second,
            &TestModels {
                api_key: Some(Secret::new("first-key")),
                ..config(&first)
            },
        )
        .await;
        assert_eq!(ask(&config).await.text, "Yes.");
        let request = second.requests().remove(0);
        assert!(
            request.contains("second-key")
                && request.contains("\"second\"")
                && !request.contains("first-key")
        );
    }
}

#[tokio::test]
async fn when_the_fallback_fails_too_its_failure_is_told() {
    let (first, second) = (
        FakeModelServer::start([]).await,
        FakeModelServer::start([status(404, "")]).await,
    );
    let config = fallback_to(&second, &config(&first)).await;
    assert_eq!(ask(&config).await.end, Err(ReplyFailure::Refused(404)));
    assert_eq!((first.requests().len(), second.requests().len()), (2, 1));
}

#[tokio::test]
async fn a_dead_provider_is_not_waited_for_and_tried_again_later() {
    let script = (0..3).map(|_| status(500, "")).chain([answer(&["Back."])]);
    let server = FakeModelServer::start(script).await;
    let config = TestModels {
        breaker_failures_max: 3,
        breaker_open_ms: 5 * EXPIRING_TIMEOUT_MS,
        ..config(&server)
    };
    let agent = agent(&config);
    let refused = Err(ReplyFailure::Refused(500));
    // Two attempts, then the third opens the breaker and is not tried again.
    for asked in [2, 3, 3, 3] {
        assert_eq!(
            collect(agent.reply(prompt_context("Onix?"))).await.end,
            refused
        );
        assert_eq!(server.requests().len(), asked);
    }
    tokio::time::sleep(Duration::from_millis(6 * EXPIRING_TIMEOUT_MS)).await;
    assert_eq!(
        collect(agent.reply(prompt_context("Onix?"))).await.text,
        "Back."
    );
}

#[tokio::test]
async fn while_the_breaker_is_open_the_fallback_answers_at_once() {
    let (first, second) = (
        FakeModelServer::start([]).await,
        FakeModelServer::start((0..3).map(|_| answer(&["Yes."]))).await,
    );
    let config = fallback_to(
        &second,
        &TestModels {
            breaker_failures_max: 1,
            ..config(&first)
        },
    )
    .await;
    let agent = agent(&config);
    for _ in 0..3 {
        assert_eq!(
            collect(agent.reply(prompt_context("Onix?"))).await.text,
            "Yes."
        );
    }
    assert_eq!((first.requests().len(), second.requests().len()), (1, 3));
}

#[tokio::test]
async fn no_failure_prints_a_word_or_a_secret() {
    let server = FakeModelServer::start([vec![head(), token("Togepi"), ResponseStep::Close]]).await;
    let config = TestModels {
        api_key: Some(Secret::new("tiger")),
        ..config(&server)
    };
    let mut reply = agent(&config).reply(prompt_context("Togepi?"));
    let shown = format!("{:?} {:?}", next(&mut reply).await, next(&mut reply).await);
    assert!(
        !shown.contains("Togepi") && !shown.contains("tiger"),
        "{shown}"
    );
}
