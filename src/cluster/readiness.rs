//! Whether this instance can take calls, and what to do about it if it cannot.

use super::node_context::{EnginePhase, NodeContext};
use super::quorum::has_quorum;

/// An instance with a database waits so long at its start for a majority to let it in; then it takes
/// calls all the same. Those back first after the loss of all must not leave callers unanswered.
const STARTUP_CHECK_MS_MAX: u64 = 10_000;

/// How this instance's place in the cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeReadiness {
    /// It takes part.
    Ready,
    /// It takes calls, but something is missing.
    Degraded(String),
    /// It must not take calls, or cannot yet.
    Failed(String),
}

impl NodeReadiness {
    /// What is wrong, if something is.
    pub fn problem(self) -> Option<String> {
        match self {
            Self::Ready => None,
            Self::Degraded(why) | Self::Failed(why) => Some(why),
        }
    }
}

/// How it is now.
pub(super) fn node_readiness(context: &NodeContext) -> NodeReadiness {
    match context.phase() {
        EnginePhase::StartupCheck(why) if context.applied() > 0 && context.elapsed_ms() > STARTUP_CHECK_MS_MAX => {
            NodeReadiness::Degraded(format!(
                "{why}: calls are taken, what they write waits here"
            ))
        }
        EnginePhase::StartupCheck(why) => NodeReadiness::Failed(why),
        EnginePhase::Refused(why) => NodeReadiness::Failed(format!("not let into the cluster: {why}")),
        EnginePhase::Removed => NodeReadiness::Failed(
            "removed from the cluster: stop it; to bring it back, move its data directory away, but for \
             outbox.db, which holds what no primary has taken, and let it join anew"
                .to_owned(),
        ),
        EnginePhase::Stopped => NodeReadiness::Failed("stopped".to_owned()),
        // Calls go on from memory, their writes wait in the outbox.
        EnginePhase::Down(why) => NodeReadiness::Degraded(format!(
            "the cluster's engine is down, what calls write waits here: {why}"
        )),
        EnginePhase::Running => running_readiness(context),
    }
}

fn running_readiness(context: &NodeContext) -> NodeReadiness {
    if context.applied() == 0 {
        return NodeReadiness::Failed("waiting for the database from the primary".to_owned());
    }
    if !has_quorum(context) {
        return NodeReadiness::Degraded(
            "no primary that a majority follows: calls go on, what they write waits here"
                .to_owned(),
        );
    }
    let differing = context.peer_health.differing();
    if !differing.is_empty() {
        let others: Vec<String> = differing.keys().map(u64::to_string).collect();
        return NodeReadiness::Degraded(format!(
            "the database differs from that of node {}: see the runbook DatabasesDiffer",
            others.join(", ")
        ));
    }
    NodeReadiness::Ready
}
