//! What the test and its instances say to each other: one JSON object a line, orders to standard
//! input, events from standard output.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The environment variable that makes a process an instance; the value is [`InstanceSetup`] as JSON.
pub const SETUP_VARIABLE: &str = "CALLDEX_TEST_CLUSTER_INSTANCE";
/// What each line of an event begins with: the test runner prints lines of its own.
pub const EVENT_PREFIX: &str = "@@";

/// How an instance comes by its identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentitySource {
    /// It founds the cluster.
    Found,
    /// Its directory is empty: it joins through the addresses of its section.
    Join,
    /// It has an identity already.
    GoOn,
    /// Takes an identity that it did not earn, as nobody should.
    Usurp {
        /// Of which cluster.
        cluster_id: String,
        /// Whose.
        node_id: u64,
    },
}

/// What an instance is told at its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstanceSetup {
    /// Which process of the run: no two have the same.
    pub life: u64,
    /// Which of the instances, from 0.
    pub node: u64,
    /// Where its files lie.
    pub data_dir: String,
    /// How it comes by its identity.
    pub beginning: IdentitySource,
    /// Its `[cluster]` section.
    pub section: Value,
    /// Says that a write is durable as soon as it is submitted: the harness must find that out.
    pub lies: bool,
    /// Ends itself when this operation is first reached, as [`calldex_storage::DiskOperation`] calls it.
    pub dies_at: Option<String>,
}

impl InstanceSetup {
    /// The name of the instance.
    pub fn instance(&self) -> String {
        instance_name(self.node)
    }
}

/// The name of an instance.
pub fn instance_name(node: u64) -> String {
    format!("calldex-{node}")
}

/// What is submitted while a load goes on, by one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadRates {
    /// Writes of calls in a second.
    pub writes_per_s: u64,
    /// Whether turns are long, so that the log grows quickly.
    pub long_winded: bool,
    /// Calls that every instance tries to own; 0 for none.
    pub wanted_calls: u64,
    /// Whether names are decided and asked for.
    pub names: bool,
}

/// What an instance is told while it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum TestCommand {
    /// Begin, or go on at another pace.
    Load(WorkloadRates),
    /// Submit nothing more.
    Hush,
    /// Submit this too.
    Submit {
        /// A batch in the form of the log.
        batch: String,
    },
    /// How many writes are under way?
    UnderWay {
        /// Number of the question.
        asked: u64,
    },
    /// How does the cluster stand, as seen from here?
    Standing {
        /// Number of the question.
        asked: u64,
    },
    /// Wait until `position` is applied here, or without one, until whatever the primary has
    /// acknowledged is; then look for the deed.
    Look {
        /// Number of the question.
        asked: u64,
        /// Token of the write.
        position: Option<u64>,
        /// What must be there.
        deed: SubmittedWrite,
    },
    /// Wait until `position` is applied here and everything that was heard of claims up to there is told.
    Tell {
        /// Number of the question.
        asked: u64,
        /// The last entry of the database.
        position: u64,
    },
    /// The value of a metric.
    Figure {
        /// Number of the question.
        asked: u64,
        /// With its labels, as in the exposition.
        series: String,
    },
    /// A consistent copy of the database.
    Backup {
        /// Number of the question.
        asked: u64,
        /// Where to.
        file: String,
    },
    /// What happens from now on at the labelled operation of storage.
    Fault {
        /// As [`calldex_storage::DiskOperation`] is called; empty for every one.
        operation: String,
        /// How long it takes, milliseconds.
        delay_ms: u64,
        /// The system's error number; 0 for none, -1 to end the process.
        errno: i32,
        /// How many times; 0 ends the fault.
        times: u64,
    },
    /// End in order.
    Stop,
}

/// Place of a decision in the order of all decisions about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NameOrder {
    /// Unix milliseconds of the instance that took it.
    pub at_ms: i64,
    /// Different for any two decisions of one millisecond.
    pub step: u32,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub enum SubmittedWrite {
    /// A call began.
    Began {
        /// Which.
        call: String,
        /// Whose.
        number: Option<String>,
    },
    /// Something was said.
    Turn {
        /// In which call.
        call: String,
        /// By which ownership.
        epoch: u32,
        /// Its place.
        seq: u32,
        /// 0, or which amendment.
        revision: u32,
    },
    /// A call ended.
    Ended {
        /// Which.
        call: String,
    },
    /// A name was decided.
    Named {
        /// Whose.
        number: String,
        /// When.
        mark: NameOrder,
    },
    /// A call was claimed.
    Claimed {
        /// Which.
        call: String,
        /// The epoch that was read.
        expected: u32,
        /// The epoch that is wanted.
        epoch: u32,
    },
}

/// What became of a claim, as the feed of take-overs has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimReport {
    /// Which call.
    pub call: String,
    /// The epoch after it.
    pub epoch: u32,
    /// The owner after it.
    pub owner: String,
    /// Whether the claim won.
    pub applied: bool,
    /// What was claimed.
    pub claimed_epoch: u32,
    /// By whom.
    pub claimed_by: String,
}

/// What an instance tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum InstanceEvent {
    /// Storage is open.
    Open {
        /// Of which cluster.
        cluster_id: String,
        /// Who it is.
        node_id: u64,
        /// The low bits that tell its epochs from others'.
        slot: u64,
    },
    /// It belongs to a cluster with a primary.
    Serving,
    /// It will not run, and why.
    Refused {
        /// While doing what.
        stage: String,
        /// In words.
        reason: String,
    },
    /// About to be given to storage.
    Submitted {
        /// Number of the write in this life.
        id: u64,
        /// What.
        deed: SubmittedWrite,
        /// Monotonic clock of the machine, microseconds.
        at_us: u64,
    },
    /// Durable, says storage.
    Acknowledged {
        /// Number of the write.
        id: u64,
        /// The token.
        position: u64,
        /// Monotonic clock of the machine, microseconds.
        at_us: u64,
    },
    /// In the outbox, and proposed at the next start.
    Kept {
        /// Number of the write.
        id: u64,
    },
    /// Storage will not say that it is durable.
    Denied {
        /// Number of the write.
        id: u64,
        /// In words.
        reason: String,
    },
    /// One item of the feed of take-overs.
    Ruled(ClaimReport),
    /// The feed went on without this instance.
    Missed,
    /// What a number's name was when it was asked for.
    NameSeen {
        /// Whose.
        number: String,
        /// Of which decision.
        mark: NameOrder,
    },
    /// Who owned a call when it was read.
    OwnerSeen {
        /// Which.
        call: String,
        /// Its epoch.
        epoch: u32,
    },
    /// An answer to [`TestCommand::UnderWay`].
    UnderWay {
        /// Number of the question.
        asked: u64,
        /// Writes.
        writes: u64,
    },
    /// An answer to [`TestCommand::Standing`].
    Standing {
        /// Number of the question.
        asked: u64,
        /// As the cluster says it.
        standing: Value,
    },
    /// An answer to [`TestCommand::Look`].
    Looked {
        /// Number of the question.
        asked: u64,
        /// What was looked for.
        deed: SubmittedWrite,
        /// Whether the position was reached in time.
        reached: bool,
        /// Whether it was there.
        found: bool,
        /// How long the position of a token was waited for, microseconds; nothing without one.
        waited_us: Option<u64>,
    },
    /// An answer to [`TestCommand::Tell`]: what was heard of claims up to the position is told.
    Told {
        /// Number of the question.
        asked: u64,
        /// Whether the position was reached in time.
        reached: bool,
    },
    /// An answer to [`TestCommand::Figure`].
    Figure {
        /// Number of the question.
        asked: u64,
        /// Nothing if there is no such series.
        value: Option<f64>,
    },
    /// An answer to [`TestCommand::Backup`].
    BackedUp {
        /// Number of the question.
        asked: u64,
        /// Why not, if not.
        failure: Option<String>,
    },
    /// Ended in order; how many writes were given up.
    Stopped {
        /// Writes.
        given_up: u64,
    },
}

impl InstanceEvent {
    /// The question that it answers.
    pub fn asked(&self) -> Option<u64> {
        match self {
            Self::UnderWay { asked, .. }
            | Self::Standing { asked, .. }
            | Self::Told { asked, .. }
            | Self::Looked { asked, .. }
            | Self::Figure { asked, .. }
            | Self::BackedUp { asked, .. } => Some(*asked),
            _ => None,
        }
    }

    /// As a line.
    pub fn to_line(&self) -> String {
        let json = serde_json::to_string(self).expect("an event is JSON");
        format!("{EVENT_PREFIX}{json}\n")
    }

    /// The event on a line of the child's output, if there is one.
    pub fn from_line(line: &str) -> Option<Self> {
        let json = &line[line.find(EVENT_PREFIX)? + EVENT_PREFIX.len()..];
        Some(serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {line}")))
    }
}

#[test]
fn an_event_survives_the_pipe() {
    let event = InstanceEvent::Denied {
        id: 7,
        reason: "closed".to_owned(),
    };
    let line = format!("test x ... {}", event.to_line());
    assert!(matches!(
        InstanceEvent::from_line(&line),
        Some(InstanceEvent::Denied { id: 7, .. })
    ));
    assert!(InstanceEvent::from_line("running 1 test").is_none());
}
