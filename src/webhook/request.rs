//! One webhook request: verified, answered once, answered again from the cache when Twilio retries, counted.

use super::{WebhookRoutes, twiml_response};
use crate::twilio::Form;
use crate::twilio::call_token::CALL_TOKEN_PARAMETER;
use calldex_observability::catalog;
use salvo::{Request, Response};
use std::time::Instant;

/// A request whose signature is valid.
pub(super) struct WebhookRequest {
    route: &'static str,
    started_at: Instant,
    /// Its parameters.
    pub(super) form: Form,
    query: Form,
    idempotency_token: Option<String>,
}

impl WebhookRoutes {
    /// Verifies a request. A rejected one has been answered when this returns `None`.
    pub(super) async fn receive(
        &self,
        route: &'static str,
        req: &mut Request,
        res: &mut Response,
    ) -> Option<WebhookRequest> {
        let started_at = Instant::now();
        let admitted = self.guard.accept(route, req, res).await?;
        Some(WebhookRequest {
            route,
            started_at,
            form: admitted.form,
            query: admitted.query,
            idempotency_token: admitted.idempotency_token,
        })
    }
}

impl WebhookRequest {
    /// The call token in its URL.
    pub(super) fn call_token(&self) -> Option<&str> {
        self.query.get(CALL_TOKEN_PARAMETER)
    }

    /// The response that this request got before, if Twilio repeats it.
    pub(super) fn repeated_response(
        &self,
        routes: &WebhookRoutes,
    ) -> Option<(String, &'static str)> {
        let document = routes
            .idempotency
            .get(self.route, self.idempotency_token.as_deref())?;
        Some((document, "duplicate"))
    }

    /// Sends a document, keeps it for a repetition, and records the request.
    pub(super) fn respond(
        self,
        routes: &WebhookRoutes,
        res: &mut Response,
        (document, result): (String, &'static str),
    ) {
        routes
            .idempotency
            .insert(self.route, self.idempotency_token.as_deref(), &document);
        twiml_response::write_twiml(res, &document);
        self.record(result);
    }

    /// Records the request with the label `result`.
    pub(super) fn record(self, result: &'static str) {
        catalog::WEBHOOK_REQUESTS_TOTAL
            .with(self.route, result)
            .increment(1);
        catalog::WEBHOOK_SECONDS
            .with(self.route)
            .record(self.started_at.elapsed().as_secs_f64());
    }
}
