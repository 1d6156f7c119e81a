//! What `/metrics` shows of this instance's place in the cluster.

use super::node_context::NodeContext;
use super::quorum;
use super::status::{self, NodeRole};
use calldex_observability::catalog;
use calldex_storage::Position;
use std::time::{Duration, Instant};

/// How often it is looked at.
pub(super) const PERIOD: Duration = Duration::from_millis(500);
/// Roles as the catalog lists them.
const ROLES: [NodeRole; 4] = [
    NodeRole::Primary,
    NodeRole::Replica,
    NodeRole::Learner,
    NodeRole::Candidate,
];

/// Since when this instance is behind.
#[derive(Default)]
pub(super) struct LagGauge(Option<Instant>);

impl LagGauge {
    /// Shows how things are now.
    pub(super) fn update(&mut self, context: &NodeContext) {
        let (applied, committed) = (context.applied(), quorum::committed(context));
        set_gauges(context, applied, committed);
        let lag = committed.saturating_sub(applied);
        catalog::REPLICATION_LAG_ENTRIES.set(lag as f64);
        self.0 = match lag {
            0 => None,
            _ => self.0.or_else(|| Some(Instant::now())),
        };
        let seconds = self.0.map_or(0.0, |since| since.elapsed().as_secs_f64());
        catalog::REPLICATION_LAG_SECONDS.set(seconds);
    }
}

fn set_gauges(context: &NodeContext, applied: Position, committed: Position) {
    let role = status::node_role(context);
    for other in ROLES {
        let is = if other == role { 1.0 } else { 0.0 };
        catalog::CLUSTER_ROLE.with(other.as_str()).set(is);
    }
    let quorum = if quorum::has_quorum(context) {
        1.0
    } else {
        0.0
    };
    catalog::CLUSTER_HAS_QUORUM.set(quorum);
    catalog::CLUSTER_LOG_BYTES.set(context.replica.log_bytes() as f64);
    let position = |of: &str, index: u64| catalog::CLUSTER_POSITION.with(of).set(index as f64);
    position("applied", applied);
    position("committed", committed);
    if let Some(metrics) = context.metrics() {
        catalog::CLUSTER_TERM.set(metrics.current_term as f64);
        let voters = metrics.membership_config.membership().voter_ids().count();
        catalog::CLUSTER_VOTERS.set(voters as f64);
        position("log", metrics.last_log_index.unwrap_or(0));
        position("purged", metrics.purged.map_or(0, |last| last.index));
    }
}
