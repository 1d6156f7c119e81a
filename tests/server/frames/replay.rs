//! One script on the stage: a server of its own, the model playing the script's application.

use super::protocol_checker::ProtocolChecker;
use super::script::{Cycle, Script, pressed};
use crate::fake_model::{FakeModel, is_asked};
use crate::raw_http;
use crate::test_server::{PUBLIC_URL, TestServer, WAIT_MAX};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{Webhook, twiml::Twiml};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

/// How much faster than recorded the lines follow each other.
const COMPRESSION: u32 = 20;
/// Longest pause between two lines, in real time.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// A script being played.
pub struct ScriptReplay {
    script: Script,
    test_server: TestServer,
    model: FakeModel,
    socket: Option<WebSocketStream<TcpStream>>,
    checker: ProtocolChecker,
    twiml: Option<Twiml>,
    /// The reply that the script's next lines presuppose, and how many whole replies there were
    /// when it was asked for.
    awaited: Option<(Cycle, usize)>,
    /// The server said something of its own in its place: its playback is reported instead.
    canned_phrase: bool,
    /// Clauses reported of the reply in play.
    reported: String,
    /// What was heard of each reply that was interrupted.
    cut: Vec<String>,
    /// The model's whole replies that were heard to their end.
    whole: Vec<String>,
    /// Frames both ways, for a failure's report.
    frame_log: Vec<String>,
}

impl ScriptReplay {
    pub async fn start(script: Script) -> Self {
        let model = FakeModel::start().await;
        let answers = answers(&script);
        model.answer_with(move |request| {
            let found = answers.iter().find(|(words, _)| is_asked(request, words));
            found.map_or_else(Completion::silence, |(_, cycle)| completion(cycle))
        });
        let mut plan = TestServer::builder()
            .with_model(&model)
            .set("twilio.handoff.dial", "+15550100003")
            // The scripts' applications ask once, in the greeting.
            .set("call.name_asks_max", 1)
            .set("twilio.relay.application_reconnect", script.redials());
        if let Some(greeting) = script.greeting() {
            let greeting = toml_text(&greeting);
            plan = plan.config(&format!(
                "[phrases.en]\ngreet_new = {greeting}\ngreet_neutral = {greeting}\n"
            ));
        }
        Self {
            test_server: plan.start().await,
            script,
            model,
            socket: None,
            checker: ProtocolChecker::default(),
            twiml: None,
            awaited: None,
            canned_phrase: false,
            reported: String::new(),
            cut: Vec::new(),
            whole: Vec::new(),
            frame_log: Vec::new(),
        }
    }

    /// Plays it line by line, and looks at what is left of it.
    pub async fn play(mut self) {
        let lines = self.script.lines.clone();
        let mut before = 0;
        for (at, line) in lines.iter().enumerate() {
            let now = line["at_ms"].as_u64().unwrap_or(before);
            let pause = Duration::from_millis(now.saturating_sub(before)) / COMPRESSION;
            before = now;
            self.listen_for(pause.min(PAUSE_MAX)).await;
            match line["dir"].as_str() {
                Some("http") => self.request(line).await,
                Some("in") => self.twilio_says(at, line).await,
                Some("out") if line.get("close").is_some() => self.crash(at).await,
                _ => {}
            }
        }
        if !lines.iter().any(|line| line["name"] == "status") {
            self.twilio_says_that_it_is_over(&lines[0]).await;
        }
        self.check_database().await;
    }

    /// Scripts that end before the call's end: Twilio reports that too.
    async fn twilio_says_that_it_is_over(&mut self, voice: &Value) {
        let mut form = voice["form"].clone();
        form["CallStatus"] = json!("completed");
        let status = json!({"name": "status", "form": form});
        self.request(&status).await;
    }

    fn fail(&self, what: &str) -> ! {
        panic!(
            "{}: {what}\nthe test_server: {:?}\nkept: {:#?}\nsent and heard:\n{}",
            self.script.name,
            self.checker,
            self.test_server.database().turns(self.script.call_sid()),
            self.frame_log.join("\n")
        )
    }

    async fn request(&mut self, line: &Value) {
        let name = line["name"].as_str().unwrap_or_default();
        if name == "upgrade" {
            return self.open().await;
        }
        let form = line["form"].as_object().expect("a form");
        let form = form
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let webhook = Webhook {
            path: format!("/twilio/{name}"),
            form,
            by_get: line["method"] == "GET",
            idempotency_token: line["headers"]["I-Twilio-Idempotency-Token"]
                .as_str()
                .map(str::to_owned),
            ..Webhook::default()
        };
        let answer = self.test_server.twilio.request(webhook).await;
        let answer = answer.unwrap_or_else(|error| self.fail(&format!("{name}: {error}")));
        if name == "status" {
            assert_eq!(answer.status, 204, "{}", self.script.name);
            return;
        }
        assert_eq!(answer.status, 200, "{}: {name}", self.script.name);
        let twiml = answer
            .twiml()
            .unwrap_or_else(|error| self.fail(&format!("{name}: {error}")));
        if line["form"]["HandoffData"].is_string() {
            let dials = answer.body.contains("<Dial timeout=");
            assert!(dials, "{}: {}", self.script.name, answer.body);
        }
        if twiml.relay().is_some() {
            self.twiml = Some(twiml);
        }
    }

    /// The handshake, signed over the URL that our own TwiML spells.
    async fn open(&mut self) {
        self.wait_checker();
        let twiml = self.twiml.as_ref().expect("TwiML before the handshake");
        let url = twiml.relay().expect("a relay").url().to_owned();
        let relay = format!("{PUBLIC_URL}/twilio/relay").replace("https", "wss");
        assert_eq!(url, relay);
        let socket = raw_http::open_websocket(self.test_server.listen, &url).await;
        self.socket = Some(socket);
    }

    /// A socket is over: nothing that came on it may have been against the protocol.
    fn wait_checker(&mut self) {
        let judge = std::mem::take(&mut self.checker);
        assert!(
            judge.violations.is_empty(),
            "{}: {:?}",
            self.script.name,
            judge.violations
        );
    }

    async fn twilio_says(&mut self, at: usize, line: &Value) {
        if let Some(close) = line.get("close") {
            return self.close(close).await;
        }
        let mut frame = line["frame"].clone();
        match line["frame"]["type"].as_str() {
            Some("setup") => {
                let twiml = self.twiml.as_ref().and_then(Twiml::relay);
                let parameters = &twiml.expect("TwiML before setup").parameters;
                let ours = parameters
                    .iter()
                    .map(|(name, value)| (name.clone(), json!(value)));
                frame["customParameters"] = Value::Object(ours.collect());
            }
            Some("info") if !self.stage_info(&mut frame).await => return,
            Some("interrupt") => self.interrupt(&frame),
            _ => {}
        }
        let asks = frame["type"] == "dtmf" || (frame["type"] == "prompt" && frame["last"] == true);
        let closed = self.checker.closed;
        self.send(frame.to_string()).await;
        if asks {
            let reply = self.script.reply_after(at);
            self.awaited = (!reply.tokens.is_empty()).then_some((reply, closed));
            self.reported.clear();
            self.canned_phrase = false;
        }
    }

    /// Playback is only reported of what was said: waits for the reply, and reports our own words
    /// where the server had some. `false`: this line has nothing to report.
    async fn stage_info(&mut self, frame: &mut Value) -> bool {
        // A clause right after a key is still of what the key interrupts.
        if frame["name"] == "agentSpeaking" && frame["value"] == "on" {
            self.wait_for_reply().await;
        }
        if frame["name"] != "tokensPlayed" {
            if frame["name"] == "agentSpeaking" && frame["value"] == "off" {
                self.fell_silent();
            }
            return true;
        }
        if self.canned_phrase {
            let first = self.reported.is_empty();
            frame["value"] = json!(self.checker.text);
            self.reported = self.checker.text.clone();
            return first;
        }
        let played = frame["value"].as_str().unwrap_or_default();
        self.reported.push_str(&format!(" {}", played.trim()));
        true
    }

    /// Waits until the server has said what the script's application had said by now.
    async fn wait_for_reply(&mut self) {
        let Some((cycle, closed)) = self.awaited.take() else {
            return;
        };
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let whole = self.checker.is_cycle_closed()
                && self.checker.closed > closed
                && !self.checker.filler;
            let streams = !cycle.closed && self.checker.text.len() >= cycle.text().len();
            if whole || streams {
                break;
            }
            if Instant::now() > deadline {
                self.fail(&format!("no reply where the script has {:?}", cycle.text()));
            }
            self.listen_for(Duration::from_millis(20)).await;
        }
        self.canned_phrase = bare(&self.checker.text) != bare(&cycle.text());
    }

    fn fell_silent(&mut self) {
        let heard = bare(&self.reported);
        if !heard.is_empty() && heard == bare(&self.checker.text) {
            self.whole.push(self.checker.text.trim().to_owned());
        }
        // Nothing is in play: what interrupts now cuts nothing.
        self.reported.clear();
    }

    fn interrupt(&mut self, frame: &Value) {
        let fragment = frame["utteranceUntilInterrupt"]
            .as_str()
            .unwrap_or_default();
        let heard = if self.reported.trim().is_empty() {
            fragment.trim()
        } else {
            self.reported.trim()
        };
        if !heard.is_empty() {
            self.cut.push(heard.to_owned());
        }
        self.reported.clear();
        self.checker.interrupt();
    }

    async fn close(&mut self, close: &Value) {
        if close["code"] == 1000 && self.expects_end() {
            let deadline = Instant::now() + WAIT_MAX;
            while !self.checker.ended && Instant::now() < deadline {
                self.listen_for(Duration::from_millis(20)).await;
            }
            if !self.checker.ended {
                self.fail("the session was to be ended by the server");
            }
        }
        let code = close["code"].as_u64().unwrap_or(1000) as u16;
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: close["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
                .into(),
        };
        if let Some(mut socket) = self.socket.take() {
            let _ = socket.close(Some(frame)).await;
            let deadline = Instant::now() + Duration::from_secs(2);
            while let Ok(Some(Ok(message))) = timeout_at(deadline, socket.next()).await {
                if let Message::Text(text) = message {
                    self.checker.frame(&text);
                }
            }
        }
        self.wait_checker();
    }

    fn expects_end(&self) -> bool {
        let mut lines = self.script.lines.iter();
        lines.any(|line| line["frame"]["type"] == "end")
    }

    /// "Process killed": it really is, once what Twilio said is kept.
    async fn crash(&mut self, at: usize) {
        let prompts = self.script.lines[..at].iter().rev();
        let said = prompts
            .map(|line| &line["frame"])
            .find(|frame| frame["type"] == "prompt" && frame["last"] == true);
        if let Some(words) = said.and_then(|frame| frame["voicePrompt"].as_str()) {
            self.test_server
                .wait_turn_stored(self.script.call_sid(), words.trim())
                .await;
        }
        self.test_server.kill();
        self.socket = None;
        self.awaited = None;
        self.wait_checker();
        self.test_server.restart().await;
    }

    async fn send(&mut self, text: String) {
        self.frame_log.push(format!("-> {text}"));
        let sent = match &mut self.socket {
            Some(socket) => socket.send(Message::text(text.clone())).await.is_ok(),
            None => false,
        };
        if !sent {
            self.fail(&format!("the socket was gone before {text}"));
        }
    }

    /// Takes what the server sends for so long.
    async fn listen_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        let Some(socket) = &mut self.socket else {
            return sleep(time).await;
        };
        loop {
            match timeout_at(deadline, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    self.frame_log.push(format!("<- {text}"));
                    self.checker.frame(&text);
                }
                Ok(Some(Ok(_))) => {}
                Ok(None | Some(Err(_))) => return sleep(Duration::from_millis(5)).await,
                Err(_) => return,
            }
        }
    }

    async fn check_database(&mut self) {
        let sid = self.script.call_sid().to_owned();
        let row = self.test_server.wait_conversation_closed(&sid).await;
        assert_eq!(self.test_server.database().count("conversations"), 1);
        assert_eq!(
            self.test_server.database().count("turns"),
            0,
            "{}",
            self.script.name
        );
        assert!(row.ended_at.unwrap() >= row.started_at);
        let said = self.test_server.database().agent_texts(&sid);
        if said != self.script.caller_turns() {
            self.fail(&format!("the caller said {:?}", self.script.caller_turns()));
        }
        let turns = self.test_server.database().turns(&sid);
        let agent = || turns.iter().filter(|turn| turn.role == "assistant");
        for heard in &self.cut {
            let kept = agent().any(|turn| turn.interrupted && bare(&turn.content) == bare(heard));
            if !kept {
                self.fail(&format!("{heard:?} was all that was heard"));
            }
        }
        for heard in &self.whole {
            if !agent().any(|turn| bare(&turn.content) == bare(heard)) {
                self.fail(&format!("{heard:?} was heard"));
            }
        }
        let numbered =
            self.script.from().starts_with('+') && !self.script.from().starts_with("+26");
        let known = self.test_server.database().count("callers");
        let withheld = row.caller_kind.as_deref() == Some("withheld");
        assert_eq!(known == 1, numbered && !withheld, "{}", self.script.name);
        let open = self.model.stats().open;
        assert_eq!(open, 0, "{}: the model still speaks", self.script.name);
    }
}

/// What the script's application says to each thing that the caller says.
fn answers(script: &Script) -> Vec<(String, Cycle)> {
    let mut answers = Vec::new();
    for (at, line) in script.lines.iter().enumerate() {
        let frame = &line["frame"];
        let asked = match frame["type"].as_str() {
            Some("prompt") if frame["last"] == true => frame["voicePrompt"]
                .as_str()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            Some("dtmf") => pressed(frame),
            _ => continue,
        };
        let reply = script.reply_after(at);
        if line["dir"] == "in" && !reply.tokens.is_empty() {
            answers.push((asked, reply));
        }
    }
    answers
}

fn completion(cycle: &Cycle) -> Completion {
    let said = Completion::deltas(cycle.tokens.clone());
    let said = match &cycle.handoff {
        Some(data) => said.and_calls("hand_over", data),
        None => said,
    };
    if cycle.closed {
        said
    } else {
        // It was cut while it streamed.
        said.stall_after(cycle.tokens.len(), WAIT_MAX)
    }
}

/// Letters and digits only.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
