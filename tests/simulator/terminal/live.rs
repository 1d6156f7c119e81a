//! A caller at the keyboard: nothing that is typed waits, and speaking while the agent speaks interrupts it.

use super::{
    Error,
    script::{self, Deed},
    talk::{LONG, News, Talk},
};
use crate::twilio::{Call, CallError, Interrupted};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite},
    time::{Instant, sleep_until},
};

/// Lines that are being said at once at most; one more is refused.
const SAYING_MAX: usize = 16;

/// What came of words or keys.
struct Done {
    /// They ask for a reply.
    awaited: bool,
    result: Result<Option<Interrupted>, CallError>,
}

type Saying = FuturesUnordered<BoxFuture<'static, Done>>;

impl<W: AsyncWrite + Unpin> Talk<W> {
    /// Does what is typed as it is typed, until the input ends or the call does.
    pub(super) async fn converse(&mut self, input: impl AsyncBufRead + Unpin) -> Result<(), Error> {
        let mut lines = input.lines();
        let mut saying = Saying::new();
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
                _ = call.news(self.noticed, LONG) => match self.show_news().await? {
                    News::Over => return Ok(()),
                    News::Part | News::Bridge => awaited = awaited.map(|_| self.reply_due()),
                    News::Lost => {}
                    News::Whole | News::Back => awaited = None,
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
    async fn typed(&mut self, line: &str, saying: &mut Saying) -> Result<bool, Error> {
        match script::deed(line) {
            Ok(None) => {}
            Ok(Some(Deed::HangUp)) => return Ok(false),
            Ok(Some(Deed::Help)) => self.help().await?,
            Ok(Some(Deed::Wait(time))) => self.wait(time).await?,
            Ok(Some(Deed::Drop)) => self.call.break_socket().await.map_err(Error::Call)?,
            Ok(Some(_)) if saying.len() >= SAYING_MAX => {
                self.screen.note("too much at once: say that again").await?;
            }
            Ok(Some(Deed::Say(text) | Deed::Barge(text))) => {
                self.summary.turns += 1;
                saying.push(Box::pin(say(self.call.clone(), text)));
            }
            Ok(Some(Deed::Press(keys))) => {
                self.summary.turns += keys.len();
                saying.push(Box::pin(press(self.call.clone(), keys)));
            }
            Err(reason) => self.screen.note(&reason).await?,
        }
        Ok(true)
    }

    /// Words or keys are out; until when a reply is due.
    async fn said(&mut self, done: Done) -> Result<Option<Instant>, Error> {
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

async fn say(call: Call, text: String) -> Done {
    let result = call.say_over(text).await;
    Done {
        awaited: true,
        result,
    }
}

/// Presses one key after the other; the first that interrupts is told.
async fn press(call: Call, keys: Vec<char>) -> Done {
    let mut cut = None;
    for key in keys {
        match call.press(key).await {
            Ok(found) => cut = cut.or(found),
            Err(error) => {
                return Done {
                    awaited: false,
                    result: Err(error),
                };
            }
        }
    }
    Done {
        awaited: false,
        result: Ok(cut),
    }
}
