//! Where this instance is one of several: its place among them, and what the call room and the
//! watchdog are told of them.

use super::{StartError, blocking, public_base};
use crate::call::others::{CaughtUp, Others};
use crate::cluster::watchdog::{Fellow, ReferenceMaker, Rest, RestConfig, Roll, Rolls, Watchdog};
use crate::cluster::{self, BEAT, Cluster, ClusterSetup, State, Watched, await_identity, slot_of};
use crate::config::Config;
use crate::twilio::reference::{Reference, ReferenceKey};
use calldex_observability::health::{Health, Part};
use calldex_observability::vital;
use calldex_observability::worker::{Progress, Round, Workers};
use calldex_storage::record::LiveCall;
use calldex_storage::{Storage, StorageConfig};
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How often health looks at the cluster.
const STEP: Duration = Duration::from_millis(250);
/// How often it is looked whether calls can be taken.
const READY_STEP: Duration = Duration::from_millis(25);
/// A primary is waited for so long at a start: some elections.
const PRIMARY_WAIT: Duration = Duration::from_secs(5);

/// Takes this instance's place: waits for its identity, opens the database as a copy of the
/// cluster's, and opens the door for the others.
pub(super) async fn join(
    config: &Config,
    settings: StorageConfig,
    health: &Health,
    workers: &Workers,
) -> Result<(Arc<Storage>, Arc<Cluster>), StartError> {
    let (section, instance) = (&config.cluster, config.server.instance_name());
    let part = health.part("cluster");
    let (calls, data) = (config.server.calls, &config.server.data);
    await_identity(section, &instance, calls, data, |why| part.failed(why)).await?;
    let (storage, replica) = blocking(move || Storage::open_replicated(settings)).await?;
    let (storage, replica) = (Arc::new(storage), Arc::new(replica));
    let setup = ClusterSetup {
        section: section.clone(),
        instance,
        takes_calls: calls,
        replica,
        storage: Arc::clone(&storage),
        workers: workers.clone(),
    };
    let place = Cluster::start(setup).await?;
    let worker = workers.register("cluster health", "its period", STEP);
    let of = Arc::clone(&place);
    let report = worker.run(move || std::future::ready(report(&of, &part)));
    tokio::spawn(vital::task("cluster health", report));
    let beat = beat(Arc::clone(&place));
    tokio::spawn(vital::task("heartbeat", beat));
    Ok((storage, place))
}

/// Tells health how the place is.
fn report(place: &Cluster, part: &Part) -> Round {
    match place.state() {
        State::Ready => part.ok(),
        State::Degraded(why) => part.degraded(&why),
        State::Failed(why) => part.failed(&why),
    }
    Ok(Progress::Done)
}

/// Tells the place, which has a runtime of its own, that this one moves.
async fn beat(place: Arc<Cluster>) {
    loop {
        place.beat();
        sleep(BEAT).await;
    }
}

/// Waits until this instance can take calls: it has a copy of the database and there is a primary, or
/// there has been none for [`PRIMARY_WAIT`]: calls are taken all the same, their writes wait.
pub(super) async fn ready(place: &Cluster) {
    let mut alone_since = None;
    loop {
        alone_since = match place.state() {
            State::Ready => return,
            State::Degraded(_) => alone_since.or(Some(Instant::now())),
            State::Failed(_) => None,
        };
        if alone_since.is_some_and(|since| since.elapsed() >= PRIMARY_WAIT) {
            return;
        }
        sleep(READY_STEP).await;
    }
}

/// The others, as the call room knows them.
pub(super) fn others(place: &Arc<Cluster>) -> Arc<dyn Others> {
    Arc::new(Neighbours(Arc::clone(place)))
}

/// Watches over the calls of instances that are gone.
///
/// # Errors
/// [`StartError::Rest`] if there is no client for Twilio's REST API.
pub(super) fn watchdog(
    config: &Config,
    storage: &Arc<Storage>,
    place: &Arc<Cluster>,
    keys: &[ReferenceKey],
) -> Result<JoinHandle<()>, StartError> {
    let rest = rest(config, place, keys)?;
    let watchdog = Watchdog::new(
        Arc::clone(storage),
        Arc::new(Neighbours(Arc::clone(place))),
        rest,
        config.call.watchdog_ms,
        config.call.resume_s_max,
    );
    Ok(tokio::spawn(vital::task("watchdog", watchdog.run())))
}

/// The account at Twilio, where it and our own address are known.
fn rest(
    config: &Config,
    place: &Cluster,
    keys: &[ReferenceKey],
) -> Result<Option<Rest>, StartError> {
    let twilio = &config.twilio;
    let (Some(account_sid), Some(auth_token), Some(public_base)) = (
        &twilio.account_sid,
        twilio.tokens().next(),
        public_base(config),
    ) else {
        return Ok(None);
    };
    let settings = RestConfig {
        api_base: twilio.api_base.clone(),
        account_sid: account_sid.clone(),
        auth_token: auth_token.clone(),
        public_base,
    };
    let (epoch, keys, lives_s) = (place.log(), keys.to_vec(), twilio.reference_s_max);
    let reference: ReferenceMaker = Box::new(move |call_sid, position| {
        let reference = Reference {
            call_sid: call_sid.to_owned(),
            position,
            epoch,
            expires_at: crate::call::clock::unix_seconds() + lives_s,
        };
        keys.first()
            .map(|key| reference.seal(key))
            .unwrap_or_default()
    });
    Ok(Some(Rest::new(settings, reference)?))
}

/// The cluster, seen from the rooms that ask of it.
struct Neighbours(Arc<Cluster>);

impl Others for Neighbours {
    fn slot(&self) -> u16 {
        self.0.slot()
    }

    fn log(&self) -> u64 {
        self.0.log()
    }

    fn catch_up(&self, deadline: Duration) -> BoxFuture<'_, CaughtUp> {
        let caught_up = self.0.caught_up(deadline);
        let told = caught_up.map(|caught_up| match caught_up {
            cluster::CaughtUp::Fully => CaughtUp::Fully,
            cluster::CaughtUp::Behind => CaughtUp::Behind,
            cluster::CaughtUp::NoPrimary => CaughtUp::NoPrimary,
        });
        told.boxed()
    }

    fn live_call<'a>(
        &'a self,
        call_sid: &'a str,
        deadline: Duration,
    ) -> BoxFuture<'a, Option<LiveCall>> {
        self.0.live_call(call_sid, deadline).boxed()
    }
}

impl Rolls for Neighbours {
    fn roll(&self) -> Option<Roll> {
        let fellow = |member: Watched| {
            let gone_ms = member.gone_since.map(|since| since.elapsed().as_millis());
            Fellow {
                instance: member.instance.into(),
                slot: slot_of(member.node_id),
                gone_ms: gone_ms.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            }
        };
        let members = self.0.watched()?;
        Some(Roll(members.into_iter().map(fellow).collect()))
    }
}
