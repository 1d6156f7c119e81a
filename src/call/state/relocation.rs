//! Relocation of a call to another instance when this one stops. The call leaves between two turns, so
//! that no speech is lost.

use super::relocation_request::RelocationRequest;
use super::{CallAction, CallState, EventTime, ExitReason};

impl CallState {
    pub(super) fn on_relocate(&mut self, from_ms: u64, by_ms: u64) {
        if self.relocation.is_none() {
            self.relocation = Some(RelocationRequest {
                from_ms,
                by_ms,
                has_left: false,
            });
        }
    }

    pub(super) fn on_cancel_relocation(&mut self) {
        // A call that has left was released already.
        if !self.has_left_instance() {
            self.relocation = None;
        }
    }

    /// Makes a relocation due now, because the server stops. Returns `false` if none was requested: then
    /// the call has to end.
    pub(super) fn relocate_at_once(&mut self, now: EventTime) -> bool {
        let Some(request) = &mut self.relocation else {
            return false;
        };
        request.from_ms = request.from_ms.min(now.ms);
        request.by_ms = request.by_ms.min(now.ms);
        true
    }

    /// Whether the call has left, and the session says nothing more.
    pub(super) fn has_left_instance(&self) -> bool {
        self.relocation
            .as_ref()
            .is_some_and(|request| request.has_left)
    }

    /// When the call leaves: the earliest time between two turns, the latest time within a turn.
    pub(super) fn relocation_due(&self) -> Option<u64> {
        let request = self
            .relocation
            .as_ref()
            .filter(|request| !request.has_left)?;
        // The goodbye is being said: the call ends on this instance.
        if self.pending_end.is_some() {
            return None;
        }
        let waits = if self.is_between_turns() {
            request.from_ms
        } else {
            request.by_ms
        };
        Some(waits)
    }

    /// Leaves the instance if that is due.
    pub(super) fn relocate_if_due(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        if self.relocation_due().is_none_or(|due| due > now.ms) {
            return;
        }
        self.record_keys(now, actions);
        self.on_socket_closed(now, actions);
        if let Some(request) = &mut self.relocation {
            request.has_left = true;
        }
        self.release_call(now, actions);
        actions.push(CallAction::ExitSession(ExitReason::Relocated));
    }

    /// Whether nobody speaks, and no reply, key or tool is pending. If the provider does not report what it
    /// plays, speech may count as pending until the latest time.
    fn is_between_turns(&self) -> bool {
        let busy = self.reply.is_some() || self.keys_due_ms.is_some() || self.playback.is_pending();
        !busy && self.background_tools.is_empty() && !self.agent_speaking && !self.caller_speaking
    }
}
