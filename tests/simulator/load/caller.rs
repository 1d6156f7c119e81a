//! One caller of a load: a whole call in one task.

use super::{
    connection::SessionStop,
    meter::{LoadEvent, LoadMeter, Timing},
    options::LoadOptions,
    random::LoadRandom,
    session::LoadSession,
};
use crate::{
    model::told_in,
    twilio::{
        Dial, Twilio, Utterance,
        internals::{LiveCallEntry, SimulatedCaller, interrupt_frame},
    },
};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Without playback a barge-in comes after so many tokens.
const INTERRUPT_AFTER_TOKENS: u64 = 3;
/// How long the agent speaks before it is interrupted, in seconds of Twilio's time.
const INTERRUPT_AFTER_S: (f64, f64) = (0.3, 2.0);
/// At the end of a steady load callers hang up within this time, not all at once.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// A question whose socket was lost is asked again after this long without a word, in Twilio's time: the server may
/// not have heard it.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Sockets that one call may lose.
const LOSSES_MAX: u32 = 20;
/// What an interrupting caller says.
const INTERRUPTION_TEXT: &str = "Wait, I have another question.";

/// Why a call of a load broke off, as it is counted.
pub(super) struct CallFailure(pub(super) String);

/// One caller.
pub(super) struct LoadCaller<'a> {
    pub(super) twilio: &'a Twilio,
    pub(super) options: &'a LoadOptions,
    pub(super) meter: &'a LoadMeter,
    pub(super) dial: Dial,
    pub(super) call_sid: String,
    pub(super) chance: LoadRandom,
    pub(super) began: Instant,
    /// When callers have said enough; `None`: when they have had all their turns.
    pub(super) end: Option<Instant>,
    /// Where the REST API finds the call.
    pub(super) listed: LiveCallEntry,
    /// A question was asked and is not answered.
    pub(super) owed: bool,
    /// The session before this one was lost, and nothing was heard since.
    pub(super) was_lost: bool,
    /// Questions answered so far.
    pub(super) answered: usize,
}

/// Whether a caller stays.
enum CallerDecision {
    Stays,
    Leaves,
}

impl LoadCaller<'_> {
    /// The whole call.
    pub(super) async fn call(&mut self) -> Result<(), CallFailure> {
        let mut standing = self.connect().await?;
        let drops = self.options.turns > 1 && self.chance.happens(self.options.drop_share);
        let hangs_up = self.chance.happens(self.options.hang_up_share);
        let mut losses = 0;
        let mut to_drop = drops;
        while self.answered < self.options.turns {
            let turn = self.answered;
            if turn == 1 && std::mem::take(&mut to_drop) {
                standing = self.reconnect(standing).await?;
            }
            match self.round(&mut standing, turn, hangs_up).await {
                Ok(CallerDecision::Stays) => {}
                Ok(CallerDecision::Leaves) => break,
                Err(stop) => {
                    losses += 1;
                    standing = self.taken_up(standing, stop).await?;
                    if losses > LOSSES_MAX {
                        return Err(CallFailure("lost again and again".into()));
                    }
                }
            }
        }
        self.hang_up(standing).await
    }

    /// A turn and the thinking before it. What was asked before a loss is not asked at once again.
    async fn round(
        &mut self,
        standing: &mut LoadSession,
        turn: usize,
        hangs_up: bool,
    ) -> Result<CallerDecision, SessionStop> {
        if self.owed {
            self.wait_for_return(standing, turn).await?;
            return Ok(CallerDecision::Stays);
        }
        self.think(standing).await?;
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return Ok(CallerDecision::Leaves);
        }
        if hangs_up && turn + 1 == self.options.turns {
            self.ask(standing, turn).await?;
            self.first_token(standing).await?;
            self.meter.count(LoadEvent::HangUp);
            return Ok(CallerDecision::Leaves);
        }
        self.turn(standing, turn).await?;
        Ok(CallerDecision::Stays)
    }

    /// The answer to a question of the session before; the question again, if nothing comes.
    async fn wait_for_return(
        &mut self,
        standing: &mut LoadSession,
        turn: usize,
    ) -> Result<(), SessionStop> {
        let wait = ASK_AGAIN_AFTER.div_f64(self.twilio.config.speed);
        let deadline = Instant::now() + wait.max(Duration::from_millis(500));
        let heard = |standing: &LoadSession| standing.watch.first_token.is_some();
        if !self.until(standing, deadline, heard).await? {
            self.ask(standing, turn).await?;
        }
        self.reply(standing).await?;
        self.finish(standing).await
    }

    /// One turn: a line, its reply, perhaps cut by another line.
    async fn turn(&mut self, standing: &mut LoadSession, turn: usize) -> Result<(), SessionStop> {
        self.ask(standing, turn).await?;
        if self.chance.happens(self.options.interruption_share) && self.interrupt(standing).await? {
            self.meter.count(LoadEvent::Interruption);
        }
        self.reply(standing).await?;
        self.finish(standing).await
    }

    /// The reply is there; it is listened to.
    async fn finish(&mut self, standing: &mut LoadSession) -> Result<(), SessionStop> {
        self.owed = false;
        self.meter.count(LoadEvent::Turn);
        if std::mem::take(&mut self.was_lost) {
            self.meter.count(LoadEvent::Continued);
        }
        if self.options.history {
            self.check_history(&standing.watch.heard);
        }
        self.answered += 1;
        let deadline = Instant::now() + self.options.reply_timeout;
        self.until(standing, deadline, |standing| {
            standing.line.session.is_silent()
        })
        .await?;
        Ok(())
    }

    /// What was answered before and what is answered now must be known to whoever answers.
    fn check_history(&self, heard: &str) {
        match told_in(heard) {
            Some(told) if told > self.answered => {}
            Some(_) => self.meter.count(LoadEvent::Forgotten),
            None => self
                .meter
                .error("history: the reply does not tell how much is known".into()),
        }
    }

    async fn ask(&mut self, standing: &mut LoadSession, turn: usize) -> Result<(), SessionStop> {
        let lines = &self.options.lines;
        let line = lines
            .get(turn % lines.len().max(1))
            .map_or("Hello?", String::as_str);
        let line = line.replace("{turn}", &(turn + 1).to_string());
        self.owed = true;
        self.say(standing, &line).await
    }

    async fn say(&self, standing: &mut LoadSession, text: &str) -> Result<(), SessionStop> {
        standing.watch.forget();
        standing
            .line
            .caller(SimulatedCaller::Say(Utterance::at_once(text)));
        standing
            .line
            .flush(&mut standing.watch)
            .await
            .map_err(SessionStop::from)
    }

    /// Waits for the first token after `asked` and times it.
    async fn first_token(&mut self, standing: &mut LoadSession) -> Result<(), SessionStop> {
        let asked = standing.line.last_event();
        let deadline = asked + self.options.reply_timeout;
        if !self
            .until(standing, deadline, |standing| {
                standing.watch.first_token.is_some()
            })
            .await?
        {
            return Err(CallFailure("no first token in time".into()).into());
        }
        if let Some(first) = standing.watch.first_token.filter(|_| !self.was_lost) {
            self.meter
                .time(Timing::FirstToken, first.saturating_duration_since(asked));
        }
        Ok(())
    }

    async fn reply(&mut self, standing: &mut LoadSession) -> Result<(), SessionStop> {
        let asked = standing.line.last_event();
        self.first_token(standing).await?;
        loop {
            let before = standing.watch.tokens;
            let deadline = Instant::now() + self.options.reply_timeout;
            let moved = self
                .until(standing, deadline, |standing| {
                    standing.watch.answered.is_some() || standing.watch.tokens > before
                })
                .await?;
            if let Some(answered) = standing.watch.answered {
                if !self.was_lost {
                    self.meter
                        .time(Timing::WholeTurn, answered.saturating_duration_since(asked));
                }
                break;
            }
            if !moved {
                return Err(CallFailure("a reply stalled".into()).into());
            }
        }
        for gap in standing.watch.gaps.drain(..) {
            self.meter.time(Timing::TokenGap, gap);
        }
        self.meter.count(LoadEvent::Tokens(std::mem::take(
            &mut standing.watch.tokens,
        )));
        Ok(())
    }

    /// Interrupts the reply and asks something else. `false`: it was over too soon for that.
    async fn interrupt(&mut self, standing: &mut LoadSession) -> Result<bool, SessionStop> {
        self.first_token(standing).await?;
        let deadline = Instant::now() + self.options.reply_timeout;
        if self.options.playback {
            let after = Duration::from_secs_f64(
                self.chance
                    .between(INTERRUPT_AFTER_S.0, INTERRUPT_AFTER_S.1),
            );
            standing.line.caller(SimulatedCaller::Interrupt(
                Utterance::at_once(INTERRUPTION_TEXT),
                after,
            ));
            standing
                .line
                .flush(&mut standing.watch)
                .await
                .map_err(SessionStop::from)?;
            self.until(standing, deadline, |standing| {
                standing.watch.interrupted || standing.watch.not_speaking
            })
            .await?;
            if !standing.watch.interrupted {
                return Ok(false);
            }
            standing.watch.forget();
            return Ok(true);
        }
        self.until(standing, deadline, |standing| {
            standing.watch.tokens >= INTERRUPT_AFTER_TOKENS || standing.watch.answered.is_some()
        })
        .await?;
        if standing.watch.answered.is_some() {
            return Ok(false);
        }
        let frame = interrupt_frame(&standing.watch.heard, 600);
        standing.line.caller(SimulatedCaller::CutBlindly(frame));
        self.say(standing, INTERRUPTION_TEXT).await?;
        Ok(true)
    }

    async fn think(&mut self, standing: &mut LoadSession) -> Result<(), SessionStop> {
        let time = self.options.think.mul_f64(self.chance.between(0.75, 1.25));
        let mut deadline = Instant::now() + time;
        if let Some(end) = self.end {
            deadline = deadline.min(end + LEAVE_WITHIN.mul_f64(self.chance.share()));
        }
        self.until(standing, deadline, |_| false).await?;
        Ok(())
    }

    /// Drives the line until something holds, `true`, or until the deadline, `false`.
    async fn until(
        &mut self,
        standing: &mut LoadSession,
        deadline: Instant,
        holds: impl Fn(&LoadSession) -> bool,
    ) -> Result<bool, SessionStop> {
        loop {
            standing.line.flush(&mut standing.watch).await?;
            if holds(standing) {
                return Ok(true);
            }
            tokio::select! {
                happened = standing.line.next(&mut standing.watch) => happened?,
                Some(redirect) = self.listed.redirects.recv() => {
                    return Err(SessionStop::Redirected(redirect));
                }
                () = sleep_until(deadline) => return Ok(false),
            }
        }
    }
}
