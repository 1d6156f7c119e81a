//! `POST /twilio/dialled`: a handoff is over. Either a person talked to the caller, or nobody answered and
//! the caller is connected to the agent again.

use super::request::WebhookRequest;
use super::{WebhookRoutes, twiml_response};
use crate::call::manager::{IncomingCall, ReconnectRequest, ReconnectTrigger, RelayConnect};
use crate::twilio::identity::Attestation;
use crate::twilio::webhooks::{DialActionCallback, DialStatus};
use calldex_observability::catalog;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;

/// The action of `<Dial>` and of `<Enqueue>`.
#[derive(Clone)]
pub(super) struct DialActionHandler(pub(super) Arc<WebhookRoutes>);

#[async_trait]
impl salvo::Handler for DialActionHandler {
    async fn handle(
        &self,
        req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        let routes = &self.0;
        let Some(request) = routes.receive("dial_action", req, res).await else {
            return;
        };
        let answer = match request.repeated_response(routes) {
            Some(answer) => answer,
            None => routes.handle_dial_action(req, &request).await,
        };
        request.respond(routes, res, answer);
    }
}

impl WebhookRoutes {
    async fn handle_dial_action(
        &self,
        req: &Request,
        request: &WebhookRequest,
    ) -> (String, &'static str) {
        match DialActionCallback::from_form(&request.form) {
            Ok(dialled) => (self.twiml_after_dial(req, request, &dialled).await, "ok"),
            Err(error) => {
                tracing::warn!(%error, "a dial action callback without a CallSid");
                (twiml_response::EMPTY_TWIML.to_owned(), "bad_request")
            }
        }
    }

    async fn twiml_after_dial(
        &self,
        req: &Request,
        request: &WebhookRequest,
        dialled: &DialActionCallback,
    ) -> String {
        let status = dialled.dial_status;
        catalog::HANDOFFS_TOTAL.with(status.label()).increment(1);
        let call_sid = &dialled.call_sid;
        let log_position = self.log_position_in_token(call_sid, request.call_token());
        if !dialled.returns_to_agent() {
            if status != DialStatus::Answered {
                // The caller hung up before anybody answered.
                let log_position = log_position.unwrap_or_default();
                self.call_manager
                    .end_unanswered_handoff(call_sid, log_position)
                    .await;
            }
            return twiml_response::hang_up_twiml();
        }
        let incoming_call = IncomingCall {
            call_sid: call_sid.as_str().into(),
            caller: dialled.parties.remote_identity(),
            called_number: twiml_response::called_number(dialled.parties.local_address()),
            attestation: Attestation::Absent,
        };
        let reconnect = ReconnectRequest {
            log_position: log_position.unwrap_or_default(),
            ..ReconnectRequest::of_trigger(ReconnectTrigger::HandoffUnanswered)
        };
        let render =
            |connection: &RelayConnect<'_>| self.connect_twiml(req, &incoming_call, connection);
        let after = self
            .call_manager
            .reconnect(&incoming_call, &reconnect, render)
            .await;
        self.twiml_after_lost_session(call_sid, after).await
    }
}
