//! When each call of a load begins.

use std::time::Duration;

/// When call `number` (from 0) begins: the rate rises evenly over `ramp`, then stays.
pub(super) fn begins_at(number: u64, rate_per_s: f64, ramp: Duration) -> Duration {
    let (number, ramp_s) = (number as f64, ramp.as_secs_f64());
    let in_ramp = rate_per_s * ramp_s / 2.0;
    let seconds = if number < in_ramp {
        (2.0 * ramp_s * number / rate_per_s).sqrt()
    } else {
        ramp_s + (number - in_ramp) / rate_per_s
    };
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// The number of caller `number`: counted up from the first, its length kept.
pub(super) fn caller_number(first: &str, number: u64) -> String {
    let digits = first.trim_start_matches('+');
    let start: u64 = digits.parse().unwrap_or(15_552_000_000);
    format!("+{:0width$}", start + number, width = digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_evenly_without_a_ramp() {
        assert_eq!(begins_at(0, 10.0, Duration::ZERO), Duration::ZERO);
        assert_eq!(
            begins_at(25, 10.0, Duration::ZERO),
            Duration::from_millis(2500)
        );
    }

    #[test]
    fn a_ramp_begins_slowly_and_reaches_the_rate() {
        let ramp = Duration::from_secs(10);
        let at = |number| begins_at(number, 10.0, ramp).as_secs_f64();
        assert!(at(1) - at(0) > 1.0, "the first gap is long");
        assert!(
            (at(50) - 10.0).abs() < 1e-9,
            "half the calls of a steady ten seconds"
        );
        assert!((at(61) - at(60) - 0.1).abs() < 1e-9, "then the full rate");
    }

    #[test]
    fn callers_have_numbers_of_their_own() {
        assert_eq!(caller_number("+15552000000", 41), "+15552000041");
        assert_eq!(caller_number("+440200", 1), "+440201");
    }
}
