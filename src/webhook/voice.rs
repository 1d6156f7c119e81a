//! `POST /twilio/voice`: a call rings (protocol 2).

use super::{Doors, answer};
use crate::call::switchboard::{Answer, Arrival, Connection};
use crate::twilio::voice::Voice;
use calldex_observability::catalog;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        let begun = Instant::now();
        let doors = &self.0;
        let Some(admitted) = doors.guard.admit("voice", req, res).await else {
            return;
        };
        let token = admitted.token.as_deref();
        let (document, result) = match doors.repeats.answer("voice", token) {
            Some(document) => (document, "repeated"),
            None => doors.ring(req, &admitted.form).await,
        };
        doors.repeats.keep("voice", token, &document);
        answer::send(res, &document);
        catalog::WEBHOOK_REQUESTS_TOTAL
            .with("voice", result)
            .increment(1);
        catalog::WEBHOOK_SECONDS
            .with("voice")
            .record(begun.elapsed().as_secs_f64());
    }
}

impl Doors {
    async fn ring(&self, req: &Request, form: &crate::twilio::Form) -> (String, &'static str) {
        let voice = match Voice::read(form) {
            Ok(voice) => voice,
            Err(error) => {
                tracing::warn!(%error, "a voice webhook without a call");
                return (answer::goodbye(&self.switchboard.failed("")), "bad_request");
            }
        };
        let arrival = Arrival {
            call_sid: voice.call_sid.as_str().into(),
            identity: voice.identity.clone(),
            called: answer::called(&voice.to),
            attestation: voice.attestation,
        };
        let render = |connection: &Connection<'_>| self.connect(req, &arrival, connection);
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
}
