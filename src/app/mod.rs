//! Connects the modules: starts the server in one order and stops it in the reverse order.

mod call_token_keys;
mod cluster_adapter;
mod listener;

use crate::admin::{self, AdminState};
use crate::agent::Agent;
use crate::call::manager::CallManager;
use crate::call::tool_runner::ToolRunner;
use crate::cluster::watchdog::TwilioRestError;
use crate::cluster::{Cluster, ClusterError};
use crate::config::{Config, PhoneLines};
use crate::settings::ConfigErrors;
use crate::tools::ToolRegistry;
use crate::twilio::call_token::CallTokenKey;
use crate::twilio::signature::{ProxyTrust, PublicBaseUrl, SignatureVerifier};
use crate::webhook::{RequestGuard, WebhookRoutes};
use calldex_observability::health::{HealthComponent, HealthRegistry};
use calldex_observability::recorder::{self, UPKEEP_INTERVAL};
use calldex_observability::redaction::Secret;
use calldex_observability::vital;
use calldex_observability::worker::{RoundResult, WorkerProgress, WorkerRegistry};
use calldex_storage::write::Write;
use calldex_storage::{FORMAT_VERSION, OpenError, Storage, StorageConfig};
use listener::BoundListener;
use salvo::server::ServerHandle;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Writing what waits, at the end.
const STORAGE_CLOSE_MAX: Duration = Duration::from_secs(10);
/// What is left of it, beyond that: the threads end, and what could not be written is counted.
const STORAGE_FINISH_MAX: Duration = Duration::from_secs(1);
/// Tools with side effects that still run, at the end.
const TOOLS_CLOSE_MAX: Duration = Duration::from_secs(5);
/// From the last goodbye to the last hang-up, at the end of a drain.
const GOODBYES_MAX: Duration = Duration::from_secs(15);
/// After the last call Twilio still asks for its action (up to 1.2 s after the socket, docs/protocol.md 9.1).
const CALLBACK_WAIT: Duration = Duration::from_millis(1_500);
/// The same where calls have moved: their sockets open at another instance (up to 1.5 s after that),
/// which asks the primary where they stand, and that may be this one.
const CALLBACK_WAIT_MOVED: Duration = Duration::from_millis(3_000);
/// The others' pings tell within this time who stops at the same moment.
const NOTICE_MIN: Duration = Duration::from_millis(600);
/// How often health is looked at and waits are checked.
const POLL_PERIOD: Duration = Duration::from_millis(250);
/// Requests that are being answered when the listeners close.
const LISTENER_CLOSE_MAX: Duration = Duration::from_secs(2);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// A listener.
    #[error("{setting}: cannot listen on {address}: {error}")]
    Listen {
        /// Which setting names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// Something in the data directory besides the database.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The model's settings.
    #[error(transparent)]
    Agent(ConfigErrors),
    /// Cluster mode.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The client for Twilio's REST API.
    #[error(transparent)]
    TwilioRest(#[from] TwilioRestError),
}

/// The server.
pub struct App;

/// A running server.
pub struct RunningServer {
    /// The address of the webhook listener; none where no calls are taken.
    pub webhook_address: Option<SocketAddr>,
    /// The address of the admin server.
    pub admin_address: SocketAddr,
    /// The address of the cluster listener, in cluster mode.
    pub cluster_address: Option<SocketAddr>,
    /// Whether the built-in agent answers.
    pub offline: bool,
    call_manager: Arc<CallManager>,
    tools: Arc<ToolRegistry>,
    storage: Arc<Storage>,
    cluster: Option<Arc<Cluster>>,
    calls_part: HealthComponent,
    listeners: Vec<ServerHandle>,
    workers: Vec<JoinHandle<()>>,
    drain: Duration,
    notice: Duration,
}

impl App {
    /// Starts: metrics, admin server, storage, cluster, recovery, workers, listeners. In cluster mode it
    /// waits without a bound for its identity and a first copy of the database.
    ///
    /// # Errors
    /// [`StartError`], which says what to do.
    pub async fn start(config: Config) -> Result<RunningServer, StartError> {
        let recorder = recorder::install();
        recorder.watch_disk(config.server.data.clone());
        warm_up_names();
        let health = HealthRegistry::new();
        // Not ready until all of it stands: the admin server tells what is still missing.
        let calls = health.register("calls");
        let state = Arc::new(AdminState::new(
            recorder,
            health.clone(),
            config.server.instance_name(),
        ));
        let admin = open_admin_listener(&config, &state, &health).await?;
        let (storage, cluster) = open_storage(&config, &health, &state.workers).await?;
        let agent = Arc::new(
            Agent::new(&config.agent, &config.model)
                .map_err(|errors| StartError::Agent(ConfigErrors(errors)))?,
        );
        let offline = agent.is_offline();
        let tools = Arc::new(ToolRegistry::start(&config.tool, &config.mcp));
        let call_manager = call_manager(&config, &storage, agent, &tools, cluster.as_ref());
        call_manager.preload_models();
        state.attach(&call_manager, cluster.as_ref());
        let mut workers = start_workers(&state, &storage, &call_manager);
        if cluster.is_none() {
            let after = Duration::from_secs(config.cluster.finalize_upgrade_after_s);
            // It is over when it is done, or there is nothing to do.
            let finishing = finalize_upgrade(Arc::clone(&storage), after);
            workers.push(tokio::spawn(vital::task_until("level", || true, finishing)));
        }
        let keys = call_token_keys::call_token_keys(&config)?;
        if let Some(cluster) = &cluster {
            workers.push(cluster_adapter::watchdog(
                &config, &storage, cluster, &keys,
            )?);
            cluster_adapter::wait_ready(cluster).await;
        }
        let twilio = if config.server.calls {
            let routes = webhook_routes(&config, &call_manager, keys);
            let part = health.register("webhook listener");
            let address = config.server.listen;
            let listener =
                listener::bind_and_serve("server.listen", address, routes.routes(), part).await?;
            if let Some(cluster) = &cluster {
                cluster.set_accepts_calls(true);
            }
            calls.set_ok();
            Some(listener)
        } else {
            calls.set_ok_with_reason("takes no calls: a copy of the database, and a vote");
            None
        };
        Ok(RunningServer {
            webhook_address: twilio.as_ref().map(|listener| listener.address),
            admin_address: admin.address,
            cluster_address: cluster.as_ref().map(|cluster| cluster.address()),
            offline,
            call_manager,
            tools,
            storage,
            cluster,
            calls_part: calls,
            listeners: twilio
                .into_iter()
                .chain([admin])
                .map(|listener| listener.handle)
                .collect(),
            workers,
            drain: Duration::from_millis(config.server.drain_ms_max),
            notice: Duration::from_millis(config.server.drain_notice_ms),
        })
    }
}

impl RunningServer {
    /// Stops the server.
    ///
    /// Where other instances take calls, the live calls move to them after `server.drain_notice_ms`, in which
    /// load balancers notice. A call that still arrives here is greeted: its socket opens at the public
    /// address, which leads to another instance by then. Where no other instance takes calls, new callers are
    /// asked to call again, and live calls go on for `server.drain_ms_max` and then end with a goodbye.
    /// After that the listeners close, and all accepted writes are flushed.
    ///
    /// Returns the number of accepted writes that are lost: 0 unless a disk fails until the end.
    pub async fn stop(self) -> usize {
        self.calls_part.set_failed("draining");
        let had_calls = self.call_manager.connected_or_connecting() > 0;
        self.announce_drain().await;
        let had_calls = had_calls || self.call_manager.connected_or_connecting() > 0;
        if !self.wait_calls_end(self.drain).await {
            self.call_manager.start_goodbyes();
            self.wait_calls_end(GOODBYES_MAX).await;
        }
        if had_calls {
            sleep(self.callback_wait()).await;
        }
        self.call_manager.end_all_ringing();
        for listener in &self.listeners {
            listener.stop_graceful(LISTENER_CLOSE_MAX);
        }
        self.tools.stop(TOOLS_CLOSE_MAX).await;
        let flushed = self.storage.writer.flush(STORAGE_CLOSE_MAX).await;
        for worker in &self.workers {
            worker.abort();
        }
        match flushed {
            Ok(_) => {}
            // In the outbox, which the next start begins with.
            Err(error) if self.cluster.is_some() => {
                tracing::warn!(%error, "what no primary has taken waits here for the next start");
            }
            Err(error) => tracing::error!(%error, "not everything could be written"),
        }
        if let Some(cluster) = &self.cluster {
            cluster.stop().await;
        }
        let storage = Arc::clone(&self.storage);
        let lost = blocking(move || storage.close_shared(STORAGE_FINISH_MAX)).await;
        if lost > 0 {
            tracing::error!(writes = lost, "stopped, and accepted writes are lost");
        } else {
            tracing::info!("stopped");
        }
        lost
    }

    /// Lets load balancers and the other instances notice, where there are any that take calls.
    async fn announce_drain(&self) {
        let Some(cluster) = &self.cluster else {
            return;
        };
        cluster.set_accepts_calls(false);
        if self.takes_calls() && cluster.peers_accept_calls() {
            let live = self.call_manager.connected();
            tracing::info!(live, "draining: load balancers may notice");
            sleep(self.notice.max(NOTICE_MIN)).await;
        }
    }

    /// Sees to live calls until there are none, or for so long; whether there are none.
    async fn wait_calls_end(&self, bound: Duration) -> bool {
        let end = Instant::now() + bound;
        let mut told = None;
        loop {
            let others = self.cluster.as_ref();
            let others = others.is_some_and(|cluster| cluster.peers_accept_calls());
            // Others may stop at the same moment, or be lost, or come back.
            if told.replace(others) != Some(others) {
                self.move_or_drain_calls(others, end.saturating_duration_since(Instant::now()));
            }
            if self.call_manager.connected_or_connecting() == 0 {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            sleep(POLL_PERIOD).await;
        }
    }

    /// Calls move to the others within this time, if there are others; else they stay as long as they
    /// may.
    fn move_or_drain_calls(&self, others: bool, within: Duration) {
        let live = self.call_manager.connected();
        if others {
            tracing::info!(live, "draining: calls move to the other instances");
            self.call_manager.relocate_calls(within);
        } else {
            tracing::info!(live, "draining: new calls are asked to call again");
            self.call_manager.cancel_relocation();
            self.call_manager.start_draining();
        }
    }

    fn takes_calls(&self) -> bool {
        self.webhook_address.is_some()
    }

    fn callback_wait(&self) -> Duration {
        match self.cluster {
            Some(_) => CALLBACK_WAIT_MOVED,
            None => CALLBACK_WAIT,
        }
    }
}

async fn open_admin_listener(
    config: &Config,
    state: &Arc<AdminState>,
    health: &HealthRegistry,
) -> Result<BoundListener, StartError> {
    let address = config.admin.listen;
    let beyond_loopback = !address.ip().is_loopback();
    let routes = admin::routes(
        Arc::clone(state),
        config.admin.token.clone(),
        beyond_loopback,
    );
    listener::bind_and_serve(
        "admin.listen",
        address,
        routes,
        health.register("admin server"),
    )
    .await
}

fn call_manager(
    config: &Config,
    storage: &Arc<Storage>,
    agent: Arc<Agent>,
    tools: &Arc<ToolRegistry>,
    cluster: Option<&Arc<Cluster>>,
) -> Arc<CallManager> {
    let call_manager = CallManager::new(
        Arc::clone(storage),
        agent,
        PhoneLines::new(config),
        config.call.clone(),
        config.twilio.reconnects_max,
        &config.server.instance_name(),
    )
    .with_tools(Arc::clone(tools) as Arc<dyn ToolRunner>);
    Arc::new(match cluster {
        Some(cluster) => call_manager.with_peers(cluster_adapter::peers(cluster)),
        None => call_manager,
    })
}

fn webhook_routes(
    config: &Config,
    call_manager: &Arc<CallManager>,
    keys: Vec<CallTokenKey>,
) -> Arc<WebhookRoutes> {
    WebhookRoutes::new(
        Arc::clone(call_manager),
        webhook_guard(config),
        keys,
        config.twilio.call_token_s_max,
    )
}

/// The data directory, of a single node or in cluster mode.
async fn open_storage(
    config: &Config,
    health: &HealthRegistry,
    workers: &WorkerRegistry,
) -> Result<(Arc<Storage>, Option<Arc<Cluster>>), StartError> {
    let mut settings = StorageConfig::new(config.server.data.clone());
    settings.workers = workers.clone();
    settings.hot_callers_max = config.storage.hot_callers_max;
    if config.cluster.is_enabled() {
        let (storage, cluster) = cluster_adapter::join(config, settings, health, workers).await?;
        return Ok((storage, Some(cluster)));
    }
    let storage = blocking(move || Storage::open(settings)).await?;
    Ok((Arc::new(storage), None))
}

/// What may take its time with a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Reads the language files in the background: the first caller must not wait for it.
fn warm_up_names() {
    drop(tokio::task::spawn_blocking(calldex_names::warm_up));
}

fn start_workers(
    state: &AdminState,
    storage: &Arc<Storage>,
    call_manager: &Arc<CallManager>,
) -> Vec<JoinHandle<()>> {
    let (sweeping, recovering) = (Arc::clone(call_manager), Arc::clone(call_manager));
    let (storage, part) = (Arc::clone(storage), state.health.register("storage"));
    let workers = state.workers.clone();
    let watching = workers.register("storage health", "its period", POLL_PERIOD);
    let watching = watching.run(move || std::future::ready(report_storage_health(&storage, &part)));
    let upkeep = workers.register("metrics upkeep", "its period", UPKEEP_INTERVAL);
    let recorder = state.recorder;
    let upkeep = upkeep.run(move || {
        recorder.drain_histograms();
        std::future::ready(Ok(WorkerProgress::Done))
    });
    let sweeping = async move { sweeping.sweep(&workers).await };
    vec![
        tokio::spawn(vital::task("sweep", sweeping)),
        // It is over when the calls of an earlier process are.
        tokio::spawn(vital::task_until("recovery", || true, async move {
            recovering.end_unfinished().await;
        })),
        tokio::spawn(vital::task("storage health", watching)),
        tokio::spawn(vital::task("metrics upkeep", upkeep)),
    ]
}

/// An instance alone uses what its own build reads once it has run for so long: until then the build of
/// before can take over again. In cluster mode the primary does it (`cluster/upgrade.rs`).
async fn finalize_upgrade(storage: Arc<Storage>, after: Duration) {
    let (level, in_use) = (FORMAT_VERSION, storage.format_version());
    if level <= in_use {
        return;
    }
    tracing::info!(
        format_version = level,
        format_version_in_use = in_use,
        seconds = after.as_secs(),
        "this calldex reads a new level: it comes into use in so many seconds; until then the upgrade can be taken back"
    );
    sleep(after).await;
    // What comes of it is logged where it is applied.
    drop(
        storage
            .writer
            .submit(Write::FormatVersionRaised { to: level }),
    );
}

fn report_storage_health(storage: &Storage, part: &HealthComponent) -> RoundResult {
    match storage.writer.status().degraded {
        None => part.set_ok(),
        Some(reason) => part.set_degraded(reason),
    }
    Ok(WorkerProgress::Done)
}

fn webhook_guard(config: &Config) -> RequestGuard {
    let twilio = &config.twilio;
    let tokens: Vec<Secret> = twilio.tokens().cloned().collect();
    let verifier = (!tokens.is_empty()).then(|| SignatureVerifier::new(&tokens));
    let trust = if config.server.trust_forwarded {
        ProxyTrust::Proxy
    } else {
        ProxyTrust::Direct
    };
    RequestGuard::new(verifier, public_base(config), trust)
}

/// How Twilio reaches this instance, where that is set.
fn public_base(config: &Config) -> Option<PublicBaseUrl> {
    let url = config.server.public_url.as_deref()?;
    // Validated before: an address that does not parse cannot get here.
    PublicBaseUrl::parse(url).ok()
}
