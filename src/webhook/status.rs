//! `POST /twilio/status`: how a call stands (protocol 2.6). Only its end matters here.

use super::Doors;
use crate::twilio::Form;
use crate::twilio::voice::StatusCallback;
use calldex_storage::record::Outcome;
use salvo::http::StatusCode;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::sync::Arc;

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
        let doors = &self.0;
        let Some(visit) = doors.receive("status", req, res).await else {
            return;
        };
        let result = doors.status(&visit.form).await;
        res.status_code(StatusCode::NO_CONTENT);
        visit.count(result);
    }
}

impl Doors {
    /// The label of what came of it.
    async fn status(&self, form: &Form) -> &'static str {
        match StatusCallback::read(form) {
            Ok(callback) => {
                if callback.status.is_over() {
                    let call_sid = &callback.call_sid;
                    self.switchboard.over(call_sid, Outcome::HungUp);
                }
                "ok"
            }
            Err(error) => {
                tracing::warn!(%error, "a status callback without a call");
                "bad_request"
            }
        }
    }
}
