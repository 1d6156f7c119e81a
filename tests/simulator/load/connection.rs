//! How a caller of a load is connected, connected again, and leaves.

use super::{
    caller::{CallFailure, LoadCaller},
    meter::{LoadEvent, Timing},
    session::{LoadSession, ReplyObserver},
};
use crate::twilio::{
    CallError, Network, WebhookAnswer,
    internals::{
        Redirect, RelaySettings, SessionClose, SessionDriver, SessionEnd, SimulatedCaller,
        SocketEnd, TwilioSession, action_form, expect_twiml, in_progress_form, open_relay,
        session_id, setup_frame, status_form,
    },
    twiml::Connect,
};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};

/// Lost socket to action, in Twilio's time (docs/protocol.md 6.3).
const ACTION_AFTER_LOSS: Duration = Duration::from_millis(1190);

/// Why a session is over before its call is.
pub(super) enum SessionStop {
    /// The call broke off with it.
    Broken(CallFailure),
    /// The socket is gone; the call may go on.
    Lost(SocketEnd),
    /// The REST API has the call go on elsewhere.
    Redirected(Redirect),
}

impl From<CallFailure> for SessionStop {
    fn from(broken: CallFailure) -> Self {
        Self::Broken(broken)
    }
}

impl From<SocketEnd> for SessionStop {
    fn from(end: SocketEnd) -> Self {
        match end {
            SocketEnd::Lost(_) | SocketEnd::Vanished => Self::Lost(end),
            SocketEnd::Closed(_) => Self::Broken(lost(end)),
        }
    }
}

impl LoadCaller<'_> {
    pub(super) async fn connect(&self) -> Result<LoadSession, CallFailure> {
        let voice = self
            .twilio
            .links
            .public_url(&self.twilio.config.voice_path, None)
            .map_err(|error| broken("webhook", &error))?;
        let form = self.twilio.voice_form(&self.dial, &self.call_sid);
        let asked = Instant::now();
        let answer = self.request("webhook", &voice, &form).await?;
        self.meter.time(Timing::Webhook, asked.elapsed());
        self.follow("webhook", &voice, &answer, false)
            .await?
            .ok_or_else(|| CallFailure("turned away by TwiML without a relay".into()))
    }

    async fn request(
        &self,
        what: &str,
        url: &str,
        form: &[(String, String)],
    ) -> Result<WebhookAnswer, CallFailure> {
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
        answer: &WebhookAnswer,
        again: bool,
    ) -> Result<Option<LoadSession>, CallFailure> {
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
    ) -> Result<LoadSession, CallFailure> {
        let settings = RelaySettings::read(connect).map_err(|error| broken("relay", &error))?;
        let action = connect
            .action
            .as_ref()
            .and_then(|link| self.twilio.links.public_url(link, Some(document)).ok());
        let dialled = Instant::now();
        let signing = &self.dial.sign_handshake;
        let (socket, instance) = open_relay(self.twilio, &settings.url, signing, None)
            .await
            .map_err(|error| broken("handshake", &error))?;
        self.meter.time(Timing::Handshake, dialled.elapsed());
        self.meter.count(LoadEvent::Session(instance));
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
        let session = TwilioSession::begin(settings, setup, config.pace.clone(), config.playback);
        let mut line = SessionDriver::new(socket, session, config.speed, Network::NONE);
        let mut watch = ReplyObserver::new();
        line.flush(&mut watch).await.map_err(lost)?;
        Ok(LoadSession {
            line,
            watch,
            session_id,
            action,
            since: Instant::now(),
        })
    }

    /// The socket vanishes, and the call is taken up again.
    pub(super) async fn reconnect(
        &self,
        standing: LoadSession,
    ) -> Result<LoadSession, CallFailure> {
        self.meter.count(LoadEvent::Drop);
        let standing = self.act_on_loss(standing).await?;
        self.meter.count(LoadEvent::Reconnect);
        Ok(standing)
    }

    /// What Twilio does when a session is over before its call is: the next one, if the load follows losses.
    pub(super) async fn taken_up(
        &mut self,
        mut standing: LoadSession,
        stop: SessionStop,
    ) -> Result<LoadSession, CallFailure> {
        let gone = Instant::now();
        let next = match stop {
            SessionStop::Broken(broken) => return Err(broken),
            SessionStop::Lost(end) if !self.options.reconnects => return Err(lost(end)),
            SessionStop::Lost(_) => {
                self.meter.count(LoadEvent::Loss);
                self.act_on_loss(standing).await?
            }
            SessionStop::Redirected(redirect) => {
                self.meter.count(LoadEvent::Loss);
                let close = SessionClose::Redirected;
                standing.line.close(&close, &mut standing.watch).await;
                self.redirected(&redirect).await?
            }
        };
        self.meter.time(Timing::Back, gone.elapsed());
        self.was_lost = true;
        Ok(next)
    }

    async fn redirected(&self, redirect: &Redirect) -> Result<LoadSession, CallFailure> {
        let config = &self.twilio.config;
        let form = in_progress_form(&config.account_sid, &self.call_sid, &self.dial);
        let answer = self.request("redirect", &redirect.url, &form).await?;
        self.follow("redirect", &redirect.url, &answer, true)
            .await?
            .ok_or_else(|| CallFailure("not taken up: no relay in the redirect's TwiML".into()))
    }

    async fn act_on_loss(&self, standing: LoadSession) -> Result<LoadSession, CallFailure> {
        let LoadSession {
            line,
            session_id,
            action,
            since,
            ..
        } = standing;
        line.vanish();
        sleep(ACTION_AFTER_LOSS.div_f64(self.twilio.config.speed)).await;
        let url =
            action.ok_or_else(|| CallFailure("not reconnected: there is no action".into()))?;
        let over = SessionEnd {
            session_id: &session_id,
            status: "failed",
            lasted: since.elapsed(),
            handoff_data: None,
        };
        let answer = self.act(&url, &over).await?;
        self.follow("action", &url, &answer, true)
            .await?
            .ok_or_else(|| CallFailure("not reconnected: no relay in the action's TwiML".into()))
    }

    async fn act(&self, url: &str, over: &SessionEnd<'_>) -> Result<WebhookAnswer, CallFailure> {
        let account_sid = &self.twilio.config.account_sid;
        let form = action_form(account_sid, &self.call_sid, &self.dial, over);
        self.request("action", url, &form).await
    }

    pub(super) async fn hang_up(&self, mut standing: LoadSession) -> Result<(), CallFailure> {
        standing.line.caller(SimulatedCaller::HangUp);
        match standing.line.flush(&mut standing.watch).await {
            Err(SocketEnd::Closed(SessionClose::HungUp)) | Ok(()) => {}
            // The server went just before the caller did: the call is over either way.
            Err(SocketEnd::Lost(_)) if self.options.reconnects => {}
            Err(end) => return Err(lost(end)),
        }
        for kind in &standing.watch.violations {
            self.meter.error(format!("against the protocol: {kind:?}"));
        }
        if let Some(url) = &standing.action {
            let lasted = standing.since.elapsed();
            let over = SessionEnd {
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

    async fn status_callback(&self) -> Result<(), CallFailure> {
        let Some(path) = &self.twilio.config.status_path else {
            return Ok(());
        };
        let url = self
            .twilio
            .links
            .public_url(path, None)
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
            status => Err(CallFailure(format!("status callback: {status}"))),
        }
    }
}

/// An error in few words, without addresses, so that equal ones are counted together.
fn broken(where_: &str, error: &CallError) -> CallFailure {
    CallFailure(match error {
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

fn lost(end: SocketEnd) -> CallFailure {
    CallFailure(match end {
        SocketEnd::Lost(reason) => format!("socket lost: {reason}"),
        SocketEnd::Closed(SessionClose::EndedByApp { .. }) => "the server ended the call".into(),
        SocketEnd::Closed(close) => {
            format!("socket closed: {} {}", close.frame().0, close.frame().1)
        }
        SocketEnd::Vanished => "socket vanished".into(),
    })
}
