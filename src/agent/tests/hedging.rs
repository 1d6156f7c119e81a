//! The fallback asked beside the primary.

use super::fake_model_server::{
    FakeModelServer, ResponseStep, ScriptedResponse, answer, done, finish, head, status, token,
};
use super::*;
use crate::agent::client::provider::Provider;
use calldex_observability::install;
use futures_util::FutureExt;
use std::time::Duration;

/// What a server does that has not spoken when it is asked beside another.
fn slow(words: &str) -> ScriptedResponse {
    vec![
        head(),
        ResponseStep::WaitForGate,
        token(words),
        finish("stop"),
        done(),
    ]
}

async fn pair(
    first: Vec<ScriptedResponse>,
    second: Vec<ScriptedResponse>,
) -> (FakeModelServer, FakeModelServer, TestModels) {
    let (first, second) = (
        FakeModelServer::start(first).await,
        FakeModelServer::start(second).await,
    );
    let config = TestModels {
        fallback: Some(FallbackSetup {
            base_url: Some(second.base_url.clone()),
            hedge_ms: Some(EXPIRING_TIMEOUT_MS),
            ..FallbackSetup::default()
        }),
        ..config(&first)
    };
    (first, second, config)
}

/// Other tests count as well: it only grows.
fn hedges(result: &str) -> f64 {
    let series = format!("calldex_model_hedges_total{{result=\"{result}\"}}");
    install().series_value(&series).unwrap()
}

#[tokio::test]
async fn when_the_primary_is_silent_the_fallback_is_heard_and_the_primarys_request_is_closed() {
    let won = hedges("won");
    let (first, second, config) = pair(
        vec![vec![ResponseStep::WaitForClose]],
        vec![answer(&["Yes."])],
    )
    .await;
    assert_eq!(ask(&config).await.text, "Yes.");
    first.client_closed().await;
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    assert!(hedges("won") > won);
}

#[tokio::test]
async fn when_the_primary_speaks_first_after_all_the_fallbacks_request_is_closed() {
    let lost = hedges("lost");
    let (first, second, config) = pair(
        vec![slow("Yes.")],
        vec![vec![head(), ResponseStep::WaitForClose]],
    )
    .await;
    let asked = tokio::spawn(async move { ask(&config).await.text });
    while second.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    first.open_gate();
    assert_eq!(asked.await.unwrap(), "Yes.");
    second.client_closed().await;
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    assert!(hedges("lost") > lost);
}

#[tokio::test]
async fn a_fallback_that_fails_leaves_the_primary_alone() {
    let (first, second, config) = pair(vec![slow("Yes.")], vec![status(500, "")]).await;
    let asked = tokio::spawn(async move { ask(&config).await.text });
    while second.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(EXPIRING_TIMEOUT_MS)).await;
    first.open_gate();
    assert_eq!(asked.await.unwrap(), "Yes.");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[tokio::test]
async fn when_the_primary_fails_meanwhile_the_fallback_is_not_asked_again() {
    let refuses = [vec![ResponseStep::WaitForGate], status(401, "")].concat();
    let (first, second, config) = pair(vec![refuses], vec![slow("Yes.")]).await;
    let asked = tokio::spawn(async move { ask(&config).await.text });
    while second.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    first.open_gate();
    tokio::time::sleep(Duration::from_millis(EXPIRING_TIMEOUT_MS)).await;
    second.open_gate();
    assert_eq!(asked.await.unwrap(), "Yes.");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_quick_primary_is_asked_alone() {
    let (first, second, config) = pair(vec![answer(&["Yes."])], vec![]).await;
    let config = TestModels {
        fallback: config.fallback.map(|fallback| FallbackSetup {
            hedge_ms: Some(20_000),
            ..fallback
        }),
        ..config
    };
    assert_eq!(ask(&config).await.text, "Yes.");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
}

#[tokio::test]
async fn past_the_bound_on_costs_a_reply_waits_for_the_primary() {
    let refused = hedges("refused");
    let (first, second, config) = pair(
        vec![
            vec![ResponseStep::WaitForClose],
            vec![ResponseStep::WaitForClose],
            slow("Third."),
        ],
        vec![answer(&["Yes."]), answer(&["Yes."]), answer(&["Yes."])],
    )
    .await;
    let agent = agent(&config);
    for _ in 0..2 {
        assert_eq!(
            collect(agent.reply(prompt_context("Onix?"))).await.text,
            "Yes."
        );
    }
    let third = tokio::spawn(collect(agent.reply(prompt_context("Onix?"))));
    while hedges("refused") <= refused {
        tokio::task::yield_now().await;
    }
    first.open_gate();
    assert_eq!(third.await.unwrap().text, "Third.");
    assert_eq!((first.requests().len(), second.requests().len()), (3, 2));
}

#[tokio::test]
async fn a_reply_that_is_dropped_closes_both_requests() {
    let hang = || vec![vec![head(), ResponseStep::WaitForClose]];
    let (first, second, config) = pair(hang(), hang()).await;
    let mut reply = agent(&config).reply(prompt_context("Onix?"));
    while second.requests().is_empty() {
        let silence = Duration::from_millis(5);
        assert!(timeout(silence, reply.next()).await.is_err());
    }
    drop(reply);
    first.client_closed().await;
    second.client_closed().await;
}

#[tokio::test]
async fn a_fallback_that_hedges_is_warmed_as_well() {
    let (first, second, config) = pair(vec![], vec![]).await;
    agent(&config).prewarm(&[], || prompt_context("Hi"));
    while first.connections() == 0 || second.connections() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn replies_that_begin_together_dial_one_connection_beside_the_first() {
    // Accepts nothing: whatever is dialled here hangs until its bound.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = TestModels {
        base_url: Some(format!("https://{}/v1", deaf.local_addr().unwrap())),
        connect_ms_max: EXPIRING_TIMEOUT_MS,
        ..TestModels::default()
    };
    let provider = Provider::new(&config.agent(), "default", &config.model()).unwrap();
    let first = provider.acquire_slot().now_or_never();
    let _first = first.expect("the first sets out at once");
    let mut others: Vec<_> = (0..20).map(|_| Box::pin(provider.acquire_slot())).collect();
    for other in &mut others {
        assert!(other.now_or_never().is_none());
    }
    for other in others {
        timeout(TEST_TIMEOUT, other)
            .await
            .expect("the wait is bounded");
    }
    drop(deaf);
}
