//! Servers that must load their model first.

use super::server::{Act, Server, Step, answer, done, finish, head, refusal, token};
use super::*;
use std::time::Duration;

const LOADING: &str =
    r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;

fn loading(server: &Server) -> Setup {
    Setup {
        preload: Some(true),
        ..config(server)
    }
}

/// A server that answers when the gate opens.
fn gated(words: &str) -> Act {
    vec![Step::Gate, head(), token(words), finish("stop"), done()]
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

#[tokio::test]
async fn a_server_that_says_that_it_loads_is_asked_until_it_has() {
    let server = Server::start([
        refusal(503, LOADING),
        refusal(503, LOADING),
        answer(&["Yes."]),
    ])
    .await;
    assert_eq!(ask(&loading(&server)).await.words, "Yes.");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn what_a_server_has_begun_to_load_is_not_given_up() {
    let server = Server::start([gated("Late."), vec![Step::Hang], answer(&["Yes."])]).await;
    let setup = Setup {
        first_token_ms_max: SHORT_MS,
        turn_ms_max: 4 * SHORT_MS,
        ..loading(&server)
    };
    let agent = agent(&setup);
    let given_up = hear(agent.reply(brief("Onix?"))).await;
    assert_eq!(given_up.end, Err(Failure::FirstTokenTimeout));
    // The second attempt was closed, the first one is still there.
    server.client_closed().await;
    assert_eq!(server.requests().len(), 2);
    server.open_gate();
    let Voice::Model(providers) = &agent.voice else {
        panic!("there is a model");
    };
    let provider = &providers.by_name["default"];
    until("the model to be loaded", || !provider.is_cold()).await;
    assert_eq!(hear(agent.reply(brief("Mew?"))).await.words, "Yes.");
}

#[tokio::test]
async fn the_first_of_two_attempts_is_heard_when_it_comes_late() {
    let server = Server::start([gated("Late."), vec![Step::Hang]]).await;
    let setup = Setup {
        first_token_ms_max: 1_000,
        ..loading(&server)
    };
    let asked = tokio::spawn(async move { ask(&setup).await.words });
    until("the second attempt", || server.requests().len() == 2).await;
    server.open_gate();
    assert_eq!(asked.await.unwrap(), "Late.");
}

#[tokio::test]
async fn a_model_that_loads_for_longer_than_two_waits_is_heard_where_nobody_else_can_be_asked() {
    let server = Server::start([gated("Late."), vec![Step::Hang]]).await;
    let setup = Setup {
        first_token_ms_max: SHORT_MS,
        ..loading(&server)
    };
    let asked = tokio::spawn(async move { ask(&setup).await.words });
    // Both waits are over: the second request was given up.
    server.client_closed().await;
    server.open_gate();
    assert_eq!(asked.await.unwrap(), "Late.");
}

#[tokio::test]
async fn one_token_is_asked_for_at_start_and_not_again_while_the_model_is_loaded() {
    let server = Server::start([answer(&["H"]), answer(&["Yes."])]).await;
    let agent = agent(&loading(&server));
    agent.preload(&[], || brief("Hi"));
    let Voice::Model(providers) = &agent.voice else {
        panic!("there is a model");
    };
    let provider = &providers.by_name["default"];
    until("the model to be loaded", || !provider.is_cold()).await;
    assert!(server.requests()[0].contains("\"max_tokens\":1,"));
    agent.preload(&[], || brief("Hi"));
    assert_eq!(hear(agent.reply(brief("Mew?"))).await.words, "Yes.");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_reply_that_nobody_waits_for_any_more_loads_the_model_all_the_same() {
    let server = Server::start([gated("Late.")]).await;
    let agent = agent(&loading(&server));
    let mut reply = agent.reply(brief("Onix?"));
    while server.requests().is_empty() {
        let silence = Duration::from_millis(5);
        assert!(timeout(silence, reply.next()).await.is_err());
    }
    drop(reply);
    server.open_gate();
    let Voice::Model(providers) = &agent.voice else {
        panic!("there is a model");
    };
    let provider = &providers.by_name["default"];
    until("the model to be loaded", || !provider.is_cold()).await;
}

#[tokio::test]
async fn a_model_that_thinks_is_not_silent() {
    let thought = || {
        let thought = server::event(r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#);
        [Step::Gate, thought]
    };
    let mut script = vec![head()];
    script.extend((0..4).flat_map(|_| thought()));
    script.extend([Step::Gate, token("Yes."), finish("stop"), done()]);
    let server = Server::start([script]).await;
    let setup = Setup {
        first_token_ms_max: 2_000,
        ..config(&server)
    };
    let began = std::time::Instant::now();
    let asked = tokio::spawn(async move { ask(&setup).await.words });
    // Each pause is shorter than the bound, all of them together are longer.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        server.open_gate();
    }
    assert_eq!(asked.await.unwrap(), "Yes.");
    assert!(began.elapsed() > Duration::from_secs(2));
    assert_eq!(server.requests().len(), 1);
}
