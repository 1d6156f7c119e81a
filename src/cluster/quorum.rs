//! What this instance knows of the majority: what is committed, and whether there is a primary.

use super::node_context::NodeContext;
use calldex_storage::Position;

/// The last entry that is known here to be committed: by the own engine, or as the primary last said.
pub(super) fn committed(context: &NodeContext) -> Position {
    let Some(metrics) = context.metrics() else {
        return 0;
    };
    let own = metrics.last_applied.map_or(0, |log_id| log_id.index);
    let said = metrics
        .current_leader
        .and_then(|node_id| context.peer_health.get(node_id)?.pong)
        .map_or(0, |pong| pong.committed);
    own.max(said)
}

/// Whether this instance knows a primary that a majority follows: itself, or one that says so.
pub(super) fn has_quorum(context: &NodeContext) -> bool {
    if context.raft_if_primary().is_some() {
        return true;
    }
    let Some(primary) = context.primary_hint() else {
        return false;
    };
    let seen = context.peer_health.get(primary.node_id);
    seen.is_some_and(|seen| seen.is_reachable() && seen.pong.is_some_and(|pong| pong.is_primary))
}
