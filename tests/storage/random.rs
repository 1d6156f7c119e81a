//! Randomness that repeats from its seed, and how much of it is wanted.

use std::time::{SystemTime, UNIX_EPOCH};

/// xorshift64*: good enough to choose moments, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn from_seed(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// For `test`: seeded by `CALLDEX_CRASH_SEED` or the clock; says how to repeat it.
    pub fn for_test(test: &str) -> Self {
        let clock = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .subsec_nanos()
                .into()
        };
        let seed = from_environment("CALLDEX_CRASH_SEED").unwrap_or_else(clock);
        println!(
            "seed {seed}: repeat with CALLDEX_CRASH_SEED={seed} cargo test --test storage {test}"
        );
        Self::from_seed(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// One of `low..=high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in `percent` of cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// Rounds of each kind of accident: `CALLDEX_CRASH_ROUNDS`, or `short`.
pub fn rounds(short: usize) -> usize {
    from_environment("CALLDEX_CRASH_ROUNDS").map_or(short, |rounds| rounds as usize)
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}
