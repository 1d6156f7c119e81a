//! What the terminal shows: who says what, notes, and a prompt where somebody types.

use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt};

const AGENT: &str = "\x1b[1;32m";
const CALLER: &str = "\x1b[1;36m";
const NOTE: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
/// Back to the line's beginning, and nothing on it.
const CLEARED: &str = "\r\x1b[K";

/// What is on the line that the cursor is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScreenLine {
    Empty,
    /// The agent's, begun and not ended.
    Agent,
    /// The prompt, and perhaps what has been typed after it.
    Prompt,
}

pub(super) struct Screen<W> {
    output: W,
    /// Colours.
    decorated: bool,
    /// Somebody types: there is a prompt.
    interactive: bool,
    line: ScreenLine,
}

impl<W: AsyncWrite + Unpin> Screen<W> {
    pub(super) fn new(output: W, decorated: bool, interactive: bool) -> Self {
        Self {
            output,
            decorated,
            interactive,
            line: ScreenLine::Empty,
        }
    }

    /// A whole line of the caller's, where it was not typed here.
    pub(super) async fn caller(&mut self, text: &str) -> io::Result<()> {
        self.whole("caller", CALLER, text).await
    }

    /// A whole line of the agent's.
    pub(super) async fn agent(&mut self, text: &str) -> io::Result<()> {
        self.whole("agent", AGENT, text).await
    }

    /// More of what the agent is saying.
    pub(super) async fn agent_more(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.line != ScreenLine::Agent {
            self.end_line().await?;
            let label = self.label("agent", AGENT);
            self.put(&label).await?;
            self.line = ScreenLine::Agent;
        }
        let text = printable(text);
        self.put(&text).await?;
        self.output.flush().await
    }

    /// The agent's line ends.
    pub(super) async fn agent_end(&mut self) -> io::Result<()> {
        if self.line == ScreenLine::Agent {
            self.end_line().await?;
        }
        self.output.flush().await
    }

    /// Something about the call.
    pub(super) async fn note(&mut self, text: &str) -> io::Result<()> {
        self.end_line().await?;
        let text = printable(text);
        let line = if self.decorated {
            format!("{NOTE}· {text}{PLAIN}\n")
        } else {
            format!("· {text}\n")
        };
        self.put(&line).await?;
        self.output.flush().await
    }

    /// Asks for a line of the caller's, unless that has been done or the agent is speaking.
    pub(super) async fn prompt(&mut self) -> io::Result<()> {
        if self.interactive && self.line == ScreenLine::Empty {
            let label = self.label("you", CALLER);
            self.put(&label).await?;
            self.line = ScreenLine::Prompt;
        }
        self.output.flush().await
    }

    /// A line has been typed, which ends the one that the cursor was in.
    pub(super) fn typed(&mut self) {
        if self.interactive {
            self.line = ScreenLine::Empty;
        }
    }

    /// Ends the agent's line, or takes the prompt back.
    async fn end_line(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.line, ScreenLine::Empty) {
            ScreenLine::Empty => Ok(()),
            ScreenLine::Agent => self.put("\n").await,
            ScreenLine::Prompt => self.put(CLEARED).await,
        }
    }

    async fn whole(&mut self, who: &str, colour: &str, text: &str) -> io::Result<()> {
        self.end_line().await?;
        let line = format!("{}{}\n", self.label(who, colour), printable(text));
        self.put(&line).await?;
        self.output.flush().await
    }

    fn label(&self, who: &str, colour: &str) -> String {
        if self.decorated {
            format!("{colour}{who:>6}{PLAIN}  ")
        } else {
            format!("{who}: ")
        }
    }

    async fn put(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes()).await
    }
}

/// A server's text must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}
