//! Calls through a real llama.cpp server with a small real model. Not part of the test command:
//! `tests/real-model/run` installs what it needs and runs it. Whether answers are right is not judged.

mod llama_server;
mod proxy;

use crate::behaviours::strict;
use crate::test_caller::TestCaller;
use crate::test_server::{TestServer, TestServerBuilder};
use calldex_simulator::twilio::playback::Pace;
use calldex_simulator::twilio::{Network, Reply, Utterance};
use llama_server::LlamaServer;
use proxy::{Exchange, RecordingProxy};
use std::time::{Duration, Instant};

const ASH: &str = "+14155550103";
/// Longest wait for a reply: the first prompt of a call is read at some 30 tokens a second.
const REPLY_MAX: Duration = Duration::from_secs(150);
/// How long a voice has been heard when somebody speaks over it, of Twilio's time.
const HEARD: Duration = Duration::from_millis(600);
/// A system prompt of few tokens.
const SHORT: &str = "[persona]\nrole = \"You talk about Pokémon.\"\nmanner = \"Be brief.\"\n";
/// What the ten turns say.
const TURNS: [&str; 10] = [
    "What type is Onix?",
    "And where does it live?",
    "What does it eat?",
    "Is it stronger than Geodude?",
    "Which moves does it know?",
    "Can it swim?",
    "How heavy is it?",
    "What does it evolve into?",
    "Tell me about Pikachu.",
    "Thank you, that was interesting.",
];
/// Turns whose answer is spoken over.
const INTERRUPTED_TURNS: [usize; 3] = [2, 5, 8];

/// A calldex with the proxy for a model, patient enough for two cores.
fn server_with_long_waits(proxy: &RecordingProxy, tokens_max: u32) -> TestServerBuilder {
    TestServer::builder()
        .variable("OPENAI_BASE_URL", proxy.base_url())
        .variable("OPENAI_API_KEY", "sk-real")
        .variable("OPENAI_MODEL", "smollm2")
        .set("model.default.max_tokens", tokens_max)
        .set("model.default.first_token_ms_max", 110_000)
        .set("model.default.idle_ms_max", 20_000)
        .set("agent.reply_ms_max", 120_000)
        // So small a model seldom ends by itself.
        .config("[model.default]\nextra_body = { stop = [\".\", \"!\", \"?\"] }")
        // A filler is no answer, and would be measured as one.
        .set("call.filler_after_ms", 100_000)
        .twilio(|twilio| {
            twilio.network = Network::NONE;
            twilio.speed = 5.0;
            twilio.pace = Pace::default();
        })
}

async fn call_with_known_name(test_server: &TestServer) -> TestCaller {
    let phone = test_server.call(ASH).await;
    let reply = phone.says("My name is Ash").await;
    assert!(reply.starts_with("Nice to meet you, Ash!"), "{reply}");
    phone
}

/// Says it; when its first word is heard, and how long calldex had it.
async fn asks(phone: &TestCaller, proxy: &RecordingProxy, words: &str) -> Option<Duration> {
    phone.says_it(words).await;
    assert!(phone.more_than(0, REPLY_MAX).await, "{}", phone.report());
    let heard = Instant::now();
    let asked = proxy.replies().pop()?;
    Some(heard.saturating_duration_since(asked.first_word?))
}

async fn hears(phone: &TestCaller) -> Reply {
    let heard = phone.hear(REPLY_MAX).await;
    heard.unwrap_or_else(|error| panic!("{error}\n{}", phone.report()))
}

/// No request was refused, by the server or by rules of others, and none was broken off by the server. Tools may be
/// refused once: calldex remembers it.
fn are_accepted(exchanges: &[Exchange], engine: &LlamaServer) {
    let of_tools = |exchange: &&Exchange| exchange.answer.contains("requires --jinja");
    let refused = exchanges.iter().filter(of_tools).count();
    assert!(refused <= 1, "{refused} refusals of tools");
    let answered = |exchange: &&Exchange| exchange.status() != 0 && !of_tools(exchange);
    for exchange in exchanges.iter().filter(answered) {
        let answer = &exchange.answer;
        assert_eq!(exchange.status(), 200, "{}\n{answer}", exchange.request);
        assert!(
            !answer.contains(r#""error""#),
            "{}\n{answer}",
            exchange.request
        );
    }
    for exchange in exchanges.iter().filter(|exchange| exchange.is_reply()) {
        let rules = ["alternate", "last-not-assistant", "system-first"].map(str::to_owned);
        let refusal = strict::refusal(&rules, &exchange.request);
        assert_eq!(refusal, None, "{}", exchange.request);
    }
    let complaints = engine.log().matches("got exception").count();
    assert!(complaints <= refused, "{}", engine.log());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real model: tests/real-model/run"]
async fn a_call_of_ten_turns_with_barge_ins() {
    let mut engine = LlamaServer::start("ten-turns", 8_192, None);
    engine.is_loaded().await;
    let proxy = RecordingProxy::before(engine.address).await;
    let test_server = server_with_long_waits(&proxy, 40).start().await;
    let phone = call_with_known_name(&test_server).await;
    let (mut overheads, mut said) = (Vec::new(), vec!["My name is Ash".to_owned()]);
    for (at, words) in TURNS.into_iter().enumerate() {
        overheads.extend(asks(&phone, &proxy, words).await);
        said.push(words.to_owned());
        if INTERRUPTED_TURNS.contains(&at) {
            let over = "Stop, please. Say that shorter.";
            let interrupted = phone.interrupt(Utterance::at_once(over), HEARD).await;
            interrupted.unwrap_or_else(|error| panic!("{error}\n{}", phone.report()));
            said.push(over.to_owned());
        }
        let reply = hears(&phone).await;
        assert!(reply.tokens.len() > 1, "no stream: {reply:?}");
        println!(
            "  {:>2}. {} tokens: {}",
            at + 1,
            reply.tokens.len(),
            reply.text.trim()
        );
    }
    phone.hangs_up().await;
    tell(
        "first-token overhead of calldex (its first word minus the server's)",
        overheads,
    );
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let replies = proxy.replies();
    are_accepted(&proxy.exchanges(), &engine);
    assert!(
        replies.len() >= TURNS.len() + INTERRUPTED_TURNS.len(),
        "{}",
        replies.len()
    );
    for exchange in replies.iter().filter(|exchange| exchange.is_whole) {
        assert!(
            exchange.answer.contains(r#""completion_tokens":"#),
            "no usage: {}",
            exchange.answer
        );
    }
    assert_eq!(test_server.database().agent_texts(phone.call_sid()), said);
    let turns = test_server.database().turns(phone.call_sid());
    let cut = turns.iter().filter(|turn| turn.interrupted).count();
    assert_eq!(cut, INTERRUPTED_TURNS.len(), "{turns:?}");
    assert!(
        turns.iter().all(|turn| !turn.content.trim().is_empty()),
        "{turns:?}"
    );
    apologises_for_cut_answers_only(&test_server, &proxy).await;
    assert!(test_server.metric("calldex_model_tokens_total", "").await > 0.0);
}

/// An apology stands behind an answer that max_tokens cut in mid-sentence, and nowhere else.
async fn apologises_for_cut_answers_only(test_server: &TestServer, proxy: &RecordingProxy) {
    let replies = proxy.replies();
    let cut = replies
        .iter()
        .filter(|exchange| exchange.answer.contains(r#""finish_reason":"length""#))
        .count();
    let apologies = test_server.metric("calldex_apologies_total", "").await;
    println!("  {cut} answers reached max_tokens, {apologies} apologies");
    assert!(apologies <= cut as f64, "{}", test_server.output());
}

/// Median and extremes, for people.
fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let median = times[times.len() / 2];
    let (least, most) = (times[0], times[times.len() - 1]);
    println!(
        "{what}: median {median:.1?}, least {least:.1?}, most {most:.1?} of {} turns",
        times.len()
    );
    assert!(
        median < Duration::from_millis(250),
        "{median:?} is no overhead but a wait"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real model: tests/real-model/run"]
async fn a_tool_that_is_forced_is_called_and_its_result_goes_back() {
    let mut engine = LlamaServer::start("tools", 8_192, Some("tools.jinja"));
    engine.is_loaded().await;
    let proxy = RecordingProxy::before(engine.address).await;
    let test_server = server_with_long_waits(&proxy, 64)
        .config(SHORT)
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    proxy.forces("note_preference");
    asks(
        &phone,
        &proxy,
        "I like rock types best. Please remember that.",
    )
    .await;
    let reply = hears(&phone).await;
    println!("  after the tool: {}", reply.text.trim());
    asks(&phone, &proxy, "What type is Onix?").await;
    hears(&phone).await;
    phone.hangs_up().await;
    are_accepted(&proxy.exchanges(), &engine);
    let replies = proxy.replies();
    let called = &replies[0].answer;
    assert!(
        called.contains("tool_calls") && called.contains("note_preference"),
        "{called}"
    );
    let results = replies.iter().map(|exchange| exchange.request.to_string());
    assert!(
        results
            .into_iter()
            .any(|request| request.contains(r#""role":"tool""#))
    );
    assert!(
        test_server
            .metric("calldex_model_tool_calls_total", "note_preference")
            .await
            >= 1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real model: tests/real-model/run"]
async fn every_template_takes_what_calldex_sends() {
    let templates = [
        "alternating.jinja",
        "mistral-v7",
        "gemma",
        "llama2",
        "phi3",
        "deepseek",
    ];
    for template in templates {
        let mut engine = LlamaServer::start(&format!("template-{template}"), 4_096, Some(template));
        engine.is_loaded().await;
        let proxy = RecordingProxy::before(engine.address).await;
        let test_server = server_with_long_waits(&proxy, 24)
            .config(SHORT)
            .start()
            .await;
        let phone = call_with_known_name(&test_server).await;
        for words in &TURNS[..3] {
            asks(&phone, &proxy, words).await;
            let over = Utterance::at_once("Stop. What about Geodude?");
            // An answer of few words may have been spoken to its end.
            let _ = phone.interrupt(over, HEARD).await;
            hears(&phone).await;
        }
        phone.hangs_up().await;
        are_accepted(&proxy.exchanges(), &engine);
        apologises_for_cut_answers_only(&test_server, &proxy).await;
        println!("  {template}: {} requests taken", proxy.replies().len());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real model: tests/real-model/run"]
async fn a_call_that_comes_while_the_model_loads_is_answered() {
    let engine = LlamaServer::start("loading", 4_096, None);
    let proxy = RecordingProxy::before(engine.address).await;
    let test_server = server_with_long_waits(&proxy, 24)
        .config(SHORT)
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    let was_loaded = engine.log().contains("model loaded");
    asks(&phone, &proxy, TURNS[0]).await;
    let reply = hears(&phone).await;
    println!(
        "  loaded before the question: {was_loaded}; heard: {}",
        reply.text.trim()
    );
    phone.hangs_up().await;
    apologises_for_cut_answers_only(&test_server, &proxy).await;
    assert!(
        proxy
            .exchanges()
            .iter()
            .any(|exchange| exchange.is_reply() && exchange.status() == 200)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real model: tests/real-model/run"]
async fn a_context_that_is_too_small_is_met_and_outlived() {
    let mut engine = LlamaServer::start("small-context", 768, None);
    engine.is_loaded().await;
    let proxy = RecordingProxy::before(engine.address).await;
    let test_server = server_with_long_waits(&proxy, 16)
        .config(SHORT)
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    let long =
        "I have a long story about a rock that I met in a cave near the mountain. ".repeat(8);
    for question in &TURNS[..6] {
        asks(&phone, &proxy, &format!("{} {long}", question)).await;
        hears(&phone).await;
    }
    phone.hangs_up().await;
    let replies = proxy.replies();
    let refused = replies
        .iter()
        .filter(|exchange| exchange.status() == 400)
        .count();
    println!(
        "  {refused} of {} requests were longer than the context",
        replies.len()
    );
    assert!(refused >= 1, "the context was never too small");
    apologises_for_cut_answers_only(&test_server, &proxy).await;
}
