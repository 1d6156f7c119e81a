//! A call that is to go on elsewhere: its instance is stopping, others are not. It leaves at the
//! next turn boundary, where nothing is being said, and nothing of it is lost.

use super::{CallAction, CallState, EventTime, ExitReason};

/// The wish to leave (in cluster mode only).
pub(super) struct Relocation {
    /// Not before, on the clock of [`EventTime::ms`].
    from_ms: u64,
    /// And then whatever is being said.
    by_ms: u64,
    /// It has left: nothing is said any more.
    pub(super) has_left: bool,
}

impl CallState {
    pub(super) fn on_relocate(&mut self, from_ms: u64, by_ms: u64) {
        if self.relocation.is_none() {
            self.relocation = Some(Relocation {
                from_ms,
                by_ms,
                has_left: false,
            });
        }
    }

    pub(super) fn on_cancel_relocation(&mut self) {
        // What has left cannot be called back: its owner gave it up.
        if !self.has_left_instance() {
            self.relocation = None;
        }
    }

    /// The server cannot wait any longer: a call that is to go on elsewhere leaves now instead of
    /// being ended. Whether it is one.
    pub(super) fn relocate_at_once(&mut self, now: EventTime) -> bool {
        let Some(moving) = &mut self.relocation else {
            return false;
        };
        moving.from_ms = moving.from_ms.min(now.ms);
        moving.by_ms = moving.by_ms.min(now.ms);
        true
    }

    /// Whether the session says nothing more, because the call is about to go on elsewhere.
    pub(super) fn has_left_instance(&self) -> bool {
        self.relocation
            .as_ref()
            .is_some_and(|moving| moving.has_left)
    }

    /// When the call leaves at the latest, or may leave.
    pub(super) fn relocation_due(&self) -> Option<u64> {
        let moving = self.relocation.as_ref().filter(|moving| !moving.has_left)?;
        // A goodbye is under way: the call ends here.
        if self.pending_end.is_some() {
            return None;
        }
        let waits = if self.is_between_turns() {
            moving.from_ms
        } else {
            moving.by_ms
        };
        Some(waits)
    }

    /// Leaves, if it is time to.
    pub(super) fn relocate_if_due(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        if self.relocation_due().is_none_or(|due| due > now.ms) {
            return;
        }
        self.record_keys(now, actions);
        self.on_socket_closed(now, actions);
        if let Some(moving) = &mut self.relocation {
            moving.has_left = true;
        }
        self.release_call(now, actions);
        actions.push(CallAction::ExitSession(ExitReason::Relocated));
    }

    /// Whether nobody speaks, thinks or is waited for. Where the provider does not report what it
    /// plays, nothing is known of that, and the call leaves at its deadline.
    fn is_between_turns(&self) -> bool {
        let busy = self.reply.is_some() || self.keys_due_ms.is_some() || self.playback.is_pending();
        !busy && self.background_tools.is_empty() && !self.agent_speaking && !self.caller_speaking
    }
}
