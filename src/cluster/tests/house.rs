//! An instance of several in this process: a data directory, storage on it, its place in the cluster.

use crate::cluster::{Cluster, ClusterSection, ClusterSetup, Standing, State, await_identity};
use calldex_observability::redaction::Secret;
use calldex_storage::record::{CallerKind, PhoneNumber};
use calldex_storage::replication::{Identity, Replica};
use calldex_storage::write::{CallStarted, Write};
use calldex_storage::{Faults, OpenError, Position, Storage, StorageConfig};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A loaded machine of two cores takes long: a test waits for what must come, and so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "a secret that these tests share among themselves";

/// A free port; nobody else of this machine's tests gets it in the next moments.
pub(super) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// An instance, running or not.
pub(super) struct House {
    pub(super) name: String,
    pub(super) section: ClusterSection,
    /// What its disk does.
    pub(super) faults: Faults,
    pub(super) dir: TempDir,
    /// How often the data directory had to be moved.
    moves: u32,
    running: Option<(Arc<Storage>, Arc<Cluster>)>,
}

impl House {
    /// One that joins through `join`, if that is anything.
    pub(super) fn new(name: &str, join: &[&House]) -> Self {
        let section = ClusterSection {
            listen: Some(free_address()),
            join: join.iter().map(|house| house.address()).collect(),
            secret: Some(Secret::new(SECRET)),
            ..ClusterSection::default()
        };
        Self {
            name: name.to_owned(),
            section,
            faults: Faults::default(),
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

    pub(super) fn found(&self) {
        Identity::found(&self.data()).unwrap();
    }

    pub(super) async fn start(&mut self) {
        let data = self.data();
        let identity = await_identity(&self.section, &self.name, true, &data, |_| ());
        let identity = tokio::time::timeout(PATIENCE, identity).await;
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
            config.warm = false;
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
            assert!(began.elapsed() < PATIENCE, "something still holds storage");
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

    pub(super) fn standing(&self) -> Standing {
        self.cluster().standing()
    }

    pub(super) async fn ready(&self) {
        until(&format!("{} is ready", self.name), || {
            self.cluster().state() == State::Ready
        })
        .await;
    }

    /// Writes the start of a call and waits until it is on a majority.
    pub(super) async fn write(&self, call_sid: &str) -> Position {
        let receipt = self.storage().writer.submit(started(call_sid, &self.name));
        let durable = tokio::time::timeout(PATIENCE, receipt).await;
        durable.expect("acknowledged in time").unwrap()
    }

    /// Whether the call is in this instance's own database.
    pub(super) async fn knows(&self, call_sid: &str) -> bool {
        let read = self.storage().conversations.read(call_sid).await;
        matches!(read, Ok(Some(_)))
    }

    pub(super) async fn knows_soon(&self, call_sid: &str) {
        let began = Instant::now();
        while !self.knows(call_sid).await {
            assert!(began.elapsed() < PATIENCE, "{} on {}", call_sid, self.name);
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
pub(super) async fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Which of `houses` is primary, once there is one that a majority follows.
pub(super) async fn primary_of(houses: &[&House]) -> usize {
    let began = Instant::now();
    loop {
        if let Some(at) = houses.iter().position(|house| house.cluster().is_primary()) {
            return at;
        }
        assert!(began.elapsed() < PATIENCE, "no primary in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// So many voters among `house`'s members, all of which it reaches.
pub(super) fn has_voters(house: &House, count: usize) -> bool {
    let standing = house.standing();
    let voters = standing.members.iter().filter(|member| member.voter);
    voters.clone().count() == count && voters.clone().all(|member| member.reachable)
}

/// Three founded, joined, all voting, ready.
pub(super) async fn three() -> [House; 3] {
    let mut one = House::new("one", &[]);
    one.found();
    one.start().await;
    one.ready().await;
    let mut two = House::new("two", &[&one]);
    let mut three = House::new("three", &[&one, &two]);
    two.start().await;
    three.start().await;
    for house in [&one, &two, &three] {
        until("three vote", || has_voters(house, 3)).await;
        house.ready().await;
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
