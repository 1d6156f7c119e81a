//! What instances say to each other: MessagePack with named fields, so that a version that knows one
//! field more understands one that does not. Every message has its bound.

use calldex_storage::record::{CallWithTurns, StateDigest};
use calldex_storage::replication::{Member, NodeId, StartupCheck};
use calldex_storage::{FormatVersionRange, Position};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The cluster that the sender belongs to; absent where it does not belong to one yet.
pub(super) const CLUSTER_HEADER: &str = "calldex-cluster";
/// The sender's node id.
pub(super) const FROM_HEADER: &str = "calldex-from";
/// The node that the sender means: at an address may live another than yesterday.
pub(super) const TO_HEADER: &str = "calldex-to";
/// Where the sender's own door is.
pub(super) const ADDRESS_HEADER: &str = "calldex-address";

/// Raft's entries in one message. The sender stays below [`APPEND_BYTES_TARGET`] unless one entry alone is
/// longer; beyond this a message is refused.
pub(super) const APPEND_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of entries after which no further one is put into the same message.
pub(super) const APPEND_BYTES_TARGET: usize = 4 * 1024 * 1024;
/// One forwarded batch of writes. Storage keeps to 1 MiB unless one write alone is longer.
pub(super) const WRITES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Any other question, and any answer but a call's.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// A whole conversation as an answer.
pub(super) const CALL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The bytes are not what was expected.
#[derive(Debug, thiserror::Error)]
#[error("not understood")]
pub(super) struct MalformedMessage;

/// `message` as bytes.
pub(super) fn pack<M: Serialize>(message: &M) -> Vec<u8> {
    rmp_serde::to_vec_named(message).expect("messages hold nothing that MessagePack cannot say")
}

/// The message that `bytes` are.
pub(super) fn unpack<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, MalformedMessage> {
    rmp_serde::from_slice(bytes).map_err(|_| MalformedMessage)
}

/// What can be asked at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Raft: entries, or a sign of life.
    Append,
    /// Raft: a candidate asks for a vote.
    Vote,
    /// Raft: the whole database.
    Snapshot,
    /// Writes for the primary.
    Writes,
    /// An instance has started: is its data what it was?
    StartupCheck,
    /// An empty instance asks to be a member.
    Join,
    /// A member is to be none any more.
    Remove,
    /// How the cluster stands.
    Status,
    /// How far the primary is.
    Position,
    /// A live call as the primary knows it.
    LiveCall,
    /// Are you there?
    Ping,
    /// An operator wants the highest level in use that all members read.
    FinalizeUpgrade,
    /// Raft: may the whole database be sent?
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

    /// Longest question.
    pub(super) fn request_bytes_max(self) -> usize {
        match self {
            Self::Append => APPEND_BYTES_MAX,
            Self::Writes => WRITES_BYTES_MAX,
            _ => MESSAGE_BYTES_MAX,
        }
    }

    /// Longest answer.
    pub(super) fn response_bytes_max(self) -> usize {
        match self {
            Self::LiveCall => CALL_BYTES_MAX,
            _ => MESSAGE_BYTES_MAX,
        }
    }

    /// Whether somebody may come who belongs to no cluster yet, or to none at all.
    pub(super) fn allows_non_members(self) -> bool {
        matches!(
            self,
            Self::Join | Self::Remove | Self::Status | Self::FinalizeUpgrade
        )
    }

    /// Whether it is large, so that it must not travel on the connection of the heartbeats.
    pub(super) fn is_bulk(self) -> bool {
        matches!(self, Self::Snapshot | Self::Writes | Self::LiveCall)
    }
}

/// Somebody in the list of members.
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
    /// Everybody who votes.
    pub(super) fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.members
            .iter()
            .filter(|listed| listed.voter)
            .map(|listed| listed.node_id)
    }

    /// That member.
    pub(super) fn get(&self, node_id: NodeId) -> Option<&ListedMember> {
        self.members.iter().find(|listed| listed.node_id == node_id)
    }
}

/// "I have started": told to every member before anything else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StartupCheckRequest {
    pub(super) check: StartupCheck,
    pub(super) member: Member,
    /// The levels that it reads.
    #[serde(default)]
    #[serde(rename = "reads")]
    pub(super) supported_formats: FormatVersionRange,
}

/// What a greeting gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum StartupCheckResponse {
    /// Come in. Who answers, and whom it knows.
    #[serde(rename = "Welcome")]
    Accepted {
        node_id: NodeId,
        member_list: MemberList,
    },
    /// Its own disk does not let it answer: ask again.
    #[serde(rename = "NotNow")]
    Unavailable,
    /// Stay out, because.
    Refused { why: String },
    /// You are no member any more.
    Removed,
}

/// Writes for the primary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ForwardedWrites {
    pub(super) batch: bytes::Bytes,
}

/// Where the primary is, as the answerer knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PrimaryHint {
    pub(super) node_id: NodeId,
    pub(super) address: String,
}

/// What came of forwarded writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ForwardResult {
    /// On a majority, and applied.
    #[serde(rename = "At")]
    Committed(Position),
    /// I am not the primary.
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// No majority, or too much to do: later.
    Busy,
    /// It may still land.
    TimedOut,
    /// Never.
    Refused,
}

/// An empty instance asks to be a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct JoinRequest {
    /// Drawn by the joiner.
    pub(super) node_id: NodeId,
    pub(super) member: Member,
    pub(super) voter: bool,
    /// The levels that it reads.
    #[serde(default)]
    #[serde(rename = "reads")]
    pub(super) supported_formats: FormatVersionRange,
}

/// What an application gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum JoinResponse {
    /// A member of that cluster now.
    Joined { cluster_id: String },
    /// I am not the primary.
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// Not yet: ask again.
    Wait { why: String },
    /// Draw another id: this one is too like a member's.
    #[serde(rename = "ChooseAnother")]
    IdConflict,
    /// Not at all.
    Refused { why: String },
}

/// A member is to be none any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RemovalRequest {
    /// Node id or instance.
    pub(super) who: String,
    /// Even if too few voters can be reached without it.
    pub(super) force: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RemovalResponse {
    /// It is gone.
    #[serde(rename = "Gone")]
    Removed { node_id: NodeId, instance: String },
    /// I am not the primary.
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// Not yet: ask again.
    Wait { why: String },
    /// It stays, because.
    Refused { why: String },
}

/// What came of finishing an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FinalizeUpgradeResponse {
    /// That level is in use now.
    #[serde(rename = "At")]
    Finalized { format_version: u32 },
    /// All members read no higher one than the one in use.
    #[serde(rename = "Already")]
    AlreadyFinalized { format_version: u32 },
    /// I am not the primary.
    #[serde(rename = "Elsewhere")]
    NotPrimary(Option<PrimaryHint>),
    /// Not yet: ask again.
    Wait { why: String },
    /// Not before somebody has done something.
    Refused { why: String },
}

/// The whole database is about to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SnapshotOffer {
    /// Its bytes, about.
    pub(super) bytes: u64,
    /// The level in use in it.
    #[serde(rename = "level")]
    pub(super) format_version: u32,
}

/// What an offer gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SnapshotOfferResponse {
    /// Send it.
    #[serde(rename = "GoOn")]
    Accepted,
    /// Not now, because; not before so many milliseconds have passed.
    #[serde(rename = "Later")]
    RetryLater { why: String, after_ms: u64 },
}

/// What an instance runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BuildInfo {
    /// Its version, as `calldex --version` says; empty where it does not tell.
    pub(super) version: String,
    /// The levels that it reads.
    #[serde(rename = "reads")]
    pub(super) supported_formats: FormatVersionRange,
}

impl BuildInfo {
    /// This one.
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
    /// Whether its doors for calls stand open: not before it is ready, nor once it stops. A version that
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
        let paths: BTreeSet<_> = Endpoint::ALL.iter().map(|desk| desk.path()).collect();
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
