//! `POST /twilio/status`: how a call stands (protocol 2.6). Only its end matters here.

use super::Doors;
use crate::twilio::voice::StatusCallback;
use calldex_observability::catalog;
use calldex_storage::record::Outcome;
use salvo::http::StatusCode;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;
use std::time::Instant;

/// The status callback.
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
        let begun = Instant::now();
        let doors = &self.0;
        let Some(admitted) = doors.guard.admit("status", req, res).await else {
            return;
        };
        let result = match StatusCallback::read(&admitted.form) {
            Ok(callback) => {
                if callback.status.is_over() {
                    doors.switchboard.over(&callback.call_sid, Outcome::HungUp);
                }
                "ok"
            }
            Err(error) => {
                tracing::warn!(%error, "a status callback without a call");
                "bad_request"
            }
        };
        res.status_code(StatusCode::NO_CONTENT);
        catalog::WEBHOOK_REQUESTS_TOTAL
            .with("status", result)
            .increment(1);
        catalog::WEBHOOK_SECONDS
            .with("status")
            .record(begun.elapsed().as_secs_f64());
    }
}
