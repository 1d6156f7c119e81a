//! A process that `calldex bench cluster` starts: one instance's storage and its place among several,
//! without the rest of the server. Does what it is told on standard input, and ends with it.

use super::instance_protocol::{
    InstanceClusterConfig, InstanceCommand, InstanceConfig, InstanceReply,
};
use super::load;
use calldex::cluster::{
    Cluster, ClusterSection, ClusterSetup, NodeReadiness, NodeRole, await_identity,
};
use calldex_observability::redaction::Secret;
use calldex_storage::replication::NodeIdentity;
use calldex_storage::{Storage, StorageConfig};
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Callers in memory: few, so that the other tiers are asked too.
const HOT_CALLERS_MAX: usize = 2_000;
/// How long what must come is waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Carries orders out until there are no more.
pub(super) fn run() -> ExitCode {
    let served = crate::runtime().and_then(|runtime| serve(&runtime));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::print_failure(error),
    }
}

fn serve(runtime: &Runtime) -> io::Result<()> {
    let orders = read_commands()?;
    let mut instance: Option<BenchInstance> = None;
    for order in orders {
        let answer = match (order, &instance) {
            (InstanceCommand::Open(opening), _) => match BenchInstance::open(runtime, *opening) {
                Ok(opened) => {
                    instance = Some(opened);
                    InstanceReply::Done
                }
                Err(why) => InstanceReply::Failed { why },
            },
            (order, Some(instance)) => instance.execute(runtime, &order),
            (_, None) => InstanceReply::Failed {
                why: "it is not open".to_owned(),
            },
        };
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

/// Reads orders beside the work: when who gives them is gone, so is this process, whatever it does.
fn read_commands() -> io::Result<Receiver<InstanceCommand>> {
    let (give, given) = sync_channel(1);
    std::thread::Builder::new().spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let order = serde_json::from_str(&line);
            if order.is_err() || order.is_ok_and(|order| give.send(order).is_err()) {
                break;
            }
        }
        std::process::exit(0)
    })?;
    Ok(given)
}

struct BenchInstance {
    storage: Arc<Storage>,
    cluster: Option<Arc<Cluster>>,
    warm: bool,
}

impl BenchInstance {
    fn open(runtime: &Runtime, opening: InstanceConfig) -> Result<Self, String> {
        let config = StorageConfig {
            warm_cache: opening.warm,
            hot_callers_max: HOT_CALLERS_MAX,
            ..StorageConfig::new(&opening.data)
        };
        let Some(place) = &opening.cluster else {
            let storage = Storage::open(config).map_err(|error| error.to_string())?;
            return Ok(Self {
                storage: Arc::new(storage),
                cluster: None,
                warm: opening.warm,
            });
        };
        let section = cluster_section(place);
        if place.join.is_none() {
            NodeIdentity::init_cluster(&opening.data).map_err(|error| error.to_string())?;
        }
        runtime.block_on(async {
            let identity = await_identity(&section, &opening.name, true, &opening.data, |_| ());
            let identity = tokio::time::timeout(WAIT_MAX, identity).await;
            identity
                .map_err(|_| "it was not let in, in time".to_owned())?
                .map_err(|error| error.to_string())
        })?;
        let (storage, replica) =
            Storage::open_replicated(config).map_err(|error| error.to_string())?;
        let storage = Arc::new(storage);
        let setup = ClusterSetup {
            section,
            instance: opening.name.clone(),
            takes_calls: true,
            replica: Arc::new(replica),
            storage: Arc::clone(&storage),
            workers: Default::default(),
        };
        let cluster = runtime.block_on(Cluster::start(setup));
        Ok(Self {
            storage,
            cluster: Some(cluster.map_err(|error| error.to_string())?),
            warm: opening.warm,
        })
    }

    fn execute(&self, runtime: &Runtime, order: &InstanceCommand) -> InstanceReply {
        let storage = &self.storage;
        match order {
            InstanceCommand::Open(_) => InstanceReply::Failed {
                why: "it is open".to_owned(),
            },
            InstanceCommand::Status => self.status(),
            InstanceCommand::WaitApplied { position } => self.wait_applied(runtime, *position),
            InstanceCommand::Populate { callers } => load::populate(storage, *callers).into(),
            InstanceCommand::FlatOut(turns) => load::write_at_max_rate(storage, *turns).into(),
            InstanceCommand::Steady {
                turns,
                rate,
                look_up_of,
            } => load::write_at_rate(storage, runtime, *turns, *rate, *look_up_of),
            InstanceCommand::LookUp { of, ms } => {
                let end = Instant::now() + Duration::from_millis(*ms);
                let is_over = || Instant::now() >= end;
                InstanceReply::LookedUp(load::look_up(storage, runtime, *of, is_over))
            }
            InstanceCommand::Learn(names) => load::write_names(storage, *names),
            InstanceCommand::Watch(names) => {
                load::wait_for_names(storage, runtime, *names, WAIT_MAX)
            }
        }
    }

    fn status(&self) -> InstanceReply {
        let Some(cluster) = &self.cluster else {
            return InstanceReply::Status {
                is_primary: true,
                voters: 1,
                is_ready: true,
            };
        };
        let status = cluster.status();
        let voting = |member: &&calldex::cluster::MemberStatus| member.voter && member.reachable;
        InstanceReply::Status {
            is_primary: status.role == NodeRole::Primary && cluster.is_primary(),
            voters: status.members.iter().filter(voting).count(),
            is_ready: cluster.readiness() == NodeReadiness::Ready,
        }
    }

    fn wait_applied(&self, runtime: &Runtime, position: u64) -> InstanceReply {
        let begun = Instant::now();
        let is_there = match self.cluster {
            Some(_) => runtime.block_on(self.storage.wait_applied(position, WAIT_MAX)),
            None => self.storage.applied() >= position,
        };
        while self.warm && !self.storage.callers.is_warm_cache_ready() && begun.elapsed() < WAIT_MAX
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        if is_there && (!self.warm || self.storage.callers.is_warm_cache_ready()) {
            return InstanceReply::Done;
        }
        InstanceReply::Failed {
            why: format!("it did not come to position {position} in time"),
        }
    }
}

fn cluster_section(place: &InstanceClusterConfig) -> ClusterSection {
    ClusterSection {
        listen: Some(place.listen),
        join: place.join.iter().map(ToString::to_string).collect(),
        secret: Some(Secret::new(place.secret.clone())),
        ..ClusterSection::default()
    }
}
