//! `POST /twilio/dialled`: the person to whom a call was handed over has answered and is done, or nobody
//! took the call. Then the caller comes back to the agent.

use super::visit::Visit;
use super::{Doors, answer};
use crate::call::switchboard::{Arrival, Back, Connection, Way};
use crate::twilio::identity::Attestation;
use crate::twilio::voice::{DialStatus, Dialled};
use calldex_observability::catalog;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;

/// The action of `<Dial>` and of `<Enqueue>`.
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
        let Some(visit) = doors.receive("dialled", req, res).await else {
            return;
        };
        let answer = match visit.answered(doors) {
            Some(answer) => answer,
            None => doors.dialled(req, &visit).await,
        };
        visit.answer(doors, res, answer);
    }
}

impl Doors {
    async fn dialled(&self, req: &Request, visit: &Visit) -> (String, &'static str) {
        match Dialled::read(&visit.form) {
            Ok(dialled) => (self.after_dial(req, visit, &dialled).await, "ok"),
            Err(error) => {
                tracing::warn!(%error, "the end of a hand-over without a call");
                (answer::EMPTY.to_owned(), "bad_request")
            }
        }
    }

    async fn after_dial(&self, req: &Request, visit: &Visit, dialled: &Dialled) -> String {
        let status = dialled.dial_status;
        catalog::HANDOVERS_TOTAL.with(status.label()).increment(1);
        let call_sid = &dialled.call_sid;
        let mark = self.mark(call_sid, visit.reference());
        if !dialled.caller_waits() {
            if status != DialStatus::Answered {
                // The caller did not wait: nobody has the call.
                let mark = mark.unwrap_or_default();
                self.switchboard.left_unanswered(call_sid, mark).await;
            }
            return answer::hang_up();
        }
        let arrival = Arrival {
            call_sid: call_sid.as_str().into(),
            identity: dialled.ends.identity(),
            called: answer::called(dialled.ends.line()),
            attestation: Attestation::Unstated,
        };
        let back = Back {
            mark: mark.unwrap_or_default(),
            ..Back::by(Way::Unanswered)
        };
        let render = |connection: &Connection<'_>| self.connect(req, &arrival, connection);
        let after = self.switchboard.lost(&arrival, &back, render).await;
        self.after_loss(call_sid, after).await
    }
}
