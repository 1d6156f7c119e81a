//! `POST /twilio/status`: the status of a call (docs/protocol.md 2.6). Only the end of a call is handled.

use super::WebhookRoutes;
use crate::twilio::Form;
use crate::twilio::webhooks::StatusCallback;
use calldex_storage::record::CallOutcome;
use salvo::http::StatusCode;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;

/// The status callback.
#[derive(Clone)]
pub(super) struct StatusHandler(pub(super) Arc<WebhookRoutes>);

#[async_trait]
impl salvo::Handler for StatusHandler {
    async fn handle(
        &self,
        req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        let routes = &self.0;
        let Some(request) = routes.receive("status", req, res).await else {
            return;
        };
        let result = routes.handle_status(&request.form).await;
        res.status_code(StatusCode::NO_CONTENT);
        request.record(result);
    }
}

impl WebhookRoutes {
    /// Handles a status callback and returns its metric label.
    async fn handle_status(&self, form: &Form) -> &'static str {
        match StatusCallback::from_form(form) {
            Ok(callback) => {
                if callback.status.is_terminal() {
                    let call_sid = &callback.call_sid;
                    self.call_manager.end_call(call_sid, CallOutcome::HungUp);
                }
                "ok"
            }
            Err(error) => {
                tracing::warn!(%error, "a status callback without a CallSid");
                "bad_request"
            }
        }
    }
}
