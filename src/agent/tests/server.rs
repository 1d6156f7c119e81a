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
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One thing the server does with a request.
#[derive(Clone)]
pub enum Step {
    /// Sends bytes as they are.
    Send(Vec<u8>),
    /// Waits for [`Server::open_gate`].
    Gate,
    /// Waits until the client closes, and notes it.
    Hang,
    /// Closes the connection.
    Close,
}

/// The answer to one request.
pub type Act = Vec<Step>;

/// A running server.
pub struct Server {
    pub base_url: String,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<VecDeque<Act>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    gate: Semaphore,
    closed: Semaphore,
}

impl Server {
    /// Plays `script`; further requests are answered with status 500.
    pub async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
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

    /// Lets one waiting `Gate` pass.
    pub fn open_gate(&self) {
        self.shared.gate.add_permits(1);
    }

    /// Returns when a client has closed on a `Hang`.
    pub async fn client_closed(&self) {
        timeout(PATIENCE, self.shared.closed.acquire())
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

impl Shared {
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
    async fn play(&self, act: Act, socket: &mut TcpStream) -> bool {
        for step in act {
            match step {
                Step::Send(bytes) => {
                    if socket.write_all(&bytes).await.is_err() {
                        return false;
                    }
                }
                Step::Gate => self.gate.acquire().await.unwrap().forget(),
                Step::Hang => {
                    // Zero bytes or an error: the client has gone.
                    let _ = socket.read(&mut [0; 64]).await;
                    self.closed.add_permits(1);
                    return false;
                }
                Step::Close => return false,
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
pub fn head() -> Step {
    Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    )
}

/// Bytes as one HTTP chunk.
pub fn raw(bytes: &[u8]) -> Step {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    Step::Send(chunk)
}

/// One event.
pub fn event(data: &str) -> Step {
    raw(format!("data: {data}\n\n").as_bytes())
}

/// The event of a token.
pub fn token(content: &str) -> Step {
    event(&token_json(content))
}

pub fn token_json(content: &str) -> String {
    serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": content }, "finish_reason": null }] }).to_string()
}

/// The event of a finish.
pub fn finish(reason: &str) -> Step {
    event(
        &serde_json::json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
            .to_string(),
    )
}

/// `[DONE]` and the end of the body.
pub fn done() -> Step {
    Step::Send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n".to_vec())
}

/// A complete streamed answer.
pub fn answer(tokens: &[&str]) -> Act {
    let tokens = tokens.iter().map(|content| token(content));
    std::iter::once(head())
        .chain(tokens)
        .chain([finish("stop"), done()])
        .collect()
}

/// An answer without words; `headers` end in a line break each.
pub fn status(code: u16, headers: &str) -> Act {
    vec![Step::Send(
        format!("HTTP/1.1 {code} Status\r\n{headers}content-length: 0\r\n\r\n").into_bytes(),
    )]
}

/// A refusal that says why.
pub fn refusal(code: u16, body: &str) -> Act {
    let length = body.len();
    vec![Step::Send(
        format!(
            "HTTP/1.1 {code} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes(),
    )]
}

/// A whole answer in JSON.
pub fn json(body: &str) -> Act {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {length}\r\n\r\n"
    );
    vec![Step::Send([head.as_bytes(), body.as_bytes()].concat())]
}
