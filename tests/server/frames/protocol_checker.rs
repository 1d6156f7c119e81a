//! Watches the server's frames on one socket and says what is against docs/protocol.md 5.

use serde_json::Value;

/// What a server has sent on one socket.
#[derive(Debug, Default)]
pub struct ProtocolChecker {
    /// Text of the open cycle, or of the last one.
    pub text: String,
    /// A cycle is open.
    open: bool,
    /// Cycles closed so far.
    pub closed: usize,
    /// The last cycle was a filler, which a real reply follows.
    pub filler: bool,
    pub ended: bool,
    interrupted: bool,
    pub violations: Vec<String>,
}

impl ProtocolChecker {
    /// Takes one frame of the server.
    pub fn frame(&mut self, text: &str) {
        let mut wrong = |why: &str| self.violations.push(format!("{why}: {text}"));
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            return wrong("not JSON");
        };
        if self.ended {
            wrong("after end");
        }
        match frame["type"].as_str() {
            Some("text") => match frame["token"].as_str() {
                None => wrong("a text without a token"),
                Some(token) => {
                    let last = frame["last"].as_bool().unwrap_or(false);
                    let filler = frame["preemptible"].as_bool().unwrap_or(false);
                    self.token(token, last, filler);
                }
            },
            Some("language") => {
                if frame["ttsLanguage"].is_null() && frame["transcriptionLanguage"].is_null() {
                    wrong("a language frame without a language");
                }
            }
            Some("end") => {
                if !frame["handoffData"].is_null() && !frame["handoffData"].is_string() {
                    wrong("handoffData is no string");
                }
                if self.open {
                    wrong("end with an open reply");
                }
                self.ended = true;
            }
            Some("play" | "sendDigits") => {}
            _ => wrong("an unknown type"),
        }
    }

    fn token(&mut self, token: &str, last: bool, filler: bool) {
        if !self.open && last && token.is_empty() && !self.interrupted {
            self.violations.push("a second last:true".to_owned());
        }
        if !self.open && !token.is_empty() {
            self.text.clear();
            self.open = true;
            self.filler = filler;
        }
        self.text.push_str(token);
        if last && self.open {
            self.open = false;
            self.closed += 1;
        }
        self.interrupted = false;
    }

    /// Twilio told the server of an interrupt: the open cycle is gone.
    pub fn interrupt(&mut self) {
        self.interrupted = self.open;
        self.open = false;
    }

    /// A whole reply stands.
    pub fn is_cycle_closed(&self) -> bool {
        !self.open && self.closed > 0
    }
}
