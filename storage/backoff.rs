//! The pauses between attempts at what fails: each twice the one before, up to a longest.

use std::time::Duration;

/// First pause after the disk failed.
const DISK_RETRY_MIN: Duration = Duration::from_millis(20);
/// Longest pause between two attempts at a disk that fails.
pub(crate) const DISK_RETRY_MAX: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            next: first,
        }
    }

    /// Of a disk that fails: what waits for it is tried for as long as that takes.
    pub(crate) fn for_disk() -> Self {
        Self::new(DISK_RETRY_MIN, DISK_RETRY_MAX)
    }

    /// The pause after one more failure.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause
    }

    /// It went well: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(70));
        let taken: Vec<u128> = (0..4).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(taken, [20, 40, 70, 70]);
        backoff.reset();
        assert_eq!(backoff.next_delay().as_millis(), 20);
    }
}
