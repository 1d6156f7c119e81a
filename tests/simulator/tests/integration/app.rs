//! A small application behind Twilio: answers webhooks from a table and lets the test hold the relay socket.

use calldex_simulator::twilio::{Call, Twilio, TwilioConfig};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

pub const TOKEN: &str = "an auth token";
pub const FROM: &str = "+14155550100";
pub const TO: &str = "+14155550199";
/// No wait in these tests is longer.
pub const LONG: Duration = Duration::from_secs(10);
/// What the relay asks for unless a test says otherwise.
pub const USUAL: &str = r#"welcomeGreeting="Hello, who is calling?" interruptible="any" reportInputDuringAgentSpeech="any" dtmfDetection="true" partialPrompts="true" events="speaker-events tokens-played""#;

/// A webhook as the application got it.
#[derive(Clone, Debug)]
pub struct ReceivedWebhook {
    pub path: String,
    pub head: String,
    pub body: String,
}

struct TestAppState {
    voice: Mutex<String>,
    actions: Mutex<Vec<String>>,
    hooks: Mutex<Vec<ReceivedWebhook>>,
    status: Mutex<u16>,
    sockets: mpsc::UnboundedSender<TestSocket>,
    heads: Mutex<Vec<String>>,
    refuse: Mutex<bool>,
}

/// The application; stops with the test's runtime.
pub struct TestApp {
    pub base: String,
    inner: Arc<TestAppState>,
    sockets: mpsc::UnboundedReceiver<TestSocket>,
    listening: JoinHandle<()>,
    answering: Option<JoinHandle<()>>,
}

/// A relay socket in the application's hand.
pub struct TestSocket(WebSocketStream<TcpStream>);

impl TestSocket {
    /// The next frame; panics when there is none in time.
    pub async fn frame(&mut self) -> Value {
        loop {
            match timeout(LONG, self.0.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).expect("Twilio sends JSON");
                }
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| u16::from(frame.code));
                    return serde_json::json!({"closed": code});
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return serde_json::json!({"closed": 1006}),
            }
        }
    }

    /// Frames up to and with the first of this type (or `info` name).
    pub async fn until(&mut self, what: &str) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            let done = frame["type"] == what || frame["name"] == what || !frame["closed"].is_null();
            frames.push(frame);
            if done {
                return frames;
            }
        }
    }

    pub async fn send(&mut self, text: &str) {
        self.0
            .send(Message::text(text))
            .await
            .expect("Twilio takes the frame");
    }

    /// Tokens of one reply, closed.
    pub async fn reply(&mut self, tokens: &[&str]) {
        for token in tokens {
            self.send(
                &serde_json::json!({"type": "text", "token": token, "last": false}).to_string(),
            )
            .await;
        }
        self.send(r#"{"type":"text","token":"","last":true}"#).await;
    }
}

impl TestApp {
    /// Starts it; its TwiML opens a relay with these attributes.
    pub async fn start(attributes: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, sockets) = mpsc::unbounded_channel();
        let inner = Arc::new(TestAppState {
            voice: Mutex::new(String::new()),
            actions: Mutex::default(),
            hooks: Mutex::default(),
            status: Mutex::new(200),
            sockets: sender,
            heads: Mutex::default(),
            refuse: Mutex::new(false),
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&inner)));
        let app = Self {
            base,
            inner,
            sockets,
            listening,
            answering: None,
        };
        app.voice(&app.relay(attributes));
        app
    }

    /// As a process that is killed: nobody listens, and connections are gone (sockets in a test's hand are the test's
    /// to drop).
    pub async fn kill(&mut self) {
        self.listening.abort();
        let _ = (&mut self.listening).await;
    }

    /// The same, with the sockets that [`TestApp::answer_all`] took.
    pub async fn kill_with_its_calls(&mut self) {
        self.kill().await;
        if let Some(answering) = self.answering.take() {
            answering.abort();
        }
    }

    /// Listens again, at the same address.
    pub async fn start_again(&mut self) {
        let address = self.base.trim_start_matches("http://");
        let listener = TcpListener::bind(address).await.expect("its own port");
        self.listening = tokio::spawn(listen(listener, Arc::clone(&self.inner)));
    }

    /// TwiML for a relay with these attributes.
    pub fn relay(&self, attributes: &str) -> String {
        let host = self.base.trim_start_matches("http://");
        format!(
            r#"<Response><Connect action="/over"><ConversationRelay url="wss://{host}/relay?k=v" {attributes}><Parameter name="ref" value="r&amp;1"/></ConversationRelay></Connect></Response>"#
        )
    }

    pub fn voice(&self, twiml: &str) {
        *self.inner.voice.lock().unwrap() = twiml.to_owned();
    }

    pub fn voice_status(&self, status: u16) {
        *self.inner.status.lock().unwrap() = status;
    }

    pub fn refuse_sockets(&self) {
        *self.inner.refuse.lock().unwrap() = true;
    }

    /// Queues an answer for an action request; without one it answers an empty response.
    pub fn on_action(&self, twiml: &str) {
        self.inner.actions.lock().unwrap().push(twiml.to_owned());
    }

    pub fn hooks(&self, path: &str) -> Vec<ReceivedWebhook> {
        self.inner
            .hooks
            .lock()
            .unwrap()
            .iter()
            .filter(|hook| hook.path.starts_with(path))
            .cloned()
            .collect()
    }

    /// The heads of the handshakes.
    pub fn handshakes(&self) -> Vec<String> {
        self.inner.heads.lock().unwrap().clone()
    }

    pub async fn socket(&mut self) -> TestSocket {
        timeout(LONG, self.sockets.recv())
            .await
            .expect("a socket in time")
            .expect("the application runs")
    }

    pub fn config(&self) -> TwilioConfig {
        TwilioConfig {
            base_url: self.base.clone(),
            auth_token: Some(TOKEN.into()),
            speed: 20.0,
            ..TwilioConfig::default()
        }
    }

    pub fn twilio(&self) -> Twilio {
        Twilio::new(self.config()).expect("the settings are good")
    }

    /// Takes every socket from here on and answers each final prompt by repeating it.
    pub fn answer_all(&mut self) {
        let (_, empty) = mpsc::unbounded_channel();
        let mut sockets = std::mem::replace(&mut self.sockets, empty);
        self.answering = Some(tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Some(socket) = sockets.recv().await {
                calls.spawn(repeat(socket));
            }
        }));
    }

    /// A call that stands, after its `setup`.
    pub async fn call(&mut self) -> (Call, TestSocket, Value) {
        let call = self
            .twilio()
            .place_call(FROM, TO)
            .await
            .expect("the call is answered");
        let mut socket = self.socket().await;
        let setup = socket.frame().await;
        (call, socket, setup)
    }
}

async fn repeat(mut socket: TestSocket) {
    while let Some(Ok(message)) = socket.0.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let frame: Value = serde_json::from_str(&text).expect("Twilio sends JSON");
        if frame["type"] == "prompt" && frame["last"] == true {
            let said = frame["voicePrompt"].as_str().unwrap_or_default();
            let tokens = [
                format!("You said: {said}."),
                " All".to_owned(),
                " right?".to_owned(),
                String::new(),
            ];
            for (at, token) in tokens.iter().enumerate() {
                let frame = serde_json::json!({"type": "text", "token": token, "last": at + 1 == tokens.len()});
                if socket
                    .0
                    .send(Message::text(frame.to_string()))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
    }
}

/// Serves until it is dropped, and every connection with it.
async fn listen(listener: TcpListener, inner: Arc<TestAppState>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&inner)));
    }
}

async fn serve(mut stream: TcpStream, inner: Arc<TestAppState>) {
    stream.set_nodelay(true).expect("a socket");
    let mut seen = vec![0; 8192];
    let count = stream.peek(&mut seen).await.unwrap_or(0);
    let head = String::from_utf8_lossy(&seen[..count]).into_owned();
    if head.to_ascii_lowercase().contains("upgrade: websocket") {
        inner.heads.lock().unwrap().push(head);
        let refuse = *inner.refuse.lock().unwrap();
        #[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
        let check = |_: &Request, response: Response| {
            if refuse {
                Err(ErrorResponse::new(None).map_status(403))
            } else {
                Ok(response)
            }
        };
        if let Ok(socket) = accept_hdr_async(stream, check).await {
            let _ = inner.sockets.send(TestSocket(socket));
        }
        return;
    }
    while let Some((path, head, body)) = request(&mut stream).await {
        inner.hooks.lock().unwrap().push(ReceivedWebhook {
            path: path.clone(),
            head,
            body,
        });
        let status = if path.starts_with("/twilio/voice") {
            *inner.status.lock().unwrap()
        } else {
            200
        };
        let twiml = if path.starts_with("/over") {
            let mut queued = inner.actions.lock().unwrap();
            if queued.is_empty() {
                "<Response/>".to_owned()
            } else {
                queued.remove(0)
            }
        } else {
            inner.voice.lock().unwrap().clone()
        };
        let answer = format!(
            "HTTP/1.1 {status} OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{twiml}",
            twiml.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

trait MapStatus {
    fn map_status(self, status: u16) -> Self;
}

impl MapStatus for ErrorResponse {
    fn map_status(mut self, status: u16) -> Self {
        *self.status_mut() = status.try_into().expect("a status");
        self
    }
}

/// One request: path, head, body.
async fn request(stream: &mut TcpStream) -> Option<(String, String, String)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let mut more = [0; 4096];
        let count = stream
            .read(&mut more)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend_from_slice(&more[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length:")
            .map(|value| value.trim().parse::<usize>().unwrap_or(0))
    });
    let mut body = bytes.split_off(head_end);
    while body.len() < length.unwrap_or(0) {
        let mut more = [0; 4096];
        let count = stream
            .read(&mut more)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        body.extend_from_slice(&more[..count]);
    }
    let path = head.split(' ').nth(1)?.to_owned();
    Some((path, head, String::from_utf8_lossy(&body).into_owned()))
}
