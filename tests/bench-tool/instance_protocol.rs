//! What the measuring process tells an instance that it has started, and what that answers: one JSON
//! object a line, on the instance's standard input and output.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What the instance is to do.
#[derive(Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(super) enum InstanceCommand {
    /// Opens its storage, and takes its place among others if it has one.
    Open(Box<InstanceConfig>),
    /// Tells how it stands.
    Status,
    /// Waits until its database is at a position, and its warm tier in step if it has one.
    WaitApplied {
        /// The position.
        position: u64,
    },
    /// Makes callers with names.
    Populate {
        /// So many.
        callers: usize,
    },
    /// Writes turns as fast as they go.
    FlatOut(TurnSeries),
    /// Writes turns at their moments, and may look callers up meanwhile.
    Steady {
        /// The turns.
        turns: TurnSeries,
        /// Turns a second.
        rate: u64,
        /// Callers in the directory, if they are looked up.
        look_up_of: Option<usize>,
    },
    /// Looks callers up for a while, without writing.
    LookUp {
        /// Callers in the directory.
        of: usize,
        /// For so long, in milliseconds.
        ms: u64,
    },
    /// Learns names, one after the other.
    Learn(NameRange),
    /// Looks the same names up until they are known.
    Watch(NameRange),
}

/// How it opens.
#[derive(Serialize, Deserialize)]
pub(super) struct InstanceConfig {
    /// Its data directory.
    pub(super) data: PathBuf,
    /// Its name.
    pub(super) name: String,
    /// Whether it has the warm tier.
    pub(super) warm: bool,
    /// Nothing where it is alone.
    pub(super) cluster: Option<InstanceClusterConfig>,
}

/// Its place among several.
#[derive(Serialize, Deserialize)]
pub(super) struct InstanceClusterConfig {
    /// Its door.
    pub(super) listen: SocketAddr,
    /// The door that it joins through; it founds the cluster where absent.
    pub(super) join: Option<SocketAddr>,
    /// The secret of this run.
    pub(super) secret: String,
}

/// Turns to write.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct TurnSeries {
    /// Tells these turns' calls from any other's.
    pub(super) series: u32,
    /// So many.
    pub(super) count: usize,
}

/// Names to learn, of numbers that nobody knows.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct NameRange {
    /// The first number.
    pub(super) first: usize,
    /// So many.
    pub(super) count: usize,
}

/// What became of an order.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum InstanceReply {
    /// Done.
    Done,
    /// How it stands.
    Status {
        /// Whether it takes the writes of all.
        is_primary: bool,
        /// Voters that it knows and that can be reached.
        voters: usize,
        /// Whether it takes part.
        is_ready: bool,
    },
    /// Turns were written.
    Written(WriteTimings),
    /// Look-ups by tier.
    LookedUp(LookUpTimings),
    /// When each name was acknowledged, or known: Unix nanoseconds.
    Timestamps {
        /// In the order of the names.
        unix_ns: Vec<u64>,
    },
    /// It could not be done.
    Failed {
        /// Why.
        why: String,
    },
}

/// What writing took.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct WriteTimings {
    /// From the first turn submitted to the last one durable.
    pub(super) seconds: f64,
    /// The last position.
    pub(super) position: u64,
    /// From each turn submitted to it durable, at a steady rate.
    pub(super) times_us: Vec<u32>,
    /// Turns that did not become durable.
    pub(super) failed: usize,
    /// Look-ups meanwhile.
    pub(super) look_ups: LookUpTimings,
}

/// Time of each look-up, by the tier that answered, in nanoseconds.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct LookUpTimings {
    /// Memory.
    pub(super) hot_ns: Vec<u32>,
    /// sled.
    pub(super) warm_ns: Vec<u32>,
    /// SQLite.
    pub(super) cold_ns: Vec<u32>,
}
