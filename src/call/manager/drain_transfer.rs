//! A planned stop in cluster mode: live calls are relocated to other instances.

use super::CallManager;
use crate::call::clock;
use crate::call::registry::SessionMessage;
use crate::call::state::CallEvent;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The time between two calls that leave, in milliseconds. It spreads the requests that the other
/// instances receive for them.
const RELOCATION_SPACING_MS: u64 = 2;
/// How long a call that connects during the relocation stays at least, in milliseconds. After this time
/// the load balancer knows that this instance takes no new calls.
const NEW_CALL_STAY_MS: u64 = 3_000;

impl CallManager {
    /// Relocates the live calls to other instances: each between two turns, or at the latest after
    /// `within`. Their sockets are closed, so that Twilio requests the action. Any instance can answer it,
    /// this one too as long as its webhook listener is open. Does nothing on a single node.
    pub fn relocate_calls(&self, within: Duration) {
        if !self.is_clustered() {
            return;
        }
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX / 4);
        let now_ms = clock::now().ms;
        let by_ms = now_ms + within_ms;
        self.relocate_by_ms.store(by_ms.max(1), Ordering::Release);
        let mut wait_ms = 0;
        self.services.registry.broadcast(|| {
            wait_ms += RELOCATION_SPACING_MS;
            let from_ms = now_ms + wait_ms.min(within_ms / 2);
            SessionMessage::Relocate { from_ms, by_ms }
        });
    }

    /// Cancels the relocation, because no other instance is left. Calls that have not left stay.
    pub fn cancel_relocation(&self) {
        if self.relocate_by_ms.swap(0, Ordering::AcqRel) > 0 {
            self.services
                .registry
                .broadcast(|| SessionMessage::CancelRelocation);
        }
    }

    /// The event for a session that starts during the relocation.
    pub(super) fn relocation_event(&self) -> Option<CallEvent<'static>> {
        let by_ms = self.relocate_by_ms.load(Ordering::Acquire);
        let from_ms = clock::now().ms + NEW_CALL_STAY_MS;
        (by_ms > 0).then_some(CallEvent::Relocate {
            from_ms,
            by_ms: by_ms.max(from_ms),
        })
    }
}
