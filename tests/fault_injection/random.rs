//! Randomness that repeats from its seed, and how much of it is wanted.

use crate::SUITE;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a suite's randomness is told by.
pub struct FaultSuite {
    /// The test target.
    pub name: &'static str,
    /// The variable that repeats a run's choices.
    pub seed: &'static str,
    /// The variable that asks for the long form: how often each kind of accident happens.
    pub rounds: &'static str,
}

/// xorshift64*: good enough to choose moments, and the same everywhere.
pub struct SeededRandom(u64);

impl SeededRandom {
    /// The numbers that follow from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// For `test`: seeded by the environment or the clock; says how to repeat it.
    pub fn for_test(test: &str) -> Self {
        let clock = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("a clock after 1970").subsec_nanos().into()
        };
        let (name, variable) = (SUITE.name, SUITE.seed);
        let seed = from_environment(variable).unwrap_or_else(clock);
        println!("seed {seed}: repeat with {variable}={seed} cargo test --test {name} {test}");
        Self::from_seed(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// One of `low..=high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + (self.next() >> 16) % (high - low + 1)
    }

    /// True in `percent` of cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.within(1, 100) <= percent
    }
}

/// How often each kind of accident happens: `short` in the ordinary test command.
pub fn rounds(short: usize) -> usize {
    rounds_asked().unwrap_or(short)
}

/// The long form, if it was asked for.
pub fn rounds_asked() -> Option<usize> {
    from_environment(SUITE.rounds).map(|rounds| rounds as usize)
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}
