//! Spans as a collector receives them. `cargo test --features otel --test spans`.

#[path = "spans/collector.rs"]
mod collector;

use calldex::agent::{
    Agent, AgentConfig, CallerFacts, Message, ModelConfig, Persona, PromptContext, ReplyEvent,
    ReplyFailure,
};
use calldex::net::otlp_client::OtlpClient;
use calldex_observability::logs::{self, LogFormat};
use calldex_observability::spans::{self, Exporter};
use collector::{Collector, Span};
use futures_util::StreamExt;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use tracing::Instrument;

/// Answers one request after another, one a connection.
fn model(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.windows(9).any(|bytes| bytes == b"\"stream\":") {
                let mut piece = [0; 4096];
                let read = socket.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..read]);
            }
            socket.write_all(answer.as_bytes()).unwrap();
        }
    });
    base_url
}

fn stream(tokens: &[&str]) -> String {
    let mut answer =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            .to_owned();
    for token in tokens {
        let chunk = serde_json::json!({ "choices": [{ "delta": { "content": token } }] });
        answer.push_str(&format!("data: {chunk}\n\n"));
    }
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":31,"completion_tokens":2}}"#;
    answer.push_str(&format!("data: {usage}\n\ndata: [DONE]\n\n"));
    answer
}

async fn hear(agent: &Agent) -> Option<ReplyEvent> {
    let caller = CallerFacts {
        name: Some("Misty".into()),
        ..CallerFacts::default()
    };
    let history = vec![Message::caller("Is Togepi round?")];
    let reply = agent.reply(PromptContext::new(
        &Arc::new(Persona::default()),
        Arc::new(caller),
        history,
    ));
    let last = reply.fold(None, |_, event| async { Some(event) }).await;
    // A line of the log, which is not for the collector.
    tracing::info!(words = "Togepi", "said");
    last
}

fn attribute<'a>(span: &'a Span, name: &str) -> &'a str {
    let found = span.attributes.get(name);
    found.unwrap_or_else(|| panic!("no {name} in {span:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_its_requests_to_the_model_reach_the_collector_without_a_word() {
    let collector = Collector::start();
    let refusal = "HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let base_url = model(vec![stream(&["Togepi", " is."]), refusal.to_owned()]);
    let model = ModelConfig {
        base_url: Some(base_url.clone()),
        model: "small-model".to_owned(),
        ..ModelConfig::default()
    };
    let models = [("default".to_owned(), model)].into();
    let agent = Agent::new(&AgentConfig::default(), &models).unwrap();
    let post = OtlpClient::new(&collector.base_url).unwrap();
    let exporter = Exporter::start(&collector.base_url, post).unwrap();
    logs::init_exporting(LogFormat::Human, "off", &exporter).unwrap();

    let call = async {
        assert!(matches!(hear(&agent).await, Some(ReplyEvent::Done(_))));
        let refused = Some(ReplyEvent::Failed(ReplyFailure::Refused(401)));
        assert_eq!(hear(&agent).await, refused);
    };
    call.instrument(spans::call_span("CA0123456789abcdef"))
        .await;
    tokio::task::spawn_blocking(|| exporter.shutdown())
        .await
        .unwrap();

    let spans = collector.spans();
    let [call] = spans
        .iter()
        .filter(|span| span.name == "call")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{spans:?}")
    };
    assert_eq!(attribute(call, "call_sid"), "CA0123456789abcdef");
    assert_eq!(
        attribute(call, "gen_ai.conversation.id"),
        "CA0123456789abcdef"
    );

    let chats: Vec<&Span> = spans
        .iter()
        .filter(|span| span.name == "chat small-model")
        .collect();
    assert_eq!((chats.len(), spans.len()), (2, 3), "{spans:?}");
    let port = base_url.trim_end_matches("/v1").rsplit(':').next().unwrap();
    for chat in &chats {
        assert_eq!((&chat.parent, &chat.trace), (&call.id, &call.trace));
        assert_eq!(attribute(chat, "gen_ai.operation.name"), "chat");
        assert_eq!(attribute(chat, "gen_ai.provider.name"), "openai");
        assert_eq!(attribute(chat, "gen_ai.request.model"), "small-model");
        assert_eq!(attribute(chat, "server.address"), "127.0.0.1");
        assert_eq!(attribute(chat, "server.port"), port);
        assert!(chat.began_ns >= call.began_ns && chat.ended_ns <= call.ended_ns);
    }
    let (answered, refused): (Vec<_>, Vec<_>) = chats
        .into_iter()
        .partition(|chat| !chat.attributes.contains_key("error.type"));
    assert_eq!(attribute(answered[0], "gen_ai.usage.input_tokens"), "31");
    assert_eq!(attribute(answered[0], "gen_ai.usage.output_tokens"), "2");
    let seconds: f64 = attribute(answered[0], "gen_ai.response.time_to_first_chunk")
        .parse()
        .unwrap();
    assert!(seconds > 0.0);
    assert_eq!(answered[0].events, ["first token"]);
    assert_eq!(attribute(refused[0], "error.type"), "refused");
    assert!(refused[0].failed && !answered[0].failed && refused[0].events.is_empty());

    assert_eq!(
        collector.resource("service.name").as_deref(),
        Some("calldex")
    );
    for word in ["Togepi", "Misty", "round", "said"] {
        assert!(!collector.contains(word), "{word} left the server");
    }
}
