//! The admin server: metrics and health without a token, the rest with one.

mod auth;

use crate::call::manager::CallManager;
use crate::cluster::Cluster;
use crate::webhook::not_found_route;
use auth::Auth;
use calldex_observability::health::{HealthRegistry, HealthReport};
use calldex_observability::recorder::Recorder;
use calldex_observability::redaction::Secret;
use calldex_observability::worker::WorkerRegistry;
use salvo::http::StatusCode;
use salvo::http::header::{CONTENT_TYPE, HeaderValue};
use salvo::{Depot, FlowCtrl, Request, Response, Router, async_trait};
use std::sync::{Arc, OnceLock};

/// What the admin server shows.
pub struct AdminState {
    /// The metrics.
    pub recorder: &'static Recorder,
    /// The parts' states.
    pub health: HealthRegistry,
    /// This instance's name.
    pub instance: String,
    /// The background work.
    pub workers: WorkerRegistry,
    /// The calls, once there can be any.
    call_manager: OnceLock<Arc<CallManager>>,
    /// The other instances, if there can be any.
    cluster: OnceLock<Arc<Cluster>>,
}

impl AdminState {
    /// What can be shown from the first moment.
    pub fn new(recorder: &'static Recorder, health: HealthRegistry, instance: String) -> Self {
        Self {
            recorder,
            health,
            instance,
            workers: WorkerRegistry::default(),
            call_manager: OnceLock::new(),
            cluster: OnceLock::new(),
        }
    }

    /// From now on the calls are shown too, and how the cluster stands.
    pub fn attach(&self, call_manager: &Arc<CallManager>, cluster: Option<&Arc<Cluster>>) {
        // Shown once, at the start.
        let _ = self.call_manager.set(Arc::clone(call_manager));
        if let Some(cluster) = cluster {
            let _ = self.cluster.set(Arc::clone(cluster));
        }
    }
}

/// The routes. `token` opens what is not open anyway; without one, only a server on loopback
/// (`beyond_loopback` false) shows it.
pub fn routes(state: Arc<AdminState>, token: Option<Secret>, beyond_loopback: bool) -> Router {
    let page = |page: AdminPage| AdminPageHandler {
        state: Arc::clone(&state),
        page,
    };
    Router::new()
        .push(Router::with_path("metrics").get(page(AdminPage::Metrics)))
        .push(Router::with_path("healthz").get(page(AdminPage::Live)))
        .push(Router::with_path("readyz").get(page(AdminPage::Ready)))
        .push(
            Router::with_path("api")
                .hoop(Auth {
                    token,
                    on_loopback: !beyond_loopback,
                })
                .push(Router::with_path("status").get(page(AdminPage::Status))),
        )
        .push(not_found_route(
            "nothing here; there are /metrics /healthz /readyz /api/status\n",
        ))
}

#[derive(Clone, Copy)]
enum AdminPage {
    Metrics,
    Live,
    Ready,
    Status,
}

struct AdminPageHandler {
    state: Arc<AdminState>,
    page: AdminPage,
}

#[async_trait]
impl salvo::Handler for AdminPageHandler {
    async fn handle(
        &self,
        _req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        match self.page {
            AdminPage::Metrics => metrics(self.state.recorder, res).await,
            AdminPage::Live => report(&self.state.health.liveness(), res),
            AdminPage::Ready => report(&self.state.health.readiness(), res),
            AdminPage::Status => status(&self.state, res),
        }
    }
}

/// Rendering reads `/proc` and the file system: not on the async threads.
async fn metrics(recorder: &'static Recorder, res: &mut Response) {
    match tokio::task::spawn_blocking(|| recorder.render()).await {
        Ok(text) => body(res, "text/plain; version=0.0.4", text),
        Err(_) => {
            res.status_code(StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}

fn report(report: &HealthReport, res: &mut Response) {
    if !report.passed() {
        res.status_code(StatusCode::SERVICE_UNAVAILABLE);
    }
    body(res, "application/json", report.to_json());
}

fn status(state: &AdminState, res: &mut Response) {
    let status = serde_json::json!({
        "instance": state.instance,
        "version": env!("CARGO_PKG_VERSION"),
        "live_calls": state.call_manager.get().map_or(0, |calls| calls.connected()),
        "workers": state.workers.report(),
        "cluster": state.cluster.get().map(|cluster| cluster.status()),
    });
    body(res, "application/json", status.to_string());
}

fn body(res: &mut Response, kind: &'static str, text: String) {
    res.headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // Only a body that was set before could make this fail.
    let _ = res.write_body(text);
}
