//! The conversation: what the caller does goes in, what the caller hears comes out.

use super::{
    CallOptions, CallSummary, TerminalError,
    screen::Screen,
    script::{self, ScriptStep},
};
use crate::twilio::{
    Call, CallError, CallProgress, EndCause, EndedCall, InterruptReport, ViolationKind,
};
use std::time::Duration;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite},
    time::Instant,
};

/// How long the answer to a key may take to begin before the script goes on.
const KEY_ANSWER_MAX: Duration = Duration::from_millis(1500);
/// How long the agent must have been speaking when `!barge` cuts in, in Twilio's time.
const INTERRUPT_AFTER: Duration = Duration::from_millis(1200);
/// Longest wait for what comes of a lost connection.
const RECONNECT_MAX: Duration = Duration::from_secs(60);
/// Waits without an end of their own are looked at again after this time.
pub(super) const LONG: Duration = Duration::from_secs(3600);

pub(super) struct TerminalCall<W> {
    pub(super) call: Call,
    pub(super) screen: Screen<W>,
    pub(super) reply_timeout: Duration,
    speed: f64,
    server_back_max: Duration,
    /// Somebody types, and sees what is typed.
    interactive: bool,
    /// What is on the screen of what has come of the call.
    pub(super) noticed: CallProgress,
    /// The connection to the server is lost and not yet back.
    lost: bool,
    pub(super) summary: CallSummary,
}

/// What has come of the call.
#[derive(PartialEq, Eq)]
pub(super) enum CallNews {
    /// More of a reply.
    Part,
    /// A reply is whole; another will follow it at once.
    Bridge,
    Whole,
    /// The connection is lost.
    Lost,
    /// Another session stands.
    Back,
    Over,
}

impl<W: AsyncWrite + Unpin> TerminalCall<W> {
    pub(super) fn new(call: Call, screen: Screen<W>, options: &CallOptions) -> Self {
        let summary = CallSummary {
            call_sid: call.call_sid().to_owned(),
            ..CallSummary::default()
        };
        let noticed = CallProgress {
            session: call.sessions(),
            ..CallProgress::default()
        };
        Self {
            call,
            screen,
            reply_timeout: options.reply_timeout,
            speed: options.speed,
            server_back_max: options.server_back_max,
            interactive: options.interactive(),
            noticed,
            lost: false,
            summary,
        }
    }

    /// The call is answered.
    pub(super) async fn pick_up(&mut self) -> Result<(), TerminalError> {
        self.screen
            .note(&format!("connected, {}", self.call.call_sid()))
            .await?;
        self.greeted().await
    }

    async fn greeted(&mut self) -> Result<(), TerminalError> {
        if let Some(greeting) = self.call.greeting() {
            self.screen.agent(&greeting).await?;
        }
        Ok(())
    }

    /// Does what a script says, then hangs up.
    pub(super) async fn follow(&mut self, deeds: Vec<ScriptStep>) -> Result<(), TerminalError> {
        for deed in deeds {
            if self.call.is_over() || !self.act(deed).await? {
                break;
            }
        }
        Ok(())
    }

    /// Does what is written in a pipe, until it ends. What the agent says meanwhile is shown as it comes.
    pub(super) async fn read(
        &mut self,
        input: impl AsyncBufRead + Unpin,
    ) -> Result<(), TerminalError> {
        let mut lines = input.lines();
        loop {
            let call = self.call.clone();
            let line = tokio::select! {
                line = lines.next_line() => line?,
                _ = call.wait_progress(self.noticed, LONG) => {
                    if self.show_news().await? == CallNews::Over {
                        return Ok(());
                    }
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            match script::parse_step(&line) {
                Ok(Some(deed)) => {
                    if !self.act(deed).await? {
                        return Ok(());
                    }
                }
                Ok(None) => {}
                Err(reason) => self.screen.note(&reason).await?,
            }
        }
    }

    /// One deed. `false`: the caller has hung up, or the call is over.
    async fn act(&mut self, deed: ScriptStep) -> Result<bool, TerminalError> {
        let done = match deed {
            ScriptStep::Say(text) => self.say(&text).await,
            ScriptStep::Interrupt(text) => self.interrupt(&text).await,
            ScriptStep::Press(keys) => self.press(&keys).await,
            ScriptStep::Wait(time) => self.wait(time).await,
            ScriptStep::Drop => self.drop_line().await,
            ScriptStep::Help => self.help().await,
            ScriptStep::HangUp => return Ok(false),
        };
        match done {
            Ok(()) => Ok(!self.call.is_over()),
            Err(TerminalError::Call(CallError::Ended | CallError::NoSession)) => Ok(false),
            Err(TerminalError::Call(error)) => {
                self.screen.note(&error.to_string()).await?;
                Ok(true)
            }
            Err(other) => Err(other),
        }
    }

    /// Says a line once the agent has finished.
    async fn say(&mut self, text: &str) -> Result<(), TerminalError> {
        // If the agent speaks on for longer than anyone waits, the caller does as callers do and interrupts.
        let _ = self.call.silence(self.reply_timeout).await;
        self.show_all().await?;
        self.screen.caller(text).await?;
        self.summary.turns += 1;
        self.call.say(text).await.map_err(TerminalError::Call)?;
        self.listen(self.reply_timeout, true).await
    }

    async fn interrupt(&mut self, text: &str) -> Result<(), TerminalError> {
        self.summary.turns += 1;
        let cut = self
            .call
            .interrupt(text, INTERRUPT_AFTER)
            .await
            .map_err(TerminalError::Call)?;
        self.interrupted(&cut).await?;
        self.screen.caller(text).await?;
        self.listen(self.reply_timeout, true).await
    }

    async fn press(&mut self, keys: &[char]) -> Result<(), TerminalError> {
        for key in keys {
            self.screen.caller(&format!("[{key}]")).await?;
            self.summary.turns += 1;
            if let Some(cut) = self.call.press(*key).await.map_err(TerminalError::Call)? {
                self.interrupted(&cut).await?;
            }
        }
        self.listen(KEY_ANSWER_MAX, false).await
    }

    /// What was on its way to the caller is gone.
    pub(super) async fn interrupted(&mut self, cut: &InterruptReport) -> Result<(), TerminalError> {
        self.noticed.text_bytes = 0;
        let note = if cut.fragment.is_empty() {
            "interrupted before a word was heard".to_owned()
        } else {
            format!("interrupted after {:?}", cut.fragment)
        };
        self.screen.note(&note).await?;
        Ok(())
    }

    /// Lets Twilio's time pass and shows what comes meanwhile.
    pub(super) async fn wait(&mut self, time: Duration) -> Result<(), TerminalError> {
        let until = Instant::now() + time.div_f64(self.speed);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !self.call.wait_progress(self.noticed, left).await
                || self.show_news().await? == CallNews::Over
            {
                return Ok(());
            }
        }
    }

    /// Breaks the connection and waits for what comes of it.
    async fn drop_line(&mut self) -> Result<(), TerminalError> {
        self.call
            .break_socket()
            .await
            .map_err(TerminalError::Call)?;
        while self.call.wait_progress(self.noticed, RECONNECT_MAX).await {
            match self.show_news().await? {
                CallNews::Back => return self.listen(KEY_ANSWER_MAX, false).await,
                CallNews::Over => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) async fn help(&mut self) -> Result<(), TerminalError> {
        for line in script::HELP {
            self.screen.note(line).await?;
        }
        Ok(())
    }

    /// Shows a reply as it comes, and those that follow a bridge.
    async fn listen(&mut self, limit: Duration, expected: bool) -> Result<(), TerminalError> {
        loop {
            let limit = if self.lost { RECONNECT_MAX } else { limit };
            if !self.call.wait_progress(self.noticed, limit).await {
                if expected {
                    self.no_reply().await?;
                }
                return Ok(());
            }
            match self.show_news().await? {
                CallNews::Part | CallNews::Bridge | CallNews::Lost => {}
                CallNews::Whole | CallNews::Back | CallNews::Over => return Ok(()),
            }
        }
    }

    pub(super) async fn no_reply(&mut self) -> Result<(), TerminalError> {
        let note = format!("no reply within {} s", self.reply_timeout.as_secs());
        self.screen.note(&note).await?;
        Ok(())
    }

    /// Shows the whole replies that have come meanwhile.
    async fn show_all(&mut self) -> Result<(), TerminalError> {
        while matches!(self.show_news().await?, CallNews::Whole | CallNews::Bridge) {}
        Ok(())
    }

    /// Shows what has come of the call since it was looked at last.
    pub(super) async fn show_news(&mut self) -> Result<CallNews, TerminalError> {
        if let Some(news) = self.show_connection().await? {
            return Ok(news);
        }
        match self.call.hear(Duration::ZERO).await {
            Ok(reply) => {
                self.show_more(&reply.text).await?;
                self.noticed.text_bytes = 0;
                self.summary.replies += 1;
                self.screen.agent_end().await?;
                Ok(if reply.preemptible {
                    CallNews::Bridge
                } else {
                    CallNews::Whole
                })
            }
            Err(CallError::NoReply { partial, .. }) => {
                self.show_more(&partial.text).await?;
                self.noticed.text_bytes = partial.text.len();
                Ok(CallNews::Part)
            }
            Err(_) => Ok(CallNews::Over),
        }
    }

    /// Says so where the connection was lost or another session stands.
    async fn show_connection(&mut self) -> Result<Option<CallNews>, TerminalError> {
        let losses = self.call.losses();
        if losses != self.noticed.losses {
            self.noticed.losses = losses;
            self.noticed.text_bytes = 0;
            self.lost = true;
            self.screen.note("connection lost").await?;
            return Ok(Some(CallNews::Lost));
        }
        let session = self.call.sessions();
        if session == self.noticed.session {
            return Ok(None);
        }
        self.noticed.session = session;
        self.noticed.text_bytes = 0;
        if std::mem::take(&mut self.lost) {
            self.screen.note("reconnected").await?;
        }
        self.greeted().await?;
        Ok(Some(CallNews::Back))
    }

    async fn show_more(&mut self, text: &str) -> Result<(), TerminalError> {
        match text.get(self.noticed.text_bytes..) {
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
    pub(super) async fn finish(mut self) -> Result<CallSummary, TerminalError> {
        if !self.interactive {
            // What the agent is saying is heard before the caller hangs up.
            let _ = self.call.silence(self.reply_timeout).await;
            self.show_all().await?;
        }
        self.screen.agent_end().await?;
        if self.interactive && self.lost && !self.call.is_over() {
            // Nobody is there to hear of the end.
            self.summary.ending = "you hung up while the connection was lost".into();
        } else {
            let ended = self.hang_up().await?;
            for said in &ended.said {
                self.screen.agent(said).await?;
            }
            self.summary.ending = in_words(&ended);
            self.report_violations(&ended).await?;
        }
        self.summarize().await?;
        if self.call.server_is_gone() {
            return Err(TerminalError::Gone {
                waited: self.server_back_max,
            });
        }
        Ok(self.summary)
    }

    /// Hangs up, and shows what comes until the end is reached.
    async fn hang_up(&mut self) -> Result<EndedCall, TerminalError> {
        let call = self.call.clone();
        let mut hanging = std::pin::pin!(call.hang_up());
        loop {
            let watched = self.call.clone();
            let ended = tokio::select! {
                ended = &mut hanging => ended,
                _ = watched.wait_progress(self.noticed, LONG), if !watched.is_over() => {
                    self.show_news().await?;
                    continue;
                }
            };
            if let Err(error) = &ended {
                self.screen.note(&error.to_string()).await?;
            }
            // The last that came and was not yet shown.
            while !matches!(self.show_news().await?, CallNews::Over | CallNews::Part) {}
            return ended.map_err(TerminalError::Call);
        }
    }

    /// Says where this Twilio was more patient than the real one.
    async fn report_violations(&mut self, ended: &EndedCall) -> Result<(), TerminalError> {
        let patient = ended
            .actions
            .iter()
            .find(|action| !action.refused_for.is_zero());
        if let Some(action) = patient {
            let note = format!(
                "the server was away for {:.1} s; Twilio itself asks once, then the number's fallback URL, or ends the call (11200)",
                action.refused_for.as_secs_f64()
            );
            self.screen.note(&note).await?;
        }
        Ok(())
    }

    async fn summarize(&mut self) -> Result<(), TerminalError> {
        let gone = self.call.server_is_gone();
        if gone {
            self.summary.ending = "the server is gone".into();
        }
        self.summary.violations = self
            .call
            .violations()
            .iter()
            // A process that is not there breaks no protocol.
            .filter(|found| !(gone && found.kind == ViolationKind::Webhook))
            .map(|found| format!("{:?}: {}", found.kind, found.detail))
            .collect();
        let CallSummary {
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
        Ok(())
    }
}

fn in_words(ended: &EndedCall) -> String {
    match &ended.cause {
        EndCause::HungUp => "you hung up".into(),
        EndCause::Twiml => "the call was ended at the other end".into(),
        EndCause::HandedOver(whom) => format!("you were handed over to {whom}"),
        EndCause::Failed(reason) => format!("the call broke off: {reason}"),
    }
}
