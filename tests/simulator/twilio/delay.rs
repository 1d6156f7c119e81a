//! One direction of the way: what is sent arrives later, in order, now and then held up.

use std::{collections::VecDeque, time::Duration};

/// Where the sequence of stalls begins; the same in every run.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is on its way, with the time at which it arrives.
#[derive(Debug)]
pub(super) struct Delay<T> {
    lasts: Duration,
    stalls_percent: u8,
    stall: Duration,
    chance: u64,
    queue: VecDeque<(Duration, T)>,
}

impl<T> Delay<T> {
    pub(super) fn new(lasts: Duration, stalls_percent: u8, stall: Duration) -> Self {
        Self {
            lasts,
            stalls_percent,
            stall,
            chance: SEED,
            queue: VecDeque::new(),
        }
    }

    /// Sets off at `now`.
    pub(super) fn push(&mut self, what: T, now: Duration) {
        let held = if self.stalls() {
            self.stall
        } else {
            Duration::ZERO
        };
        let before = self.queue.back().map_or(Duration::ZERO, |(at, _)| *at);
        self.queue
            .push_back(((now + self.lasts + held).max(before), what));
    }

    /// What has arrived by `now`, the first of it.
    pub(super) fn pop(&mut self, now: Duration) -> Option<T> {
        let (at, _) = self.queue.front()?;
        if *at > now {
            return None;
        }
        self.queue.pop_front().map(|(_, what)| what)
    }

    /// What is on its way, whether or not it has arrived.
    pub(super) fn pop_any(&mut self) -> Option<T> {
        self.queue.pop_front().map(|(_, what)| what)
    }

    /// When the next one arrives.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.queue.front().map(|(at, _)| *at)
    }

    /// xorshift64: good enough to hold up one frame in fifty.
    fn stalls(&mut self) -> bool {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % 100 < u64::from(self.stalls_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_was_sent_arrives_later_and_in_order() {
        let mut way = Delay::new(ms(87), 0, ms(0));
        way.push("one", ms(0));
        way.push("two", ms(10));
        assert_eq!((way.pop(ms(86)), way.next_deadline()), (None, Some(ms(87))));
        assert_eq!((way.pop(ms(87)), way.pop(ms(87))), (Some("one"), None));
        assert_eq!(way.pop(ms(97)), Some("two"));
    }

    #[test]
    fn as_many_stall_as_was_asked_for_and_all_behind_them_wait() {
        let mut way = Delay::new(ms(0), 2, ms(400));
        let mut held = 0;
        for at in 0..5_000 {
            let now = ms(at * 1_000);
            way.push(at, now);
            held += u64::from(way.pop(now).is_none());
            while way.pop_any().is_some() {}
        }
        assert!((50..=150).contains(&held), "{held} of 5,000");
        let mut way = Delay::new(ms(0), 100, ms(400));
        way.push("held", ms(0));
        way.stalls_percent = 0;
        way.push("behind", ms(10));
        assert_eq!(way.pop(ms(399)), None);
        assert_eq!(
            (way.pop(ms(400)), way.pop(ms(400))),
            (Some("held"), Some("behind"))
        );
    }
}
