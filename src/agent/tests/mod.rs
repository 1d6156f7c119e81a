//! The agent against a server of bytes. Deadlines are short or far away; nothing asserts on speed.

mod failing;
mod hedging;
mod server;
mod streaming;

use super::*;
use futures_util::StreamExt;
use server::{PATIENCE, Server};
use tokio::time::timeout;

/// A deadline that is meant to pass.
const SHORT_MS: u64 = 80;

/// Deadlines far away, one provider.
fn config(server: &Server) -> AgentConfig {
    AgentConfig {
        base_url: Some(server.base_url.clone()),
        first_token_ms_max: 20_000,
        idle_ms_max: 20_000,
        turn_ms_max: 40_000,
        ..AgentConfig::default()
    }
}

fn agent(config: &AgentConfig) -> Agent {
    Agent::new(config).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn brief(words: &str) -> Brief {
    let caller = CallerFacts {
        language: "en-US".into(),
        ..CallerFacts::default()
    };
    Brief::new(
        &Arc::new(Persona::default()),
        Arc::new(caller),
        vec![Message::caller(words)],
    )
}

async fn next(reply: &mut Reply) -> Option<ReplyEvent> {
    timeout(PATIENCE, reply.next())
        .await
        .expect("the reply has an event")
}

async fn next_token(reply: &mut Reply) -> String {
    match next(reply).await {
        Some(ReplyEvent::Token(token)) => token.to_string(),
        other => panic!("{other:?} instead of a token"),
    }
}

/// A reply to its end.
struct Heard {
    words: String,
    tools: Vec<ToolCall>,
    end: Result<Finish, Failure>,
}

async fn hear(mut reply: Reply) -> Heard {
    let (mut words, mut tools) = (String::new(), Vec::new());
    let end = loop {
        match next(&mut reply)
            .await
            .expect("a reply ends by Done or Failed")
        {
            ReplyEvent::Token(token) => words.push_str(&token),
            ReplyEvent::Tool(call) => tools.push(call),
            ReplyEvent::Done(finish) => break Ok(finish),
            ReplyEvent::Failed(failure) => break Err(failure),
        }
    };
    assert_eq!(next(&mut reply).await, None, "nothing comes after the end");
    Heard { words, tools, end }
}

async fn ask(config: &AgentConfig) -> Heard {
    hear(agent(config).reply(brief("Is Onix a rock?"))).await
}
