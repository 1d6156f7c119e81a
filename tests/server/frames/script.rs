//! A script, and what it expects of a server.

use serde_json::Value;
use std::path::Path;

/// One reply of the script's own application: the tokens of a talk cycle.
#[derive(Debug, Clone, Default)]
pub struct Cycle {
    pub tokens: Vec<String>,
    /// `last:true` came; otherwise it was cut while it streamed.
    pub closed: bool,
    /// `handoffData` of the `end` that followed it.
    pub handoff: Option<String>,
}

impl Cycle {
    pub fn text(&self) -> String {
        self.tokens.concat()
    }
}

/// A script.
#[derive(Debug)]
pub struct Script {
    pub name: String,
    pub lines: Vec<Value>,
}

impl Script {
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a script is readable");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .filter(|line: &Value| line.get("dir").is_some())
            .collect();
        let name = file.file_name().unwrap_or_default();
        Self {
            name: name.to_string_lossy().into_owned(),
            lines,
        }
    }

    /// The first words of the script's own application.
    pub fn greeting(&self) -> Option<String> {
        let voice = self.lines.iter().find(|line| line["name"] == "voice")?;
        let body = voice["reply"]["body"].as_str()?;
        let (_, rest) = body.split_once("welcomeGreeting=\"")?;
        let (greeting, _) = rest.split_once('"')?;
        let plain = greeting
            .replace("&apos;", "'")
            .replace("&#39;", "'")
            .replace("&quot;", "\"")
            .replace("&amp;", "&");
        Some(plain)
    }

    pub fn call_sid(&self) -> &str {
        let voice = self.lines.iter().find(|line| line["name"] == "voice");
        let sid = voice.and_then(|line| line["form"]["CallSid"].as_str());
        sid.expect("a script begins with a voice webhook")
    }

    pub fn from(&self) -> &str {
        let voice = self.lines.iter().find(|line| line["name"] == "voice");
        let from = voice.and_then(|line| line["form"]["From"].as_str());
        from.expect("a voice webhook has From")
    }

    /// Whether Twilio dials again by itself in this script.
    pub fn redials(&self) -> bool {
        let text = self.lines.iter().find(|line| line["name"] == "voice");
        text.and_then(|line| line["reply"]["body"].as_str())
            .is_some_and(|body| body.contains("applicationReconnect=\"true\""))
    }

    /// The reply that follows the line at `at`, before the caller's next words.
    pub fn reply_after(&self, at: usize) -> Cycle {
        let mut cycle = Cycle::default();
        for line in &self.lines[at + 1..] {
            let frame = &line["frame"];
            let heard = line["dir"] == "in"
                && (frame["type"] == "dtmf"
                    || (frame["type"] == "prompt" && frame["last"] == true)
                    || frame["type"] == "interrupt"
                    || frame["type"] == "setup");
            if heard && !(frame["type"] == "interrupt" && is_key(self, at)) {
                break;
            }
            if line["dir"] == "out" && frame["type"] == "text" && !cycle.closed {
                cycle
                    .tokens
                    .extend(frame["token"].as_str().map(str::to_owned));
                cycle.closed = frame["last"] == true;
            }
            if line["dir"] == "out" && frame["type"] == "end" {
                cycle.handoff = frame["handoffData"].as_str().map(str::to_owned);
            }
        }
        cycle.tokens.retain(|token| !token.is_empty());
        cycle
    }

    /// What the caller said and pressed, in order, each once: repeats after a reconnect left out.
    pub fn caller_turns(&self) -> Vec<String> {
        let mut turns: Vec<(u64, String)> = Vec::new();
        for line in self.lines.iter().filter(|line| line["dir"] == "in") {
            let frame = &line["frame"];
            let conn = line["conn"].as_u64().unwrap_or_default();
            let said = match frame["type"].as_str() {
                Some("prompt") if frame["last"] == true || frame["last"] == "true" => {
                    frame["voicePrompt"]
                        .as_str()
                        .unwrap_or_default()
                        .trim()
                        .to_owned()
                }
                Some("dtmf") => pressed(frame),
                _ => continue,
            };
            let repeated = turns
                .iter()
                .any(|(before, words)| *before < conn && *words == said);
            if !said.is_empty() && !repeated {
                turns.push((conn, said));
            }
        }
        turns.into_iter().map(|(_, said)| said).collect()
    }
}

/// A key as the transcript has it.
pub fn pressed(frame: &Value) -> String {
    let digit = &frame["digit"];
    let key = digit
        .as_str()
        .map_or_else(|| digit.to_string(), str::to_owned);
    format!("[pressed {key}]")
}

fn is_key(script: &Script, at: usize) -> bool {
    script.lines[at]["frame"]["type"] == "dtmf"
}
