//! `POST /twilio/action`: a session ended, whatever way; the answer decides what the caller gets
//! next (protocol 6).

use super::visit::Visit;
use super::{Doors, answer};
use crate::call::switchboard::{After, Arrival, Back, Connection, Way};
use crate::twilio::identity::Attestation;
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
        if !ended.call_goes_on() {
            self.switchboard.over(&ended.call_sid, Outcome::HungUp);
            return answer::EMPTY.to_owned();
        }
        if ended.session_status == SessionStatus::Ended && !ended.failed() {
            self.switchboard.over(&ended.call_sid, Outcome::Ended);
            return self.hand_over(ended);
        }
        let arrival = Arrival {
            call_sid: ended.call_sid.as_str().into(),
            identity: ended.from.identity(),
            called: answer::called(&ended.to),
            attestation: Attestation::Unstated,
        };
        if !ended.may_reconnect() {
            tracing::warn!(call = %arrival.call_sid, code = ended.error_code, "a session failed at Twilio");
            self.switchboard.over(&ended.call_sid, Outcome::Failed);
            return answer::goodbye(&self.switchboard.failed(&arrival.called));
        }
        let render = |connection: &Connection<'_>| self.connect(req, &arrival, connection);
        let mark = self.mark(&arrival.call_sid, visit.reference());
        let back = Back {
            way: Way::Action,
            mark: mark.unwrap_or_default(),
            session_id: &ended.session_id,
            sure: true,
        };
        let lost = self.switchboard.lost(&arrival, &back, render).await;
        self.after_loss(&arrival.call_sid, lost)
    }

    /// The document for a call that lost its session.
    pub(super) fn after_loss(&self, call_sid: &str, after: After) -> String {
        match after {
            After::Reconnect(document) => document,
            After::Goodbye(text) => {
                self.switchboard.over(call_sid, Outcome::Limit);
                answer::goodbye(&text)
            }
        }
    }

    /// We ended the session. With hand-off data the call goes to a person, without it is over.
    fn hand_over(&self, ended: &Ended) -> String {
        let hang_up = || Twiml::new().hangup();
        let document = match (
            &ended.handoff_data,
            &self.handoff.dial,
            &self.handoff.workflow,
        ) {
            (Some(_), Some(number), _) => Twiml::new().then(Dial::new(number)),
            (Some(data), None, Some(workflow)) => {
                Twiml::new().then(Enqueue::workflow(workflow).task(data))
            }
            _ => hang_up(),
        };
        document
            .render()
            .or_else(|_| hang_up().render())
            .unwrap_or_else(|_| answer::EMPTY.to_owned())
    }
}
