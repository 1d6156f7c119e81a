//! Who may see more than metrics and health.

use calldex_observability::redaction::Secret;
use salvo::http::StatusCode;
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use subtle::ConstantTimeEq;

/// Lets requests with the bearer token pass; without a configured token, those of an open server.
pub(super) struct Auth {
    /// `Authorization: Bearer …`
    pub(super) token: Option<Secret>,
    /// The server listens on loopback.
    pub(super) on_loopback: bool,
}

impl Auth {
    fn allows(&self, req: &Request) -> bool {
        let Some(token) = &self.token else {
            return self.on_loopback;
        };
        let header = req
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        header
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|given| {
                bool::from(given.trim().as_bytes().ct_eq(token.reveal().as_bytes()))
            })
    }
}

#[async_trait]
impl salvo::Handler for Auth {
    async fn handle(
        &self,
        req: &mut Request,
        depot: &mut Depot,
        res: &mut Response,
        ctrl: &mut FlowCtrl,
    ) {
        if self.allows(req) {
            ctrl.call_next(req, depot, res).await;
            return;
        }
        let (status, text) = if self.token.is_some() {
            (StatusCode::UNAUTHORIZED, "a bearer token is needed")
        } else {
            (
                StatusCode::FORBIDDEN,
                "set an admin token (CALLDEX_ADMIN_TOKEN) to open this beyond loopback",
            )
        };
        res.status_code(status);
        res.render(text);
        ctrl.skip_rest();
    }
}
