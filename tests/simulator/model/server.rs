//! The fake model's script, what it saw, and its connections.

use super::{
    completion::Completion,
    request::ModelApiRequest,
    stream::{self, AnswerEvent},
};
use crate::http_connection::HttpConnection;
use std::{
    collections::VecDeque,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
    time::{sleep, timeout_at},
};

/// Requests kept for assertions; the oldest goes first.
const REQUESTS_KEPT_MAX: usize = 10_000;

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelServerStats {
    pub connections: u64,
    pub requests: u64,
    /// Answers that are being written or waited for now.
    pub open: u64,
    /// Answers written to their end, errors among them.
    pub finished: u64,
    /// Answers that the client gave up before their end: a barge-in that stopped the model shows here.
    pub aborted: u64,
    /// Answers that the script cut.
    pub cut: u64,
    /// Content deltas and pieces of function calls written.
    pub tokens: u64,
}

type Script = Box<dyn Fn(&ModelApiRequest) -> Completion + Send + Sync>;

struct FakeModelServerState {
    queue: VecDeque<Completion>,
    script: Arc<Script>,
    requests: VecDeque<ModelApiRequest>,
    stats: ModelServerStats,
}

struct FakeModelServerShared {
    state: Mutex<FakeModelServerState>,
    changed: Notify,
    /// Raised to close every connection.
    closing: watch::Sender<u64>,
}

impl FakeModelServerShared {
    fn lock(&self) -> MutexGuard<'_, FakeModelServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, how: impl FnOnce(&mut ModelServerStats)) {
        how(&mut self.lock().stats);
        self.changed.notify_waiters();
    }
}

/// A fake model on a loopback port; stops when dropped.
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<FakeModelServerShared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for ModelServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelServer")
            .field("address", &self.address)
            .field("stats", &self.stats())
            .finish()
    }
}

impl ModelServer {
    /// Listens on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Listens on this address.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = FakeModelServerState {
            queue: VecDeque::new(),
            script: Arc::new(Box::new(repeat)),
            requests: VecDeque::new(),
            stats: ModelServerStats::default(),
        };
        let shared = Arc::new(FakeModelServerShared {
            state: Mutex::new(state),
            changed: Notify::new(),
            closing: watch::Sender::new(0),
        });
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            listening: Mutex::new(Some(task)),
        })
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Queues an answer for the next request that has none.
    pub fn next(&self, completion: Completion) {
        self.shared.lock().queue.push_back(completion);
    }

    /// Answers whatever the queue has nothing for; the default repeats what the user said.
    pub fn answer(&self, how: impl Fn(&ModelApiRequest) -> Completion + Send + Sync + 'static) {
        self.shared.lock().script = Arc::new(Box::new(how));
    }

    /// Requests so far, the last 10,000.
    pub fn requests(&self) -> Vec<ModelApiRequest> {
        self.shared.lock().requests.iter().cloned().collect()
    }

    /// Counts so far.
    pub fn stats(&self) -> ModelServerStats {
        self.shared.lock().stats
    }

    /// Waits until `enough` holds, `true`, or `limit` is over, `false`.
    pub async fn wait_for(
        &self,
        enough: impl Fn(&ModelServerStats) -> bool,
        limit: Duration,
    ) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if enough(&self.stats()) {
                return true;
            }
            if timeout_at(deadline, changed).await.is_err() {
                return enough(&self.stats());
            }
        }
    }

    /// Closes the port and every connection: connection refused from here on.
    pub async fn refuse(&self) {
        let task = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            task.abort();
            // Aborted is what it should be; the port is free once it has ended.
            let _ = task.await;
        }
        self.drop_connections();
    }

    /// Drops every connection, whatever is being written on it; new ones are taken.
    pub fn drop_connections(&self) {
        self.shared.closing.send_modify(|round| *round += 1);
    }

    /// Opens the same port again after [`ModelServer::refuse`].
    pub async fn accept_again(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let task = tokio::spawn(listen(listener, Arc::clone(&self.shared)));
        let before = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(task);
        if let Some(before) = before {
            before.abort();
        }
        Ok(())
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        if let Some(task) = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            task.abort();
        }
        self.drop_connections();
    }
}

/// Repeats what the user said, so that an answer tells which question it belongs to.
fn repeat(request: &ModelApiRequest) -> Completion {
    Completion::says(&format!("You said: {} Is there more?", request.last_user()))
}

async fn listen(listener: TcpListener, shared: Arc<FakeModelServerShared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to come back.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        // A delay in a stream is scripted, never the kernel's.
        let _ = stream.set_nodelay(true);
        shared.count(|stats| stats.connections += 1);
        let connection = shared.lock().stats.connections;
        let mut closing = shared.closing.subscribe();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            tokio::select! {
                _ = closing.changed() => {}
                // A client that misbehaves loses its connection and nothing else.
                _ = serve(HttpConnection::new(stream), &shared, connection) => {}
            }
        });
    }
}

/// Serves one connection until the client leaves or the script cuts it.
async fn serve(
    mut door: HttpConnection,
    shared: &FakeModelServerShared,
    connection: u64,
) -> io::Result<()> {
    while let Some(asked) = door.request().await? {
        let body = asked.json();
        let request = ModelApiRequest {
            method: asked.method,
            path: asked.path,
            headers: asked.headers,
            body,
            at: Instant::now(),
            connection,
        };
        if !request
            .path
            .split('?')
            .next()
            .unwrap_or_default()
            .ends_with("/chat/completions")
            || request.method != "POST"
        {
            respond(&mut door, 404, None, &stream::error_body(404)).await?;
            continue;
        }
        if request.is_preload() {
            // No part of the script: it comes at the server's start, whenever that is.
            let word = stream::whole(&Completion::says("H"), &request, "chatcmpl-preload");
            respond(&mut door, 200, None, &word).await?;
            continue;
        }
        let completion = take(shared, &request);
        let open = OpenAnswer::begin(shared);
        let id = format!("chatcmpl-{}", shared.lock().stats.requests);
        match answer(&mut door, shared, &completion, &request, &id).await {
            AnswerOutcome::Finished => open.end(|stats| stats.finished += 1),
            AnswerOutcome::Cut => {
                open.end(|stats| stats.cut += 1);
                return Ok(());
            }
            AnswerOutcome::ClientGone => return Ok(()),
        }
    }
    Ok(())
}

/// The answer for a request, which is written down.
fn take(shared: &FakeModelServerShared, request: &ModelApiRequest) -> Completion {
    let (queued, script) = {
        let mut state = shared.lock();
        state.stats.requests += 1;
        if state.requests.len() >= REQUESTS_KEPT_MAX {
            state.requests.pop_front();
        }
        state.requests.push_back(request.clone());
        (state.queue.pop_front(), Arc::clone(&state.script))
    };
    shared.changed.notify_waiters();
    // Outside the lock: the script may look at this server.
    queued.unwrap_or_else(|| script(request))
}

/// Counts an answer as open; if nobody says how it ended, the client aborted it.
struct OpenAnswer<'a> {
    shared: &'a FakeModelServerShared,
    ended: bool,
}

impl<'a> OpenAnswer<'a> {
    fn begin(shared: &'a FakeModelServerShared) -> Self {
        shared.count(|stats| stats.open += 1);
        Self {
            shared,
            ended: false,
        }
    }

    fn end(mut self, how: impl FnOnce(&mut ModelServerStats)) {
        self.ended = true;
        self.shared.count(how);
    }
}

impl Drop for OpenAnswer<'_> {
    fn drop(&mut self) {
        let aborted = u64::from(!self.ended);
        self.shared.count(|stats| {
            stats.open -= 1;
            stats.aborted += aborted;
        });
    }
}

enum AnswerOutcome {
    Finished,
    Cut,
    ClientGone,
}

/// Waits, unless the client leaves first.
async fn pause(door: &mut HttpConnection, time: Duration) -> Result<(), AnswerOutcome> {
    if time.is_zero() {
        return Ok(());
    }
    tokio::select! {
        () = sleep(time) => Ok(()),
        () = door.wait_closed() => Err(AnswerOutcome::ClientGone),
    }
}

async fn answer(
    door: &mut HttpConnection,
    shared: &FakeModelServerShared,
    completion: &Completion,
    request: &ModelApiRequest,
    id: &str,
) -> AnswerOutcome {
    match try_answer(door, shared, completion, request, id).await {
        Ok(()) => AnswerOutcome::Finished,
        Err(outcome) => outcome,
    }
}

async fn try_answer(
    door: &mut HttpConnection,
    shared: &FakeModelServerShared,
    completion: &Completion,
    request: &ModelApiRequest,
    id: &str,
) -> Result<(), AnswerOutcome> {
    if completion.hang_up {
        return Err(AnswerOutcome::Cut);
    }
    if let Some(status) = completion.status {
        pause(door, completion.first_token).await?;
        let body = if completion.body.is_empty() {
            stream::error_body(status)
        } else {
            completion.body.clone()
        };
        return respond(door, status, completion.retry_after.as_deref(), &body)
            .await
            .map_err(|_| AnswerOutcome::ClientGone);
    }
    if request.wants_stream() {
        return write_stream(door, shared, completion, request, id).await;
    }
    if let Some((_, time)) = completion.stall {
        pause(door, time).await?;
    }
    let gaps = completion.tokens.len().saturating_sub(1) as u32;
    pause(door, completion.first_token + completion.gap * gaps).await?;
    if completion.cut_after.is_some() {
        return Err(AnswerOutcome::Cut);
    }
    respond(door, 200, None, &stream::whole(completion, request, id))
        .await
        .map_err(|_| AnswerOutcome::ClientGone)
}

async fn write_stream(
    door: &mut HttpConnection,
    shared: &FakeModelServerShared,
    completion: &Completion,
    request: &ModelApiRequest,
    id: &str,
) -> Result<(), AnswerOutcome> {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stall = |deltas: usize| {
        completion
            .stall
            .filter(|(after, _)| *after == deltas)
            .map(|(_, time)| time)
    };
    if let Some(time) = stall(0) {
        pause(door, time).await?;
    }
    // Like a real model: the head and the role come at once, the first words when there are some.
    put(door, HEAD).await?;
    let mut deltas = 0;
    for event in stream::events(completion, request, id) {
        if completion.cut_after.is_some_and(|after| deltas >= after) {
            return Err(AnswerOutcome::Cut);
        }
        let delta = matches!(event, AnswerEvent::Delta(_));
        if delta {
            pause(
                door,
                if deltas == 0 {
                    completion.first_token
                } else {
                    completion.gap
                },
            )
            .await?;
        }
        write_event(
            door,
            completion.wire.split_bytes,
            &stream::lay_out(&event, completion.wire),
        )
        .await?;
        if delta {
            deltas += 1;
            shared.count(|stats| stats.tokens += 1);
            if let Some(time) = stall(deltas) {
                pause(door, time).await?;
            }
        }
    }
    put(door, b"0\r\n\r\n").await
}

async fn write_event(
    door: &mut HttpConnection,
    split_bytes: usize,
    bytes: &[u8],
) -> Result<(), AnswerOutcome> {
    if split_bytes == 0 {
        return put(door, &stream::http_chunk(bytes)).await;
    }
    for piece in bytes.chunks(split_bytes) {
        put(door, &stream::http_chunk(piece)).await?;
        // Lets the piece reach the client by itself.
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn put(door: &mut HttpConnection, bytes: &[u8]) -> Result<(), AnswerOutcome> {
    door.write(bytes)
        .await
        .map_err(|_| AnswerOutcome::ClientGone)
}

async fn respond(
    door: &mut HttpConnection,
    status: u16,
    retry_after: Option<&str>,
    body: &str,
) -> io::Result<()> {
    let retry_after = retry_after
        .map(|value| format!("Retry-After: {value}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n{retry_after}Content-Length: {}\r\n\r\n",
        body.len()
    );
    door.write(head.as_bytes()).await?;
    door.write(body.as_bytes()).await
}
