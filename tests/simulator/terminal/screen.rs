//! What the terminal shows: who says what, and notes; plain where output is no terminal.

use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt};

const AGENT: &str = "\x1b[1;32m";
const CALLER: &str = "\x1b[1;36m";
const NOTE: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

pub(super) struct Screen<W> {
    output: W,
    decorated: bool,
    /// A line has been begun and not ended.
    open: bool,
}

impl<W: AsyncWrite + Unpin> Screen<W> {
    pub(super) fn new(output: W, decorated: bool) -> Self {
        Self {
            output,
            decorated,
            open: false,
        }
    }

    /// A whole line of the caller's, where it was not typed here.
    pub(super) async fn caller(&mut self, text: &str) -> io::Result<()> {
        self.line("caller", CALLER, text).await
    }

    /// A whole line of the agent's.
    pub(super) async fn agent(&mut self, text: &str) -> io::Result<()> {
        self.line("agent", AGENT, text).await
    }

    /// More of what the agent is saying.
    pub(super) async fn agent_more(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if !self.open {
            let label = self.label("agent", AGENT);
            self.put(&label).await?;
            self.open = true;
        }
        let text = printable(text);
        self.put(&text).await?;
        self.output.flush().await
    }

    /// The agent's line ends.
    pub(super) async fn agent_end(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.open) {
            self.put("\n").await?;
        }
        self.output.flush().await
    }

    /// Something about the call.
    pub(super) async fn note(&mut self, text: &str) -> io::Result<()> {
        self.agent_end().await?;
        let text = printable(text);
        let line = if self.decorated {
            format!("{NOTE}· {text}{PLAIN}\n")
        } else {
            format!("· {text}\n")
        };
        self.put(&line).await?;
        self.output.flush().await
    }

    /// Asks for a line of the caller's.
    pub(super) async fn prompt(&mut self) -> io::Result<()> {
        if self.decorated {
            let label = self.label("you", CALLER);
            self.put(&label).await?;
        }
        self.output.flush().await
    }

    /// Takes the prompt back, because the agent speaks.
    pub(super) async fn unprompt(&mut self) -> io::Result<()> {
        if self.decorated && !self.open {
            self.put("\r\x1b[K").await?;
        }
        Ok(())
    }

    async fn line(&mut self, who: &str, colour: &str, text: &str) -> io::Result<()> {
        self.agent_end().await?;
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
