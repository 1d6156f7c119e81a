//! A member of a cluster in this process: a data directory, storage on it, its place in the cluster.

use crate::cluster::{
    Cluster, ClusterSection, ClusterSetup, ClusterStatus, NodeReadiness, await_identity,
};
use calldex_observability::redaction::Secret;
use calldex_storage::record::{CallerKind, PhoneNumber};
use calldex_storage::replication::{NodeIdentity, Replica};
use calldex_storage::write::{CallStarted, Write};
use calldex_storage::{FaultInjector, OpenError, Position, Storage, StorageConfig};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A loaded machine of two cores takes long: a test waits for what must come, and so long.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);
const SECRET: &str = "a secret that these tests share among themselves";

/// A free port; nobody else of this machine's tests gets it in the next moments.
pub(super) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// An instance, running or not.
pub(super) struct TestNode {
    pub(super) name: String,
    pub(super) section: ClusterSection,
    /// What its disk does.
    pub(super) faults: FaultInjector,
    pub(super) dir: TempDir,
    /// How often the data directory had to be moved.
    moves: u32,
    running: Option<(Arc<Storage>, Arc<Cluster>)>,
}

impl TestNode {
    /// One that joins through `join`, if that is anything.
    pub(super) fn new(name: &str, join: &[&TestNode]) -> Self {
        let section = ClusterSection {
            listen: Some(free_address()),
            join: join.iter().map(|node| node.address()).collect(),
            secret: Some(Secret::new(SECRET)),
            ..ClusterSection::default()
        };
        Self {
            name: name.to_owned(),
            section,
            faults: FaultInjector::default(),
            dir: TempDir::new().unwrap(),
            moves: 0,
            running: None,
        }
    }

    pub(super) fn address(&self) -> String {
        self.section.advertised()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join(format!("data-{}", self.moves))
    }

    pub(super) fn init_cluster(&self) {
        NodeIdentity::init_cluster(&self.data()).unwrap();
    }

    pub(super) async fn start(&mut self) {
        let data = self.data();
        let identity = await_identity(&self.section, &self.name, true, &data, |_| ());
        let identity = tokio::time::timeout(WAIT_MAX, identity).await;
        identity.expect("an identity in time").unwrap();
        let (storage, replica) = self.open().await;
        let storage = Arc::new(storage);
        let setup = ClusterSetup {
            section: self.section.clone(),
            instance: self.name.clone(),
            takes_calls: true,
            replica: Arc::new(replica),
            storage: Arc::clone(&storage),
            workers: Default::default(),
        };
        self.running = Some((storage, Cluster::start(setup).await.unwrap()));
    }

    async fn open(&mut self) -> (Storage, Replica) {
        loop {
            let mut config = StorageConfig::new(self.data());
            config.warm_cache = false;
            config.faults = self.faults.clone();
            let opening = tokio::task::spawn_blocking(move || Storage::open_replicated(config));
            match opening.await.unwrap() {
                // On a machine this busy a thread may outlive the closing, which then keeps the
                // directory for as long as the process lives.
                Err(OpenError::InUse { .. }) => {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    let before = self.data();
                    self.moves += 1;
                    copy(&before, &self.data());
                }
                opened => return opened.unwrap(),
            }
        }
    }

    /// Stops it and gives its data directory free.
    pub(super) async fn stop(&mut self) {
        let (storage, cluster) = self.running.take().unwrap();
        cluster.stop().await;
        drop(cluster);
        let began = Instant::now();
        let mut shared = storage;
        let storage = loop {
            match Arc::try_unwrap(shared) {
                Ok(storage) => break storage,
                Err(again) => shared = again,
            }
            assert!(began.elapsed() < WAIT_MAX, "something still holds storage");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let closing = tokio::task::spawn_blocking(move || storage.close(Duration::from_secs(5)));
        closing.await.unwrap();
    }

    pub(super) fn storage(&self) -> &Arc<Storage> {
        &self.running.as_ref().unwrap().0
    }

    pub(super) fn cluster(&self) -> &Arc<Cluster> {
        &self.running.as_ref().unwrap().1
    }

    pub(super) fn status(&self) -> ClusterStatus {
        self.cluster().status()
    }

    pub(super) async fn wait_ready(&self) {
        wait_until(&format!("{} is ready", self.name), || {
            self.cluster().readiness() == NodeReadiness::Ready
        })
        .await;
    }

    /// Writes the start of a call and waits until it is on a majority.
    pub(super) async fn write(&self, call_sid: &str) -> Position {
        let receipt = self.storage().writer.submit(started(call_sid, &self.name));
        let durable = tokio::time::timeout(WAIT_MAX, receipt).await;
        durable.expect("acknowledged in time").unwrap()
    }

    /// Whether the call is in this instance's own database.
    pub(super) async fn has_call(&self, call_sid: &str) -> bool {
        let read = self.storage().conversations.read(call_sid).await;
        matches!(read, Ok(Some(_)))
    }

    pub(super) async fn wait_has_call(&self, call_sid: &str) {
        let began = Instant::now();
        while !self.has_call(call_sid).await {
            assert!(began.elapsed() < WAIT_MAX, "{} on {}", call_sid, self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(super) fn started(call_sid: &str, instance: &str) -> Write {
    Write::CallStarted(CallStarted {
        call_sid: call_sid.into(),
        number: PhoneNumber::parse("+14155550100"),
        line: "+14155550111".into(),
        caller_kind: CallerKind::Number,
        identity: None,
        language: Some("en-US".into()),
        at_ms: 1_700_000_000_000,
        instance: instance.into(),
    })
}

/// Waits until `is` holds.
pub(super) async fn wait_until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < WAIT_MAX, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Which of `houses` is primary, once there is one that a majority follows.
pub(super) async fn primary_of(nodes: &[&TestNode]) -> usize {
    let began = Instant::now();
    loop {
        if let Some(at) = nodes.iter().position(|node| node.cluster().is_primary()) {
            return at;
        }
        assert!(began.elapsed() < WAIT_MAX, "no primary in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// So many voters among `node`'s members, all of which it reaches.
pub(super) fn has_voters(node: &TestNode, count: usize) -> bool {
    let standing = node.status();
    let voters = standing.members.iter().filter(|member| member.voter);
    voters.clone().count() == count && voters.clone().all(|member| member.reachable)
}

/// Three founded, joined, all voting, ready.
pub(super) async fn three_nodes() -> [TestNode; 3] {
    let mut one = TestNode::new("one", &[]);
    one.init_cluster();
    one.start().await;
    one.wait_ready().await;
    let mut two = TestNode::new("two", &[&one]);
    let mut three = TestNode::new("three", &[&one, &two]);
    two.start().await;
    three.start().await;
    for node in [&one, &two, &three] {
        wait_until("three vote", || has_voters(node, 3)).await;
        node.wait_ready().await;
    }
    [one, two, three]
}

/// Copies a data directory.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
