//! Three instances with openraft's engine on them and no network between: requests are calls.

use super::fixtures::*;
use calldex_storage::replication::{EntryBatches, Member, NodeId, TypeConfig};
use calldex_storage::write::{Write, encode_batch};
use calldex_storage::{DiskOperation, FaultInjector};
use openraft::error::{
    Fatal, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{Config, OptionalSend, Raft, Snapshot, SnapshotPolicy, Vote};
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type RaftEngine = Raft<TypeConfig>;

/// Who can be reached, and by whom.
#[derive(Clone, Default)]
struct InMemoryNetwork {
    engines: Arc<Mutex<HashMap<NodeId, RaftEngine>>>,
    sender: Option<Arc<RaftNode>>,
}

/// The way to one of them.
struct InMemoryConnection {
    exchange: InMemoryNetwork,
    target: NodeId,
}

impl RaftNetworkFactory<TypeConfig> for InMemoryNetwork {
    type Network = InMemoryConnection;

    async fn new_client(&mut self, target: NodeId, _: &Member) -> InMemoryConnection {
        let exchange = self.clone();
        InMemoryConnection { exchange, target }
    }
}

impl InMemoryConnection {
    fn engine(&self) -> Result<RaftEngine, Unreachable> {
        let engines = self.exchange.engines.lock().unwrap();
        let nobody = || Unreachable::new(&std::io::Error::other("nobody there"));
        engines.get(&self.target).cloned().ok_or_else(nobody)
    }
}

type InMemoryRpcError = RPCError<NodeId, Member, RaftError<NodeId>>;

impl RaftNetwork<TypeConfig> for InMemoryConnection {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, InMemoryRpcError> {
        let answer = self.engine()?.append_entries(request).await;
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        _: RPCOption,
    ) -> Result<VoteResponse<NodeId>, InMemoryRpcError> {
        let answer = self.engine()?.vote(request).await;
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<NodeId>,
        _: Snapshot<TypeConfig>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<TypeConfig, Fatal<NodeId>>> {
        // Of the present state, which is at or beyond the one that the engine means.
        let sender = self.exchange.sender.clone().unwrap();
        let made = move || sender.instance.replica().snapshot_file().unwrap();
        let (meta, file) = tokio::task::spawn_blocking(made).await.unwrap();
        let snapshot = Box::new(file);
        let sent = Snapshot { meta, snapshot };
        let answer = self.engine()?.install_full_snapshot(vote, sent).await;
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }
}

struct RaftNode {
    id: NodeId,
    instance: TestReplica,
}

impl RaftNode {
    fn new(instance: TestReplica) -> Arc<Self> {
        let id = instance.replica().identity().node_id();
        Arc::new(Self { id, instance })
    }

    /// Starts an engine, as after a failure of the one before.
    async fn start(self: &Arc<Self>, exchange: &InMemoryNetwork) -> RaftEngine {
        let network = InMemoryNetwork {
            engines: Arc::clone(&exchange.engines),
            sender: Some(Arc::clone(self)),
        };
        let config = Config {
            heartbeat_interval: 50,
            election_timeout_min: 300,
            election_timeout_max: 600,
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            ..Config::default()
        };
        let config = Arc::new(config.validate().unwrap());
        let (log, machine) = (self.instance.log(), self.instance.state_machine());
        let engine = Raft::new(self.id, config, network, log, machine)
            .await
            .unwrap();
        exchange
            .engines
            .lock()
            .unwrap()
            .insert(self.id, engine.clone());
        engine
    }

    async fn wait_applied(&self, index: u64) {
        let storage = self.instance.storage();
        let there = storage.wait_applied(index, WAIT_MAX).await;
        let (applied, durable) = (storage.applied(), self.instance.replica().durable_index());
        assert!(
            there,
            "up to {index}: it is at {applied}, durable {durable:?}"
        );
    }
}

async fn write(engine: &RaftEngine, writes: &[Write]) -> u64 {
    let batches = EntryBatches(vec![encode_batch(writes).into()]);
    let written = engine.client_write(batches).await.unwrap();
    written.data.position
}

async fn write_calls(engine: &RaftEngine, calls: std::ops::Range<u32>) -> u64 {
    let mut position = 0;
    for call in calls {
        let (call_sid, from) = (format!("CA{call}"), format!("+1415555{call:04}"));
        let begin = [
            call_started(&call_sid, &from),
            turn_appended(&call_sid, 0, "hello"),
            name_heard(&from, "Ada", 1),
        ];
        write(engine, &begin).await;
        position = write(
            engine,
            &[turn_appended(&call_sid, 1, "bye"), call_ended(&call_sid)],
        )
        .await;
    }
    position
}

/// Lets go of the log up to what is applied; from then on others need a snapshot.
async fn purge(engine: &RaftEngine) -> u64 {
    engine.trigger().snapshot().await.unwrap();
    let applied = engine.metrics().borrow().last_applied.unwrap().index;
    let wait = engine.wait(Some(WAIT_MAX));
    wait.metrics(
        |metrics| metrics.snapshot.map(|last| last.index) >= Some(applied),
        "a snapshot",
    )
    .await
    .unwrap();
    engine.trigger().purge_log(applied).await.unwrap();
    wait.metrics(
        |metrics| metrics.purged.map(|last| last.index) >= Some(applied),
        "purged",
    )
    .await
    .unwrap();
    applied
}

/// Fails one commit of the log while it is armed.
fn fail_once() -> (Arc<AtomicBool>, FaultInjector) {
    let armed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&armed);
    let faults = FaultInjector::new(move |operation| {
        let fails = operation == DiskOperation::RaftCommit && seen.swap(false, Ordering::SeqCst);
        match fails {
            true => Err(std::io::Error::other("the disk of this test fails")),
            false => Ok(()),
        }
    });
    (armed, faults)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_join_by_snapshot_survive_a_failing_log_and_end_alike() {
    let exchange = InMemoryNetwork::default();
    let founder = RaftNode::new(TestReplica::first_of_cluster());
    let cluster_id = founder.instance.cluster_id();
    let (armed, faults) = fail_once();
    let second = RaftNode::new(TestReplica::joined_with(&cluster_id, faults));
    let third = RaftNode::new(TestReplica::joined(&cluster_id));

    let primary = founder.start(&exchange).await;
    let alone = HashMap::from([(founder.id, Member::default())]);
    let alone: std::collections::BTreeMap<_, _> = alone.into_iter().collect();
    primary.initialize(alone).await.unwrap();
    let wait = primary.wait(Some(WAIT_MAX));
    wait.current_leader(founder.id, "elected").await.unwrap();
    write_calls(&primary, 0..20).await;
    purge(&primary).await;

    let replica = second.start(&exchange).await;
    third.start(&exchange).await;
    for node in [&second, &third] {
        primary
            .add_learner(node.id, Member::default(), true)
            .await
            .unwrap();
    }
    let voters = [founder.id, second.id, third.id];
    primary
        .change_membership(std::collections::BTreeSet::from(voters), false)
        .await
        .unwrap();
    let position = write_calls(&primary, 20..40).await;
    for node in [&second, &third] {
        node.wait_applied(position).await;
    }

    // The log of one fails: its engine ends, and one on the verified log goes on.
    armed.store(true, Ordering::SeqCst);
    write_calls(&primary, 40..50).await;
    let wait = replica.wait(Some(WAIT_MAX));
    wait.metrics(|metrics| metrics.running_state.is_err(), "ended")
        .await
        .unwrap();
    exchange.engines.lock().unwrap().remove(&second.id);
    let _ = replica.shutdown().await;
    second.start(&exchange).await;
    let position = write_calls(&primary, 50..60).await;
    second.wait_applied(position).await;

    // One is away for longer than the log is kept.
    let away = exchange.engines.lock().unwrap().remove(&third.id).unwrap();
    away.shutdown().await.unwrap();
    write_calls(&primary, 60..70).await;
    purge(&primary).await;
    let position = write_calls(&primary, 70..80).await;
    third.start(&exchange).await;
    third.wait_applied(position).await;

    tokio::time::sleep(Duration::from_millis(300)).await;
    let expected = founder.instance.dump();
    assert!(expected.iter().any(|row| row.contains("CA79")));
    for node in [&second, &third] {
        node.wait_applied(founder.instance.storage().applied())
            .await;
        assert_eq!(node.instance.dump(), expected);
    }
    let engines: Vec<RaftEngine> = exchange.engines.lock().unwrap().values().cloned().collect();
    for engine in engines {
        engine.shutdown().await.unwrap();
    }
}
