//! One running instance: its identity, its storage, its place in the cluster.

use super::say;
use crate::events::{Beginning, Birth, Event, Ruling};
use calldex::cluster::{Cluster, ClusterSection, ClusterSetup, await_identity};
use calldex_observability::recorder;
use calldex_storage::replication::Identity;
use calldex_storage::{Faults, FlushError, Storage, StorageConfig, Takeover};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How long flushing may take.
const ENDING_MAX: Duration = Duration::from_secs(10);
/// How often is looked whether a snapshot was installed.
const LOOK: Duration = Duration::from_millis(20);

/// Why there is no house.
pub struct Refusal {
    /// While doing what.
    pub stage: &'static str,
    /// In words.
    pub reason: String,
}

impl Refusal {
    fn at<E: ToString>(stage: &'static str) -> impl Fn(E) -> Self {
        move |error| Self {
            stage,
            reason: error.to_string(),
        }
    }
}

/// See the module.
pub struct House {
    /// What is kept.
    pub storage: Arc<Storage>,
    /// The others.
    pub cluster: Arc<Cluster>,
    /// The owners of calls, as the feed has told them.
    owners: Arc<Owners>,
    cluster_id: String,
    node_id: u64,
    slot: u16,
}

/// The last that the feed said of each call.
pub type Owners = Mutex<HashMap<String, (u32, String)>>;

impl House {
    /// Comes by an identity as it was told, opens the files and takes its place.
    pub async fn open(birth: &Birth, faults: Faults) -> Result<Self, Refusal> {
        let data = Path::new(&birth.data_dir);
        let section: ClusterSection =
            serde_json::from_value(birth.section.clone()).expect("a section");
        come_by_identity(birth, data)?;
        await_identity(&section, &birth.instance(), true, data, |_| ())
            .await
            .map_err(Refusal::at("identity"))?;
        let mut config = StorageConfig::new(data);
        config.faults = faults;
        let opened = tokio::task::spawn_blocking(move || Storage::open_replicated(config));
        let (storage, replica) = opened
            .await
            .expect("opening does not panic")
            .map_err(Refusal::at("storage"))?;
        let owners = Arc::new(Owners::default());
        tokio::spawn(follow(storage.takeovers(), Arc::clone(&owners)));
        tokio::spawn(tell_of_snapshots());
        let identity = replica.identity();
        let (node_id, slot) = (identity.node_id(), identity.slot());
        let cluster_id = identity.cluster_id().to_owned();
        let storage = Arc::new(storage);
        let setup = ClusterSetup {
            section,
            instance: birth.instance(),
            takes_calls: true,
            replica: Arc::new(replica),
            storage: Arc::clone(&storage),
        };
        let cluster = Cluster::start(setup)
            .await
            .map_err(Refusal::at("cluster"))?;
        Ok(Self {
            storage,
            cluster,
            owners,
            cluster_id,
            node_id,
            slot,
        })
    }

    /// Of which cluster.
    pub fn cluster_id(&self) -> String {
        self.cluster_id.clone()
    }

    /// Who it is.
    pub fn node_id(&self) -> u64 {
        self.node_id
    }

    /// What tells its epochs from others'.
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// Says so once there are a primary and a database.
    pub fn tell_when_serving(&self) {
        let cluster = Arc::clone(&self.cluster);
        tokio::spawn(async move {
            cluster.ready().await;
            say(&Event::Serving);
        });
    }

    /// The epoch and owner of `call` that the feed told last.
    pub fn owner(&self, call: &str) -> Option<(u32, String)> {
        let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get(call).cloned()
    }

    /// Flushes and leaves, as the server does; how many writes were not flushed in time.
    pub async fn stop(&self) -> u64 {
        let unflushed = match self.storage.writer.flush(ENDING_MAX).await {
            Ok(_) => 0,
            Err(FlushError::TimedOut(writes)) => writes as u64,
            Err(FlushError::NotDurable(_)) => u64::MAX,
        };
        self.cluster.stop().await;
        unflushed
    }
}

fn come_by_identity(birth: &Birth, data: &Path) -> Result<(), Refusal> {
    match &birth.beginning {
        Beginning::Found => Identity::found(data)
            .map(|_| ())
            .map_err(Refusal::at("found")),
        Beginning::Usurp {
            cluster_id,
            node_id,
        } => Identity::join(data, cluster_id, *node_id)
            .map(|_| ())
            .map_err(Refusal::at("usurp")),
        Beginning::Join | Beginning::GoOn => Ok(()),
    }
}

async fn follow(mut feed: broadcast::Receiver<Takeover>, owners: Arc<Owners>) {
    loop {
        match feed.recv().await {
            // With a snapshot, live calls are told of that nobody claimed.
            Ok(takeover) if takeover.claimed_epoch == 0 => {}
            Ok(takeover) => {
                let ruling = Ruling {
                    call: takeover.call_sid.to_string(),
                    epoch: takeover.epoch,
                    owner: takeover.instance.to_string(),
                    applied: takeover.applied,
                    claimed_epoch: takeover.claimed_epoch,
                    claimed_by: takeover.claimed_by.to_string(),
                };
                let owner = (ruling.epoch, ruling.owner.clone());
                let mut known = owners.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(ruling.call.clone(), owner);
                drop(known);
                say(&Event::Ruled(ruling));
            }
            Err(RecvError::Lagged(_)) => say(&Event::Missed),
            Err(RecvError::Closed) => return,
        }
    }
}

/// With a snapshot come take-overs of which only the last is told.
async fn tell_of_snapshots() {
    let mut known = 0.0;
    loop {
        tokio::time::sleep(LOOK).await;
        let series = "calldex_snapshots_total{direction=\"installed\",result=\"ok\"}";
        let installed = recorder::install().value(series).unwrap_or(0.0);
        if installed > known {
            known = installed;
            say(&Event::Missed);
        }
    }
}
