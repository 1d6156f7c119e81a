//! The operator's door: metrics and health for everybody, the rest by token.

mod auth;

use crate::call::switchboard::Switchboard;
use crate::cluster::Cluster;
use crate::webhook::elsewhere;
use auth::Auth;
use calldex_observability::health::{Health, Report};
use calldex_observability::recorder::Recorder;
use calldex_observability::redaction::Secret;
use calldex_observability::worker::Workers;
use salvo::http::StatusCode;
use salvo::http::header::{CONTENT_TYPE, HeaderValue};
use salvo::{Depot, FlowCtrl, Request, Response, Router, async_trait};
use std::sync::{Arc, OnceLock};

/// What the door shows.
pub struct AdminRoom {
    /// The metrics.
    pub recorder: &'static Recorder,
    /// The parts' states.
    pub health: Health,
    /// This instance's name.
    pub instance: String,
    /// The background work.
    pub workers: Workers,
    /// The calls, once there can be any.
    switchboard: OnceLock<Arc<Switchboard>>,
    /// The other instances, if there can be any.
    cluster: OnceLock<Arc<Cluster>>,
}

impl AdminRoom {
    /// What can be shown from the first moment.
    pub fn new(recorder: &'static Recorder, health: Health, instance: String) -> Self {
        Self {
            recorder,
            health,
            instance,
            workers: Workers::default(),
            switchboard: OnceLock::new(),
            cluster: OnceLock::new(),
        }
    }

    /// From now on the calls are shown too, and how the cluster stands.
    pub fn show(&self, switchboard: &Arc<Switchboard>, cluster: Option<&Arc<Cluster>>) {
        // Shown once, at the start.
        let _ = self.switchboard.set(Arc::clone(switchboard));
        if let Some(cluster) = cluster {
            let _ = self.cluster.set(Arc::clone(cluster));
        }
    }
}

/// The door's routes. `token` opens what is not open anyway; without one, only a door on loopback
/// (`beyond_loopback` false) shows it.
pub fn routes(room: Arc<AdminRoom>, token: Option<Secret>, beyond_loopback: bool) -> Router {
    let page = |page: Page| Shown {
        room: Arc::clone(&room),
        page,
    };
    Router::new()
        .push(Router::with_path("metrics").get(page(Page::Metrics)))
        .push(Router::with_path("healthz").get(page(Page::Live)))
        .push(Router::with_path("readyz").get(page(Page::Ready)))
        .push(
            Router::with_path("api")
                .hoop(Auth {
                    token,
                    open: !beyond_loopback,
                })
                .push(Router::with_path("status").get(page(Page::Status))),
        )
        .push(elsewhere(
            "nothing here; there are /metrics /healthz /readyz /api/status\n",
        ))
}

#[derive(Clone, Copy)]
enum Page {
    Metrics,
    Live,
    Ready,
    Status,
}

struct Shown {
    room: Arc<AdminRoom>,
    page: Page,
}

#[async_trait]
impl salvo::Handler for Shown {
    async fn handle(
        &self,
        _req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        match self.page {
            Page::Metrics => metrics(self.room.recorder, res).await,
            Page::Live => report(&self.room.health.live(), res),
            Page::Ready => report(&self.room.health.ready(), res),
            Page::Status => status(&self.room, res),
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

fn report(report: &Report, res: &mut Response) {
    if !report.passed() {
        res.status_code(StatusCode::SERVICE_UNAVAILABLE);
    }
    body(res, "application/json", report.to_json());
}

fn status(room: &AdminRoom, res: &mut Response) {
    let status = serde_json::json!({
        "instance": room.instance,
        "version": env!("CARGO_PKG_VERSION"),
        "live_calls": room.switchboard.get().map_or(0, |calls| calls.live()),
        "workers": room.workers.report(),
        "cluster": room.cluster.get().map(|cluster| cluster.standing()),
    });
    body(res, "application/json", status.to_string());
}

fn body(res: &mut Response, kind: &'static str, text: String) {
    res.headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // Only a body that was set before could make this fail.
    let _ = res.write_body(text);
}
