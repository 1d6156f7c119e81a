//! Whether an instance reads the format version that is in use.

use super::node_context::NodeContext;
use calldex_storage::FormatVersionRange;

/// Why an instance that `reads` these format versions cannot be a member, if it cannot.
pub(super) fn format_mismatch(context: &NodeContext, reads: FormatVersionRange) -> Option<String> {
    let level = context.storage.format_version();
    (!reads.contains(level)).then(|| {
        format!(
            "the cluster is at level {level}, and the calldex of this instance reads levels {reads}: the upgrade to a later one was finished. Run that one"
        )
    })
}
