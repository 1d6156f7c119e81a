//! `POST /twilio/status`: how a call stands (docs/protocol.md 2.6). Only its end matters here.

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
    /// The label of what came of it.
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
