//! A tool of the operator behind an address: answers as it is told to, and keeps what it was asked.

use crate::test_server::{WAIT_MAX, wait_for};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request.
#[derive(Debug, Clone)]
pub struct ReceivedToolRequest {
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl ReceivedToolRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What it answers with.
#[derive(Debug, Clone)]
pub struct ToolResponse {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    after: Duration,
}

impl ToolResponse {
    pub fn json(body: &Value) -> Self {
        Self::bytes("application/json", body.to_string().into_bytes())
    }

    pub fn bytes(kind: &str, body: Vec<u8>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", kind.to_owned())],
            body,
            after: Duration::ZERO,
        }
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self {
            status,
            ..Self::bytes("text/plain", body.as_bytes().to_vec())
        }
    }

    pub fn redirect_to(address: &str) -> Self {
        let mut said = Self::status(307, "");
        said.headers.push(("location", address.to_owned()));
        said
    }

    /// Its body.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Real time from the request to the answer.
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }
}

type Script = Box<dyn Fn(&ReceivedToolRequest) -> ToolResponse + Send + Sync>;

/// What the server knows.
struct ToolServerState {
    script: Script,
    asked: Mutex<Vec<ReceivedToolRequest>>,
    /// Requests whose answer was waited for to its end.
    answered: Mutex<usize>,
}

/// A server on a free port.
pub struct ToolServer {
    pub address: SocketAddr,
    shared: Arc<ToolServerState>,
}

impl ToolServer {
    pub async fn start(
        script: impl Fn(&ReceivedToolRequest) -> ToolResponse + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(ToolServerState {
            script: Box::new(script),
            asked: Mutex::default(),
            answered: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests so far.
    pub fn requests(&self) -> Vec<ReceivedToolRequest> {
        lock(&self.shared.asked).clone()
    }

    /// How many answers went out.
    pub fn responses_sent(&self) -> usize {
        *lock(&self.shared.answered)
    }

    /// Waits for so many requests.
    pub async fn wait_requests(&self, times: usize) -> ReceivedToolRequest {
        wait_for("the tool to be asked", || {
            let asked = self.requests();
            (asked.len() >= times).then(|| asked[times - 1].clone())
        })
        .await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, shared: Arc<ToolServerState>) {
    let mut bytes = Vec::new();
    while let Some(asked) = next(&mut stream, &mut bytes).await {
        lock(&shared.asked).push(asked.clone());
        let said = (shared.script)(&asked);
        // A client that gives up is not answered.
        let mut more = [0; 1];
        tokio::select! {
            () = tokio::time::sleep(said.after) => {}
            _ = stream.peek(&mut more) => return,
        }
        let mut head = format!("HTTP/1.1 {} Said\r\n", said.status);
        for (name, value) in &said.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", said.body.len()));
        let written = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&said.body).await
        };
        if written.await.is_err() {
            return;
        }
        *lock(&shared.answered) += 1;
    }
}

/// The next request on the connection; `bytes` is what was read beyond the one before.
async fn next(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<ReceivedToolRequest> {
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        read(stream, bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap_or(0));
    while bytes.len() < end + length {
        read(stream, bytes).await?;
    }
    let rest = bytes.split_off(end + length);
    let body = String::from_utf8_lossy(&bytes[end..]).into_owned();
    *bytes = rest;
    Some(ReceivedToolRequest {
        path,
        headers,
        body,
    })
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 4096];
    let read = tokio::time::timeout(WAIT_MAX, stream.read(&mut piece)).await;
    let count = read.ok()?.ok().filter(|count| *count > 0)?;
    bytes.extend_from_slice(&piece[..count]);
    Some(())
}
