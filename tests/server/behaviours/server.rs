//! A model server that does what a row says, byte by byte, on a socket of its own.

use super::behaviour::{Behaviour, BodyEnd, StreamItem, WireAnswer};
use super::strict;
use serde_json::Value;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// An opinion about a name, asked in the background.
const NO_NAME: &str = r#"{\"name\":null,\"kind\":\"none\",\"quote\":\"\"}"#;

/// A request for a reply.
#[derive(Debug, Clone)]
pub struct ModelRequestSeen {
    /// The body as it came.
    pub text: String,
    /// What it was refused with.
    pub refused: Option<String>,
}

#[derive(Default)]
struct BehaviourServerState {
    answers: VecDeque<WireAnswer>,
    requests: Vec<ModelRequestSeen>,
    /// When the load began; `None` before the first request and after it was given up.
    loading_since: Option<Instant>,
    loaded: bool,
    /// Requests that wait for the load.
    waiting: usize,
}

struct BehaviourServerShared {
    row: Behaviour,
    state: Mutex<BehaviourServerState>,
}

/// The server; its connections end with it.
pub struct BehaviourServer {
    address: SocketAddr,
    shared: Arc<BehaviourServerShared>,
    listening: tokio::task::JoinHandle<()>,
}

pub struct ParsedHttpRequest {
    pub method: String,
    pub path: String,
    pub text: String,
}

impl BehaviourServer {
    pub async fn start(row: &Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(BehaviourServerShared {
            row: row.clone(),
            state: Mutex::default(),
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            listening,
        }
    }

    /// Up to and without the query.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The next answers.
    pub fn will_answer(&self, answers: &[WireAnswer]) {
        let answers = answers
            .iter()
            .flat_map(|answer| std::iter::repeat_n(answer.clone(), answer.times));
        self.shared.lock().answers = answers.collect();
    }

    /// All requests for a reply so far.
    pub fn requests(&self) -> Vec<ModelRequestSeen> {
        self.shared.lock().requests.clone()
    }
}

impl Drop for BehaviourServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl BehaviourServerShared {
    fn lock(&self) -> MutexGuard<'_, BehaviourServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the request is refused, if it is.
    fn refusal(&self, request: &ParsedHttpRequest, body: &Value) -> Option<(u16, String, String)> {
        let row = &self.row;
        let json = || "application/json".to_owned();
        let query = request.path.split_once('?').map_or("", |(_, query)| query);
        if query != row.query.trim_start_matches('?') {
            let body = r#"{"error":{"code":"404","message":"Resource not found"}}"#;
            return Some((404, json(), body.to_owned()));
        }
        for refuses in &row.refuses {
            if has(body, &refuses.has) {
                return Some((refuses.status, json(), refuses.body.clone()));
            }
        }
        if let Some((status, words)) = strict::refusal(&row.strict, body) {
            return Some((status, json(), words));
        }
        let context = row.context.as_ref()?;
        let too_long = said_bytes(body) > context.bytes_max;
        too_long.then(|| {
            let kind = context.content_type.clone();
            (context.status, kind, context.body.clone())
        })
    }

    /// The answer to a request that is not refused.
    fn answer(&self, wants_reply: bool, body: &Value) -> WireAnswer {
        if !wants_reply {
            let words = match body.get("response_format") {
                Some(_) => NO_NAME,
                None => "Hi",
            };
            let whole = format!(
                r#"{{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{words}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}}}"#
            );
            return WireAnswer::whole(200, &whole);
        }
        let next = self.lock().answers.pop_front();
        next.unwrap_or_else(WireAnswer::ordinary)
    }
}

/// A JSON pointer, or `role:NAME`.
fn has(body: &Value, what: &str) -> bool {
    match what.strip_prefix("role:") {
        Some(role) => body["messages"]
            .as_array()
            .is_some_and(|all| all.iter().any(|message| message["role"] == role)),
        None => body.pointer(what).is_some(),
    }
}

/// Bytes of all messages behind the system prompt.
fn said_bytes(body: &Value) -> usize {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let said = messages
        .iter()
        .filter(|message| message["role"] != "system");
    said.map(|message| message["content"].as_str().map_or(0, str::len))
        .sum()
}

async fn listen(listener: TcpListener, shared: Arc<BehaviourServerShared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // A pause in a stream is the row's, never the kernel's.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client that leaves is no fault of the server.
            let _ = serve(stream, &shared).await;
        });
    }
}

async fn serve(stream: TcpStream, shared: &BehaviourServerShared) -> std::io::Result<()> {
    let (mut from, mut to) = stream.into_split();
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut from, &mut buffer).await? {
        if request.method != "POST" {
            let length = r#"{"object":"list","data":[]}"#;
            let body = if request.method == "HEAD" { "" } else { length };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                length.len()
            );
            to.write_all(head.as_bytes()).await?;
            continue;
        }
        let stays = respond(&request, shared, &mut from, &mut to).await?;
        if !stays {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers one request; whether the connection may be used again.
async fn respond(
    request: &ParsedHttpRequest,
    shared: &BehaviourServerShared,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> std::io::Result<bool> {
    let body: Value = serde_json::from_str(&request.text).unwrap_or_default();
    let limit = |name: &str| body[name].as_u64();
    let single = [limit("max_tokens"), limit("max_completion_tokens")].contains(&Some(1));
    let wants_reply = body["stream"] == true && !single;
    if let Some(refusal) = load(shared, from).await? {
        write(to, &refusal).await?;
        return Ok(true);
    }
    let refused = shared.refusal(request, &body);
    if wants_reply {
        shared.lock().requests.push(ModelRequestSeen {
            text: request.text.clone(),
            refused: refused.as_ref().map(|(_, _, words)| words.clone()),
        });
    }
    let answer = match refused {
        Some((status, content_type, words)) => WireAnswer {
            content_type,
            ..WireAnswer::whole(status, &words)
        },
        None => shared.answer(wants_reply, &body),
    };
    write(to, &answer).await
}

/// Waits until the model is loaded, or says that it is not.
async fn load(
    shared: &BehaviourServerShared,
    from: &mut OwnedReadHalf,
) -> std::io::Result<Option<WireAnswer>> {
    let Some(loading) = &shared.row.loading else {
        return Ok(None);
    };
    let takes = Duration::from_millis(loading.ms);
    let left = {
        let mut state = shared.lock();
        let since = *state.loading_since.get_or_insert_with(Instant::now);
        state.loaded |= since.elapsed() >= takes;
        if state.loaded {
            return Ok(None);
        }
        state.waiting += usize::from(loading.refusal.is_none());
        takes.saturating_sub(since.elapsed())
    };
    if let Some(refusal) = &loading.refusal {
        return Ok(Some(WireAnswer::whole(refusal.status, &refusal.body)));
    }
    let mut nothing = [0; 1];
    let gone = tokio::select! {
        () = tokio::time::sleep(left) => false,
        // Nothing is sent behind a request: what can be read is the connection's end.
        _ = from.read(&mut nothing) => true,
    };
    let mut state = shared.lock();
    state.waiting -= 1;
    if !gone {
        state.loaded = true;
        return Ok(None);
    }
    if state.waiting == 0 && !state.loaded {
        state.loading_since = None;
    }
    Err(std::io::ErrorKind::ConnectionAborted.into())
}

/// Writes an answer; whether the connection may be used again.
async fn write(to: &mut OwnedWriteHalf, answer: &WireAnswer) -> std::io::Result<bool> {
    tokio::time::sleep(Duration::from_millis(answer.silence_ms)).await;
    let mut head = format!(
        "HTTP/1.1 {} Whatever\r\ncontent-type: {}\r\n",
        answer.status, answer.content_type
    );
    for line in &answer.headers {
        head.push_str(&format!("{line}\r\n"));
    }
    if answer.stream.is_empty() {
        head.push_str(&format!("content-length: {}\r\n\r\n", answer.body.len()));
        to.write_all(head.as_bytes()).await?;
        to.write_all(answer.body.as_bytes()).await?;
        return Ok(true);
    }
    head.push_str("transfer-encoding: chunked\r\n\r\n");
    to.write_all(head.as_bytes()).await?;
    for item in &answer.stream {
        match (item, item.bytes()) {
            (StreamItem::Pause(ms), _) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            (_, Some(bytes)) => {
                let piece_bytes = match answer.cut_bytes {
                    0 => bytes.len().max(1),
                    bytes => bytes,
                };
                for piece in bytes.as_bytes().chunks(piece_bytes) {
                    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                    chunk.extend_from_slice(piece);
                    chunk.extend_from_slice(b"\r\n");
                    to.write_all(&chunk).await?;
                }
            }
            (StreamItem::Text(_), None) => {}
        }
    }
    match answer.end {
        BodyEnd::Whole => to.write_all(b"0\r\n\r\n").await?,
        BodyEnd::Cut => return Ok(false),
        BodyEnd::Open => std::future::pending::<()>().await,
    }
    Ok(true)
}

/// The next request on a connection; `None` at its end.
async fn read(
    from: &mut OwnedReadHalf,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<ParsedHttpRequest>> {
    loop {
        if let Some((request, length)) = parse(buffer) {
            buffer.drain(..length);
            return Ok(Some(request));
        }
        if buffer.len() > REQUEST_BYTES_MAX || from.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// A whole request at the beginning of `bytes`, and how long it is.
pub fn parse(bytes: &[u8]) -> Option<(ParsedHttpRequest, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let body = bytes.get(end..end + length)?;
    let text = String::from_utf8_lossy(body).into_owned();
    Some((ParsedHttpRequest { method, path, text }, end + length))
}
