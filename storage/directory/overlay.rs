//! What is accepted and not yet durable, laid over what a tier answers: what the disk will hold once
//! it is applied.

use super::hot::Known;
use crate::record::CallSid;
use crate::write::{Write, fold};
use std::sync::Arc;

/// `known` once `waiting`, in its order, is applied.
pub(super) fn overlay(known: Known, waiting: &[Arc<Write>]) -> Known {
    if waiting.is_empty() {
        return known;
    }
    let mut caller = known.map(|caller| (*caller).clone());
    let mut grave = None;
    for write in waiting {
        if let Write::CallerErased { at_ms, .. } = &**write {
            caller = None;
            grave = Some(Grave::dig(grave, *at_ms));
        } else if grave.as_mut().is_none_or(|grave| grave.lets_pass(write)) {
            caller = fold(caller, write);
        }
    }
    caller.map(Arc::new)
}

/// An erasure that waits, and what it will let pass when it is applied (as `write::apply` does by
/// its tombstones): neither what is of before it nor what a call from before it still says.
struct Grave<'a> {
    at_ms: i64,
    /// Calls that began after it.
    begun: Vec<&'a CallSid>,
}

impl<'a> Grave<'a> {
    fn dig(earlier: Option<Self>, at_ms: i64) -> Self {
        let earlier_ms = earlier.map_or(at_ms, |grave| grave.at_ms);
        Self {
            at_ms: at_ms.max(earlier_ms),
            begun: Vec::new(),
        }
    }

    fn lets_pass(&mut self, write: &'a Write) -> bool {
        if let Write::CallStarted(start) = write {
            let is_later = start.at_ms > self.at_ms;
            if is_later {
                self.begun.push(&start.call_sid);
            }
            return is_later;
        }
        write
            .stamp()
            .is_none_or(|stamp| stamp.at_ms > self.at_ms && self.begun.contains(&&stamp.call_sid))
    }
}
