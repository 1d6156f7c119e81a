//! The slot of a node: the part of its id that stands in the epochs which it gives out.

use calldex_storage::replication::NodeId;

/// What a node's epochs have in their lower half.
pub fn slot_of(node_id: NodeId) -> u16 {
    u16::try_from(node_id & u64::from(u16::MAX)).unwrap_or_default()
}
