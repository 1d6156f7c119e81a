//! Chance that a seed repeats.

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, good enough to vary a load.
#[derive(Clone, Debug)]
pub(super) struct LoadRandom(u64);

impl LoadRandom {
    /// A sequence of its own for each caller of a load.
    pub(super) fn new(seed: u64, caller: u64) -> Self {
        Self(seed ^ caller.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 (inclusive) to 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True in this share of cases.
    pub(super) fn happens(&mut self, share: f64) -> bool {
        self.share() < share
    }

    /// From `low` to `high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.share() * (high - low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_shares_are_kept() {
        let mut one = LoadRandom::new(7, 3);
        let mut two = LoadRandom::new(7, 3);
        let hits = (0..10_000).filter(|_| one.happens(0.3)).count();
        assert!((2800..3200).contains(&hits), "{hits}");
        assert_eq!((0..10_000).filter(|_| two.happens(0.3)).count(), hits);
        assert!(!LoadRandom::new(1, 1).happens(0.0) && LoadRandom::new(1, 1).happens(1.0));
    }
}
