//! The state that all parts of the cluster module share: the identity of this instance, the engine while
//! it runs, and the primary as far as this instance knows it.

use super::client::{ClusterClient, RpcTarget};
use super::commit_queue::GroupCommitQueue;
use super::peer_health::PeerHealthTable;
use super::snapshot_backoff::SnapshotBackoffs;
use super::wire::{ListedMember, MemberList, PrimaryHint, StartupCheckRequest};
use crate::config::ClusterSection;
use calldex_storage::replication::{Member, NodeId, Replica, StartupCheck, TypeConfig};
use calldex_storage::{FormatVersionRange, Position, Storage};
use openraft::{LogId, Membership, RaftMetrics, ServerState};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

pub(super) type Raft = openraft::Raft<TypeConfig>;
pub(super) type Metrics = RaftMetrics<NodeId, Member>;

/// Most addresses that are remembered of instances which connected and are in no list of members.
const UNLISTED_ADDRESSES_MAX: usize = 32;

/// The phase of this instance's engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EnginePhase {
    /// It asks the other members whether its data is what it acknowledged before.
    StartupCheck(String),
    /// It runs.
    Running,
    /// Its disk fails; it is tried again.
    Down(String),
    /// Its data is not what it was: it must not take part.
    Refused(String),
    /// It is no member any more.
    Removed,
    /// It was stopped.
    Stopped,
}

impl EnginePhase {
    /// Whether no engine will ever run again in this process.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Removed | Self::Stopped)
    }
}

/// See the module.
pub(super) struct NodeContext {
    pub(super) section: ClusterSection,
    pub(super) cluster_id: String,
    pub(super) node_id: NodeId,
    /// This instance as the others are to know it.
    pub(super) member: Member,
    pub(super) replica: Arc<Replica>,
    pub(super) storage: Arc<Storage>,
    pub(super) client: ClusterClient,
    /// The queue of writes for this primary's log.
    pub(super) group_commit: GroupCommitQueue,
    /// Which members answer, and what they last said.
    pub(super) peer_health: PeerHealthTable,
    /// When the whole database is next offered to a member that could not take it.
    pub(super) snapshot_backoffs: Arc<SnapshotBackoffs>,
    /// One change of the members at a time.
    pub(super) membership_lock: tokio::sync::Mutex<()>,
    engine: watch::Sender<Option<Raft>>,
    phase: watch::Sender<EnginePhase>,
    unlisted_addresses: Mutex<BTreeSet<String>>,
    began: Instant,
    /// When the engine last showed how it is, in milliseconds since `began`.
    engine_seen_ms: AtomicU64,
    /// When the runtime of the calls last moved, in milliseconds since `began`; 0 before it first did.
    call_runtime_seen_ms: AtomicU64,
}

impl NodeContext {
    pub(super) fn new(
        section: ClusterSection,
        member: Member,
        replica: Arc<Replica>,
        storage: Arc<Storage>,
        client: ClusterClient,
        group_commit: GroupCommitQueue,
    ) -> Self {
        let identity = replica.identity();
        Self {
            cluster_id: identity.cluster_id().to_owned(),
            node_id: identity.node_id(),
            section,
            member,
            replica,
            storage,
            client,
            group_commit,
            peer_health: PeerHealthTable::default(),
            snapshot_backoffs: Arc::default(),
            membership_lock: tokio::sync::Mutex::new(()),
            engine: watch::channel(None).0,
            phase: watch::channel(EnginePhase::StartupCheck("starting".to_owned())).0,
            unlisted_addresses: Mutex::default(),
            began: Instant::now(),
            engine_seen_ms: AtomicU64::new(0),
            call_runtime_seen_ms: AtomicU64::new(0),
        }
    }

    /// The engine, while it runs.
    pub(super) fn raft(&self) -> Option<Raft> {
        self.engine.borrow().clone()
    }

    /// Puts an engine in, or takes it out.
    pub(super) fn set_engine(&self, raft: Option<Raft>) {
        self.engine.send_replace(raft);
    }

    pub(super) fn phase(&self) -> EnginePhase {
        self.phase.borrow().clone()
    }

    /// Tells whenever the phase changes.
    pub(super) fn subscribe_phase(&self) -> watch::Receiver<EnginePhase> {
        self.phase.subscribe()
    }

    /// Enters `phase`, unless the last one was final.
    pub(super) fn set_phase(&self, phase: EnginePhase) {
        self.phase.send_if_modified(|now| {
            let changes = !now.is_final() && *now != phase;
            if changes {
                *now = phase;
            }
            changes
        });
    }

    /// Notes that the engine has shown how it is.
    pub(super) fn note_engine_seen(&self) {
        self.engine_seen_ms
            .store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// Notes that the runtime of the calls moves.
    pub(super) fn note_call_runtime_alive(&self) {
        self.call_runtime_seen_ms
            .store(self.elapsed_ms().max(1), Ordering::Relaxed);
    }

    /// For how long the runtime of the calls has not moved; 0 before it first did.
    pub(super) fn call_runtime_stalled_ms(&self) -> u64 {
        match self.call_runtime_seen_ms.load(Ordering::Relaxed) {
            0 => 0,
            beat_ms => self.elapsed_ms().saturating_sub(beat_ms),
        }
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How the engine is, while it runs.
    pub(super) fn metrics(&self) -> Option<Metrics> {
        let raft = self.raft()?;
        let metrics = raft.metrics().borrow().clone();
        Some(metrics)
    }

    /// The engine if this instance is primary and a majority has said so within the longest election
    /// timeout. Another may be elected at any moment: safety never rests on this, only the engine's
    /// own entries are safe.
    pub(super) fn raft_if_primary(&self) -> Option<Raft> {
        let raft = self.raft()?;
        let lease = self.section.election_ms_max;
        let silent_ms = self
            .elapsed_ms()
            .saturating_sub(self.engine_seen_ms.load(Ordering::Relaxed));
        let metrics = raft.metrics();
        let leads = {
            let metrics = metrics.borrow();
            metrics.state == ServerState::Leader
                && metrics
                    .millis_since_quorum_ack
                    .is_some_and(|ms| ms + silent_ms <= lease)
        };
        leads.then_some(raft)
    }

    /// Where the primary is, as far as this instance knows; nothing where it would be this instance,
    /// which then cannot be sure.
    pub(super) fn primary_hint(&self) -> Option<PrimaryHint> {
        let metrics = self.metrics()?;
        let node_id = metrics.current_leader?;
        let membership = metrics.membership_config.membership();
        let member = membership.get_node(&node_id)?;
        (node_id != self.node_id).then(|| PrimaryHint {
            node_id,
            address: member.address.clone(),
        })
    }

    /// Returns when the engine knows of a primary that is another than `node_id`.
    pub(super) async fn wait_other_primary(&self, node_id: Option<NodeId>) {
        if let Some(raft) = self.raft() {
            let mut metrics = raft.metrics();
            let is_other = metrics.wait_for(|metrics| {
                metrics.current_leader.is_some() && metrics.current_leader != node_id
            });
            if is_other.await.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }

    /// The primary's address, unless that is this instance.
    pub(super) fn primary_target(&self) -> Option<RpcTarget> {
        let found = self.primary_hint()?;
        Some(RpcTarget::node(found.node_id, found.address))
    }

    /// The members as this instance knows them.
    pub(super) fn member_list(&self) -> MemberList {
        self.metrics()
            .map(|metrics| member_list_of(&metrics))
            .unwrap_or_default()
    }

    /// Applied to this instance's database.
    pub(super) fn applied(&self) -> Position {
        self.storage.applied()
    }

    /// Remembers `address` of an instance that connected, up to [`UNLISTED_ADDRESSES_MAX`].
    pub(super) fn note_unlisted_address(&self, address: &str) {
        let mut callers = self
            .unlisted_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if callers.len() < UNLISTED_ADDRESSES_MAX && crate::config::is_address(address) {
            callers.insert(address.to_owned());
        }
    }

    /// Addresses of other instances that are known without the list of members.
    pub(super) fn addresses_outside_list(&self) -> BTreeSet<String> {
        let callers = self
            .unlisted_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut addresses: BTreeSet<String> = callers.clone();
        addresses.extend(self.section.peer_addresses());
        addresses.remove(&self.member.address);
        addresses
    }

    /// What this instance tells at its start.
    pub(super) fn startup_check_request(&self, last_log_index: Option<u64>) -> StartupCheckRequest {
        let identity = self.replica.identity();
        StartupCheckRequest {
            member: self.member.clone(),
            supported_formats: FormatVersionRange::SUPPORTED,
            check: StartupCheck {
                node_id: self.node_id,
                starts: identity.starts(),
                nonce: identity.nonce(),
                earlier_nonces: identity.earlier_nonces().to_vec(),
                last_log_index,
            },
        }
    }
}

/// The members as the engine knows them.
pub(super) fn member_list_of(metrics: &Metrics) -> MemberList {
    let stored = &metrics.membership_config;
    member_list_at(stored.log_id(), stored.membership())
}

/// The members that the entry at `log_id` made so.
pub(super) fn member_list_at(
    log_id: &Option<LogId<NodeId>>,
    membership: &Membership<NodeId, Member>,
) -> MemberList {
    let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
    let members = membership.nodes();
    MemberList {
        index: log_id.map(|log_id| log_id.index),
        members: members
            .map(|(node_id, member)| ListedMember {
                node_id: *node_id,
                member: member.clone(),
                voter: voters.contains(node_id),
            })
            .collect(),
    }
}
