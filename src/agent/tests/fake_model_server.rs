//! A model server made of bytes: each request plays the next act of a script.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What nothing in these tests takes; a test that waits this long has failed.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// One thing the server does with a request.
#[derive(Clone)]
pub enum ResponseStep {
    /// Sends bytes as they are.
    Send(Vec<u8>),
    /// Waits for [`FakeModelServer::open_gate`].
    WaitForGate,
    /// Waits until the client closes, and notes it.
    WaitForClose,
    /// Closes the connection.
    Close,
}

/// The answer to one request.
pub type ScriptedResponse = Vec<ResponseStep>;

/// A running server.
pub struct FakeModelServer {
    pub base_url: String,
    shared: Arc<FakeModelState>,
}

struct FakeModelState {
    script: Mutex<VecDeque<ScriptedResponse>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    gate: Semaphore,
    closed: Semaphore,
}

impl FakeModelServer {
    /// Plays `script`; further requests are answered with status 500.
    pub async fn start(script: impl IntoIterator<Item = ScriptedResponse>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new(FakeModelState {
            script: Mutex::new(script.into_iter().collect()),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            gate: Semaphore::new(0),
            closed: Semaphore::new(0),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.serve(socket).await });
            }
        });
        Self { base_url, shared }
    }

    /// Lets one waiting `WaitForGate` pass.
    pub fn open_gate(&self) {
        self.shared.gate.add_permits(1);
    }

    /// Returns when a client has closed on a `WaitForClose`.
    pub async fn client_closed(&self) {
        timeout(TEST_TIMEOUT, self.shared.closed.acquire())
            .await
            .expect("the client keeps the connection")
            .unwrap()
            .forget();
    }

    /// Head and body of every request so far, `HEAD` left out.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl FakeModelState {
    async fn serve(&self, mut socket: TcpStream) {
        while let Some(request) = read_request(&mut socket).await {
            if request.starts_with("HEAD ") {
                socket
                    .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .unwrap();
                continue;
            }
            self.requests.lock().unwrap().push(request);
            let act = self
                .script
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or_else(|| status(500, ""));
            if !self.play(act, &mut socket).await {
                return;
            }
        }
    }

    /// Whether the connection goes on.
    async fn play(&self, act: ScriptedResponse, socket: &mut TcpStream) -> bool {
        for step in act {
            match step {
                ResponseStep::Send(bytes) => {
                    if socket.write_all(&bytes).await.is_err() {
                        return false;
                    }
                }
                ResponseStep::WaitForGate => self.gate.acquire().await.unwrap().forget(),
                ResponseStep::WaitForClose => {
                    // Zero bytes or an error: the client has gone.
                    let _ = socket.read(&mut [0; 64]).await;
                    self.closed.add_permits(1);
                    return false;
                }
                ResponseStep::Close => return false,
            }
        }
        true
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        let mut piece = [0; 4096];
        match socket.read(&mut piece).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}

/// The head of a streamed answer.
pub fn head() -> ResponseStep {
    ResponseStep::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    )
}

/// Bytes as one HTTP chunk.
pub fn raw(bytes: &[u8]) -> ResponseStep {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    ResponseStep::Send(chunk)
}

/// One event.
pub fn event(data: &str) -> ResponseStep {
    raw(format!("data: {data}\n\n").as_bytes())
}

/// The event of a token.
pub fn token(content: &str) -> ResponseStep {
    event(&token_json(content))
}

pub fn token_json(content: &str) -> String {
    serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": content }, "finish_reason": null }] }).to_string()
}

/// The event of a finish.
pub fn finish(reason: &str) -> ResponseStep {
    event(
        &serde_json::json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
            .to_string(),
    )
}

/// `[DONE]` and the end of the body.
pub fn done() -> ResponseStep {
    ResponseStep::Send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n".to_vec())
}

/// A complete streamed answer.
pub fn answer(tokens: &[&str]) -> ScriptedResponse {
    let tokens = tokens.iter().map(|content| token(content));
    std::iter::once(head())
        .chain(tokens)
        .chain([finish("stop"), done()])
        .collect()
}

/// An answer without words; `headers` end in a line break each.
pub fn status(code: u16, headers: &str) -> ScriptedResponse {
    vec![ResponseStep::Send(
        format!("HTTP/1.1 {code} Status\r\n{headers}content-length: 0\r\n\r\n").into_bytes(),
    )]
}

/// A refusal that says why.
pub fn refusal(code: u16, body: &str) -> ScriptedResponse {
    let length = body.len();
    vec![ResponseStep::Send(
        format!(
            "HTTP/1.1 {code} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes(),
    )]
}

/// A whole answer in JSON.
pub fn json(body: &str) -> ScriptedResponse {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {length}\r\n\r\n"
    );
    vec![ResponseStep::Send(
        [head.as_bytes(), body.as_bytes()].concat(),
    )]
}
