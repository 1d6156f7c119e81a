//! Stands between calldex and the server and records what goes through, and when.

use crate::behaviours::server::{ParsedHttpRequest, parse};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes read at once.
const PIECE_BYTES: usize = 16 * 1024;

/// One request and its answer, as far as it has come.
#[derive(Clone, Default)]
pub struct Exchange {
    pub request: Value,
    /// The whole answer with its head.
    pub answer: String,
    /// When the first byte of the answer's first word was read from the server.
    pub first_word: Option<Instant>,
    /// The server ended its answer; false where the client left before.
    pub is_whole: bool,
}

impl Exchange {
    /// The HTTP status; 0 before there is one.
    pub fn status(&self) -> u16 {
        let status = self.answer.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Whether a reply to the caller was asked for, and not a single token.
    pub fn is_reply(&self) -> bool {
        self.request["stream"] == true && self.request["max_tokens"].as_u64() != Some(1)
    }
}

#[derive(Default)]
struct ProxyState {
    exchanges: Vec<Exchange>,
    forced: Option<String>,
}

/// The proxy; it ends with its test.
pub struct RecordingProxy {
    address: SocketAddr,
    state: Arc<Mutex<ProxyState>>,
    task: tokio::task::JoinHandle<()>,
}

impl RecordingProxy {
    /// Before the server at this address.
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::<Mutex<ProxyState>>::default();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // Either side may leave.
                    let _ = pass(client, server, &shared).await;
                });
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What went through so far, in the order of the requests.
    pub fn exchanges(&self) -> Vec<Exchange> {
        look(&self.state).exchanges.clone()
    }

    /// Requests for replies so far.
    pub fn replies(&self) -> Vec<Exchange> {
        let all = self.exchanges().into_iter();
        all.filter(Exchange::is_reply).collect()
    }

    /// The next request for a reply must be answered by a tool; the template names this one.
    pub fn forces(&self, tool: &str) {
        look(&self.state).forced = Some(tool.to_owned());
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn look(state: &Mutex<ProxyState>) -> MutexGuard<'_, ProxyState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes one request on, on a connection of its own.
async fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    state: &Mutex<ProxyState>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut bytes = Vec::new();
    let mut request = loop {
        if let Some((request, _)) = parse(&bytes) {
            break request;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let at = record(&mut request, state);
    let mut upstream = TcpStream::connect(server).await?;
    upstream
        .write_all(written(&request, server).as_bytes())
        .await?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut nothing = [0; 1];
    loop {
        let count = tokio::select! {
            count = upstream.read(&mut piece) => count?,
            // The client left: so do we, and the server stops.
            _ = client.read(&mut nothing) => return Ok(()),
        };
        note(&piece[..count], at, state);
        if count == 0 {
            return client.shutdown().await;
        }
        client.write_all(&piece[..count]).await?;
    }
}

/// Keeps a piece of an answer; nothing is its end.
fn note(piece: &[u8], at: usize, state: &Mutex<ProxyState>) {
    let now = Instant::now();
    let mut state = look(state);
    let exchange = &mut state.exchanges[at];
    exchange.answer.push_str(&String::from_utf8_lossy(piece));
    if exchange.first_word.is_none() && has_word(&exchange.answer) {
        exchange.first_word = Some(now);
    }
    exchange.is_whole |= piece.is_empty();
}

/// Keeps the request, with a tool forced upon it where that is due; its place among the exchanges.
fn record(request: &mut ParsedHttpRequest, state: &Mutex<ProxyState>) -> usize {
    let mut state = look(state);
    let mut exchange = Exchange {
        request: serde_json::from_str(&request.text).unwrap_or_default(),
        ..Exchange::default()
    };
    if exchange.is_reply()
        && let Some(tool) = state.forced.take()
    {
        // The server takes no names here, and an answer must not stop within the arguments.
        exchange.request["tool_choice"] = json!("required");
        exchange.request["stop"] = json!([]);
        exchange.request["chat_template_kwargs"] = json!({ "call": tool });
        request.text = exchange.request.to_string();
    }
    state.exchanges.push(exchange);
    state.exchanges.len() - 1
}

/// The request for a connection that ends with its answer.
fn written(request: &ParsedHttpRequest, server: SocketAddr) -> String {
    let ParsedHttpRequest { method, path, text } = request;
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {server}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{text}",
        text.len()
    )
}

/// Whether there is content that is not empty.
fn has_word(answer: &str) -> bool {
    let mut contents = answer.split(r#""content":""#).skip(1);
    contents.any(|rest| !rest.starts_with('"') && !rest.is_empty())
}
