//! One caller of a load: a whole call in one task.

use super::{
    chance::Chance,
    meter::{Event, Meter, Timing},
    options::LoadOptions,
};
use crate::twilio::{
    CallError, Dial, Twilio, Utterance, ViolationKind,
    internals::{
        Close, Line, Observer, RelaySettings, Seen, Session, SessionOver, SimulatedCaller,
        SocketEnd, action_form, expect_twiml, interrupt_frame, open_relay, session_id, setup_frame,
        status_form,
    },
    twiml::Connect,
};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout_at};

/// Lost socket to action, in Twilio's time (protocol 6.3).
const ACTION_AFTER_LOSS: Duration = Duration::from_millis(1190);
/// Without playback a barge-in comes after so many tokens.
const BLIND_BARGE_TOKENS: u64 = 3;
/// How long the agent speaks before it is interrupted, in seconds of Twilio's time.
const BARGE_AFTER_S: (f64, f64) = (0.3, 2.0);
/// At the end of a steady load callers hang up within this time, not all at once.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// What an interrupting caller says.
const BARGE_LINE: &str = "Wait, I have another question.";

/// Why a call of a load broke off, as it is counted.
pub(super) struct Broken(pub(super) String);

/// One caller.
pub(super) struct Caller<'a> {
    pub(super) twilio: &'a Twilio,
    pub(super) options: &'a LoadOptions,
    pub(super) meter: &'a Meter,
    pub(super) dial: Dial,
    pub(super) call_sid: String,
    pub(super) chance: Chance,
    pub(super) began: Instant,
    /// When callers have said enough; `None`: when they have had all their turns.
    pub(super) end: Option<Instant>,
}

/// The socket and what is needed at its end.
struct Standing {
    line: Line,
    watch: Watch,
    session_id: String,
    action: Option<String>,
    since: Instant,
}

/// What a session has shown since the caller spoke last.
struct Watch {
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    gaps: Vec<Duration>,
    tokens: u64,
    heard: String,
    /// The reply that is coming in is no bridge: not all of it is marked preemptible.
    firm: bool,
    /// A whole reply came, and it was no bridge.
    answered: Option<Instant>,
    interrupted: bool,
    not_speaking: bool,
    violations: Vec<ViolationKind>,
}

impl Watch {
    fn new() -> Self {
        Self {
            first_token: None,
            last_token: None,
            gaps: Vec::new(),
            tokens: 0,
            heard: String::new(),
            firm: false,
            answered: None,
            interrupted: false,
            not_speaking: false,
            violations: Vec::new(),
        }
    }

    fn forget(&mut self) {
        let violations = std::mem::take(&mut self.violations);
        *self = Self {
            violations,
            ..Self::new()
        };
    }
}

impl Observer for Watch {
    fn saw(&mut self, seen: Seen, at: Instant) {
        match seen {
            Seen::Token {
                text,
                last,
                preemptible,
                ..
            } => {
                if !text.is_empty() {
                    self.tokens += 1;
                    self.first_token.get_or_insert(at);
                    self.gaps.extend(
                        self.last_token
                            .map(|before| at.saturating_duration_since(before)),
                    );
                    self.last_token = Some(at);
                    self.heard.push_str(&text);
                }
                self.firm |= !text.is_empty() && !preemptible;
                if last && std::mem::take(&mut self.firm) {
                    self.answered.get_or_insert(at);
                }
            }
            Seen::Interrupted { .. } => self.interrupted = true,
            Seen::NotSpeaking => self.not_speaking = true,
            Seen::Violation(kind, _) => self.violations.push(kind),
            Seen::Played { .. } | Seen::CutShort { .. } | Seen::Asked | Seen::Said => {}
        }
    }
}

impl Caller<'_> {
    /// The whole call.
    pub(super) async fn call(&mut self) -> Result<(), Broken> {
        let mut standing = self.connect().await?;
        let drops = self.options.turns > 1 && self.chance.happens(self.options.drop_share);
        let hangs_up = self.chance.happens(self.options.hang_up_share);
        for turn in 0..self.options.turns {
            self.think(&mut standing).await?;
            if self.end.is_some_and(|end| Instant::now() >= end) {
                break;
            }
            let last = turn + 1 == self.options.turns;
            if drops && turn == 1 {
                standing = self.reconnect(standing).await?;
            }
            if last && hangs_up {
                self.ask(&mut standing, turn).await?;
                self.first_token(&mut standing).await?;
                self.meter.count(Event::HangUp);
                break;
            }
            self.turn(&mut standing, turn).await?;
        }
        self.hang_up(standing).await
    }

    async fn connect(&self) -> Result<Standing, Broken> {
        let voice = self
            .twilio
            .links
            .public(&self.twilio.config.voice_path, None)
            .map_err(|error| broken("webhook", &error))?;
        let form = self.twilio.voice_form(&self.dial, &self.call_sid);
        let asked = Instant::now();
        let answer = self
            .twilio
            .send(
                &voice,
                &form,
                false,
                &self.dial.sign_webhooks,
                &session_id(),
            )
            .await
            .map_err(|error| broken("webhook", &error))?;
        self.meter.time(Timing::Webhook, asked.elapsed());
        let twiml = expect_twiml(&voice, &answer).map_err(|error| broken("webhook", &error))?;
        let connect = twiml
            .relay()
            .ok_or_else(|| Broken("turned away by TwiML without a relay".into()))?;
        self.open(connect, &voice, false).await
    }

    async fn open(
        &self,
        connect: &Connect,
        document: &str,
        again: bool,
    ) -> Result<Standing, Broken> {
        let settings = RelaySettings::read(connect).map_err(|error| broken("relay", &error))?;
        let action = connect
            .action
            .as_ref()
            .and_then(|link| self.twilio.links.public(link, Some(document)).ok());
        let dialled = Instant::now();
        let socket = open_relay(self.twilio, &settings.url, &self.dial.sign_handshake)
            .await
            .map_err(|error| broken("handshake", &error))?;
        self.meter.time(Timing::Handshake, dialled.elapsed());
        let config = &self.twilio.config;
        let session_id = session_id();
        let setup = setup_frame(
            &config.account_sid,
            &self.call_sid,
            &session_id,
            &self.dial,
            &settings.parameters,
            again,
        );
        let session = Session::begin(settings, setup, config.pace.clone(), config.playback);
        let mut line = Line::new(socket, session, config.speed);
        let mut watch = Watch::new();
        line.flush(&mut watch).await.map_err(lost)?;
        Ok(Standing {
            line,
            watch,
            session_id,
            action,
            since: Instant::now(),
        })
    }

    /// One turn: a line, its reply, perhaps cut by another line.
    async fn turn(&mut self, standing: &mut Standing, turn: usize) -> Result<(), Broken> {
        self.ask(standing, turn).await?;
        if self.chance.happens(self.options.barge_in_share) && self.barge_in(standing).await? {
            self.meter.count(Event::BargeIn);
        }
        self.reply(standing).await?;
        self.meter.count(Event::Turn);
        let deadline = Instant::now() + self.options.reply_timeout;
        self.until(standing, deadline, |standing| {
            standing.line.session.is_silent()
        })
        .await?;
        Ok(())
    }

    async fn ask(&self, standing: &mut Standing, turn: usize) -> Result<(), Broken> {
        let lines = &self.options.lines;
        let line = lines
            .get(turn % lines.len().max(1))
            .map_or("Hello?", String::as_str);
        self.say(standing, &line.replace("{turn}", &(turn + 1).to_string()))
            .await
    }

    async fn say(&self, standing: &mut Standing, text: &str) -> Result<(), Broken> {
        standing.watch.forget();
        standing
            .line
            .caller(SimulatedCaller::Say(Utterance::at_once(text)));
        standing.line.flush(&mut standing.watch).await.map_err(lost)
    }

    /// Waits for the first token after `asked` and times it.
    async fn first_token(&self, standing: &mut Standing) -> Result<(), Broken> {
        let asked = standing.line.last_event();
        let deadline = asked + self.options.reply_timeout;
        if !self
            .until(standing, deadline, |standing| {
                standing.watch.first_token.is_some()
            })
            .await?
        {
            return Err(Broken("no first token in time".into()));
        }
        if let Some(first) = standing.watch.first_token {
            self.meter
                .time(Timing::FirstToken, first.saturating_duration_since(asked));
        }
        Ok(())
    }

    async fn reply(&self, standing: &mut Standing) -> Result<(), Broken> {
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
                self.meter
                    .time(Timing::WholeTurn, answered.saturating_duration_since(asked));
                break;
            }
            if !moved {
                return Err(Broken("a reply stalled".into()));
            }
        }
        for gap in standing.watch.gaps.drain(..) {
            self.meter.time(Timing::TokenGap, gap);
        }
        self.meter
            .count(Event::Tokens(std::mem::take(&mut standing.watch.tokens)));
        Ok(())
    }

    /// Interrupts the reply and asks something else. `false`: it was over too soon for that.
    async fn barge_in(&mut self, standing: &mut Standing) -> Result<bool, Broken> {
        self.first_token(standing).await?;
        let deadline = Instant::now() + self.options.reply_timeout;
        if self.options.playback {
            let after =
                Duration::from_secs_f64(self.chance.between(BARGE_AFTER_S.0, BARGE_AFTER_S.1));
            standing.line.caller(SimulatedCaller::BargeIn(
                Utterance::at_once(BARGE_LINE),
                after,
            ));
            standing
                .line
                .flush(&mut standing.watch)
                .await
                .map_err(lost)?;
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
            standing.watch.tokens >= BLIND_BARGE_TOKENS || standing.watch.answered.is_some()
        })
        .await?;
        if standing.watch.answered.is_some() {
            return Ok(false);
        }
        let frame = interrupt_frame(&standing.watch.heard, 600);
        standing.line.caller(SimulatedCaller::CutBlindly(frame));
        self.say(standing, BARGE_LINE).await?;
        Ok(true)
    }

    async fn think(&mut self, standing: &mut Standing) -> Result<(), Broken> {
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
        &self,
        standing: &mut Standing,
        deadline: Instant,
        holds: impl Fn(&Standing) -> bool,
    ) -> Result<bool, Broken> {
        loop {
            standing
                .line
                .flush(&mut standing.watch)
                .await
                .map_err(lost)?;
            if holds(standing) {
                return Ok(true);
            }
            match timeout_at(deadline, standing.line.next(&mut standing.watch)).await {
                Ok(happened) => happened.map_err(lost)?,
                Err(_) => return Ok(false),
            }
        }
    }

    async fn reconnect(&self, standing: Standing) -> Result<Standing, Broken> {
        self.meter.count(Event::Drop);
        let Standing {
            line,
            session_id,
            action,
            since,
            ..
        } = standing;
        line.vanish();
        sleep(ACTION_AFTER_LOSS.div_f64(self.twilio.config.speed)).await;
        let url = action.ok_or_else(|| Broken("not reconnected: there is no action".into()))?;
        let over = SessionOver {
            session_id: &session_id,
            status: "failed",
            lasted: since.elapsed(),
            handoff_data: None,
        };
        let answer = self.act(&url, &over).await?;
        let twiml = expect_twiml(&url, &answer).map_err(|error| broken("action", &error))?;
        let connect = twiml
            .relay()
            .ok_or_else(|| Broken("not reconnected: no relay in the action's TwiML".into()))?;
        let standing = self.open(connect, &url, true).await?;
        self.meter.count(Event::Reconnect);
        Ok(standing)
    }

    async fn act(
        &self,
        url: &str,
        over: &SessionOver<'_>,
    ) -> Result<crate::twilio::Answer, Broken> {
        let form = action_form(
            &self.twilio.config.account_sid,
            &self.call_sid,
            &self.dial,
            over,
        );
        self.twilio
            .send(url, &form, false, &self.dial.sign_webhooks, &session_id())
            .await
            .map_err(|error| broken("action", &error))
    }

    async fn hang_up(&self, mut standing: Standing) -> Result<(), Broken> {
        standing.line.caller(SimulatedCaller::HangUp);
        match standing.line.flush(&mut standing.watch).await {
            Err(SocketEnd::Closed(Close::HungUp)) | Ok(()) => {}
            Err(end) => return Err(lost(end)),
        }
        for kind in &standing.watch.violations {
            self.meter.error(format!("against the protocol: {kind:?}"));
        }
        if let Some(url) = &standing.action {
            let lasted = standing.since.elapsed();
            let over = SessionOver {
                session_id: &standing.session_id,
                status: "completed",
                lasted,
                handoff_data: None,
            };
            let answer = self.act(url, &over).await?;
            expect_twiml(url, &answer).map_err(|error| broken("action", &error))?;
        }
        self.status_callback().await
    }

    async fn status_callback(&self) -> Result<(), Broken> {
        let Some(path) = &self.twilio.config.status_path else {
            return Ok(());
        };
        let url = self
            .twilio
            .links
            .public(path, None)
            .map_err(|error| broken("status callback", &error))?;
        let form = status_form(
            &self.twilio.config.account_sid,
            &self.call_sid,
            &self.dial,
            self.began.elapsed(),
            SystemTime::now(),
        );
        let answer = self
            .twilio
            .send(&url, &form, false, &self.dial.sign_webhooks, &session_id())
            .await;
        match answer
            .map_err(|error| broken("status callback", &error))?
            .status
        {
            200..=299 => Ok(()),
            status => Err(Broken(format!("status callback: {status}"))),
        }
    }
}

/// An error in few words, without addresses, so that equal ones are counted together.
fn broken(where_: &str, error: &CallError) -> Broken {
    Broken(match error {
        CallError::WebhookStatus { status, .. }
        | CallError::Handshake {
            status: Some(status),
            ..
        } => format!("{where_}: {status}"),
        CallError::Unreachable { reason, .. } => format!("{where_}: unreachable ({reason})"),
        CallError::Refused { .. } => format!("{where_}: connection refused"),
        CallError::WebhookTimedOut { .. } => format!("{where_}: timed out"),
        CallError::Handshake { reason, .. } => format!("{where_}: {reason}"),
        other => format!("{where_}: {other}"),
    })
}

fn lost(end: SocketEnd) -> Broken {
    Broken(match end {
        SocketEnd::Lost(reason) => format!("socket lost: {reason}"),
        SocketEnd::Closed(Close::EndedByApp { .. }) => "the server ended the call".into(),
        SocketEnd::Closed(close) => {
            format!("socket closed: {} {}", close.frame().0, close.frame().1)
        }
        SocketEnd::Vanished => "socket vanished".into(),
    })
}
