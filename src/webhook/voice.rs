//! `POST /twilio/voice`: a call rings (protocol 2).

use super::visit::Visit;
use super::{Doors, answer};
use crate::call::switchboard::{Answer, Arrival, Back, Connection, Way};
use crate::twilio::voice::{CallStatus, Voice};
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;
use std::time::Duration;

/// Twilio gives the whole exchange 15 s (protocol 2.4); past this the worst case is spoken.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// The voice webhook.
pub(super) struct Handler(pub(super) Arc<Doors>);

#[async_trait]
impl salvo::Handler for Handler {
    async fn handle(
        &self,
        req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        let doors = &self.0;
        let Some(visit) = doors.receive("voice", req, res).await else {
            return;
        };
        let answer = match visit.answered(doors) {
            Some(answer) => answer,
            None => doors.ring(req, &visit).await,
        };
        visit.answer(doors, res, answer);
    }
}

impl Doors {
    async fn ring(&self, req: &Request, visit: &Visit) -> (String, &'static str) {
        let voice = match Voice::read(&visit.form) {
            Ok(voice) => voice,
            Err(error) => {
                tracing::warn!(%error, "a voice webhook without a call");
                return (answer::goodbye(&self.switchboard.failed("")), "bad_request");
            }
        };
        let arrival = Arrival {
            call_sid: voice.call_sid.as_str().into(),
            identity: voice.ends.identity(),
            called: answer::called(voice.ends.line()),
            attestation: voice.attestation,
        };
        let render = |connection: &Connection<'_>| self.connect(req, &arrival, connection);
        if voice.status == CallStatus::InProgress
            && let Some(document) = self.redirected(req, &arrival, visit.reference()).await
        {
            return (document, "ok");
        }
        let ringing = self.switchboard.ring(&arrival, render);
        match tokio::time::timeout(ANSWER_MAX, ringing).await {
            Ok(Answer::Connect(document)) => (document, "ok"),
            Ok(Answer::Repeat(document)) => (document, "repeated"),
            Ok(Answer::Refuse(text)) => (answer::goodbye(&text), "ok"),
            Err(_) => (
                answer::goodbye(&self.switchboard.failed(&arrival.called)),
                "failed",
            ),
        }
    }

    /// A call that is in progress came here by a redirect, or by the number's fallback URL: one that
    /// is known goes on. `None` for one that was answered before its first document, such as a call
    /// that we placed ourselves.
    async fn redirected(
        &self,
        req: &Request,
        arrival: &Arrival,
        reference: Option<&str>,
    ) -> Option<String> {
        let mark = self.mark(&arrival.call_sid, reference);
        let back = Back {
            way: Way::Redirect,
            mark: mark.unwrap_or_default(),
            session_id: "",
            sure: mark.is_some(),
            provider_failed: false,
        };
        let render = |connection: &Connection<'_>| self.connect(req, arrival, connection);
        let returned = self.switchboard.returned(arrival, &back, render).await?;
        Some(self.after_loss(&arrival.call_sid, returned).await)
    }
}
