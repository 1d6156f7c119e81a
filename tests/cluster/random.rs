//! Randomness that repeats from its seed, and how much of it is wanted.

use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that repeats a run's choices.
const SEED: &str = "CALLDEX_TEST_CLUSTER_SEED";
/// The variable that asks for the long form: how often each kind of fault happens.
const ROUNDS: &str = "CALLDEX_TEST_CLUSTER_ROUNDS";

/// xorshift64*: good enough to choose moments, and the same everywhere.
pub struct Random(u64);

impl Random {
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
        let seed = from_environment(SEED).unwrap_or_else(clock);
        println!("seed {seed}: repeat with {SEED}={seed} cargo test --test cluster {test}");
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

    /// One of `choices`.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0, choices.len() as u64 - 1) as usize]
    }
}

/// How often each kind of fault happens: `short` in the ordinary test command.
pub fn rounds(short: usize) -> usize {
    from_environment(ROUNDS).map_or(short, |rounds| rounds as usize)
}

/// Whether the long form was asked for, in which figures are held to their bounds.
pub fn is_long_form() -> bool {
    from_environment(ROUNDS).is_some()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}
