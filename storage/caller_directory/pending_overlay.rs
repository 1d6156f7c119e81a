//! Applies pending writes to the answer of a tier: the result is what the database will hold.

use super::hot_cache::CachedCaller;
use crate::record::CallSid;
use crate::write::{Write, apply_to_caller};
use std::sync::Arc;

/// `known` once `waiting`, in its order, is applied.
pub(super) fn apply_pending_writes(known: CachedCaller, waiting: &[Arc<Write>]) -> CachedCaller {
    if waiting.is_empty() {
        return known;
    }
    let mut caller = known.map(|caller| (*caller).clone());
    let mut erasure = None;
    for write in waiting {
        if let Write::CallerErased { at_ms, .. } = &**write {
            caller = None;
            erasure = Some(PendingErasure::new(erasure, *at_ms));
        } else if erasure.as_mut().is_none_or(|erasure| erasure.allows(write)) {
            caller = apply_to_caller(caller, write);
        }
    }
    caller.map(Arc::new)
}

/// An erasure that waits, and what it will let pass when it is applied (as `write::apply` does by
/// its tombstones): neither what is of before it nor what a call from before it still says.
struct PendingErasure<'a> {
    at_ms: i64,
    /// Calls that began after it.
    later_calls: Vec<&'a CallSid>,
}

impl<'a> PendingErasure<'a> {
    fn new(earlier: Option<Self>, at_ms: i64) -> Self {
        let earlier_ms = earlier.map_or(at_ms, |erasure| erasure.at_ms);
        Self {
            at_ms: at_ms.max(earlier_ms),
            later_calls: Vec::new(),
        }
    }

    fn allows(&mut self, write: &'a Write) -> bool {
        if let Write::CallStarted(start) = write {
            let is_later = start.at_ms > self.at_ms;
            if is_later {
                self.later_calls.push(&start.call_sid);
            }
            return is_later;
        }
        write.stamp().is_none_or(|stamp| {
            stamp.at_ms > self.at_ms && self.later_calls.contains(&&stamp.call_sid)
        })
    }
}
