//! One running instance: its identity, its storage, its place in the cluster.

use super::print_event;
use crate::events::{ClaimReport, IdentitySource, InstanceEvent, InstanceSetup};
use calldex::cluster::{Cluster, ClusterSection, ClusterSetup, await_identity};
use calldex_storage::replication::NodeIdentity;
use calldex_storage::{ClaimResult, FaultInjector, FlushError, Storage, StorageConfig};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};

/// How long flushing may take.
const ENDING_MAX: Duration = crate::fault_cluster::WAIT_MAX;

/// Why the instance did not start.
pub struct StartupError {
    /// While doing what.
    pub stage: &'static str,
    /// In words.
    pub reason: String,
}

impl StartupError {
    fn at<E: ToString>(stage: &'static str) -> impl Fn(E) -> Self {
        move |error| Self {
            stage,
            reason: error.to_string(),
        }
    }
}

/// See the module.
pub struct InstanceRuntime {
    /// What is kept.
    pub storage: Arc<Storage>,
    /// The others.
    pub cluster: Arc<Cluster>,
    /// The owners of calls, as the feed has told them.
    owners: Arc<OwnerTable>,
    asks: mpsc::Sender<oneshot::Sender<()>>,
    cluster_id: String,
    node_id: u64,
    slot: u16,
}

/// The last that the feed said of each call.
pub type OwnerTable = Mutex<HashMap<String, (u32, String)>>;

impl InstanceRuntime {
    /// Comes by an identity as it was told, opens the files and takes its place.
    pub async fn open(birth: &InstanceSetup, faults: FaultInjector) -> Result<Self, StartupError> {
        let data = Path::new(&birth.data_dir);
        let section: ClusterSection =
            serde_json::from_value(birth.section.clone()).expect("a section");
        create_identity(birth, data)?;
        await_identity(&section, &birth.instance(), true, data, |_| ())
            .await
            .map_err(StartupError::at("identity"))?;
        let mut config = StorageConfig::new(data);
        config.faults = faults;
        let opened = tokio::task::spawn_blocking(move || Storage::open_replicated(config));
        let (storage, replica) = opened
            .await
            .expect("opening does not panic")
            .map_err(StartupError::at("storage"))?;
        let owners = Arc::new(OwnerTable::default());
        let (asks, asked) = mpsc::channel(1);
        tokio::spawn(follow(storage.claim_results(), Arc::clone(&owners), asked));
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
            .map_err(StartupError::at("cluster"))?;
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
    pub fn report_when_serving(&self) {
        let cluster = Arc::clone(&self.cluster);
        tokio::spawn(async move {
            cluster.wait_ready().await;
            print_event(&InstanceEvent::Serving);
        });
    }

    /// The epoch and owner of `call` that the feed told last.
    pub fn owner(&self, call: &str) -> Option<(u32, String)> {
        let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get(call).cloned()
    }

    /// Waits until everything is told that was heard of claims before this was called.
    pub async fn report_claims(&self) {
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
            Err(FlushError::Write(_)) => u64::MAX,
        };
        self.cluster.stop().await;
        unflushed
    }
}

fn create_identity(birth: &InstanceSetup, data: &Path) -> Result<(), StartupError> {
    match &birth.beginning {
        IdentitySource::Found => NodeIdentity::init_cluster(data)
            .map(|_| ())
            .map_err(StartupError::at("found")),
        IdentitySource::Usurp {
            cluster_id,
            node_id,
        } => NodeIdentity::join(data, cluster_id, *node_id)
            .map(|_| ())
            .map_err(StartupError::at("usurp")),
        IdentitySource::Join | IdentitySource::GoOn => Ok(()),
    }
}

async fn follow(
    mut feed: broadcast::Receiver<ClaimResult>,
    owners: Arc<OwnerTable>,
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
                    print_event(&InstanceEvent::Missed);
                }
            }
            Ok(takeover) => {
                missed = false;
                let ruling = ClaimReport {
                    call: takeover.call_sid.to_string(),
                    epoch: takeover.epoch,
                    owner: takeover.instance.to_string(),
                    applied: takeover.has_won,
                    claimed_epoch: takeover.claimed_epoch,
                    claimed_by: takeover.claimed_by.to_string(),
                };
                let owner = (ruling.epoch, ruling.owner.clone());
                let mut known = owners.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(ruling.call.clone(), owner);
                drop(known);
                print_event(&InstanceEvent::Ruled(ruling));
            }
            Err(RecvError::Lagged(_)) => print_event(&InstanceEvent::Missed),
            Err(RecvError::Closed) => return,
        }
    }
}
