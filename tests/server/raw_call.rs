//! A call made request by request and frame by frame, for what no ordinary call brings about.

use crate::raw_http;
use crate::test_server::{TestServer, WAIT_MAX};
use calldex_simulator::twilio::twiml::{Connect, Twiml};
use calldex_simulator::twilio::{Dial, Webhook};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A call of this `CallSid`.
pub struct RawCall<'a> {
    pub test_server: &'a TestServer,
    pub sid: &'a str,
    pub dial: Dial,
    /// `inbound`, `outbound-api`, ...
    pub direction: &'a str,
}

impl<'a> RawCall<'a> {
    pub fn new(test_server: &'a TestServer, sid: &'a str, dial: Dial) -> Self {
        Self {
            test_server,
            sid,
            dial,
            direction: "inbound",
        }
    }

    /// A signed webhook with these keys beside those of the call; its body.
    pub async fn webhook(&self, path: &str, keys: &[(&str, &str)]) -> String {
        let mut form = self.test_server.twilio.voice_form(&self.dial, self.sid);
        let mut put = |name: &str, value: &str| {
            form.retain(|(key, _)| key != name);
            form.push((name.to_owned(), value.to_owned()));
        };
        put("Direction", self.direction);
        for (name, value) in keys {
            put(name, value);
        }
        let webhook = Webhook {
            path: path.into(),
            form,
            ..Webhook::default()
        };
        let answer = self.test_server.twilio.request(webhook).await.unwrap();
        assert!(matches!(answer.status, 200 | 204), "{path}: {answer:?}");
        answer.body
    }

    /// The same, answered by a relay.
    pub async fn connects(&self, path: &str, keys: &[(&str, &str)]) -> Connect {
        let body = self.webhook(path, keys).await;
        let twiml = Twiml::parse(&body).unwrap();
        let relay = twiml.relay().unwrap_or_else(|| panic!("no relay: {body}"));
        relay.clone()
    }

    /// The call rings.
    pub async fn voice_webhook(&self) -> Connect {
        self.connects("/twilio/voice", &[("CallStatus", "ringing")])
            .await
    }

    /// Its socket opens.
    pub async fn opens(&self, relay: &Connect, status: &str) -> RawSocket {
        let mut socket = raw_http::open_websocket(self.test_server.listen, relay.url()).await;
        let parameters: serde_json::Map<_, _> = relay
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let setup = json!({"type": "setup", "sessionId": "VX7", "callSid": self.sid, "from": self.dial.from,
                           "to": self.dial.to, "direction": self.direction, "callType": "PSTN",
                           "callStatus": status, "customParameters": parameters});
        socket.send(Message::text(setup.to_string())).await.unwrap();
        RawSocket(socket)
    }
}

/// An attribute of a declared language.
pub fn declared<'r>(relay: &'r Connect, code: &str, name: &str) -> Option<&'r str> {
    let value = |language: &'r Vec<(String, String)>, name: &str| {
        let found = language.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    let language = relay
        .languages
        .iter()
        .find(|language| value(language, "code") == Some(code))?;
    value(language, name)
}

/// Its socket.
pub struct RawSocket(WebSocketStream<TcpStream>);

impl RawSocket {
    /// A final prompt.
    pub async fn says(&mut self, words: &str) {
        self.says_in(words, "en").await;
    }

    /// The same, as the recogniser says its language.
    pub async fn says_in(&mut self, words: &str, language: &str) {
        let frame = json!({"type": "prompt", "voicePrompt": words, "lang": language, "last": true});
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Frames up to one whose text has `words` in it.
    pub async fn hears(&mut self, words: &str) -> Vec<Value> {
        let mut frames = Vec::new();
        let mut said = String::new();
        while !said.contains(words) {
            let next = timeout(WAIT_MAX, self.0.next()).await;
            let message = next.unwrap_or_else(|_| panic!("{words:?} is not in {frames:?}"));
            let message = message.expect("the socket is open").expect("a frame");
            let Ok(text) = message.to_text() else {
                continue;
            };
            let Ok(frame) = serde_json::from_str::<Value>(text) else {
                continue;
            };
            said.push_str(frame["token"].as_str().unwrap_or_default());
            frames.push(frame);
        }
        frames
    }

    /// Twilio closes it: the caller hung up, or our `end` was obeyed.
    pub async fn closes(mut self) {
        // A server that closed first is as well.
        let _ = self.0.close(None).await;
    }
}
