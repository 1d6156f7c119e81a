//! Servers that refuse a part of the request.

use super::fake_model_server::{FakeModelServer, ScriptedResponse, answer, refusal, status};
use super::*;
use calldex_observability::install;

const NO_TOOLS: &str =
    r#"{"error":{"message":"registry.ollama.ai/library/gemma:2b does not support tools"}}"#;
const NO_STREAM_OPTIONS: &str =
    r#"{"error":{"message":"Unrecognized request argument supplied: stream_options"}}"#;
const TOO_LONG: &str = r#"{"error":{"message":"This model's maximum context length is 2048 tokens","code":"context_length_exceeded"}}"#;

/// Other tests count as well: it only grows.
fn adaptations(parameter: &str) -> f64 {
    let series =
        format!("calldex_model_adaptations_total{{model=\"default\",parameter=\"{parameter}\"}}");
    install().series_value(&series).unwrap_or_default()
}

async fn served(script: Vec<ScriptedResponse>) -> (FakeModelServer, Agent) {
    let server = FakeModelServer::start(script).await;
    let agent = agent(&config(&server));
    (server, agent)
}

#[tokio::test]
async fn a_server_that_refuses_a_field_is_asked_without_it_at_once_and_from_then_on() {
    let before = adaptations("tools");
    let (server, agent) = served(vec![
        refusal(400, NO_TOOLS),
        answer(&["Yes."]),
        answer(&["No."]),
    ])
    .await;
    assert_eq!(
        collect(agent.reply(prompt_context("Onix?"))).await.text,
        "Yes."
    );
    assert_eq!(
        collect(agent.reply(prompt_context("Mew?"))).await.text,
        "No."
    );
    let offers: Vec<bool> = server
        .requests()
        .iter()
        .map(|request| request.contains("\"tools\""))
        .collect();
    assert_eq!(offers, [true, false, false]);
    assert!(adaptations("tools") > before);
}

#[tokio::test]
async fn several_fields_are_left_out_one_after_the_other() {
    let (server, agent) = served(vec![
        refusal(400, NO_TOOLS),
        refusal(422, NO_STREAM_OPTIONS),
        answer(&["Yes."]),
    ])
    .await;
    assert_eq!(
        collect(agent.reply(prompt_context("Onix?"))).await.text,
        "Yes."
    );
    let last = server.requests().pop().unwrap();
    assert!(!last.contains("\"tools\"") && !last.contains("stream_options"));
}

#[tokio::test]
async fn what_did_not_help_is_not_remembered_and_not_tried_for_ever() {
    let (server, agent) = served(vec![
        refusal(400, NO_TOOLS),
        refusal(400, NO_TOOLS),
        answer(&["Yes."]),
    ])
    .await;
    let refused = collect(agent.reply(prompt_context("Onix?"))).await;
    assert_eq!(refused.end, Err(ReplyFailure::Refused(400)));
    assert_eq!(server.requests().len(), 2);
    assert_eq!(
        collect(agent.reply(prompt_context("Onix?"))).await.text,
        "Yes."
    );
    assert!(server.requests().pop().unwrap().contains("\"tools\""));
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_halved_and_stays_so() {
    let history = |words: &str| {
        let mut history: Vec<_> = (0..20)
            .map(|turn| {
                let words = format!("turn {turn} {}", "x".repeat(200));
                match turn % 2 {
                    0 => Message::caller(words),
                    _ => Message::agent(words),
                }
            })
            .collect();
        history.push(Message::caller(words));
        PromptContext {
            history,
            ..prompt_context(words)
        }
    };
    let (server, agent) = served(vec![
        refusal(400, TOO_LONG),
        refusal(400, TOO_LONG),
        answer(&["Yes."]),
        answer(&["No."]),
    ])
    .await;
    assert_eq!(collect(agent.reply(history("Onix?"))).await.text, "Yes.");
    assert_eq!(collect(agent.reply(history("Mew?"))).await.text, "No.");
    let told: Vec<usize> = server
        .requests()
        .iter()
        .map(|request| {
            request
                .matches("xxxx turn")
                .count()
                .max(request.matches("turn ").count())
        })
        .collect();
    assert!(told[0] > told[1] && told[1] > told[2], "{told:?}");
    assert_eq!(told[2], told[3], "it is remembered");
    assert!(server.requests().pop().unwrap().contains("Mew?"));
}

#[tokio::test]
async fn each_model_is_asked_on_its_own_terms() {
    let (first, second) = (
        FakeModelServer::start([status(401, "")]).await,
        FakeModelServer::start([answer(&["Yes."])]).await,
    );
    let setup = TestModels {
        temperature: Some(0.25),
        fallback: Some(FallbackSetup {
            base_url: Some(second.base_url.clone()),
            temperature: Some(0.75),
            ..FallbackSetup::default()
        }),
        ..config(&first)
    };
    assert_eq!(ask(&setup).await.text, "Yes.");
    assert!(first.requests()[0].contains("0.25"));
    assert!(second.requests()[0].contains("0.75") && !second.requests()[0].contains("0.25"));
}

#[tokio::test]
async fn a_reply_tells_which_model_said_it_and_what_it_took() {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":10}}"#;
    let script = vec![
        fake_model_server::head(),
        fake_model_server::token("Yes."),
        fake_model_server::finish("stop"),
        fake_model_server::event(usage),
        fake_model_server::done(),
    ];
    let server = FakeModelServer::start([script]).await;
    let setup = TestModels {
        price: Some(TokenPrice {
            input: 1.0,
            cached: None,
            output: 2.0,
        }),
        ..config(&server)
    };
    let finish = ask(&setup).await.end.unwrap();
    assert_eq!(
        (finish.model.as_str(), finish.cost_micros),
        ("default", Some(1_020))
    );
}

#[tokio::test]
async fn an_answer_that_is_empty_with_tools_is_asked_for_without_and_in_the_end_at_once() {
    let empty = || answer(&[]);
    let script = (0..3).flat_map(|_| [empty(), answer(&["Yes."])]);
    let (server, agent) = served(script.chain([answer(&["No."])]).collect()).await;
    for _ in 0..3 {
        assert_eq!(
            collect(agent.reply(prompt_context("Onix?"))).await.text,
            "Yes."
        );
    }
    assert_eq!(
        collect(agent.reply(prompt_context("Mew?"))).await.text,
        "No."
    );
    let offers: Vec<bool> = server
        .requests()
        .iter()
        .map(|request| request.contains("\"tools\""))
        .collect();
    assert_eq!(offers, [true, false, true, false, true, false, false]);
}
