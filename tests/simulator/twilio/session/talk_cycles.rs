//! Talk cycles: which reply a token belongs to, and whether replies are closed as they should be
//! (docs/protocol.md 5.2).

use std::time::Duration;

/// A reply without a token for this long is not being streamed any more.
const IDLE_AFTER: Duration = Duration::from_millis(1000);

#[derive(Default)]
pub(super) struct TalkCycles {
    cycles: u64,
    /// The cycle that tokens belong to, and when its last token came.
    open: Option<(u64, Duration)>,
    /// The last cycle was closed by its own `last:true`, so that an empty one more is a second.
    closed_by_last: bool,
}

impl TalkCycles {
    /// Takes a token and says to which cycle it belongs.
    pub(super) fn token(&mut self, token: &str, last: bool, now: Duration) -> u64 {
        let cycle = match self.open {
            Some((cycle, _)) => cycle,
            None => self.other(),
        };
        if last {
            self.open = None;
            self.closed_by_last = true;
        } else if !token.is_empty() || self.open.is_some() {
            self.open = Some((cycle, now));
        }
        cycle
    }

    /// A cycle of its own, for `play` and `sendDigits`.
    pub(super) fn other(&mut self) -> u64 {
        self.cycles += 1;
        self.cycles
    }

    /// An empty `last:true` with no reply open. Right after an interrupt it is taken for the close of the reply that
    /// was cut while it was on its way.
    pub(super) fn is_stray_close(&self, token: &str, last: bool) -> bool {
        last && token.is_empty() && self.open.is_none() && self.closed_by_last
    }

    /// The caller cut everything off: what comes now opens a new cycle.
    pub(super) fn cut(&mut self) {
        if self.open.take().is_some() {
            self.closed_by_last = false;
        }
    }

    /// A reply is open and nothing has come for it lately.
    pub(super) fn left_open(&self, now: Duration) -> bool {
        self.open
            .is_some_and(|(_, last_at)| now.saturating_sub(last_at) >= IDLE_AFTER)
    }
}
