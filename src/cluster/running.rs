//! Starting this instance's place in the cluster, asking it, stopping it.

use super::client::{Client, Sender};
use super::exchange::{Exchange, Phase};
use super::forward::Forwarder;
use super::gather::{self, Gatherer};
use super::reading::CaughtUp;
use super::standing::{self, Standing};
use super::state::{self, State};
use super::{
    ClusterError, ClusterSection, door, engine, gauges, membership, papers, pings, purge, reading,
    upgrade,
};
use calldex_observability::vital;
use calldex_observability::worker::{Progress, Round, Workers};
use calldex_storage::Storage;
use calldex_storage::record::LiveCall;
use calldex_storage::replication::{Member, NodeId, Replica};
use salvo::server::ServerHandle;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Threads of the runtime: the engine's tasks are few and short, TLS takes the rest.
const THREADS: usize = 2;
/// What answers under way may take when the door closes.
const DOOR_CLOSE_MAX: Duration = Duration::from_secs(1);
/// What the engine may take to stop.
const ENGINE_STOP_MAX: Duration = Duration::from_secs(6);
/// What tasks that wait for a disk may take at the end.
const THREADS_STOP_MAX: Duration = Duration::from_secs(1);
/// How often a runtime of calls tells that it moves.
pub const BEAT: Duration = Duration::from_millis(250);
/// How often readiness is looked at.
const STEP: Duration = Duration::from_millis(25);

/// What the cluster part is given.
pub struct ClusterSetup {
    /// `[cluster]`, with `listen` and `secret` set.
    pub section: ClusterSection,
    /// This instance's name.
    pub instance: String,
    /// Whether it takes calls.
    pub takes_calls: bool,
    /// The log and the state machine.
    pub replica: Arc<Replica>,
    /// The database on it, for reading.
    pub storage: Arc<Storage>,
    /// Where background work is listed.
    pub workers: Workers,
}

/// A member as the primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its id.
    pub node_id: NodeId,
    /// Its name, as in `conversations.instance`.
    pub instance: String,
    /// If it is gone: of the first question that it left without an answer, or since when the runtime
    /// of its calls has not moved.
    pub gone_since: Option<Instant>,
}

/// What a node's epochs have in their lower half.
pub fn slot_of(node_id: NodeId) -> u16 {
    u16::try_from(node_id & u64::from(u16::MAX)).unwrap_or_default()
}

/// This instance's place in the cluster, running.
pub struct Cluster {
    pub(super) exchange: Arc<Exchange>,
    runtime: tokio::runtime::Handle,
    address: SocketAddr,
    door: ServerHandle,
    engine: Mutex<Option<JoinHandle<()>>>,
    keeper: Mutex<Option<Keeper>>,
}

/// Keeps the runtime on a thread of its own, since it must not be dropped on another's.
struct Keeper {
    /// Dropped, it ends the runtime.
    end: oneshot::Sender<()>,
    /// Tells that it has ended.
    ended: oneshot::Receiver<()>,
}

impl Cluster {
    /// Opens the door, asks the members whether this instance may take part, and runs the engine. Returns
    /// as soon as the door is open: [`Cluster::state`] tells the rest.
    ///
    /// # Errors
    /// [`ClusterError`]: the address, the secret, no threads.
    pub async fn start(setup: ClusterSetup) -> Result<Arc<Self>, ClusterError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("calldex-cluster")
            .enable_all()
            .build()
            .map_err(ClusterError::Threads)?;
        let handle = runtime.handle().clone();
        let keeper = Keeper::keep(runtime)?;
        let opening = handle.spawn(open(setup));
        let (exchange, address, door, engine) = match opening.await {
            Ok(opened) => opened?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        tracing::info!(
            node_id = exchange.node_id,
            cluster_id = exchange.cluster_id,
            %address,
            advertise = exchange.member.address,
            "one of several instances"
        );
        Ok(Arc::new(Self {
            exchange,
            runtime: handle,
            address,
            door,
            engine: Mutex::new(Some(engine)),
            keeper: Mutex::new(Some(keeper)),
        }))
    }

    /// Where the door for the other instances listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// This instance's part of every epoch that it takes.
    pub fn slot(&self) -> u16 {
        self.exchange.replica.identity().slot()
    }

    /// A number of the log that positions belong to, from the cluster's id; never 0.
    pub fn log(&self) -> u64 {
        let digits = self.exchange.cluster_id.get(..16).unwrap_or_default();
        u64::from_str_radix(digits, 16).unwrap_or_default().max(1)
    }

    /// How the cluster stands, as this instance knows it.
    pub fn standing(&self) -> Standing {
        standing::of(&self.exchange)
    }

    /// Whether this instance can take calls.
    pub fn state(&self) -> State {
        state::of(&self.exchange)
    }

    /// Whether this instance is primary and a majority has said so within the longest election
    /// timeout. Another may be elected at any moment.
    pub fn is_primary(&self) -> bool {
        self.exchange.leading().is_some()
    }

    /// Waits, up to `deadline`, until everything is applied here that was acknowledged to anybody when
    /// this was called. Whether it is.
    pub async fn catch_up(&self, deadline: Duration) -> bool {
        self.caught_up(deadline).await == CaughtUp::Fully
    }

    /// The same; what came of it.
    pub async fn caught_up(&self, deadline: Duration) -> CaughtUp {
        let began = Instant::now();
        let exchange = Arc::clone(&self.exchange);
        let asking = self
            .runtime
            .spawn(async move { reading::primary_position(&exchange, deadline).await });
        let Ok(Some(position)) = asking.await else {
            return CaughtUp::NoPrimary;
        };
        let rest = deadline.saturating_sub(began.elapsed());
        match self.exchange.storage.wait_applied(position, rest).await {
            true => CaughtUp::Fully,
            false => CaughtUp::Behind,
        }
    }

    /// Tells the others that this instance's doors for calls stand open, or that they are about to
    /// close: with its answers to their pings, four times a second.
    pub fn receive_calls(&self, open: bool) {
        let receives = &self.exchange.reach.receives_calls;
        receives.store(open, Ordering::Relaxed);
    }

    /// The runtime of the calls moves: to be told at least every [`BEAT`]. Where it was told once and
    /// is no more, the primary has this instance's calls taken over ([`Cluster::watched`]).
    pub fn beat(&self) {
        self.exchange.beat();
    }

    /// Whether calls can go on at another instance: one that takes calls, answers, takes part, and has
    /// its doors open.
    pub fn others_receive_calls(&self) -> bool {
        let exchange = &self.exchange;
        let receives = |node_id| {
            let seen = exchange.reach.of(node_id);
            seen.is_some_and(|seen| seen.receives_calls())
        };
        let members = exchange.roll().members;
        members.iter().any(|listed| {
            let is_other = listed.node_id != exchange.node_id;
            is_other && listed.member.takes_calls && receives(listed.node_id)
        })
    }

    /// The live call as the primary knows it; nothing if it is unknown there, over, or not told within
    /// `deadline`.
    pub async fn live_call(&self, call_sid: &str, deadline: Duration) -> Option<LiveCall> {
        let (exchange, call_sid) = (Arc::clone(&self.exchange), call_sid.to_owned());
        let asking = async move { reading::primary_call(&exchange, &call_sid, deadline).await };
        self.runtime.spawn(asking).await.ok().flatten()
    }

    /// All members, seen from the primary; nothing where this instance is not.
    pub fn watched(&self) -> Option<Vec<Watched>> {
        if !self.is_primary() {
            return None;
        }
        let members = self.exchange.roll().members;
        let watched = members.into_iter().map(|listed| {
            let seen = self.exchange.reach.of(listed.node_id);
            Watched {
                node_id: listed.node_id,
                instance: listed.member.instance,
                gone_since: seen.and_then(|seen| seen.calls_lost_since()),
            }
        });
        Some(watched.collect())
    }

    /// Returns when a first snapshot or entry is applied and there is a primary that a majority
    /// follows.
    pub async fn ready(&self) {
        while self.state() != State::Ready {
            tokio::time::sleep(STEP).await;
        }
    }

    /// Stops: the engine first, so that nothing is promised any more, then the door. What this
    /// instance still has to write must be flushed before.
    pub async fn stop(&self) {
        self.exchange.enter(Phase::Stopped);
        let engine = lock(&self.engine).take();
        if let Some(engine) = engine {
            // It may hang in the disk.
            let _ = tokio::time::timeout(ENGINE_STOP_MAX, engine).await;
        }
        self.door.stop_graceful(DOOR_CLOSE_MAX);
        let keeper = lock(&self.keeper).take();
        if let Some(Keeper { end, ended }) = keeper {
            drop(end);
            let _ = tokio::time::timeout(THREADS_STOP_MAX * 2, ended).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.exchange.enter(Phase::Stopped);
    }
}

fn lock<T>(place: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    fn keep(runtime: Runtime) -> Result<Self, ClusterError> {
        let (end, is_over) = oneshot::channel::<()>();
        let (told, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("calldex-cluster".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(is_over);
                runtime.shutdown_timeout(THREADS_STOP_MAX);
                let _ = told.send(());
            })
            .map_err(ClusterError::Threads)?;
        Ok(Self { end, ended })
    }
}

/// A task that ends with this instance's part in the cluster and not before.
fn spawn_vital(
    exchange: &Arc<Exchange>,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let ended = Arc::clone(exchange);
    let told_to_end = move || ended.phase().is_final();
    tokio::spawn(vital::task_until(name, told_to_end, work))
}

/// Starts a worker that is vital.
fn spawn_worker<F: Future<Output = Round> + Send + 'static>(
    exchange: &Arc<Exchange>,
    workers: &Workers,
    (name, trigger, period): (&'static str, &'static str, Duration),
    round: impl Fn(Arc<Exchange>) -> F + Send + 'static,
) {
    let worker = workers.register(name, trigger, period);
    let of = Arc::clone(exchange);
    let work = worker.run(move || round(Arc::clone(&of)));
    spawn_vital(exchange, name, work);
}

fn spawn_workers(exchange: &Arc<Exchange>, workers: &Workers) {
    let members = (
        "membership",
        "a learner that has caught up, a member that has moved, a change that was cut short",
        membership::PERIOD,
    );
    spawn_worker(exchange, workers, members, membership::round);
    let purging = (
        "log purge",
        "a log longer than cluster.log_bytes_max",
        purge::PERIOD,
    );
    spawn_worker(exchange, workers, purging, purge::round);
    let settling = Arc::default();
    let raising = (
        "upgrade",
        "a level that every member reads and that is not in use",
        upgrade::PERIOD,
    );
    spawn_worker(exchange, workers, raising, move |exchange| {
        upgrade::round(exchange, Arc::clone(&settling))
    });
    let lag = Arc::new(Mutex::new(gauges::Lag::default()));
    let showing = ("cluster gauges", "its period", gauges::PERIOD);
    spawn_worker(exchange, workers, showing, move |exchange| {
        lock(&lag).show(&exchange);
        std::future::ready(Ok(Progress::Done))
    });
}

type Opened = (Arc<Exchange>, SocketAddr, ServerHandle, JoinHandle<()>);

async fn open(setup: ClusterSetup) -> Result<Opened, ClusterError> {
    let ClusterSetup {
        section,
        instance,
        takes_calls,
        replica,
        storage,
        workers,
    } = setup;
    let listen = section.listen.ok_or(ClusterError::Unset("listen"))?;
    let papers = papers(&section)?;
    let admitted = door::bind(listen, &papers).await?;
    let address = admitted.address();
    let member = Member {
        // A port that the system chose is known only now.
        address: section
            .advertise
            .clone()
            .unwrap_or_else(|| address.to_string()),
        instance,
        takes_calls,
    };
    let sender = Sender {
        cluster_id: replica.identity().cluster_id().to_owned(),
        node_id: replica.identity().node_id(),
        address: member.address.clone(),
    };
    let client = Client::new(&papers, &sender)?;
    let (gatherer, proposals) = Gatherer::new();
    let exchange = Arc::new(Exchange::new(
        section, member, replica, storage, client, gatherer,
    ));
    let door = door::open(admitted, &exchange);
    let engine = engine::supervise(Arc::clone(&exchange));
    let engine = spawn_vital(&exchange, "engine", engine);
    let gathering = gather::run(Arc::clone(&exchange), proposals);
    spawn_vital(&exchange, "gather", gathering);
    spawn_vital(&exchange, "pings", pings::keep(Arc::clone(&exchange)));
    spawn_workers(&exchange, &workers);
    let forwarder = Arc::new(Forwarder {
        exchange: Arc::downgrade(&exchange),
    });
    let runtime = tokio::runtime::Handle::current();
    exchange.replica.connect(forwarder, runtime);
    Ok((exchange, address, door, engine))
}
