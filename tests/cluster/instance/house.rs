//! One running instance: its identity, its storage, its place in the cluster.

use super::say;
use crate::events::{Beginning, Birth, Event, Ruling};
use calldex::cluster::{Cluster, ClusterSection, ClusterSetup, await_identity};
use calldex_storage::replication::Identity;
use calldex_storage::{Faults, FlushError, Storage, StorageConfig, Takeover};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};

/// How long flushing may take.
const ENDING_MAX: Duration = crate::exchange::PATIENCE;

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
    asks: mpsc::Sender<oneshot::Sender<()>>,
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
        let (asks, asked) = mpsc::channel(1);
        tokio::spawn(follow(storage.takeovers(), Arc::clone(&owners), asked));
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
            workers: Default::default(),
        };
        let cluster = Cluster::start(setup)
            .await
            .map_err(Refusal::at("cluster"))?;
        Ok(Self {
            storage,
            cluster,
            owners,
            asks,
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

    /// Waits until everything is told that was heard of claims before this was called.
    pub async fn tell_of_claims(&self) {
        let (answer, answered) = oneshot::channel();
        // Without the feed's reader this process is at its end.
        if self.asks.send(answer).await.is_ok() {
            let _ = answered.await;
        }
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

async fn follow(
    mut feed: broadcast::Receiver<Takeover>,
    owners: Arc<Owners>,
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let mut missed = false;
    loop {
        let told = tokio::select! {
            // Who asks has an answer when nothing is left in the feed.
            biased;
            told = feed.recv() => told,
            Some(answer) = asked.recv() => {
                // Who asked may have gone.
                let _ = answer.send(());
                continue;
            }
        };
        match told {
            // With a snapshot, live calls are told of that nobody claimed (the load always leaves some open);
            // and of several claims of a call only the last.
            Ok(takeover) if takeover.claimed_epoch == 0 => {
                if !std::mem::replace(&mut missed, true) {
                    say(&Event::Missed);
                }
            }
            Ok(takeover) => {
                missed = false;
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
