//! Servers that must load their model first.

use super::fake_model_server::{
    FakeModelServer, ResponseStep, ScriptedResponse, answer, done, finish, head, refusal, token,
};
use super::*;
use std::time::Duration;

const LOADING: &str =
    r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;

fn loading(server: &FakeModelServer) -> TestModels {
    TestModels {
        preload: Some(true),
        ..config(server)
    }
}

/// A server that answers when the gate opens.
fn gated(words: &str) -> ScriptedResponse {
    vec![
        ResponseStep::WaitForGate,
        head(),
        token(words),
        finish("stop"),
        done(),
    ]
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    timeout(TEST_TIMEOUT, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("timed out waiting for {what}"));
}

#[tokio::test]
async fn a_server_that_says_that_it_loads_is_asked_until_it_has() {
    let server = FakeModelServer::start([
        refusal(503, LOADING),
        refusal(503, LOADING),
        answer(&["Yes."]),
    ])
    .await;
    assert_eq!(ask(&loading(&server)).await.text, "Yes.");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn what_a_server_has_begun_to_load_is_not_given_up() {
    let server = FakeModelServer::start([
        gated("Late."),
        vec![ResponseStep::WaitForClose],
        answer(&["Yes."]),
    ])
    .await;
    let setup = TestModels {
        first_token_ms_max: EXPIRING_TIMEOUT_MS,
        reply_ms_max: 4 * EXPIRING_TIMEOUT_MS,
        ..loading(&server)
    };
    let agent = agent(&setup);
    let given_up = collect(agent.reply(prompt_context("Onix?"))).await;
    assert_eq!(given_up.end, Err(ReplyFailure::FirstTokenTimeout));
    // The second attempt was closed, the first one is still there.
    server.client_closed().await;
    assert_eq!(server.requests().len(), 2);
    server.open_gate();
    let Backend::Model(providers) = &agent.backend else {
        panic!("there is a model");
    };
    let provider = &providers.by_name["default"];
    until("the model to be loaded", || !provider.may_need_loading()).await;
    assert_eq!(
        collect(agent.reply(prompt_context("Mew?"))).await.text,
        "Yes."
    );
}

#[tokio::test]
async fn the_first_of_two_attempts_is_heard_when_it_comes_late() {
    let server = FakeModelServer::start([gated("Late."), vec![ResponseStep::WaitForClose]]).await;
    let setup = TestModels {
        first_token_ms_max: 1_000,
        ..loading(&server)
    };
    let asked = tokio::spawn(async move { ask(&setup).await.text });
    until("the second attempt", || server.requests().len() == 2).await;
    server.open_gate();
    assert_eq!(asked.await.unwrap(), "Late.");
}

#[tokio::test]
async fn a_model_that_loads_for_longer_than_two_waits_is_heard_where_nobody_else_can_be_asked() {
    let server = FakeModelServer::start([gated("Late."), vec![ResponseStep::WaitForClose]]).await;
    let setup = TestModels {
        first_token_ms_max: EXPIRING_TIMEOUT_MS,
        ..loading(&server)
    };
    let asked = tokio::spawn(async move { ask(&setup).await.text });
    // Both waits are over: the second request was given up.
    server.client_closed().await;
    server.open_gate();
    assert_eq!(asked.await.unwrap(), "Late.");
}

#[tokio::test]
async fn one_token_is_asked_for_at_start_and_not_again_while_the_model_is_loaded() {
    let server = FakeModelServer::start([answer(&["H"]), answer(&["Yes."])]).await;
    let agent = agent(&loading(&server));
    agent.preload(&[], || prompt_context("Hi"));
    let Backend::Model(providers) = &agent.backend else {
        panic!("there is a model");
    };
    let provider = &providers.by_name["default"];
    until("the model to be loaded", || !provider.may_need_loading()).await;
    assert!(server.requests()[0].contains("\"max_tokens\":1,"));
    agent.preload(&[], || prompt_context("Hi"));
    assert_eq!(
        collect(agent.reply(prompt_context("Mew?"))).await.text,
        "Yes."
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_reply_that_nobody_waits_for_any_more_loads_the_model_all_the_same() {
    let server = FakeModelServer::start([gated("Late.")]).await;
    let agent = agent(&loading(&server));
    let mut reply = agent.reply(prompt_context("Onix?"));
    while server.requests().is_empty() {
        let silence = Duration::from_millis(5);
        assert!(timeout(silence, reply.next()).await.is_err());
    }
    drop(reply);
    server.open_gate();
    let Backend::Model(providers) = &agent.backend else {
        panic!("there is a model");
    };
    let provider = &providers.by_name["default"];
    until("the model to be loaded", || !provider.may_need_loading()).await;
}

#[tokio::test]
async fn a_model_that_thinks_is_not_silent() {
    let thought = || {
        let thought =
            fake_model_server::event(r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#);
        [ResponseStep::WaitForGate, thought]
    };
    let mut script = vec![head()];
    script.extend((0..4).flat_map(|_| thought()));
    script.extend([
        ResponseStep::WaitForGate,
        token("Yes."),
        finish("stop"),
        done(),
    ]);
    let server = FakeModelServer::start([script]).await;
    let setup = TestModels {
        first_token_ms_max: 2_000,
        ..config(&server)
    };
    let began = std::time::Instant::now();
    let asked = tokio::spawn(async move { ask(&setup).await.text });
    // Each pause is shorter than the bound, all of them together are longer.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        server.open_gate();
    }
    assert_eq!(asked.await.unwrap(), "Yes.");
    assert!(began.elapsed() > Duration::from_secs(2));
    assert_eq!(server.requests().len(), 1);
}
