//! A call that is to go on elsewhere: its instance is stopping, others are not. It leaves at the
//! next turn boundary, where nothing is being said, and nothing of it is lost.

use super::{Action, CallState, Now, Parting};

/// The wish to leave (of several instances' calls only).
pub(super) struct Moving {
    /// Not before, on the clock of [`Now::ms`].
    from_ms: u64,
    /// And then whatever is being said.
    by_ms: u64,
    /// It has left: nothing is said any more.
    pub(super) left: bool,
}

impl CallState {
    pub(super) fn on_move(&mut self, from_ms: u64, by_ms: u64) {
        if self.moving.is_none() {
            self.moving = Some(Moving {
                from_ms,
                by_ms,
                left: false,
            });
        }
    }

    pub(super) fn on_stay(&mut self) {
        // What has left cannot be called back: its owner gave it up.
        if !self.has_left() {
            self.moving = None;
        }
    }

    /// The server cannot wait any longer: a call that is to go on elsewhere leaves now instead of
    /// being ended. Whether it is one.
    pub(super) fn moves_at_once(&mut self, now: Now) -> bool {
        let Some(moving) = &mut self.moving else {
            return false;
        };
        moving.from_ms = moving.from_ms.min(now.ms);
        moving.by_ms = moving.by_ms.min(now.ms);
        true
    }

    /// Whether the session says nothing more, because the call is about to go on elsewhere.
    pub(super) fn has_left(&self) -> bool {
        self.moving.as_ref().is_some_and(|moving| moving.left)
    }

    /// When the call leaves at the latest, or may leave.
    pub(super) fn moving_due(&self) -> Option<u64> {
        let moving = self.moving.as_ref().filter(|moving| !moving.left)?;
        // A goodbye is under way: the call ends here.
        if self.ending.is_some() {
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
    pub(super) fn move_on(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.moving_due().is_none_or(|due| due > now.ms) {
            return;
        }
        self.keep_keys(now, actions);
        self.on_closed(now, actions);
        if let Some(moving) = &mut self.moving {
            moving.left = true;
        }
        self.release_call(now, actions);
        actions.push(Action::Leave(Parting::Moved));
    }

    /// Whether nobody speaks, thinks or is waited for. Where the provider does not report what it
    /// plays, nothing is known of that, and the call leaves at its deadline.
    fn is_between_turns(&self) -> bool {
        let busy = self.reply.is_some() || self.keys_due.is_some() || self.playback.is_pending();
        !busy && self.background.is_empty() && !self.agent_speaking && !self.caller_speaking
    }
}
