//! The messages between instances: MessagePack with named fields. A field that a version does not know is
//! ignored, and one that is missing has its default, so that two versions understand each other. Every
//! message has a bound in bytes.

use calldex_storage::record::{CallWithTurns, StateDigest};
use calldex_storage::replication::{Member, NodeId, StartupCheck};
use calldex_storage::{FormatVersionRange, Position};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The cluster that the sender belongs to; absent where it does not belong to one yet.
pub(super) const CLUSTER_HEADER: &str = "calldex-cluster";
/// The sender's node id.
pub(super) const FROM_HEADER: &str = "calldex-from";
/// The node that the sender means. An address may belong to another node than before.
pub(super) const TO_HEADER: &str = "calldex-to";
/// The address of the sender's own cluster listener.
pub(super) const ADDRESS_HEADER: &str = "calldex-address";

/// Raft's entries in one message. The sender stays below [`APPEND_BYTES_TARGET`] unless one entry alone is
/// longer; beyond this a message is refused.
pub(super) const APPEND_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of entries after which no further one is put into the same message.
pub(super) const APPEND_BYTES_TARGET: usize = 4 * 1024 * 1024;
/// One forwarded batch of writes. Storage keeps to 1 MiB unless one write alone is longer.
pub(super) const WRITES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Any other request, and any response but that of [`Endpoint::LiveCall`].
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// A response that holds a whole conversation.
pub(super) const CALL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The bytes are not the expected message.
#[derive(Debug, thiserror::Error)]
#[error("not understood")]
pub(super) struct MalformedMessage;

/// Encodes `message`.
pub(super) fn pack<M: Serialize>(message: &M) -> Vec<u8> {
    rmp_serde::to_vec_named(message).expect("messages hold nothing that MessagePack cannot say")
}

/// Decodes a message.
///
/// # Errors
/// [`MalformedMessage`]: `bytes` are not a message of this type.
pub(super) fn unpack<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, MalformedMessage> {
    rmp_serde::from_slice(bytes).map_err(|_| MalformedMessage)
}

/// The requests that the cluster listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Raft: entries, or a heartbeat.
    Append,
    /// Raft: a candidate asks for a vote.
    Vote,
    /// Raft: the whole database.
    Snapshot,
    /// Writes for the primary.
    Writes,
    /// An instance has started and asks whether its data is what it acknowledged before.
    StartupCheck,
    /// An instance with an empty data directory asks to become a member.
    Join,
    /// An operator removes a member.
    Remove,
    /// The status of the cluster.
    Status,
    /// The log index that the primary has committed.
    Position,
    /// A live call as the primary knows it.
    LiveCall,
    /// Health check of a member.
    Ping,
    /// An operator brings into use the highest format version that all members read.
    FinalizeUpgrade,
    /// Raft: asks whether the whole database may be sent.
    SnapshotOffer,
}

impl Endpoint {
    /// All of them.
    pub(super) const ALL: [Self; 13] = [
        Self::Append,
        Self::Vote,
        Self::Snapshot,
        Self::Writes,
        Self::StartupCheck,
        Self::Join,
        Self::Remove,
        Self::Status,
        Self::Position,
        Self::LiveCall,
        Self::Ping,
        Self::FinalizeUpgrade,
        Self::SnapshotOffer,
    ];

    /// Its path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Append => "v1/append",
            Self::Vote => "v1/vote",
            Self::Snapshot => "v1/snapshot",
            Self::Writes => "v1/writes",
            Self::StartupCheck => "v1/hello",
            Self::Join => "v1/join",
            Self::Remove => "v1/remove",
            Self::Status => "v1/standing",
            Self::Position => "v1/position",
            Self::LiveCall => "v1/call",
            Self::Ping => "v1/ping",
            Self::FinalizeUpgrade => "v1/finish-upgrade",
            Self::SnapshotOffer => "v1/snapshot-offer",
        }
    }

    /// Most bytes of a request.
    pub(super) fn request_bytes_max(self) -> usize {
        match self {
            Self::Append => APPEND_BYTES_MAX,
            Self::Writes => WRITES_BYTES_MAX,
            _ => MESSAGE_BYTES_MAX,
        }
    }

    /// Most bytes of a response.
    pub(super) fn response_bytes_max(self) -> usize {
        match self {
            Self::LiveCall => CALL_BYTES_MAX,
            _ => MESSAGE_BYTES_MAX,
        }
    }

    /// Whether an instance that belongs to no cluster, or an operator, may send it.
    pub(super) fn allows_non_members(self) -> bool {
        matches!(
            self,
            Self::Join | Self::Remove | Self::Status | Self::FinalizeUpgrade
        )
    }

    /// Whether it may be large. Such a request does not go over the connection of the heartbeats.
    pub(super) fn is_bulk(self) -> bool {
        matches!(self, Self::Snapshot | Self::Writes | Self::LiveCall)
    }
}

/// A member in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListedMember {
    pub(super) node_id: NodeId,
    pub(super) member: Member,
    pub(super) voter: bool,
}

/// The members as of one entry of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MemberList {
    /// Index of the entry that made it so; none before the first.
    pub(super) index: Option<u64>,
    pub(super) members: Vec<ListedMember>,
}

impl MemberList {
    /// The voters.
    pub(super) fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.members
            .iter()
            .filter(|listed| listed.voter)
            .map(|listed| listed.node_id)
    }

    /// The member with this id.
    pub(super) fn get(&self, node_id: NodeId) -> Option<&ListedMember> {
        self.members.iter().find(|listed| listed.node_id == node_id)
    }
}

/// Sent to every member at the start, before the engine runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StartupCheckRequest {
    pub(super) check: StartupCheck,
    pub(super) member: Member,
    /// The format versions that it reads.
    #[serde(default)]
    #[serde(rename = "reads")]
    pub(super) supported_formats: FormatVersionRange,
}

/// The response to [`StartupCheckRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum StartupCheckResponse {
    /// The sender may take part. Holds the id of the answering member and the members that it knows.
    #[serde(rename = "Welcome")]
    Accepted {
        node_id: NodeId,
        member_list: MemberList,
    },
    /// The answering member cannot check now, for example because its disk fails: ask again.
    #[serde(rename = "NotNow")]
    Unavailable,
    /// The sender must not take part.
    Refused { why: String },
    /// The sender is not a member any more.
    Removed,
}

/// Writes for the primary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ForwardedWrites {
    pub(super) batch: bytes::Bytes,
}

/// The primary, as far as the answering instance knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PrimaryHint {
    pub(super) node_id: NodeId,
    pub(super) address: String,
}

/// The result of forwarded writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ForwardResult {
    /// Stored by a majority, and applied on the primary.
    #[serde(rename = "At")]
    Committed(Position),
    /// The answering instance is not the primary.
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// There is no majority, or the queue is full: send them again later.
    Busy,
    /// Not known within the time limit: they may still be committed.
    TimedOut,
    /// They are refused for good.
    Refused,
}

/// An instance with an empty data directory asks to become a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct JoinRequest {
    /// A random id that the joining instance has chosen.
    pub(super) node_id: NodeId,
    pub(super) member: Member,
    pub(super) voter: bool,
    /// The format versions that it reads.
    #[serde(default)]
    #[serde(rename = "reads")]
    pub(super) supported_formats: FormatVersionRange,
}

/// The response to [`JoinRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum JoinResponse {
    /// It is a member of that cluster now.
    Joined { cluster_id: String },
    /// The answering instance is not the primary.
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// Not yet: ask again.
    Wait { why: String },
    /// The id, or the slot in it, belongs to another member: choose another id.
    #[serde(rename = "ChooseAnother")]
    IdConflict,
    /// It cannot become a member.
    Refused { why: String },
}

/// The removal of a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RemovalRequest {
    /// Node id, instance name or address.
    pub(super) who: String,
    /// Removes it even if no majority of the remaining voters can be reached.
    pub(super) force: bool,
}

/// The response to [`RemovalRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RemovalResponse {
    /// It is removed.
    #[serde(rename = "Gone")]
    Removed { node_id: NodeId, instance: String },
    /// The answering instance is not the primary.
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// Not yet: ask again.
    Wait { why: String },
    /// It is not removed.
    Refused { why: String },
}

/// The response to [`Endpoint::FinalizeUpgrade`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FinalizeUpgradeResponse {
    /// That format version is in use now.
    #[serde(rename = "At")]
    Finalized { format_version: u32 },
    /// The format version in use is the highest that all members read.
    #[serde(rename = "Already")]
    AlreadyFinalized { format_version: u32 },
    /// The answering instance is not the primary.
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// Not yet: ask again.
    Wait { why: String },
    /// It cannot be finalized until an operator has acted.
    Refused { why: String },
}

/// The whole database is about to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SnapshotOffer {
    /// Its approximate size in bytes.
    pub(super) bytes: u64,
    /// The format version in use in it.
    #[serde(rename = "level")]
    pub(super) format_version: u32,
}

/// The response to [`SnapshotOffer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SnapshotOfferResponse {
    /// Send it.
    #[serde(rename = "GoOn")]
    Accepted,
    /// It cannot be installed now. Offer it again after `after_ms` milliseconds at the earliest.
    #[serde(rename = "Later")]
    RetryLater { why: String, after_ms: u64 },
}

/// The build that an instance runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BuildInfo {
    /// Its version, as `calldex --version` says; empty where it is not known.
    pub(super) version: String,
    /// The format versions that it reads.
    #[serde(rename = "reads")]
    pub(super) supported_formats: FormatVersionRange,
}

impl BuildInfo {
    /// The build of this process.
    pub(super) fn of_this_binary() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            supported_formats: FormatVersionRange::SUPPORTED,
        }
    }
}

/// How far the primary was when it was last sure to be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PrimaryPosition {
    At(Position),
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// No majority answers it.
    #[serde(rename = "Unsure")]
    Unconfirmed,
}

/// Which call?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LiveCallRequest {
    pub(super) call_sid: String,
}

/// The call as the primary knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum LiveCallResponse {
    /// None of that name lives.
    Unknown,
    Live(Box<CallWithTurns>),
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    #[serde(rename = "Unsure")]
    Unconfirmed,
}

/// "I am here."
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pong {
    pub(super) node_id: NodeId,
    pub(super) member: Member,
    /// Whether it wants to vote.
    pub(super) voter: bool,
    /// Applied here.
    pub(super) position: Position,
    /// Committed as far as it knows.
    pub(super) committed: Position,
    /// Whether its engine runs. One whose disk fails has none, and still has its calls.
    #[serde(rename = "takes_part")]
    pub(super) engine_running: bool,
    /// Whether a majority follows it.
    pub(super) is_primary: bool,
    /// Whether the asker is a member: only the primary can tell.
    #[serde(rename = "you_belong")]
    pub(super) sender_is_member: Option<bool>,
    /// Whether it takes calls: not before it is ready, nor once it stops. A version that
    /// does not tell is taken at its member's word.
    #[serde(default = "default_true")]
    #[serde(rename = "receives_calls")]
    pub(super) accepts_calls: bool,
    /// What it runs.
    #[serde(default)]
    pub(super) build: BuildInfo,
    /// For how long the runtime of its calls has not moved, milliseconds.
    #[serde(default)]
    #[serde(rename = "calls_stuck_ms")]
    pub(super) call_runtime_stalled_ms: u64,
    /// The last entry that it applied, and the digest of all up to it.
    #[serde(default)]
    pub(super) digest: Option<(Position, StateDigest)>,
}

fn default_true() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use calldex_storage::replication::{EntryBatches, TypeConfig};
    use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};
    use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId, Membership, Vote};
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_desks_have_different_paths() {
        let paths: BTreeSet<_> = Endpoint::ALL
            .iter()
            .map(|endpoint| endpoint.path())
            .collect();
        assert_eq!(paths.len(), Endpoint::ALL.len());
    }

    #[test]
    fn entries_travel_whole() {
        let at = |index| LogId::new(CommittedLeaderId::new(3, 7), index);
        let member = Member {
            address: "calldex-0:7946".into(),
            instance: "zero".into(),
            takes_calls: true,
        };
        let membership = Membership::new(
            vec![BTreeSet::from([7, u64::MAX])],
            BTreeMap::from([(7, member.clone()), (u64::MAX, member)]),
        );
        let entries: Vec<Entry<TypeConfig>> = vec![
            Entry {
                log_id: at(4),
                payload: EntryPayload::Blank,
            },
            Entry {
                log_id: at(5),
                payload: EntryPayload::Normal(EntryBatches(vec![vec![0, 255, 10].into()])),
            },
            Entry {
                log_id: at(6),
                payload: EntryPayload::Membership(membership),
            },
        ];
        let sent = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(3, 7),
            prev_log_id: Some(at(3)),
            entries: entries.clone(),
            leader_commit: None,
        };
        let came: AppendEntriesRequest<TypeConfig> = unpack(&pack(&sent)).unwrap();
        assert_eq!(came.entries, entries);
        assert_eq!(
            (came.vote, came.prev_log_id, came.leader_commit),
            (sent.vote, sent.prev_log_id, None)
        );
        let asked = VoteRequest::<NodeId>::new(Vote::new(4, 7), Some(at(6)));
        assert_eq!(unpack::<VoteRequest<NodeId>>(&pack(&asked)).unwrap(), asked);
        let answer = AppendEntriesResponse::<NodeId>::PartialSuccess(Some(at(5)));
        let came: AppendEntriesResponse<NodeId> = unpack(&pack(&answer)).unwrap();
        assert_eq!(came, answer);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(unpack::<Pong>(b"\x81").is_err());
        assert!(unpack::<ForwardedWrites>(b"GET / HTTP/1.1").is_err());
    }
}
