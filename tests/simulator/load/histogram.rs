//! Durations counted in bins one per cent wide: a fixed size however many there are.

use super::report::Percentiles;
use std::time::Duration;

/// Width of a bin: each is so much longer than the one before.
const STEP: f64 = 1.01;
/// Shortest duration told apart, in seconds.
const SHORTEST_S: f64 = 1e-6;
/// Bins: from a microsecond to over a quarter of an hour.
const BINS: usize = 2100;

/// Counts of durations.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    bins: Vec<u32>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            bins: vec![0; BINS],
            count: 0,
            max: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one; what is longer than the last bin is counted there.
    pub(super) fn record(&mut self, duration: Duration) {
        let ratio = (duration.as_secs_f64() / SHORTEST_S).max(1.0);
        let bin = (ratio.ln() / STEP.ln()) as usize;
        self.bins[bin.min(BINS - 1)] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// The durations at the usual ranks, at most one per cent too long and never longer than the longest.
    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.count,
            p50_ms: self.at(0.50),
            p90_ms: self.at(0.90),
            p99_ms: self.at(0.99),
            max_ms: rounded(self.max.as_secs_f64() * 1000.0),
        }
    }

    fn at(&self, share: f64) -> f64 {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut counted = 0;
        for (bin, count) in self.bins.iter().enumerate() {
            counted += u64::from(*count);
            if counted >= rank {
                let upper_ms = SHORTEST_S * STEP.powi(bin as i32 + 1) * 1000.0;
                return rounded(upper_ms.min(self.max.as_secs_f64() * 1000.0));
            }
        }
        0.0
    }
}

fn rounded(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_right_to_one_per_cent() {
        let mut histogram = Histogram::default();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let found = histogram.percentiles();
        for (rank, value) in [
            (500.0, found.p50_ms),
            (900.0, found.p90_ms),
            (990.0, found.p99_ms),
        ] {
            assert!((rank..=rank * 1.011).contains(&value), "{rank}: {value}");
        }
        assert_eq!((found.max_ms, found.count), (1000.0, 1000));
    }

    #[test]
    fn nothing_counted_is_all_zero() {
        assert_eq!(Histogram::default().percentiles(), Percentiles::default());
    }

    #[test]
    fn extremes_are_counted_too() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::ZERO);
        histogram.record(Duration::from_secs(86_400));
        assert_eq!(histogram.percentiles().max_ms, 86_400_000.0);
        assert_eq!(histogram.percentiles().p50_ms, 0.001);
    }
}
