//! Starting this instance's place in the cluster, asking it, stopping it.

use super::certificates::Certificates;
use super::client::{ClusterClient, SenderIdentity};
use super::commit_queue::GroupCommitQueue;
use super::error::ClusterError;
use super::forward::WriteForwarder;
use super::group_commit;
use super::node_context::{EnginePhase, NodeContext};
use super::primary_reads::CatchUpResult;
use super::readiness::{self, NodeReadiness};
use super::status::{self, ClusterStatus};
use super::{engine, gauges, listener, membership, pings, primary_reads, purge, upgrade};
use crate::config::ClusterSection;
use calldex_observability::vital;
use calldex_observability::worker::{RoundResult, WorkerProgress, WorkerRegistry};
use calldex_storage::Storage;
use calldex_storage::record::CallWithTurns;
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
/// What answers under way may take when the listener closes.
const LISTENER_CLOSE_MAX: Duration = Duration::from_secs(1);
/// What the engine may take to stop.
const ENGINE_STOP_MAX: Duration = Duration::from_secs(6);
/// What tasks that wait for a disk may take at the end.
const THREADS_STOP_MAX: Duration = Duration::from_secs(1);
/// How often a runtime of calls tells that it moves.
pub const CALL_RUNTIME_TICK: Duration = Duration::from_millis(250);
/// How often readiness is looked at.
const READY_POLL: Duration = Duration::from_millis(25);

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
    pub workers: WorkerRegistry,
}

/// A member as the primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberLiveness {
    /// Its id.
    pub node_id: NodeId,
    /// Its name, as in `conversations.instance`.
    pub instance: String,
    /// If it is gone: of the first question that it left without an answer, or since when the runtime
    /// of its calls has not moved.
    pub gone_since: Option<Instant>,
}

/// This instance's place in the cluster, running.
pub struct Cluster {
    pub(super) context: Arc<NodeContext>,
    runtime: tokio::runtime::Handle,
    address: SocketAddr,
    listener: ServerHandle,
    engine: Mutex<Option<JoinHandle<()>>>,
    runtime_thread: Mutex<Option<RuntimeThread>>,
}

/// Keeps the runtime on a thread of its own, since it must not be dropped on another's.
struct RuntimeThread {
    /// Dropped, it ends the runtime.
    end: oneshot::Sender<()>,
    /// Tells that it has ended.
    ended: oneshot::Receiver<()>,
}

impl Cluster {
    /// Opens the cluster listener, asks the members whether this instance may take part, and runs the engine. Returns
    /// as soon as the listener is open: [`Cluster::readiness`] tells the rest.
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
        let keeper = RuntimeThread::spawn(runtime)?;
        let opening = handle.spawn(start_parts(setup));
        let (context, address, cluster_listener, engine) = match opening.await {
            Ok(opened) => opened?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        tracing::info!(
            node_id = context.node_id,
            cluster_id = context.cluster_id,
            %address,
            advertise = context.member.address,
            "cluster mode"
        );
        Ok(Arc::new(Self {
            context,
            runtime: handle,
            address,
            listener: cluster_listener,
            engine: Mutex::new(Some(engine)),
            runtime_thread: Mutex::new(Some(keeper)),
        }))
    }

    /// The address of the cluster listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// This instance's part of every epoch that it takes.
    pub fn slot(&self) -> u16 {
        self.context.replica.identity().slot()
    }

    /// A number of the log that positions belong to, from the cluster's id; never 0.
    pub fn log_id(&self) -> u64 {
        let digits = self.context.cluster_id.get(..16).unwrap_or_default();
        u64::from_str_radix(digits, 16).unwrap_or_default().max(1)
    }

    /// How the cluster stands, as this instance knows it.
    pub fn status(&self) -> ClusterStatus {
        status::cluster_status(&self.context)
    }

    /// Whether this instance can take calls.
    pub fn readiness(&self) -> NodeReadiness {
        readiness::node_readiness(&self.context)
    }

    /// Whether this instance is primary and a majority has said so within the longest election
    /// timeout. Another may be elected at any moment.
    pub fn is_primary(&self) -> bool {
        self.context.raft_if_primary().is_some()
    }

    /// Waits, up to `deadline`, until everything is applied here that was acknowledged to anybody when
    /// this was called. Whether it is.
    pub async fn catch_up(&self, deadline: Duration) -> bool {
        self.catch_up_result(deadline).await == CatchUpResult::Fully
    }

    /// The same; what came of it.
    pub async fn catch_up_result(&self, deadline: Duration) -> CatchUpResult {
        let began = Instant::now();
        let context = Arc::clone(&self.context);
        let asking = self
            .runtime
            .spawn(async move { primary_reads::primary_position(&context, deadline).await });
        let Ok(Some(position)) = asking.await else {
            return CatchUpResult::NoPrimary;
        };
        let rest = deadline.saturating_sub(began.elapsed());
        match self.context.storage.wait_applied(position, rest).await {
            true => CatchUpResult::Fully,
            false => CatchUpResult::Behind,
        }
    }

    /// Tells the others that this instance takes calls, or that they are about to
    /// close: with its answers to their pings, four times a second.
    pub fn set_accepts_calls(&self, open: bool) {
        let receives = &self.context.peer_health.accepts_calls;
        receives.store(open, Ordering::Relaxed);
    }

    /// The runtime of the calls moves: to be told at least every [`CALL_RUNTIME_TICK`]. Where it was told once and
    /// is no more, the primary has this instance's calls taken over ([`Cluster::member_liveness`]).
    pub fn call_runtime_alive(&self) {
        self.context.note_call_runtime_alive();
    }

    /// Whether calls can go on at another instance: one that takes calls, answers, takes part, and has
    /// it takes calls.
    pub fn peers_accept_calls(&self) -> bool {
        let context = &self.context;
        let receives = |node_id| {
            let seen = context.peer_health.get(node_id);
            seen.is_some_and(|seen| seen.accepts_calls())
        };
        let members = context.member_list().members;
        members.iter().any(|listed| {
            let is_other = listed.node_id != context.node_id;
            is_other && listed.member.takes_calls && receives(listed.node_id)
        })
    }

    /// The live call as the primary knows it; nothing if it is unknown there, over, or not told within
    /// `deadline`.
    pub async fn live_call(&self, call_sid: &str, deadline: Duration) -> Option<CallWithTurns> {
        let (context, call_sid) = (Arc::clone(&self.context), call_sid.to_owned());
        let asking =
            async move { primary_reads::live_call_at_primary(&context, &call_sid, deadline).await };
        self.runtime.spawn(asking).await.ok().flatten()
    }

    /// All members, seen from the primary; nothing where this instance is not.
    pub fn member_liveness(&self) -> Option<Vec<MemberLiveness>> {
        if !self.is_primary() {
            return None;
        }
        let members = self.context.member_list().members;
        let watched = members.into_iter().map(|listed| {
            let seen = self.context.peer_health.get(listed.node_id);
            MemberLiveness {
                node_id: listed.node_id,
                instance: listed.member.instance,
                gone_since: seen.and_then(|seen| seen.calls_lost_since()),
            }
        });
        Some(watched.collect())
    }

    /// Returns when a first snapshot or entry is applied and there is a primary that a majority
    /// follows.
    pub async fn wait_ready(&self) {
        while self.readiness() != NodeReadiness::Ready {
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Stops: the engine first, so that nothing is promised any more, then the listener. What this
    /// instance still has to write must be flushed before.
    pub async fn stop(&self) {
        self.context.set_phase(EnginePhase::Stopped);
        let engine = lock(&self.engine).take();
        if let Some(engine) = engine {
            // It may hang in the disk.
            let _ = tokio::time::timeout(ENGINE_STOP_MAX, engine).await;
        }
        self.listener.stop_graceful(LISTENER_CLOSE_MAX);
        let keeper = lock(&self.runtime_thread).take();
        if let Some(RuntimeThread { end, ended }) = keeper {
            drop(end);
            let _ = tokio::time::timeout(THREADS_STOP_MAX * 2, ended).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.context.set_phase(EnginePhase::Stopped);
    }
}

fn lock<T>(place: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RuntimeThread {
    fn spawn(runtime: Runtime) -> Result<Self, ClusterError> {
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
    context: &Arc<NodeContext>,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let ended = Arc::clone(context);
    let told_to_end = move || ended.phase().is_final();
    tokio::spawn(vital::task_until(name, told_to_end, work))
}

/// Starts a worker that is vital.
fn spawn_worker<F: Future<Output = RoundResult> + Send + 'static>(
    context: &Arc<NodeContext>,
    workers: &WorkerRegistry,
    (name, trigger, period): (&'static str, &'static str, Duration),
    round: impl Fn(Arc<NodeContext>) -> F + Send + 'static,
) {
    let worker = workers.register(name, trigger, period);
    let of = Arc::clone(context);
    let work = worker.run(move || round(Arc::clone(&of)));
    spawn_vital(context, name, work);
}

fn spawn_workers(context: &Arc<NodeContext>, workers: &WorkerRegistry) {
    let members = (
        "membership",
        "a learner that has caught up, a member that has moved, a change that was cut short",
        membership::PERIOD,
    );
    spawn_worker(context, workers, members, membership::round);
    let purging = (
        "log purge",
        "a log longer than cluster.log_bytes_max",
        purge::PERIOD,
    );
    spawn_worker(context, workers, purging, purge::round);
    let settling = Arc::default();
    let raising = (
        "upgrade",
        "a level that every member reads and that is not in use",
        upgrade::PERIOD,
    );
    spawn_worker(context, workers, raising, move |context| {
        upgrade::round(context, Arc::clone(&settling))
    });
    let lag = Arc::new(Mutex::new(gauges::LagGauge::default()));
    let showing = ("cluster gauges", "its period", gauges::PERIOD);
    spawn_worker(context, workers, showing, move |context| {
        lock(&lag).update(&context);
        std::future::ready(Ok(WorkerProgress::Done))
    });
}

type StartedParts = (Arc<NodeContext>, SocketAddr, ServerHandle, JoinHandle<()>);

async fn start_parts(setup: ClusterSetup) -> Result<StartedParts, ClusterError> {
    let ClusterSetup {
        section,
        instance,
        takes_calls,
        replica,
        storage,
        workers,
    } = setup;
    let listen = section.listen.ok_or(ClusterError::Unset("listen"))?;
    let certificates = Certificates::for_section(&section)?;
    let admitted = listener::bind_listener(listen, &certificates).await?;
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
    let sender = SenderIdentity {
        cluster_id: replica.identity().cluster_id().to_owned(),
        node_id: replica.identity().node_id(),
        address: member.address.clone(),
    };
    let client = ClusterClient::new(&certificates, &sender)?;
    let (group_commit, proposals) = GroupCommitQueue::new();
    let context = Arc::new(NodeContext::new(
        section,
        member,
        replica,
        storage,
        client,
        group_commit,
    ));
    let cluster_listener = listener::serve(admitted, &context);
    let engine = engine::supervise(Arc::clone(&context));
    let engine = spawn_vital(&context, "engine", engine);
    let gathering = group_commit::run_group_commit(Arc::clone(&context), proposals);
    spawn_vital(&context, "gather", gathering);
    spawn_vital(&context, "pings", pings::run_pings(Arc::clone(&context)));
    spawn_workers(&context, &workers);
    let forwarder = Arc::new(WriteForwarder {
        context: Arc::downgrade(&context),
    });
    let runtime = tokio::runtime::Handle::current();
    context.replica.connect(forwarder, runtime);
    Ok((context, address, cluster_listener, engine))
}
