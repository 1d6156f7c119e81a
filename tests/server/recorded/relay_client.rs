//! One call frame by frame, on a socket of our own: what a script needs of Twilio.

use crate::raw_http;
use crate::test_server::{LINE, TestServer, WAIT_MAX};
use calldex_simulator::twilio::{Webhook, twiml::Twiml};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Voice, socket and setup of a call, up to where the caller may speak.
pub struct RelayClient {
    pub socket: WebSocketStream<TcpStream>,
    /// Tokens of each cycle that was closed, in order.
    pub cycles: Vec<String>,
    /// Tokens of the cycle that is open.
    pub open: String,
    pub ended: bool,
    /// The greeting of the TwiML.
    pub greeting: String,
    pub call_sid: String,
    form: Vec<(String, String)>,
}

impl RelayClient {
    pub async fn open(test_server: &TestServer, call_sid: &str, from: &str) -> Self {
        let ends = [("From", from), ("To", LINE), ("Direction", "inbound")];
        Self::begin(test_server, call_sid, ends, ("ringing", "RINGING")).await
    }

    /// A call that was placed from the line's number to `to`.
    pub async fn open_outbound(test_server: &TestServer, call_sid: &str, to: &str) -> Self {
        let ends = [("From", LINE), ("To", to), ("Direction", "outbound-api")];
        Self::begin(test_server, call_sid, ends, ("in-progress", "IN_PROGRESS")).await
    }

    async fn begin(
        test_server: &TestServer,
        call_sid: &str,
        ends: [(&str, &str); 3],
        (status, status_of_setup): (&str, &str),
    ) -> Self {
        let call = [
            ("CallSid", call_sid),
            ("AccountSid", "AC00000000000000000000000000000000"),
            ("CallStatus", status),
        ];
        let form = [call, ends].concat();
        let form: Vec<(String, String)> = form
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut wire = Self::connect(test_server, "/twilio/voice", form, status_of_setup).await;
        wire.call_sid = call_sid.to_owned();
        wire
    }

    /// Asks `path` for TwiML, opens its socket and introduces the call on it.
    async fn connect(
        test_server: &TestServer,
        path: &str,
        form: Vec<(String, String)>,
        status: &str,
    ) -> Self {
        let twiml = ask(test_server, path, form.clone()).await;
        let relay = twiml.relay().expect("a relay");
        let socket = raw_http::open_websocket(test_server.listen, relay.url()).await;
        let parameters = relay
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)));
        let field = |name: &str| {
            let found = form.iter().find(|(field, _)| field == name);
            found.map_or("", |(_, value)| value).to_owned()
        };
        let inbound = field("Direction") == "inbound";
        let setup = json!({
            "type": "setup", "sessionId": "VX00000000000000000000000000000001",
            "callSid": field("CallSid"), "parentCallSid": "", "from": field("From"), "to": field("To"),
            "forwardedFrom": if inbound { field("To") } else { String::new() }, "callerName": "",
            "direction": field("Direction"), "callType": "PSTN",
            "callStatus": status, "accountSid": field("AccountSid"),
            "customParameters": Value::Object(parameters.collect()),
        });
        let mut wire = Self {
            socket,
            cycles: Vec::new(),
            open: String::new(),
            ended: false,
            greeting: relay
                .attribute("welcomeGreeting")
                .unwrap_or_default()
                .to_owned(),
            call_sid: field("CallSid"),
            form,
        };
        wire.send(&setup).await;
        wire
    }

    /// The socket is lost, or was closed, and the call comes back by its action so much later.
    pub async fn reconnect(&mut self, test_server: &TestServer, later: Duration) {
        let _ = self.socket.get_mut().shutdown().await;
        tokio::time::sleep(later).await;
        let mut form = self.form.clone();
        form.retain(|(name, _)| name != "CallStatus");
        for (name, value) in [
            ("CallStatus", "in-progress"),
            ("SessionId", "VX00000000000000000000000000000001"),
            ("SessionStatus", "failed"),
            ("ErrorCode", "64105"),
        ] {
            form.push((name.to_owned(), value.to_owned()));
        }
        let back = Self::connect(test_server, "/twilio/action", form, "IN_PROGRESS").await;
        let form = self.form.clone();
        *self = Self { form, ..back };
    }

    pub async fn send(&mut self, frame: &Value) {
        let sent = self.socket.send(Message::text(frame.to_string())).await;
        sent.expect("the socket stands");
    }

    /// Reads what comes within this time.
    pub async fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(Some(Ok(message))) = timeout_at(until, self.socket.next()).await {
            self.take(&message);
        }
        tokio::time::sleep_until(until).await;
    }

    /// Reads until a cycle is closed that holds `words`.
    pub async fn wait_for(&mut self, words: &str) {
        let until = Instant::now() + WAIT_MAX;
        while !self.cycles.iter().any(|cycle| cycle.contains(words)) {
            let next = timeout_at(until, self.socket.next()).await;
            match next {
                Ok(Some(Ok(message))) => self.take(&message),
                other => panic!("{words:?} in vain: {other:?}; {:?}", self.cycles),
            }
        }
    }

    /// Reads until the open cycle holds `words`.
    pub async fn wait_for_open(&mut self, words: &str) {
        let until = Instant::now() + WAIT_MAX;
        while !self.open.contains(words) {
            match timeout_at(until, self.socket.next()).await {
                Ok(Some(Ok(message))) => self.take(&message),
                other => panic!("{words:?} in vain: {other:?}; {:?}", self.open),
            }
        }
    }

    fn take(&mut self, message: &Message) {
        let Message::Text(text) = message else {
            return;
        };
        let frame: Value = serde_json::from_str(text).expect("a frame is JSON");
        match frame["type"].as_str() {
            Some("text") => {
                self.open
                    .push_str(frame["token"].as_str().expect("a token"));
                if frame["last"] == true {
                    self.cycles.push(std::mem::take(&mut self.open));
                }
            }
            Some("end") => self.ended = true,
            _ => {}
        }
    }

    /// Closes as Twilio does; the code of the answer, and whether the connection ended after it.
    pub async fn close(&mut self, code: Option<u16>) -> (Option<Option<u16>>, bool) {
        let frame = code.map(|code| CloseFrame {
            code: code.into(),
            reason: "Closing websocket session".into(),
        });
        self.socket
            .send(Message::Close(frame))
            .await
            .expect("the socket stands");
        let until = Instant::now() + WAIT_MAX;
        let mut answer = None;
        loop {
            match timeout_at(until, self.socket.next()).await {
                Ok(Some(Ok(Message::Close(frame)))) => {
                    answer = Some(frame.map(|frame| u16::from(frame.code)));
                }
                Ok(Some(Ok(message))) => self.take(&message),
                Ok(None) => return (answer, true),
                // Without a closing handshake.
                Ok(Some(Err(_))) => return (answer, false),
                Err(_) => return (answer, false),
            }
        }
    }

    /// The action of a session that ended with its call.
    pub async fn is_ended_by_action(&self, test_server: &TestServer) {
        let mut form = self.form.clone();
        form.retain(|(name, _)| name != "CallStatus");
        for (name, value) in [
            ("CallStatus", "completed"),
            ("SessionId", "VX00000000000000000000000000000001"),
            ("SessionStatus", "completed"),
        ] {
            form.push((name.to_owned(), value.to_owned()));
        }
        let answer = ask(test_server, "/twilio/action", form).await;
        assert!(
            answer.relay().is_none(),
            "a call that is over connects again"
        );
    }

    /// Twilio's last word about the call.
    pub async fn is_over(&self, test_server: &TestServer) {
        let mut form = self.form.clone();
        form.retain(|(name, _)| name != "CallStatus");
        form.push(("CallStatus".to_owned(), "completed".to_owned()));
        let webhook = Webhook {
            path: "/twilio/status".to_owned(),
            form,
            ..Webhook::default()
        };
        let answer = test_server
            .twilio
            .request(webhook)
            .await
            .expect("an answer");
        assert_eq!(answer.status, 204);
    }
}

async fn ask(test_server: &TestServer, path: &str, form: Vec<(String, String)>) -> Twiml {
    let webhook = Webhook {
        path: path.to_owned(),
        form,
        ..Webhook::default()
    };
    let answer = test_server
        .twilio
        .request(webhook)
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.twiml().expect("TwiML")
}
