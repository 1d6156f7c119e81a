//! A process that `calldex bench cluster` starts: one instance's storage and its place among several,
//! without the rest of the server. Does what it is told on standard input, and ends with it.

use super::load;
use super::orders::{Answer, Opening, Order, Place};
use crate::cluster::{Cluster, ClusterSection, ClusterSetup, Role, State, await_identity};
use calldex_observability::redaction::Secret;
use calldex_storage::replication::Identity;
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
const PATIENCE: Duration = Duration::from_secs(30);

/// Carries orders out until there are no more.
pub(super) fn run() -> ExitCode {
    let served = super::super::runtime().and_then(|runtime| serve(&runtime));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::super::failed(error),
    }
}

fn serve(runtime: &Runtime) -> io::Result<()> {
    let orders = listen()?;
    let mut instance: Option<Instance> = None;
    for order in orders {
        let answer = match (order, &instance) {
            (Order::Open(opening), _) => match Instance::open(runtime, *opening) {
                Ok(opened) => {
                    instance = Some(opened);
                    Answer::Done
                }
                Err(why) => Answer::Failed { why },
            },
            (order, Some(instance)) => instance.carry_out(runtime, &order),
            (_, None) => Answer::Failed {
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
fn listen() -> io::Result<Receiver<Order>> {
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

struct Instance {
    storage: Arc<Storage>,
    cluster: Option<Arc<Cluster>>,
    warm: bool,
}

impl Instance {
    fn open(runtime: &Runtime, opening: Opening) -> Result<Self, String> {
        let config = StorageConfig {
            warm: opening.warm,
            hot_callers_max: HOT_CALLERS_MAX,
            ..StorageConfig::new(&opening.data)
        };
        let Some(place) = &opening.place else {
            let storage = Storage::open(config).map_err(|error| error.to_string())?;
            return Ok(Self {
                storage: Arc::new(storage),
                cluster: None,
                warm: opening.warm,
            });
        };
        let section = section(place);
        if place.join.is_none() {
            Identity::found(&opening.data).map_err(|error| error.to_string())?;
        }
        runtime.block_on(async {
            let identity = await_identity(&section, &opening.name, true, &opening.data, |_| ());
            let identity = tokio::time::timeout(PATIENCE, identity).await;
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

    fn carry_out(&self, runtime: &Runtime, order: &Order) -> Answer {
        let storage = &self.storage;
        match order {
            Order::Open(_) => Answer::Failed {
                why: "it is open".to_owned(),
            },
            Order::Stand => self.stand(),
            Order::Reach { position } => self.reach(runtime, *position),
            Order::Populate { callers } => load::populate(storage, *callers).into(),
            Order::FlatOut(turns) => load::flat_out(storage, *turns).into(),
            Order::Steady {
                turns,
                rate,
                look_up_of,
            } => load::steady(storage, runtime, *turns, *rate, *look_up_of),
            Order::LookUp { of, ms } => {
                let end = Instant::now() + Duration::from_millis(*ms);
                let is_over = || Instant::now() >= end;
                Answer::LookedUp(load::look_up(storage, runtime, *of, is_over))
            }
            Order::Learn(names) => load::learn(storage, *names),
            Order::Watch(names) => load::watch(storage, runtime, *names, PATIENCE),
        }
    }

    fn stand(&self) -> Answer {
        let Some(cluster) = &self.cluster else {
            return Answer::Standing {
                is_primary: true,
                voters: 1,
                is_ready: true,
            };
        };
        let standing = cluster.standing();
        let voting = |member: &&crate::cluster::MemberStanding| member.voter && member.reachable;
        Answer::Standing {
            is_primary: standing.role == Role::Primary && cluster.is_primary(),
            voters: standing.members.iter().filter(voting).count(),
            is_ready: cluster.state() == State::Ready,
        }
    }

    fn reach(&self, runtime: &Runtime, position: u64) -> Answer {
        let begun = Instant::now();
        let is_there = match self.cluster {
            Some(_) => runtime.block_on(self.storage.wait_applied(position, PATIENCE)),
            None => self.storage.applied() >= position,
        };
        while self.warm && !self.storage.directory.is_warm() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        if is_there && (!self.warm || self.storage.directory.is_warm()) {
            return Answer::Done;
        }
        Answer::Failed {
            why: format!("it did not come to position {position} in time"),
        }
    }
}

fn section(place: &Place) -> ClusterSection {
    ClusterSection {
        listen: Some(place.listen),
        join: place.join.iter().map(ToString::to_string).collect(),
        secret: Some(Secret::new(place.secret.clone())),
        ..ClusterSection::default()
    }
}
