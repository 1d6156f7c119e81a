//! A planned stop where other instances go on: live calls are moved to them.

use super::CallManager;
use crate::call::clock;
use crate::call::registry::SessionMessage;
use crate::call::state::CallEvent;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// From one call that leaves to the next, in milliseconds: every one of them is a request to
/// another instance a second later, and not all at once.
const RELOCATION_SPACING_MS: u64 = 2;
/// A call that connects while all leave stays at least this long, in milliseconds: whoever sent it here will have
/// heard by then that this instance takes no more.
const NEW_CALL_STAY_MS: u64 = 3_000;

impl CallManager {
    /// Live calls leave for other instances: each between two turns, or `within` this time whatever
    /// is being said. Their sockets are closed so that Twilio asks for the action, which any
    /// instance answers; this one does too, as long as its webhook listener is open. Nothing where it runs
    /// alone.
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

    /// The others are gone: calls that have not left stay, as if they had never been told to.
    pub fn cancel_relocation(&self) {
        if self.relocate_by_ms.swap(0, Ordering::AcqRel) > 0 {
            self.services
                .registry
                .broadcast(|| SessionMessage::CancelRelocation);
        }
    }

    /// What a session is told that begins while all leave.
    pub(super) fn relocation_event(&self) -> Option<CallEvent<'static>> {
        let by_ms = self.relocate_by_ms.load(Ordering::Acquire);
        let from_ms = clock::now().ms + NEW_CALL_STAY_MS;
        (by_ms > 0).then_some(CallEvent::Relocate {
            from_ms,
            by_ms: by_ms.max(from_ms),
        })
    }
}
