//! `POST /twilio/voice`: a call rings (docs/protocol.md 2).

use super::request::WebhookRequest;
use super::{WebhookRoutes, twiml_response};
use crate::call::manager::{
    IncomingCall, ReconnectRequest, ReconnectTrigger, RelayConnect, WebhookReply,
};
use crate::twilio::webhooks::{CallStatus, VoiceWebhook};
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;
use std::time::Duration;

/// How long the decision about a call may take; then the failure message is spoken. Twilio allows 15 s
/// for the whole request (docs/protocol.md 2.4).
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(8);

/// The voice webhook.
pub(super) struct VoiceHandler(pub(super) Arc<WebhookRoutes>);

#[async_trait]
impl salvo::Handler for VoiceHandler {
    async fn handle(
        &self,
        req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        let routes = &self.0;
        let Some(request) = routes.receive("voice", req, res).await else {
            return;
        };
        let answer = match request.repeated_response(routes) {
            Some(answer) => answer,
            None => routes.handle_incoming_call(req, &request).await,
        };
        request.respond(routes, res, answer);
    }
}

impl WebhookRoutes {
    async fn handle_incoming_call(
        &self,
        req: &Request,
        request: &WebhookRequest,
    ) -> (String, &'static str) {
        let voice = match VoiceWebhook::from_form(&request.form) {
            Ok(voice) => voice,
            Err(error) => {
                tracing::warn!(%error, "a voice webhook without a CallSid");
                return (
                    twiml_response::say_and_hang_up_twiml(&self.call_manager.failure_message("")),
                    "bad_request",
                );
            }
        };
        let incoming_call = IncomingCall {
            call_sid: voice.call_sid.as_str().into(),
            caller: voice.parties.remote_identity(),
            called_number: twiml_response::called_number(voice.parties.local_address()),
            attestation: voice.attestation,
        };
        let render =
            |connection: &RelayConnect<'_>| self.connect_twiml(req, &incoming_call, connection);
        if voice.status == CallStatus::InProgress
            && let Some(document) = self
                .resume_redirected_call(req, &incoming_call, request.call_token())
                .await
        {
            return (document, "ok");
        }
        let ringing = self.call_manager.on_ringing(&incoming_call, render);
        match tokio::time::timeout(RESPONSE_TIME_MAX, ringing).await {
            Ok(WebhookReply::Connect(document)) => (document, "ok"),
            Ok(WebhookReply::Repeat(document)) => (document, "duplicate"),
            Ok(WebhookReply::Reject(text)) => (twiml_response::say_and_hang_up_twiml(&text), "ok"),
            Err(_) => (
                twiml_response::say_and_hang_up_twiml(
                    &self
                        .call_manager
                        .failure_message(&incoming_call.called_number),
                ),
                "failed",
            ),
        }
    }

    /// Continues a known call that came here by a redirect or by the number's fallback URL. `None` for a
    /// call that was answered before its first document, such as an outbound call.
    async fn resume_redirected_call(
        &self,
        req: &Request,
        incoming_call: &IncomingCall,
        call_token: Option<&str>,
    ) -> Option<String> {
        let log_position = self.log_position_in_token(&incoming_call.call_sid, call_token);
        let reconnect = ReconnectRequest {
            trigger: ReconnectTrigger::Redirect,
            log_position: log_position.unwrap_or_default(),
            session_id: "",
            proves_known: log_position.is_some(),
            provider_failed: false,
        };
        let render =
            |connection: &RelayConnect<'_>| self.connect_twiml(req, incoming_call, connection);
        let returned = self
            .call_manager
            .reconnect_if_known(incoming_call, &reconnect, render)
            .await?;
        Some(
            self.twiml_after_lost_session(&incoming_call.call_sid, returned)
                .await,
        )
    }
}
