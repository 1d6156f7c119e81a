//! What `/metrics` shows of this instance's place in the cluster.

use super::exchange::Exchange;
use super::standing::{self, Role};
use calldex_observability::catalog;
use calldex_storage::Position;
use std::time::{Duration, Instant};

/// How often it is looked at.
pub(super) const PERIOD: Duration = Duration::from_millis(500);
/// Roles as the catalog lists them.
const ROLES: [Role; 4] = [Role::Primary, Role::Replica, Role::Learner, Role::Candidate];

/// Since when this instance is behind.
#[derive(Default)]
pub(super) struct Lag(Option<Instant>);

impl Lag {
    /// Shows how things are now.
    pub(super) fn show(&mut self, exchange: &Exchange) {
        let (applied, committed) = (exchange.applied(), standing::committed(exchange));
        show(exchange, applied, committed);
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

fn show(exchange: &Exchange, applied: Position, committed: Position) {
    let role = standing::role(exchange);
    for other in ROLES {
        let is = if other == role { 1.0 } else { 0.0 };
        catalog::CLUSTER_ROLE.with(other.as_str()).set(is);
    }
    let quorum = if standing::has_quorum(exchange) {
        1.0
    } else {
        0.0
    };
    catalog::CLUSTER_HAS_QUORUM.set(quorum);
    catalog::CLUSTER_LOG_BYTES.set(exchange.replica.log_bytes() as f64);
    let position = |of: &str, index: u64| catalog::CLUSTER_POSITION.with(of).set(index as f64);
    position("applied", applied);
    position("committed", committed);
    if let Some(metrics) = exchange.metrics() {
        catalog::CLUSTER_TERM.set(metrics.current_term as f64);
        let voters = metrics.membership_config.membership().voter_ids().count();
        catalog::CLUSTER_VOTERS.set(voters as f64);
        position("log", metrics.last_log_index.unwrap_or(0));
        position("purged", metrics.purged.map_or(0, |last| last.index));
    }
}
