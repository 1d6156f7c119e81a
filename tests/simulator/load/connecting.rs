//! How a caller of a load is connected, connected again, and leaves.

use super::{
    caller::{Broken, Caller},
    meter::{Event, Timing},
    watch::{Standing, Watch},
};
use crate::twilio::{
    Answer, CallError, Network,
    internals::{
        Close, Line, Redirect, RelaySettings, Session, SessionOver, SimulatedCaller, SocketEnd,
        action_form, expect_twiml, in_progress_form, open_relay, session_id, setup_frame,
        status_form,
    },
    twiml::Connect,
};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};

/// Lost socket to action, in Twilio's time (protocol 6.3).
const ACTION_AFTER_LOSS: Duration = Duration::from_millis(1190);

/// Why a session is over before its call is.
pub(super) enum Stop {
    /// The call broke off with it.
    Broken(Broken),
    /// The socket is gone; the call may go on.
    Lost(SocketEnd),
    /// The REST API has the call go on elsewhere.
    Redirected(Redirect),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<SocketEnd> for Stop {
    fn from(end: SocketEnd) -> Self {
        match end {
            SocketEnd::Lost(_) | SocketEnd::Vanished => Self::Lost(end),
            SocketEnd::Closed(_) => Self::Broken(lost(end)),
        }
    }
}

impl Caller<'_> {
    pub(super) async fn connect(&self) -> Result<Standing, Broken> {
        let voice = self
            .twilio
            .links
            .public(&self.twilio.config.voice_path, None)
            .map_err(|error| broken("webhook", &error))?;
        let form = self.twilio.voice_form(&self.dial, &self.call_sid);
        let asked = Instant::now();
        let answer = self.request("webhook", &voice, &form).await?;
        self.meter.time(Timing::Webhook, asked.elapsed());
        self.follow("webhook", &voice, &answer, false)
            .await?
            .ok_or_else(|| Broken("turned away by TwiML without a relay".into()))
    }

    async fn request(
        &self,
        what: &str,
        url: &str,
        form: &[(String, String)],
    ) -> Result<Answer, Broken> {
        let (signing, token) = (&self.dial.sign_webhooks, session_id());
        self.twilio
            .send(url, &form.to_vec(), false, signing, &token, None)
            .await
            .map_err(|error| broken(what, &error))
    }

    /// Opens the relay of an answer; `None` if it has none.
    async fn follow(
        &self,
        what: &str,
        url: &str,
        answer: &Answer,
        again: bool,
    ) -> Result<Option<Standing>, Broken> {
        let twiml = expect_twiml(url, answer).map_err(|error| broken(what, &error))?;
        match twiml.relay() {
            Some(connect) => self.open(connect, url, again).await.map(Some),
            None => Ok(None),
        }
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
        let signing = &self.dial.sign_handshake;
        let (socket, instance) = open_relay(self.twilio, &settings.url, signing, None)
            .await
            .map_err(|error| broken("handshake", &error))?;
        self.meter.time(Timing::Handshake, dialled.elapsed());
        self.meter.count(Event::Session(instance));
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
        let mut line = Line::new(socket, session, config.speed, Network::NONE);
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

    /// The socket vanishes, and the call is taken up again.
    pub(super) async fn reconnect(&self, standing: Standing) -> Result<Standing, Broken> {
        self.meter.count(Event::Drop);
        let standing = self.act_on_loss(standing).await?;
        self.meter.count(Event::Reconnect);
        Ok(standing)
    }

    /// What Twilio does when a session is over before its call is: the next one, if the load follows losses.
    pub(super) async fn taken_up(
        &mut self,
        mut standing: Standing,
        stop: Stop,
    ) -> Result<Standing, Broken> {
        let gone = Instant::now();
        let next = match stop {
            Stop::Broken(broken) => return Err(broken),
            Stop::Lost(end) if !self.options.reconnects => return Err(lost(end)),
            Stop::Lost(_) => {
                self.meter.count(Event::Loss);
                self.act_on_loss(standing).await?
            }
            Stop::Redirected(redirect) => {
                self.meter.count(Event::Loss);
                let close = Close::Redirected;
                standing.line.close(&close, &mut standing.watch).await;
                self.redirected(&redirect).await?
            }
        };
        self.meter.time(Timing::Back, gone.elapsed());
        self.was_lost = true;
        Ok(next)
    }

    async fn redirected(&self, redirect: &Redirect) -> Result<Standing, Broken> {
        let config = &self.twilio.config;
        let form = in_progress_form(&config.account_sid, &self.call_sid, &self.dial);
        let answer = self.request("redirect", &redirect.url, &form).await?;
        self.follow("redirect", &redirect.url, &answer, true)
            .await?
            .ok_or_else(|| Broken("not taken up: no relay in the redirect's TwiML".into()))
    }

    async fn act_on_loss(&self, standing: Standing) -> Result<Standing, Broken> {
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
        self.follow("action", &url, &answer, true)
            .await?
            .ok_or_else(|| Broken("not reconnected: no relay in the action's TwiML".into()))
    }

    async fn act(&self, url: &str, over: &SessionOver<'_>) -> Result<Answer, Broken> {
        let account_sid = &self.twilio.config.account_sid;
        let form = action_form(account_sid, &self.call_sid, &self.dial, over);
        self.request("action", url, &form).await
    }

    pub(super) async fn hang_up(&self, mut standing: Standing) -> Result<(), Broken> {
        standing.line.caller(SimulatedCaller::HangUp);
        match standing.line.flush(&mut standing.watch).await {
            Err(SocketEnd::Closed(Close::HungUp)) | Ok(()) => {}
            // The server went just before the caller did: the call is over either way.
            Err(SocketEnd::Lost(_)) if self.options.reconnects => {}
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
        match self.request("status callback", &url, &form).await?.status {
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
