//! In cluster mode: starts the cluster, and connects it with what the call module and the
//! watchdog are told of them.

use super::{StartError, blocking, public_base};
use crate::call::peers::{CatchUpStatus, Peers};
use crate::cluster::watchdog::{
    CallTokenMaker, Peer, PeerList, PeerSource, TwilioRestClient, TwilioRestConfig, Watchdog,
};
use crate::cluster::{
    self, CALL_RUNTIME_TICK, Cluster, ClusterSetup, MemberLiveness, NodeReadiness, await_identity,
    slot_of,
};
use crate::config::Config;
use crate::twilio::call_token::{CallToken, CallTokenKey};
use calldex_observability::health::{HealthComponent, HealthRegistry};
use calldex_observability::vital;
use calldex_observability::worker::{RoundResult, WorkerProgress, WorkerRegistry};
use calldex_storage::record::CallWithTurns;
use calldex_storage::{Storage, StorageConfig};
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How often health looks at the cluster.
const HEALTH_PERIOD: Duration = Duration::from_millis(250);
/// How often it is looked whether calls can be taken.
const READY_POLL: Duration = Duration::from_millis(25);
/// A primary is waited for so long at a start: some elections.
const PRIMARY_WAIT: Duration = Duration::from_secs(5);

/// Takes this instance's place: waits for its identity, opens the database as a copy of the
/// cluster's, and opens the cluster listener.
pub(super) async fn join(
    config: &Config,
    settings: StorageConfig,
    health: &HealthRegistry,
    workers: &WorkerRegistry,
) -> Result<(Arc<Storage>, Arc<Cluster>), StartError> {
    let (section, instance) = (&config.cluster, config.server.instance_name());
    let part = health.register("cluster");
    let (calls, data) = (config.server.calls, &config.server.data);
    await_identity(section, &instance, calls, data, |why| part.set_failed(why)).await?;
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
    let cluster = Cluster::start(setup).await?;
    let worker = workers.register("cluster health", "its period", HEALTH_PERIOD);
    let of = Arc::clone(&cluster);
    let report = worker.run(move || std::future::ready(report_health(&of, &part)));
    tokio::spawn(vital::task("cluster health", report));
    let beat = tick_call_runtime(Arc::clone(&cluster));
    tokio::spawn(vital::task("heartbeat", beat));
    Ok((storage, cluster))
}

/// Tells health how the place is.
fn report_health(cluster: &Cluster, part: &HealthComponent) -> RoundResult {
    match cluster.readiness() {
        NodeReadiness::Ready => part.set_ok(),
        NodeReadiness::Degraded(why) => part.set_degraded(&why),
        NodeReadiness::Failed(why) => part.set_failed(&why),
    }
    Ok(WorkerProgress::Done)
}

/// Tells the place, which has a runtime of its own, that this one moves.
async fn tick_call_runtime(cluster: Arc<Cluster>) {
    loop {
        cluster.call_runtime_alive();
        sleep(CALL_RUNTIME_TICK).await;
    }
}

/// Waits until this instance can take calls: it has a copy of the database and there is a primary, or
/// there has been none for [`PRIMARY_WAIT`]: calls are taken all the same, their writes wait.
pub(super) async fn wait_ready(cluster: &Cluster) {
    let mut alone_since = None;
    loop {
        alone_since = match cluster.readiness() {
            NodeReadiness::Ready => return,
            NodeReadiness::Degraded(_) => alone_since.or(Some(Instant::now())),
            NodeReadiness::Failed(_) => None,
        };
        if alone_since.is_some_and(|since| since.elapsed() >= PRIMARY_WAIT) {
            return;
        }
        sleep(READY_POLL).await;
    }
}

/// The other instances, as the call module knows them.
pub(super) fn peers(cluster: &Arc<Cluster>) -> Arc<dyn Peers> {
    Arc::new(ClusterAdapter(Arc::clone(cluster)))
}

/// Watches over the calls of instances that are gone.
///
/// # Errors
/// [`StartError::TwilioRestClient`] if there is no client for Twilio's REST API.
pub(super) fn watchdog(
    config: &Config,
    storage: &Arc<Storage>,
    cluster: &Arc<Cluster>,
    keys: &[CallTokenKey],
) -> Result<JoinHandle<()>, StartError> {
    let rest = twilio_rest_client(config, cluster, keys)?;
    let watchdog = Watchdog::new(
        Arc::clone(storage),
        Arc::new(ClusterAdapter(Arc::clone(cluster))),
        rest,
        config.call.watchdog_ms,
        config.call.resume_s_max,
    );
    Ok(tokio::spawn(vital::task("watchdog", watchdog.run())))
}

/// The account at Twilio, where it and our own address are known.
fn twilio_rest_client(
    config: &Config,
    cluster: &Cluster,
    keys: &[CallTokenKey],
) -> Result<Option<TwilioRestClient>, StartError> {
    let twilio = &config.twilio;
    let (Some(account_sid), Some(auth_token), Some(public_base)) = (
        &twilio.account_sid,
        twilio.tokens().next(),
        public_base(config),
    ) else {
        return Ok(None);
    };
    let settings = TwilioRestConfig {
        api_base: twilio.api_base.clone(),
        account_sid: account_sid.clone(),
        auth_token: auth_token.clone(),
        public_base,
    };
    let (epoch, keys, lives_s) = (cluster.log_id(), keys.to_vec(), twilio.call_token_s_max);
    let reference: CallTokenMaker = Box::new(move |call_sid, position| {
        let reference = CallToken {
            call_sid: call_sid.to_owned(),
            position,
            epoch,
            expires_at: crate::call::clock::unix_seconds() + lives_s,
        };
        keys.first()
            .map(|key| reference.sign(key))
            .unwrap_or_default()
    });
    Ok(Some(TwilioRestClient::new(settings, reference)?))
}

/// The cluster, as other modules use it.
struct ClusterAdapter(Arc<Cluster>);

impl Peers for ClusterAdapter {
    fn slot(&self) -> u16 {
        self.0.slot()
    }

    fn log_id(&self) -> u64 {
        self.0.log_id()
    }

    fn catch_up(&self, deadline: Duration) -> BoxFuture<'_, CatchUpStatus> {
        let caught_up = self.0.catch_up_result(deadline);
        let told = caught_up.map(|caught_up| match caught_up {
            cluster::CatchUpResult::Fully => CatchUpStatus::UpToDate,
            cluster::CatchUpResult::Behind => CatchUpStatus::Behind,
            cluster::CatchUpResult::NoPrimary => CatchUpStatus::NoPrimary,
        });
        told.boxed()
    }

    fn live_call<'a>(
        &'a self,
        call_sid: &'a str,
        deadline: Duration,
    ) -> BoxFuture<'a, Option<CallWithTurns>> {
        self.0.live_call(call_sid, deadline).boxed()
    }
}

impl PeerSource for ClusterAdapter {
    fn peers(&self) -> Option<PeerList> {
        let peer = |member: MemberLiveness| {
            let gone_ms = member.gone_since.map(|since| since.elapsed().as_millis());
            Peer {
                instance: member.instance.into(),
                slot: slot_of(member.node_id),
                gone_ms: gone_ms.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            }
        };
        let members = self.0.member_liveness()?;
        Some(PeerList(members.into_iter().map(peer).collect()))
    }
}
