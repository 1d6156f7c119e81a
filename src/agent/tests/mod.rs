//! The agent against a server of bytes. Deadlines are short or far away; nothing asserts on speed.

mod adaptation;
mod failures;
mod fake_model_server;
mod hedging;
mod model_loading;
mod streaming;

use super::*;
use calldex_observability::redaction::Secret;
use fake_model_server::{FakeModelServer, TEST_TIMEOUT};
use futures_util::StreamExt;
use tokio::time::timeout;

/// A deadline that is meant to pass.
const EXPIRING_TIMEOUT_MS: u64 = 80;

/// What is configured in these tests: a model, and perhaps a second one.
#[derive(Clone)]
struct TestModels {
    base_url: Option<String>,
    api_key: Option<Secret>,
    headers: std::collections::BTreeMap<String, Secret>,
    temperature: Option<f32>,
    first_token_ms_max: u64,
    idle_ms_max: u64,
    connect_ms_max: u64,
    reply_ms_max: u64,
    name_verification_ms_max: u64,
    breaker_failures_max: u32,
    breaker_open_ms: u64,
    offline_word_ms: u64,
    preload: Option<bool>,
    price: Option<TokenPrice>,
    fallback: Option<FallbackSetup>,
}

/// The second one.
#[derive(Clone)]
struct FallbackSetup {
    base_url: Option<String>,
    api_key: Option<Secret>,
    model: String,
    temperature: Option<f32>,
    hedge_ms: Option<u64>,
}

impl Default for FallbackSetup {
    fn default() -> Self {
        Self {
            base_url: None,
            api_key: None,
            model: model_config::MODEL.into(),
            temperature: None,
            hedge_ms: None,
        }
    }
}

impl Default for TestModels {
    fn default() -> Self {
        let (model, agent) = (ModelConfig::default(), AgentConfig::default());
        Self {
            base_url: None,
            api_key: None,
            headers: model.headers,
            temperature: None,
            first_token_ms_max: model.first_token_ms_max,
            idle_ms_max: model.idle_ms_max,
            connect_ms_max: model.connect_ms_max,
            reply_ms_max: agent.reply_ms_max,
            name_verification_ms_max: agent.name_verification_ms_max,
            breaker_failures_max: agent.breaker_failures_max,
            breaker_open_ms: agent.breaker_open_ms,
            offline_word_ms: agent.offline_word_ms,
            // Servers of these tests are local and have nothing to load.
            preload: Some(false),
            price: None,
            fallback: None,
        }
    }
}

impl TestModels {
    fn model(&self) -> ModelConfig {
        ModelConfig {
            base_url: self.base_url.clone(),
            api_key: self.api_key.clone(),
            headers: self.headers.clone(),
            temperature: self.temperature,
            first_token_ms_max: self.first_token_ms_max,
            idle_ms_max: self.idle_ms_max,
            connect_ms_max: self.connect_ms_max,
            preload: self.preload,
            price: self.price,
            ..ModelConfig::default()
        }
    }

    fn agent(&self) -> AgentConfig {
        let second = self.fallback.as_ref();
        AgentConfig {
            fallback: second.iter().map(|_| "second".to_owned()).collect(),
            hedge_ms: second.and_then(|second| second.hedge_ms),
            reply_ms_max: self.reply_ms_max,
            name_verification_ms_max: self.name_verification_ms_max,
            breaker_failures_max: self.breaker_failures_max,
            breaker_open_ms: self.breaker_open_ms,
            offline_word_ms: self.offline_word_ms,
            ..AgentConfig::default()
        }
    }

    fn models(&self) -> ModelConfigs {
        let mut models = ModelConfigs::from([("default".to_owned(), self.model())]);
        if let Some(second) = &self.fallback {
            let model = ModelConfig {
                base_url: second.base_url.clone(),
                api_key: second.api_key.clone(),
                model: second.model.clone(),
                temperature: second.temperature,
                headers: std::collections::BTreeMap::new(),
                ..self.model()
            };
            models.insert("second".to_owned(), model);
        }
        models
    }
}

/// Deadlines far away, one model.
fn config(server: &FakeModelServer) -> TestModels {
    TestModels {
        base_url: Some(server.base_url.clone()),
        first_token_ms_max: 20_000,
        idle_ms_max: 20_000,
        reply_ms_max: 40_000,
        ..TestModels::default()
    }
}

fn agent(setup: &TestModels) -> Agent {
    Agent::new(&setup.agent(), &setup.models()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn prompt_context(words: &str) -> PromptContext {
    let caller = CallerFacts {
        language: "en-US".into(),
        ..CallerFacts::default()
    };
    PromptContext::new(
        &Arc::new(Persona::default()),
        Arc::new(caller),
        vec![Message::caller(words)],
    )
}

async fn next(reply: &mut ReplyStream) -> Option<ReplyEvent> {
    timeout(TEST_TIMEOUT, reply.next())
        .await
        .expect("the reply has an event")
}

async fn next_token(reply: &mut ReplyStream) -> String {
    match next(reply).await {
        Some(ReplyEvent::Token(token)) => token.to_string(),
        other => panic!("{other:?} instead of a token"),
    }
}

/// A reply to its end.
struct CollectedReply {
    text: String,
    tool_calls: Vec<ToolCall>,
    end: Result<Finish, ReplyFailure>,
}

async fn collect(mut reply: ReplyStream) -> CollectedReply {
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
    CollectedReply {
        text: words,
        tool_calls: tools,
        end,
    }
}

async fn ask(config: &TestModels) -> CollectedReply {
    collect(agent(config).reply(prompt_context("Is Onix a rock?"))).await
}
