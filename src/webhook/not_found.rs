//! 404 for unknown paths, with a one-line hint.

use salvo::http::StatusCode;
use salvo::{Depot, FlowCtrl, Request, Response, Router, async_trait};

/// A route for every path that no other route takes; `hint` is the body of its response.
pub fn not_found_route(hint: &'static str) -> Router {
    Router::with_path("{**rest}").goal(NotFoundHandler(hint))
}

struct NotFoundHandler(&'static str);

#[async_trait]
impl salvo::Handler for NotFoundHandler {
    async fn handle(
        &self,
        _req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        res.status_code(StatusCode::NOT_FOUND);
        res.render(self.0);
    }
}
