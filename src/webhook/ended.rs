//! `POST /twilio/action`: a session ended, whatever way; the answer decides what the caller gets
//! next (protocol 6).

use super::visit::Visit;
use super::{DIALLED_PATH, Doors, answer};
use crate::call::switchboard::{After, Arrival, Back, Connection, Way};
use crate::twilio::identity::Attestation;
use crate::twilio::reference::REFERENCE_PARAMETER;
use crate::twilio::signature::Door;
use crate::twilio::twiml::{Dial, Enqueue, Response as Twiml};
use crate::twilio::voice::{Ended, SessionStatus};
use calldex_storage::record::Outcome;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;

/// The action callback.
#[derive(Clone)]
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
        let Some(visit) = doors.receive("action", req, res).await else {
            return;
        };
        let answer = match visit.answered(doors) {
            Some(answer) => answer,
            None => doors.ended(req, &visit).await,
        };
        visit.answer(doors, res, answer);
    }
}

impl Doors {
    async fn ended(&self, req: &Request, visit: &Visit) -> (String, &'static str) {
        match Ended::read(&visit.form) {
            Ok(ended) => (self.after(req, visit, &ended).await, "ok"),
            Err(error) => {
                tracing::warn!(%error, "an action callback without a call");
                (answer::EMPTY.to_owned(), "bad_request")
            }
        }
    }

    async fn after(&self, req: &Request, visit: &Visit, ended: &Ended) -> String {
        let call_sid = &ended.call_sid;
        let over = |outcome| self.switchboard.over(call_sid, outcome);
        if !ended.call_goes_on() {
            over(Outcome::HungUp);
            return answer::EMPTY.to_owned();
        }
        if ended.session_status == SessionStatus::Ended && !ended.failed() {
            let called = answer::called(ended.ends.line());
            let line = self.switchboard.line(&called);
            let handed_over = ended.handoff_data.is_some() && line.handoff.is_possible();
            over(match handed_over {
                true => Outcome::HandedOver,
                false => Outcome::Ended,
            });
            return self.hand_over(req, call_sid, &called, ended.handoff_data.as_deref());
        }
        let arrival = Arrival {
            call_sid: call_sid.as_str().into(),
            identity: ended.ends.identity(),
            called: answer::called(ended.ends.line()),
            attestation: Attestation::Unstated,
        };
        if ended.failed() {
            tracing::warn!(call = %call_sid, code = ended.error_code, "a session failed at Twilio");
        }
        if !ended.may_reconnect() {
            over(Outcome::Failed);
            return answer::goodbye(&self.switchboard.failed(&arrival.called));
        }
        let render = |connection: &Connection<'_>| self.connect(req, &arrival, connection);
        let mark = self.mark(&arrival.call_sid, visit.reference());
        let back = Back {
            way: Way::Action,
            mark: mark.unwrap_or_default(),
            session_id: &ended.session_id,
            sure: true,
            provider_failed: ended.provider_failed(),
        };
        match self.switchboard.lost(&arrival, &back, render).await {
            // The connection broke after our own end: what was to follow it follows.
            After::Over(Outcome::HandedOver) => {
                self.hand_over(req, call_sid, &arrival.called, Some("{}"))
            }
            lost => self.after_loss(call_sid, lost).await,
        }
    }

    /// The document for a call that lost its session.
    pub(super) async fn after_loss(&self, call_sid: &str, after: After) -> String {
        match after {
            After::Reconnect(document) => document,
            After::Goodbye(text) => {
                self.switchboard.over(call_sid, Outcome::Limit);
                answer::goodbye(&text)
            }
            After::Over(_) => answer::hang_up(),
        }
    }

    /// We ended the session. With hand-off data the call goes to a person, without it is over.
    fn hand_over(&self, req: &Request, call_sid: &str, called: &str, data: Option<&str>) -> String {
        let handoff = &self.switchboard.line(called).handoff;
        let action = || {
            let reference = self.reference(call_sid, self.switchboard.mark());
            let target = format!("{DIALLED_PATH}?{REFERENCE_PARAMETER}={reference}");
            self.guard.url(req, Door::Webhook, &target)
        };
        let document = match (data, &handoff.dial, &handoff.workflow) {
            (Some(_), Some(number), _) => Twiml::new().then(Dial {
                to: number.clone(),
                caller_id: handoff.caller_id.clone(),
                timeout_seconds: Some(handoff.timeout_s),
                action: action(),
                answer_on_bridge: true,
            }),
            (Some(data), None, Some(workflow)) => {
                Twiml::new().then(Enqueue::workflow(workflow).task(data).action(action()))
            }
            _ => return answer::hang_up(),
        };
        document.render().unwrap_or_else(|_| answer::hang_up())
    }
}
