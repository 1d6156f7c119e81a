//! `POST /twilio/action`: a session ended, whatever way; the answer decides what the caller gets
//! next (docs/protocol.md 6).

use super::request::WebhookRequest;
use super::{DIAL_ACTION_PATH, WebhookRoutes, twiml_response};
use crate::call::manager::{
    IncomingCall, ReconnectDecision, ReconnectRequest, ReconnectTrigger, RelayConnect,
};
use crate::twilio::call_token::CALL_TOKEN_PARAMETER;
use crate::twilio::identity::Attestation;
use crate::twilio::signature::EndpointKind;
use crate::twilio::twiml::{Dial, Enqueue, TwimlResponse as Twiml};
use crate::twilio::webhooks::{ActionCallback, SessionStatus};
use calldex_storage::record::CallOutcome;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;

/// The action callback.
#[derive(Clone)]
pub(super) struct ActionHandler(pub(super) Arc<WebhookRoutes>);

#[async_trait]
impl salvo::Handler for ActionHandler {
    async fn handle(
        &self,
        req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        let routes = &self.0;
        let Some(request) = routes.receive("action", req, res).await else {
            return;
        };
        let answer = match request.repeated_response(routes) {
            Some(answer) => answer,
            None => routes.handle_action(req, &request).await,
        };
        request.respond(routes, res, answer);
    }
}

impl WebhookRoutes {
    async fn handle_action(
        &self,
        req: &Request,
        request: &WebhookRequest,
    ) -> (String, &'static str) {
        match ActionCallback::from_form(&request.form) {
            Ok(ended) => (self.twiml_after_session(req, request, &ended).await, "ok"),
            Err(error) => {
                tracing::warn!(%error, "an action callback without a CallSid");
                (twiml_response::EMPTY_TWIML.to_owned(), "bad_request")
            }
        }
    }

    async fn twiml_after_session(
        &self,
        req: &Request,
        request: &WebhookRequest,
        ended: &ActionCallback,
    ) -> String {
        let call_sid = &ended.call_sid;
        let over = |outcome| self.call_manager.end_call(call_sid, outcome);
        if !ended.is_call_in_progress() {
            over(CallOutcome::HungUp);
            return twiml_response::EMPTY_TWIML.to_owned();
        }
        if ended.session_status == SessionStatus::Ended && !ended.has_session_failed() {
            let called = twiml_response::called_number(ended.parties.local_address());
            let line = self.call_manager.line(&called);
            let handed_over = ended.handoff_data.is_some() && line.handoff.is_possible();
            over(match handed_over {
                true => CallOutcome::HandedOff,
                false => CallOutcome::Ended,
            });
            return self.handoff_twiml(req, call_sid, &called, ended.handoff_data.as_deref());
        }
        let incoming_call = IncomingCall {
            call_sid: call_sid.as_str().into(),
            caller: ended.parties.remote_identity(),
            called_number: twiml_response::called_number(ended.parties.local_address()),
            attestation: Attestation::Absent,
        };
        if ended.has_session_failed() {
            tracing::warn!(call_sid = %call_sid, code = ended.error_code, "a session failed at Twilio");
        }
        if !ended.is_retryable() {
            over(CallOutcome::Failed);
            return twiml_response::say_and_hang_up_twiml(
                &self
                    .call_manager
                    .failure_message(&incoming_call.called_number),
            );
        }
        let render =
            |connection: &RelayConnect<'_>| self.connect_twiml(req, &incoming_call, connection);
        let log_position =
            self.log_position_in_token(&incoming_call.call_sid, request.call_token());
        let reconnect = ReconnectRequest {
            trigger: ReconnectTrigger::Action,
            log_position: log_position.unwrap_or_default(),
            session_id: &ended.session_id,
            proves_known: true,
            provider_failed: ended.has_provider_failed(),
        };
        match self
            .call_manager
            .reconnect(&incoming_call, &reconnect, render)
            .await
        {
            // The connection broke after our own end: what was to follow it follows.
            ReconnectDecision::AlreadyEnded(CallOutcome::HandedOff) => {
                self.handoff_twiml(req, call_sid, &incoming_call.called_number, Some("{}"))
            }
            lost => self.twiml_after_lost_session(call_sid, lost).await,
        }
    }

    /// The document for a call that lost its session.
    pub(super) async fn twiml_after_lost_session(
        &self,
        call_sid: &str,
        after: ReconnectDecision,
    ) -> String {
        match after {
            ReconnectDecision::Reconnect(document) => document,
            ReconnectDecision::SayAndHangUp(text) => {
                self.call_manager.end_call(call_sid, CallOutcome::Limit);
                twiml_response::say_and_hang_up_twiml(&text)
            }
            ReconnectDecision::AlreadyEnded(_) => twiml_response::hang_up_twiml(),
        }
    }

    /// The document after we ended the session: with handoff data it connects a person or a queue, without
    /// it hangs up.
    fn handoff_twiml(
        &self,
        req: &Request,
        call_sid: &str,
        called: &str,
        data: Option<&str>,
    ) -> String {
        let handoff = &self.call_manager.line(called).handoff;
        let action = || {
            let call_token = self.new_call_token(call_sid, self.call_manager.log_position());
            let target = format!("{DIAL_ACTION_PATH}?{CALL_TOKEN_PARAMETER}={call_token}");
            self.guard.url(req, EndpointKind::Webhook, &target)
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
            _ => return twiml_response::hang_up_twiml(),
        };
        document
            .render()
            .unwrap_or_else(|_| twiml_response::hang_up_twiml())
    }
}
