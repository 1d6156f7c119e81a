//! What a streamed token costs in the agent, over what reqwest costs by itself: time on the
//! processor and allocations, against a model that is a raw socket on another thread.
//! `cargo test --release -p calldex --test agent_cost -- --ignored --nocapture`

use calldex::agent::speech::SpeechFilter;
use calldex::agent::{
    Agent, AgentConfig, CallerFacts, Message, ModelConfig, Persona, PromptContext, ReplyEvent,
    SystemPrompt,
};
use futures_util::StreamExt;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const TOKENS: usize = 2_000;
const REPLIES: usize = 10;
/// A reply as models word it: mostly plain, with a little of what must be made speakable.
const WORDS: [&str; 16] = [
    "On", "ix", " is", " a", " **", "Rock", "**", " and", " Ground", " type", ",", " and", " it",
    "'s", " huge", ".",
];

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread asks of it.
struct Counting;

// SAFETY: hands every call on to the system's allocator as it is; the count is a plain cell of this
// thread without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's own contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's own contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What something cost, a token.
#[derive(Clone, Copy)]
struct Cost {
    ns: f64,
    allocations: f64,
}

/// This thread's time on the processor, in nanoseconds (Linux: proc(5), schedstat).
fn processor_ns() -> u64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

async fn cost(tokens: usize, work: impl Future<Output = ()>) -> Cost {
    let (ns, allocations) = (processor_ns(), ALLOCATIONS.get());
    work.await;
    Cost {
        ns: (processor_ns() - ns) as f64 / tokens as f64,
        allocations: (ALLOCATIONS.get() - allocations) as f64 / tokens as f64,
    }
}

/// A model that answers every request with [`TOKENS`] tokens, `pause` between two.
fn model(pause: Option<Duration>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            std::thread::spawn(move || serve(socket.unwrap(), pause));
        }
    });
    base_url
}

fn serve(mut socket: TcpStream, pause: Option<Duration>) {
    socket.set_nodelay(true).unwrap();
    let mut asked = Vec::new();
    let mut piece = [0; 16 * 1024];
    while let Ok(read @ 1..) = socket.read(&mut piece) {
        asked.extend_from_slice(&piece[..read]);
        if asked.windows(9).any(|bytes| bytes == b"\"stream\":") {
            asked.clear();
            answer(&mut socket, pause);
        }
    }
}

fn answer(socket: &mut impl Write, pause: Option<Duration>) {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    for word in WORDS.iter().cycle().take(TOKENS) {
        let data = format!(
            "data: {{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\",\
             \"created\":1741570283,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\
             \"system_fingerprint\":\"fp_06737a9306\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\
             \"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
        );
        let chunk = format!("{:x}\r\n{data}\r\n", data.len());
        socket.write_all(chunk.as_bytes()).unwrap();
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
    }
    socket
        .write_all(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        .unwrap();
}

fn brief() -> PromptContext {
    // The prompts of a line are compiled at start.
    static PROMPTS: LazyLock<SystemPrompt> =
        LazyLock::new(|| SystemPrompt::for_persona(&Arc::new(Persona::default())));
    let history = vec![Message::caller("Is Onix a rock?")];
    PromptContext::for_line(&PROMPTS, Arc::new(CallerFacts::default()), history)
}

async fn by_the_agent(agent: &Agent) {
    let mut reply = agent.reply(brief());
    let mut end = None;
    while let Some(event) = reply.next().await {
        if let ReplyEvent::Token(token) = &event {
            black_box(token.len());
        }
        end = Some(event);
    }
    assert!(matches!(end, Some(ReplyEvent::Done(finish)) if finish.text_pieces == TOKENS as u32));
    // What reads the end of the body goes on behind.
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// The bytes alone.
async fn by_reqwest(client: &reqwest::Client, base_url: &str) {
    let request = client
        .post(format!("{base_url}/chat/completions"))
        .body("\"stream\":");
    let mut response = request.send().await.unwrap();
    while let Some(piece) = response.chunk().await.unwrap() {
        black_box(piece.len());
    }
    tokio::time::sleep(Duration::from_millis(2)).await;
}

fn least(costs: &[Cost]) -> Cost {
    let least = |of: fn(&Cost) -> f64| costs.iter().map(of).fold(f64::INFINITY, f64::min);
    Cost {
        ns: least(|cost| cost.ns),
        allocations: least(|cost| cost.allocations),
    }
}

fn print(what: &str, cost: Cost) {
    println!(
        "{what:<44} {:>8.0} ns/token {:>7.3} allocations/token",
        cost.ns, cost.allocations
    );
}

async fn measure(pause: Option<Duration>) -> (Cost, Cost) {
    let base_url = model(pause);
    let model = ModelConfig {
        base_url: Some(base_url.clone()),
        ..ModelConfig::default()
    };
    let models = [("default".to_owned(), model)].into();
    let agent = Agent::new(&AgentConfig::default(), &models).unwrap();
    let client = reqwest::Client::builder().no_proxy();
    let client = client.tls_backend_preconfigured(trusting_nobody());
    let client = client.build().unwrap();
    let (mut agents, mut reqwests) = (Vec::new(), Vec::new());
    for _ in 0..REPLIES {
        agents.push(cost(TOKENS, by_the_agent(&agent)).await);
        reqwests.push(cost(TOKENS, by_reqwest(&client, &base_url)).await);
    }
    (least(&agents), least(&reqwests))
}

/// reqwest was built without a TLS provider of its own.
fn trusting_nobody() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[tokio::test]
#[ignore = "a measurement: prints figures, and holds the allocations"]
async fn what_a_token_costs() {
    let filtered = cost(100 * TOKENS, async {
        let mut speech = SpeechFilter::new("en-US");
        for word in WORDS.iter().cycle().take(100 * TOKENS) {
            black_box(speech.push(word));
        }
    });
    print("the speech filter alone", filtered.await);
    for (how, pause) in [
        ("in a burst", None),
        ("one by one", Some(Duration::from_micros(200))),
    ] {
        let (agent, reqwest) = measure(pause).await;
        print(&format!("reqwest, the bytes alone, {how}"), reqwest);
        print(&format!("the agent, {how}"), agent);
        let own = Cost {
            ns: agent.ns - reqwest.ns,
            allocations: agent.allocations - reqwest.allocations,
        };
        print(&format!("the agent's own share, {how}"), own);
        assert!(
            own.allocations < 0.5,
            "a token allocates in the agent's own code"
        );
    }
}
