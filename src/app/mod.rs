//! The only wiring: starts the house in one order, and stops it in the reverse.

mod door;
mod neighbours;
mod secrets;

use crate::admin::{self, AdminRoom};
use crate::agent::Agent;
use crate::call::switchboard::Switchboard;
use crate::call::tool_runner::ToolRunner;
use crate::cluster::watchdog::RestError;
use crate::cluster::{Cluster, ClusterError};
use crate::config::{Config, Faults, Lines};
use crate::tools::Tools;
use crate::twilio::reference::ReferenceKey;
use crate::twilio::signature::{PublicBase, Trust, Verifier};
use crate::webhook::{Doors, Guard};
use calldex_observability::health::{Health, Part};
use calldex_observability::recorder::{self, UPKEEP_INTERVAL};
use calldex_observability::redaction::Secret;
use calldex_observability::vital;
use calldex_observability::worker::{Progress, Round, Workers};
use calldex_storage::write::Write;
use calldex_storage::{LEVEL, OpenError, Storage, StorageConfig};
use door::Door;
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
const PART_MAX: Duration = Duration::from_secs(15);
/// After the last call Twilio still asks for its action (up to 1.2 s after the socket, protocol 9.3).
const LINGER: Duration = Duration::from_millis(1_500);
/// The same where calls have moved: their sockets open at another instance (up to 1.5 s after that),
/// which asks the primary where they stand, and that may be this one.
const LINGER_MOVED: Duration = Duration::from_millis(3_000);
/// The others' pings tell within this time who stops at the same moment.
const NOTICE_MIN: Duration = Duration::from_millis(600);
/// How often health is looked at and waits are checked.
const STEP: Duration = Duration::from_millis(250);
/// Requests that are being answered when the doors close.
const DOOR_CLOSE_MAX: Duration = Duration::from_secs(2);

/// Why the house does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// A door.
    #[error("{setting}: cannot listen on {address}: {error}")]
    Door {
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
    Agent(Faults),
    /// Its place among several instances.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The client for Twilio's REST API.
    #[error(transparent)]
    Rest(#[from] RestError),
}

/// The house.
pub struct App;

/// A running house.
pub struct Running {
    /// Where Twilio's door listens; nothing where no calls are taken.
    pub listen: Option<SocketAddr>,
    /// Where the admin door listens.
    pub admin: SocketAddr,
    /// Where the door for the other instances listens, if there may be others.
    pub cluster: Option<SocketAddr>,
    /// Whether the built-in agent answers.
    pub offline: bool,
    switchboard: Arc<Switchboard>,
    tools: Arc<Tools>,
    storage: Arc<Storage>,
    place: Option<Arc<Cluster>>,
    calls: Part,
    doors: Vec<ServerHandle>,
    workers: Vec<JoinHandle<()>>,
    drain: Duration,
    notice: Duration,
}

impl App {
    /// Starts: senses, admin door, disk, the other instances, recovery, workers, doors. Where it is one
    /// of several it waits, as long as that takes, for its identity and a first copy of the database.
    ///
    /// # Errors
    /// [`StartError`], which says what to do.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let recorder = recorder::install();
        recorder.watch_disk(config.server.data.clone());
        warm_up_names();
        let health = Health::new();
        // Not ready until all of it stands: the admin door tells what is still missing.
        let calls = health.part("calls");
        let room = Arc::new(AdminRoom::new(
            recorder,
            health.clone(),
            config.server.instance_name(),
        ));
        let admin = open_admin_door(&config, &room, &health).await?;
        let (storage, place) = open_storage(&config, &health, &room.workers).await?;
        let agent = Arc::new(
            Agent::new(&config.agent, &config.model)
                .map_err(|faults| StartError::Agent(Faults(faults)))?,
        );
        let offline = agent.is_offline();
        let tools = Arc::new(Tools::start(&config.tool, &config.mcp));
        let switchboard = switchboard(&config, &storage, agent, &tools, place.as_ref());
        switchboard.preload();
        room.show(&switchboard, place.as_ref());
        let mut workers = start_workers(&room, &storage, &switchboard);
        if place.is_none() {
            let after = Duration::from_secs(config.cluster.finish_upgrade_after_s);
            // It is over when it is done, or there is nothing to do.
            let finishing = finish_upgrade(Arc::clone(&storage), after);
            workers.push(tokio::spawn(vital::task_until("level", || true, finishing)));
        }
        let keys = secrets::reference_keys(&config)?;
        if let Some(place) = &place {
            workers.push(neighbours::watchdog(&config, &storage, place, &keys)?);
            neighbours::ready(place).await;
        }
        let twilio = if config.server.calls {
            let doors = doors(&config, &switchboard, keys);
            let part = health.part("calls door");
            let address = config.server.listen;
            let door = door::open("server.listen", address, doors.routes(), part).await?;
            if let Some(place) = &place {
                place.receive_calls(true);
            }
            calls.ok();
            Some(door)
        } else {
            calls.ok_because("takes no calls: a copy of the database, and a vote");
            None
        };
        Ok(Running {
            listen: twilio.as_ref().map(|door| door.address),
            admin: admin.address,
            cluster: place.as_ref().map(|place| place.address()),
            offline,
            switchboard,
            tools,
            storage,
            place,
            calls,
            doors: twilio
                .into_iter()
                .chain([admin])
                .map(|door| door.handle)
                .collect(),
            workers,
            drain: Duration::from_millis(config.server.drain_ms_max),
            notice: Duration::from_millis(config.server.drain_notice_ms),
        })
    }
}

impl Running {
    /// Stops. Where other instances take calls, live ones move to them, after load balancers had
    /// time to notice; who calls here all the same is greeted as ever, since the socket opens at the
    /// public address, which leads to the others by then. Where none does, or none does any more, new
    /// callers are asked to call again, live calls go on up to the drain's bound and are then said
    /// goodbye to. Then the doors close, and everything is written. How many accepted writes are lost:
    /// 0 unless a disk failed up to the end.
    pub async fn stop(self) -> usize {
        self.calls.failed("draining");
        let had_calls = self.switchboard.expected() > 0;
        self.give_notice().await;
        let had_calls = had_calls || self.switchboard.expected() > 0;
        if !self.calls_end_within(self.drain).await {
            self.switchboard.part();
            self.calls_end_within(PART_MAX).await;
        }
        if had_calls {
            sleep(self.linger()).await;
        }
        self.switchboard.close();
        for door in &self.doors {
            door.stop_graceful(DOOR_CLOSE_MAX);
        }
        self.tools.stop(TOOLS_CLOSE_MAX).await;
        let flushed = self.storage.writer.flush(STORAGE_CLOSE_MAX).await;
        for worker in &self.workers {
            worker.abort();
        }
        match flushed {
            Ok(_) => {}
            // In the outbox, which the next start begins with.
            Err(error) if self.place.is_some() => {
                tracing::warn!(%error, "what no primary has taken waits here for the next start");
            }
            Err(error) => tracing::error!(%error, "not everything could be written"),
        }
        if let Some(place) = &self.place {
            place.stop().await;
        }
        let storage = Arc::clone(&self.storage);
        let lost = blocking(move || storage.finish(STORAGE_FINISH_MAX)).await;
        if lost > 0 {
            tracing::error!(writes = lost, "stopped, and accepted writes are lost");
        } else {
            tracing::info!("stopped");
        }
        lost
    }

    /// Lets load balancers and the other instances notice, where there are any that take calls.
    async fn give_notice(&self) {
        let Some(place) = &self.place else {
            return;
        };
        place.receive_calls(false);
        if self.takes_calls() && place.others_receive_calls() {
            let live = self.switchboard.live();
            tracing::info!(live, "draining: load balancers may notice");
            sleep(self.notice.max(NOTICE_MIN)).await;
        }
    }

    /// Sees to live calls until there are none, or for so long; whether there are none.
    async fn calls_end_within(&self, bound: Duration) -> bool {
        let end = Instant::now() + bound;
        let mut told = None;
        loop {
            let others = self.place.as_ref();
            let others = others.is_some_and(|place| place.others_receive_calls());
            // Others may stop at the same moment, or be lost, or come back.
            if told.replace(others) != Some(others) {
                self.direct_calls(others, end.saturating_duration_since(Instant::now()));
            }
            if self.switchboard.expected() == 0 {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            sleep(STEP).await;
        }
    }

    /// Calls move to the others within this time, if there are others; else they stay as long as they
    /// may.
    fn direct_calls(&self, others: bool, within: Duration) {
        let live = self.switchboard.live();
        if others {
            tracing::info!(live, "draining: calls move to the other instances");
            self.switchboard.move_calls(within);
        } else {
            tracing::info!(live, "draining: new calls are asked to call again");
            self.switchboard.keep_calls();
            self.switchboard.drain();
        }
    }

    fn takes_calls(&self) -> bool {
        self.listen.is_some()
    }

    fn linger(&self) -> Duration {
        match self.place {
            Some(_) => LINGER_MOVED,
            None => LINGER,
        }
    }
}

async fn open_admin_door(
    config: &Config,
    room: &Arc<AdminRoom>,
    health: &Health,
) -> Result<Door, StartError> {
    let address = config.admin.listen;
    let beyond_loopback = !address.ip().is_loopback();
    let routes = admin::routes(
        Arc::clone(room),
        config.admin.token.clone(),
        beyond_loopback,
    );
    door::open("admin.listen", address, routes, health.part("admin door")).await
}

fn switchboard(
    config: &Config,
    storage: &Arc<Storage>,
    agent: Arc<Agent>,
    tools: &Arc<Tools>,
    place: Option<&Arc<Cluster>>,
) -> Arc<Switchboard> {
    let switchboard = Switchboard::new(
        Arc::clone(storage),
        agent,
        Lines::new(config),
        config.call.clone(),
        config.twilio.reconnects_max,
        &config.server.instance_name(),
    )
    .with_tools(Arc::clone(tools) as Arc<dyn ToolRunner>);
    Arc::new(match place {
        Some(place) => switchboard.among(neighbours::others(place)),
        None => switchboard,
    })
}

fn doors(config: &Config, switchboard: &Arc<Switchboard>, keys: Vec<ReferenceKey>) -> Arc<Doors> {
    Doors::new(
        Arc::clone(switchboard),
        guard(config),
        keys,
        config.twilio.reference_s_max,
    )
}

/// The data directory, alone or as one of several.
async fn open_storage(
    config: &Config,
    health: &Health,
    workers: &Workers,
) -> Result<(Arc<Storage>, Option<Arc<Cluster>>), StartError> {
    let mut settings = StorageConfig::new(config.server.data.clone());
    settings.workers = workers.clone();
    settings.hot_callers_max = config.storage.hot_callers_max;
    if config.cluster.is_set() {
        let (storage, place) = neighbours::join(config, settings, health, workers).await?;
        return Ok((storage, Some(place)));
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
    room: &AdminRoom,
    storage: &Arc<Storage>,
    switchboard: &Arc<Switchboard>,
) -> Vec<JoinHandle<()>> {
    let (sweeping, recovering) = (Arc::clone(switchboard), Arc::clone(switchboard));
    let (storage, part) = (Arc::clone(storage), room.health.part("storage"));
    let workers = room.workers.clone();
    let watching = workers.register("storage health", "its period", STEP);
    let watching = watching.run(move || std::future::ready(watch_storage(&storage, &part)));
    let upkeep = workers.register("metrics upkeep", "its period", UPKEEP_INTERVAL);
    let recorder = room.recorder;
    let upkeep = upkeep.run(move || {
        recorder.run_upkeep();
        std::future::ready(Ok(Progress::Done))
    });
    let sweeping = async move { sweeping.sweep(&workers).await };
    vec![
        tokio::spawn(vital::task("sweep", sweeping)),
        // It is over when the calls of an earlier process are.
        tokio::spawn(vital::task_until("recovery", || true, async move {
            recovering.close_unfinished().await;
        })),
        tokio::spawn(vital::task("storage health", watching)),
        tokio::spawn(vital::task("metrics upkeep", upkeep)),
    ]
}

/// An instance alone uses what its own build reads once it has run for so long: until then the build of
/// before can take over again. Among several the primary sees to it (`cluster/upgrade.rs`).
async fn finish_upgrade(storage: Arc<Storage>, after: Duration) {
    let (level, in_use) = (LEVEL, storage.level());
    if level <= in_use {
        return;
    }
    tracing::info!(
        level,
        in_use,
        seconds = after.as_secs(),
        "this calldex reads a new level: it comes into use in so many seconds; until then the upgrade can be taken back"
    );
    sleep(after).await;
    // What comes of it is logged where it is applied.
    drop(storage.writer.submit(Write::LevelRaised { to: level }));
}

fn watch_storage(storage: &Storage, part: &Part) -> Round {
    match storage.writer.status().degraded {
        None => part.ok(),
        Some(reason) => part.degraded(reason),
    }
    Ok(Progress::Done)
}

fn guard(config: &Config) -> Guard {
    let twilio = &config.twilio;
    let tokens: Vec<Secret> = twilio.tokens().cloned().collect();
    let verifier = (!tokens.is_empty()).then(|| Verifier::new(&tokens));
    let trust = if config.server.trust_forwarded {
        Trust::Proxy
    } else {
        Trust::Direct
    };
    Guard::new(verifier, public_base(config), trust)
}

/// How Twilio reaches this instance, where that is set.
fn public_base(config: &Config) -> Option<PublicBase> {
    let url = config.server.public_url.as_deref()?;
    // Validated before: an address that does not parse cannot get here.
    PublicBase::parse(url).ok()
}
