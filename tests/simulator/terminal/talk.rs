//! The conversation: what the caller does goes in, what the caller hears comes out.

use super::{
    CallOptions, Error, Summary,
    screen::Screen,
    script::{self, Deed},
};
use crate::twilio::{AfterDrop, Call, CallError, EndCause, Ended};
use std::time::Duration;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite},
    time::sleep,
};

/// How long the answer to a key may take to begin before the script goes on.
const KEY_ANSWER_MAX: Duration = Duration::from_millis(1500);
/// How long the agent must have been speaking when `!barge` cuts in, in Twilio's time.
const BARGE_AFTER: Duration = Duration::from_millis(1200);
/// Waits without an end of their own are looked at again after this time.
const LONG: Duration = Duration::from_secs(3600);

pub(super) struct Talk<W> {
    call: Call,
    screen: Screen<W>,
    reply_timeout: Duration,
    speed: f64,
    /// The caller's lines are not on the screen already.
    echo: bool,
    /// So many bytes of the reply that is coming in are on the screen.
    shown_bytes: usize,
    summary: Summary,
}

/// How much of a reply there is.
#[derive(PartialEq, Eq)]
enum News {
    /// It goes on.
    Part,
    /// It is whole; another will follow it at once.
    Bridge,
    Whole,
    Over,
}

impl<W: AsyncWrite + Unpin> Talk<W> {
    pub(super) fn new(call: Call, screen: Screen<W>, options: &CallOptions) -> Self {
        let summary = Summary {
            call_sid: call.call_sid().to_owned(),
            ..Summary::default()
        };
        Self {
            call,
            screen,
            reply_timeout: options.reply_timeout,
            speed: options.speed,
            echo: !options.decorated || options.script.is_some(),
            shown_bytes: 0,
            summary,
        }
    }

    /// The call is answered.
    pub(super) async fn pick_up(&mut self) -> Result<(), Error> {
        self.screen
            .note(&format!("connected, {}", self.call.call_sid()))
            .await?;
        self.greeted().await
    }

    async fn greeted(&mut self) -> Result<(), Error> {
        if let Some(greeting) = self.call.greeting() {
            self.screen.agent(&greeting).await?;
        }
        Ok(())
    }

    /// Does what a script says, then hangs up.
    pub(super) async fn follow(&mut self, deeds: Vec<Deed>) -> Result<(), Error> {
        for deed in deeds {
            if self.call.is_over() || !self.act(deed).await? {
                break;
            }
        }
        Ok(())
    }

    /// Does what is typed, until the input ends. What the agent says meanwhile is shown as it comes.
    pub(super) async fn converse(&mut self, input: impl AsyncBufRead + Unpin) -> Result<(), Error> {
        let mut lines = input.lines();
        self.screen.prompt().await?;
        loop {
            let call = self.call.clone();
            let line = tokio::select! {
                line = lines.next_line() => line?,
                _ = call.more_than(self.shown_bytes, LONG) => {
                    self.screen.unprompt().await?;
                    match self.show_news().await? {
                        News::Over => return Ok(()),
                        News::Part => {}
                        News::Bridge | News::Whole => self.screen.prompt().await?,
                    }
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            match script::deed(&line) {
                Ok(Some(deed)) => {
                    if !self.act(deed).await? {
                        return Ok(());
                    }
                }
                Ok(None) => {}
                Err(reason) => self.screen.note(&reason).await?,
            }
            self.screen.prompt().await?;
        }
    }

    /// One deed. `false`: the caller has hung up, or the call is over.
    async fn act(&mut self, deed: Deed) -> Result<bool, Error> {
        let done = match deed {
            Deed::Say(text) => self.say(&text).await,
            Deed::Barge(text) => self.barge(&text).await,
            Deed::Press(keys) => self.press(&keys).await,
            Deed::Wait(time) => {
                sleep(time.div_f64(self.speed)).await;
                Ok(())
            }
            Deed::Drop => self.drop_line().await,
            Deed::HangUp => return Ok(false),
        };
        match done {
            Ok(()) => Ok(!self.call.is_over()),
            Err(Error::Call(CallError::Ended | CallError::NoSession)) => Ok(false),
            Err(Error::Call(error)) => {
                self.screen.note(&error.to_string()).await?;
                Ok(true)
            }
            Err(other) => Err(other),
        }
    }

    /// Says a line once the agent has finished.
    async fn say(&mut self, text: &str) -> Result<(), Error> {
        // If the agent speaks on for longer than anyone waits, the caller does as callers do and interrupts.
        let _ = self.call.silence(self.reply_timeout).await;
        self.show_all().await?;
        if self.echo {
            self.screen.caller(text).await?;
        }
        self.summary.turns += 1;
        self.call.say(text).await.map_err(Error::Call)?;
        self.listen(self.reply_timeout, true).await
    }

    async fn barge(&mut self, text: &str) -> Result<(), Error> {
        self.summary.turns += 1;
        let cut = self
            .call
            .barge_in(text, BARGE_AFTER)
            .await
            .map_err(Error::Call)?;
        self.shown_bytes = 0;
        self.screen
            .note(&format!("interrupted after {:?}", cut.fragment))
            .await?;
        if self.echo {
            self.screen.caller(text).await?;
        }
        self.listen(self.reply_timeout, true).await
    }

    async fn press(&mut self, keys: &[char]) -> Result<(), Error> {
        for key in keys {
            if self.echo {
                self.screen.caller(&format!("[{key}]")).await?;
            }
            self.summary.turns += 1;
            if let Some(cut) = self.call.press(*key).await.map_err(Error::Call)? {
                self.shown_bytes = 0;
                self.screen
                    .note(&format!("interrupted after {:?}", cut.fragment))
                    .await?;
            }
        }
        self.listen(KEY_ANSWER_MAX, false).await
    }

    async fn drop_line(&mut self) -> Result<(), Error> {
        self.screen
            .note("the connection to the server is dropped")
            .await?;
        self.shown_bytes = 0;
        match self.call.drop_socket().await.map_err(Error::Call)? {
            AfterDrop::Ended(_) => Ok(()),
            AfterDrop::Reconnected { .. } => {
                self.screen.note("reconnected").await?;
                self.greeted().await?;
                self.listen(KEY_ANSWER_MAX, false).await
            }
        }
    }

    /// Shows a reply as it comes, and those that follow a bridge.
    async fn listen(&mut self, limit: Duration, expected: bool) -> Result<(), Error> {
        loop {
            if !self.call.more_than(self.shown_bytes, limit).await {
                if expected {
                    self.screen
                        .note(&format!("no reply within {} s", limit.as_secs()))
                        .await?;
                }
                return Ok(());
            }
            match self.show_news().await? {
                News::Part | News::Bridge => {}
                News::Whole | News::Over => return Ok(()),
            }
        }
    }

    /// Shows the whole replies that have come meanwhile.
    async fn show_all(&mut self) -> Result<(), Error> {
        while matches!(self.show_news().await?, News::Whole | News::Bridge) {}
        Ok(())
    }

    /// Shows what has come of the next reply since it was shown last.
    async fn show_news(&mut self) -> Result<News, Error> {
        match self.call.hear(Duration::ZERO).await {
            Ok(reply) => {
                self.show_more(&reply.text).await?;
                self.shown_bytes = 0;
                self.summary.replies += 1;
                self.screen.agent_end().await?;
                Ok(if reply.preemptible {
                    News::Bridge
                } else {
                    News::Whole
                })
            }
            Err(CallError::NoReply { partial, .. }) => {
                self.show_more(&partial.text).await?;
                self.shown_bytes = partial.text.len();
                Ok(News::Part)
            }
            Err(_) => Ok(News::Over),
        }
    }

    async fn show_more(&mut self, text: &str) -> Result<(), Error> {
        match text.get(self.shown_bytes..) {
            Some(more) => self.screen.agent_more(more).await?,
            // The reply that was on the screen is gone; this is another.
            None => {
                self.screen.agent_end().await?;
                self.screen.agent_more(text).await?;
            }
        }
        Ok(())
    }

    /// Hangs up where that has not happened, and says how the call went.
    pub(super) async fn finish(mut self) -> Result<Summary, Error> {
        // What the agent is saying is heard before the caller hangs up.
        let _ = self.call.silence(self.reply_timeout).await;
        self.show_all().await?;
        self.screen.agent_end().await?;
        let ended = match self.call.hang_up().await {
            Ok(ended) => ended,
            Err(error) => {
                self.screen.note(&error.to_string()).await?;
                return Err(Error::Call(error));
            }
        };
        for said in &ended.said {
            self.screen.agent(said).await?;
        }
        self.summary.ending = in_words(&ended);
        self.summary.violations = self
            .call
            .violations()
            .iter()
            .map(|found| format!("{:?}: {}", found.kind, found.detail))
            .collect();
        let Summary {
            call_sid,
            replies,
            turns,
            ending,
            ..
        } = &self.summary;
        let line = format!("{ending}; {turns} said, {replies} heard; {call_sid}");
        self.screen.note(&line).await?;
        for violation in self.summary.violations.clone() {
            self.screen
                .note(&format!("against the protocol: {violation}"))
                .await?;
        }
        Ok(self.summary)
    }
}

fn in_words(ended: &Ended) -> String {
    match &ended.cause {
        EndCause::HungUp => "you hung up".into(),
        EndCause::Twiml => "the call was ended at the other end".into(),
        EndCause::HandedOver(whom) => format!("you were handed over to {whom}"),
        EndCause::Failed(reason) => format!("the call broke off: {reason}"),
    }
}
