//! A caller at the keyboard: nothing that is typed waits, and speaking while the agent speaks interrupts it.

use super::{
    TerminalError,
    script::{self, ScriptStep},
    terminal_call::{CallNews, LONG, TerminalCall},
};
use crate::twilio::{Call, CallError, InterruptReport};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite},
    time::{Instant, sleep_until},
};

/// Lines that are being said at once at most; one more is refused.
const SAYING_MAX: usize = 16;

/// What came of words or keys.
struct InputResult {
    /// They ask for a reply.
    awaited: bool,
    result: Result<Option<InterruptReport>, CallError>,
}

type PendingInput = FuturesUnordered<BoxFuture<'static, InputResult>>;

impl<W: AsyncWrite + Unpin> TerminalCall<W> {
    /// Does what is typed as it is typed, until the input ends or the call does.
    pub(super) async fn converse(
        &mut self,
        input: impl AsyncBufRead + Unpin,
    ) -> Result<(), TerminalError> {
        let mut lines = input.lines();
        let mut saying = PendingInput::new();
        let mut awaited: Option<Instant> = None;
        self.screen.prompt().await?;
        loop {
            let call = self.call.clone();
            tokio::select! {
                biased;
                Some(done) = saying.next() => awaited = self.said(done).await?.or(awaited),
                line = lines.next_line() => {
                    let Some(line) = line? else { return Ok(()) };
                    self.screen.typed();
                    if !self.typed(&line, &mut saying).await? {
                        return Ok(());
                    }
                }
                _ = call.wait_progress(self.noticed, LONG) => match self.show_news().await? {
                    CallNews::Over => return Ok(()),
                    CallNews::Part | CallNews::Bridge => awaited = awaited.map(|_| self.reply_due()),
                    CallNews::Lost => {}
                    CallNews::Whole | CallNews::Back => awaited = None,
                },
                () = sleep_until(awaited.unwrap_or_else(|| Instant::now() + LONG)) => {
                    if awaited.take().is_some() {
                        self.no_reply().await?;
                    }
                }
            }
            if awaited.is_none() && saying.is_empty() {
                self.screen.prompt().await?;
            }
        }
    }

    /// One line. `false`: the caller hangs up.
    async fn typed(
        &mut self,
        line: &str,
        saying: &mut PendingInput,
    ) -> Result<bool, TerminalError> {
        match script::parse_step(line) {
            Ok(None) => {}
            Ok(Some(ScriptStep::HangUp)) => return Ok(false),
            Ok(Some(ScriptStep::Help)) => self.help().await?,
            Ok(Some(ScriptStep::Wait(time))) => self.wait(time).await?,
            Ok(Some(ScriptStep::Drop)) => self
                .call
                .break_socket()
                .await
                .map_err(TerminalError::Call)?,
            Ok(Some(_)) if saying.len() >= SAYING_MAX => {
                self.screen.note("too much at once: say that again").await?;
            }
            Ok(Some(ScriptStep::Say(text) | ScriptStep::Interrupt(text))) => {
                self.summary.turns += 1;
                saying.push(Box::pin(say(self.call.clone(), text)));
            }
            Ok(Some(ScriptStep::Press(keys))) => {
                self.summary.turns += keys.len();
                saying.push(Box::pin(press(self.call.clone(), keys)));
            }
            Err(reason) => self.screen.note(&reason).await?,
        }
        Ok(true)
    }

    /// Words or keys are out; until when a reply is due.
    async fn said(&mut self, done: InputResult) -> Result<Option<Instant>, TerminalError> {
        match done.result {
            Ok(cut) => {
                if let Some(cut) = cut {
                    self.interrupted(&cut).await?;
                }
                Ok(done.awaited.then(|| self.reply_due()))
            }
            // The end is shown as news.
            Err(CallError::Ended) => Ok(None),
            Err(CallError::NoSession) => {
                let note = "the connection was lost before that was said: say it again";
                self.screen.note(note).await?;
                Ok(None)
            }
            Err(error) => {
                self.screen.note(&error.to_string()).await?;
                Ok(None)
            }
        }
    }

    fn reply_due(&self) -> Instant {
        Instant::now() + self.reply_timeout
    }
}

async fn say(call: Call, text: String) -> InputResult {
    let result = call.say_over(text).await;
    InputResult {
        awaited: true,
        result,
    }
}

/// Presses one key after the other; the first that interrupts is told.
async fn press(call: Call, keys: Vec<char>) -> InputResult {
    let mut cut = None;
    for key in keys {
        match call.press(key).await {
            Ok(found) => cut = cut.or(found),
            Err(error) => {
                return InputResult {
                    awaited: false,
                    result: Err(error),
                };
            }
        }
    }
    InputResult {
        awaited: false,
        result: Ok(cut),
    }
}
