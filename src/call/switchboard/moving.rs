//! A planned stop where other instances go on: live calls are moved to them.

use super::Switchboard;
use crate::call::clock;
use crate::call::registry::Control;
use crate::call::state::Event;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// From one call that leaves to the next, in milliseconds: every one of them is a request to
/// another instance a second later, and a house full of calls is not to fall upon it at once.
const BETWEEN_MS: u64 = 2;
/// A call that connects while all leave stays at least this long, in milliseconds: whoever sent it here will have
/// heard by then that this instance takes no more.
const STAY_MS: u64 = 3_000;

impl Switchboard {
    /// Live calls leave for other instances: each between two turns, or `within` this time whatever
    /// is being said. Their sockets are closed so that Twilio asks for the action, which any
    /// instance answers; this one does too, as long as its doors are open. Nothing where it runs
    /// alone.
    pub fn move_calls(&self, within: Duration) {
        if !self.is_several() {
            return;
        }
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX / 4);
        let now_ms = clock::now().ms;
        let by_ms = now_ms + within_ms;
        self.moving_by_ms.store(by_ms.max(1), Ordering::Release);
        let mut wait_ms = 0;
        self.room.registry.tell_all(|| {
            wait_ms += BETWEEN_MS;
            let from_ms = now_ms + wait_ms.min(within_ms / 2);
            Control::Move { from_ms, by_ms }
        });
    }

    /// The others are gone: calls that have not left stay, as if they had never been told to.
    pub fn keep_calls(&self) {
        if self.moving_by_ms.swap(0, Ordering::AcqRel) > 0 {
            self.room.registry.tell_all(|| Control::Stay);
        }
    }

    /// What a session is told that begins while all leave.
    pub(super) fn leaving(&self) -> Option<Event<'static>> {
        let by_ms = self.moving_by_ms.load(Ordering::Acquire);
        let from_ms = clock::now().ms + STAY_MS;
        (by_ms > 0).then_some(Event::Move {
            from_ms,
            by_ms: by_ms.max(from_ms),
        })
    }
}
