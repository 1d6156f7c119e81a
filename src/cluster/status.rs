//! The status of the cluster, as this instance knows it.

use super::node_context::{NodeContext, member_list_of};
use super::quorum::{committed, has_quorum};
use super::readiness::node_readiness;
use super::wire::BuildInfo;
use calldex_storage::replication::NodeId;
use calldex_storage::{FormatVersionRange, Position};
use openraft::ServerState;
use serde::{Deserialize, Serialize};

/// The role of an instance in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// It takes the writes of all.
    Primary,
    /// It follows, and votes.
    Replica,
    /// It follows, and does not vote.
    Learner,
    /// It asks for votes to become primary.
    Candidate,
    /// Its engine does not run.
    None,
}

impl NodeRole {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Learner => "learner",
            Self::Candidate => "candidate",
            Self::None => "none",
        }
    }
}

/// A member as the answering instance sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its id.
    pub node_id: NodeId,
    /// Its cluster listener.
    pub address: String,
    /// Its name.
    pub instance: String,
    /// Whether it votes.
    pub voter: bool,
    /// Whether it takes calls.
    pub takes_calls: bool,
    /// What it had applied when it last answered; the log index.
    pub position: Position,
    /// Entries that it lacked then of those that the answering instance knew to be committed.
    pub lag: u64,
    /// Whether it answers.
    pub reachable: bool,
    /// The version that it last said it runs; empty where it has not told.
    #[serde(default)]
    pub version: String,
    /// The format versions that it reads, as it last said.
    #[serde(default)]
    #[serde(rename = "reads")]
    pub supported_formats: FormatVersionRange,
    /// The entry at which its database was seen not to be the answering instance's, if it is not.
    #[serde(default)]
    pub differs_at: Option<Position>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster_id: String,
    /// This instance.
    pub node_id: NodeId,
    /// Its role.
    pub role: NodeRole,
    /// The term of the last election that it knows of.
    pub term: u64,
    /// The primary, if it knows one.
    pub primary: Option<NodeId>,
    /// All members.
    pub members: Vec<MemberStatus>,
    /// The last entry that it knows to be committed (TXID).
    pub position: Position,
    /// The last entry that it has applied.
    pub applied: Position,
    /// The format version in use in its database.
    #[serde(default)]
    #[serde(rename = "level")]
    pub format_version: u32,
    /// Whether it knows a primary that a majority follows.
    pub has_quorum: bool,
    /// What is wrong with it, if something is.
    #[serde(rename = "trouble")]
    pub problem: Option<String>,
}

impl ClusterStatus {
    /// The primary, if it is in the list.
    pub fn primary_member(&self) -> Option<&MemberStatus> {
        let primary = self.primary?;
        self.members.iter().find(|member| member.node_id == primary)
    }
}

/// The status now.
pub(super) fn cluster_status(context: &NodeContext) -> ClusterStatus {
    let metrics = context.metrics();
    let applied = context.applied();
    let committed = committed(context);
    let member_list = metrics.as_ref().map(member_list_of).unwrap_or_default();
    let differing = context.peer_health.differing();
    let members = member_list.members.into_iter().map(|listed| {
        let is_own = listed.node_id == context.node_id;
        let seen = context.peer_health.get(listed.node_id);
        let reachable = is_own || seen.as_ref().is_some_and(|seen| seen.is_reachable());
        let pong = seen.and_then(|seen| seen.pong);
        let (position, build) = match pong {
            Some(pong) => (pong.position, pong.build),
            None if is_own => (applied, BuildInfo::of_this_binary()),
            None => (0, BuildInfo::default()),
        };
        MemberStatus {
            node_id: listed.node_id,
            address: listed.member.address,
            instance: listed.member.instance,
            voter: listed.voter,
            takes_calls: listed.member.takes_calls,
            position,
            lag: committed.saturating_sub(position),
            reachable,
            version: build.version,
            supported_formats: build.supported_formats,
            differs_at: differing.get(&listed.node_id).copied(),
        }
    });
    ClusterStatus {
        cluster_id: context.cluster_id.clone(),
        node_id: context.node_id,
        role: node_role(context),
        term: metrics.as_ref().map_or(0, |metrics| metrics.current_term),
        primary: metrics.as_ref().and_then(|metrics| metrics.current_leader),
        members: members.collect(),
        position: committed,
        applied,
        format_version: context.storage.format_version(),
        has_quorum: has_quorum(context),
        problem: node_readiness(context).problem(),
    }
}

/// The role of this instance.
pub(super) fn node_role(context: &NodeContext) -> NodeRole {
    match context.metrics().map(|metrics| metrics.state) {
        Some(ServerState::Leader) => NodeRole::Primary,
        Some(ServerState::Follower) => NodeRole::Replica,
        Some(ServerState::Learner) => NodeRole::Learner,
        Some(ServerState::Candidate) => NodeRole::Candidate,
        Some(ServerState::Shutdown) | None => NodeRole::None,
    }
}
