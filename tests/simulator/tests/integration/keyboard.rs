//! `calldex call` with a caller at the keyboard, and a server that goes away.

use crate::app::{FROM, LONG, TO, TOKEN, TestApp, USUAL};
use calldex_simulator::terminal::{CallOptions, CallSummary, TerminalError, run};
use serde_json::Value;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex},
    task::JoinHandle,
    time::timeout,
};

const GREETING: &str = "Hello, this is a greeting that goes on and on until somebody says something to it, whatever that is, and does not end before";

/// A call whose caller types.
struct KeyboardInput {
    keys: Option<DuplexStream>,
    screen: DuplexStream,
    call: JoinHandle<Result<CallSummary, TerminalError>>,
}

impl KeyboardInput {
    fn call(app: &TestApp, speed: f64, keyboard: bool) -> Self {
        let options = CallOptions {
            base_url: app.base.clone(),
            auth_token: Some(TOKEN.into()),
            from: FROM.into(),
            to: TO.into(),
            speed,
            reply_timeout: Duration::from_secs(5),
            server_back_max: Duration::from_secs(2),
            keyboard,
            ..CallOptions::default()
        };
        let (keys, input) = duplex(4096);
        let (output, screen) = duplex(1 << 20);
        let call = tokio::spawn(run(options, BufReader::new(input), output));
        Self {
            keys: Some(keys),
            screen,
            call,
        }
    }

    async fn types(&mut self, text: &str) {
        let keys = self.keys.as_mut().expect("still typing");
        keys.write_all(text.as_bytes()).await.expect("a terminal");
    }

    /// Ctrl-D.
    fn ends(&mut self) {
        self.keys = None;
    }

    /// Waits until the call is over: how it went, and all that was shown.
    async fn over(self) -> (Result<CallSummary, TerminalError>, String) {
        let Self {
            mut screen,
            call,
            keys: _keys,
        } = self;
        let mut shown = String::new();
        timeout(2 * LONG, screen.read_to_string(&mut shown))
            .await
            .expect("the call ends")
            .expect("text");
        (call.await.expect("no panic"), shown)
    }
}

fn prompts(frames: &[Value]) -> Vec<&str> {
    let last = frames.iter().filter(|frame| frame["last"] == true);
    last.filter_map(|frame| frame["voicePrompt"].as_str())
        .collect()
}

#[tokio::test]
async fn a_line_typed_while_the_agent_speaks_interrupts_it() {
    let mut app = TestApp::start(USUAL).await;
    app.voice(&app.relay(&USUAL.replace("Hello, who is calling?", GREETING)));
    let mut typist = KeyboardInput::call(&app, 5.0, true);
    let mut socket = app.socket().await;
    socket.until("agentSpeaking").await;
    typist.types("Stop it\n").await;
    let mut frames = socket.until("interrupt").await;
    while prompts(&frames).is_empty() {
        frames.extend(socket.until("prompt").await);
    }
    let at = |kind: &str| frames.iter().position(|frame| frame["type"] == kind);
    assert!(at("interrupt") < frames.iter().position(|frame| frame["last"] == true));
    assert_eq!(prompts(&frames), ["Stop it"]);
    socket.reply(&["As you like."]).await;
    socket.until("tokensPlayed").await;
    typist.ends();
    drop(socket);
    let (summary, shown) = typist.over().await;
    let summary = summary.unwrap();
    assert_eq!((summary.turns, summary.replies), (1, 1), "{shown}");
    assert!(shown.contains("· interrupted "), "{shown}");
    assert!(shown.contains("agent: As you like."), "{shown}");
    assert!(!shown.contains("you: you: "), "{shown}");
}

#[tokio::test]
async fn a_line_from_a_pipe_waits_until_the_agent_has_finished() {
    let mut app = TestApp::start(USUAL).await;
    let mut typist = KeyboardInput::call(&app, 40.0, false);
    let mut socket = app.socket().await;
    socket.until("agentSpeaking").await;
    typist.types("Hello there\n").await;
    typist.ends();
    let mut frames = Vec::new();
    while prompts(&frames).is_empty() {
        frames.extend(socket.until("prompt").await);
    }
    assert!(
        frames.iter().all(|frame| frame["type"] != "interrupt"),
        "{frames:?}"
    );
    socket.reply(&["Yes?"]).await;
    socket.until("closed").await;
    let (summary, shown) = typist.over().await;
    assert_eq!(summary.unwrap().replies, 1, "{shown}");
}

#[tokio::test]
async fn the_end_of_input_hangs_up_in_the_middle_of_a_sentence() {
    let mut app = TestApp::start(USUAL).await;
    app.voice(&app.relay(&USUAL.replace("Hello, who is calling?", GREETING)));
    let mut typist = KeyboardInput::call(&app, 1.0, true);
    let mut socket = app.socket().await;
    socket.until("agentSpeaking").await;
    typist.ends();
    let frames = socket.until("closed").await;
    assert_eq!(frames.last().unwrap()["closed"], 1000);
    assert!(
        frames.iter().all(|frame| frame["name"] != "agentSpeaking"),
        "{frames:?}"
    );
    drop(socket);
    let (summary, shown) = typist.over().await;
    assert_eq!(summary.unwrap().ending, "you hung up", "{shown}");
}

#[tokio::test]
async fn commands_are_not_spoken() {
    let mut app = TestApp::start(USUAL).await;
    let mut typist = KeyboardInput::call(&app, 20.0, true);
    let mut socket = app.socket().await;
    typist.types("/foo\n!dance\n/help\n/press 1\n").await;
    let frames = socket.until("dtmf").await;
    typist.types("/bye\n").await;
    let after = socket.until("closed").await;
    assert!(
        frames
            .iter()
            .chain(&after)
            .all(|frame| frame["type"] != "prompt")
    );
    drop(socket);
    let (summary, shown) = typist.over().await;
    assert_eq!(summary.unwrap().turns, 1);
    for part in ["/foo is unknown", "/dance is unknown", "· /wait MS"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_reconnected_to() {
    let mut app = TestApp::start(USUAL).await;
    app.on_action(&app.relay(&USUAL.replace("Hello, who is calling?", "Sorry, I am back.")));
    let mut typist = KeyboardInput::call(&app, 20.0, true);
    let mut socket = app.socket().await;
    typist.types("Hi\n").await;
    while prompts(&socket.until("prompt").await).is_empty() {}
    socket.reply(&["Yes?"]).await;
    socket.until("tokensPlayed").await;
    app.kill().await;
    drop(socket);
    // Long enough that the first try is refused.
    tokio::time::sleep(Duration::from_millis(400)).await;
    app.start_again().await;
    let mut socket = app.socket().await;
    socket.until("setup").await;
    typist.types("Are you there\n").await;
    while prompts(&socket.until("prompt").await).is_empty() {}
    socket.reply(&["I am."]).await;
    socket.until("tokensPlayed").await;
    typist.types("/bye\n").await;
    socket.until("closed").await;
    let (summary, shown) = typist.over().await;
    assert_eq!(summary.unwrap().ending, "you hung up", "{shown}");
    let order = [
        "agent: Yes?",
        "· connection lost",
        "· reconnected",
        "agent: Sorry, I am back.",
        "agent: I am.",
        "11200",
    ];
    let places: Vec<_> = order.iter().map(|part| shown.find(part)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{places:?} {shown}"
    );
}

#[tokio::test]
async fn a_server_that_stays_away_is_told_in_plain_words() {
    let mut app = TestApp::start(USUAL).await;
    let typist = KeyboardInput::call(&app, 20.0, true);
    let mut socket = app.socket().await;
    socket.until("agentSpeaking").await;
    app.kill().await;
    drop(socket);
    let (summary, shown) = typist.over().await;
    assert!(
        matches!(summary, Err(TerminalError::Gone { .. })),
        "{summary:?}"
    );
    assert!(shown.contains("· connection lost"), "{shown}");
    assert!(shown.contains("the server is gone"), "{shown}");
    assert!(!shown.contains("against the protocol"), "{shown}");
}
