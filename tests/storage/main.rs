//! Storage from outside: a process under load is killed, its power cut, its disk failed, its cache
//! vandalised; what it had acknowledged must be there, once, and in order.
//!
//! Short by default. `CALLDEX_CRASH_ROUNDS=100` sets how often each kind of accident happens,
//! `CALLDEX_CRASH_SEED` repeats a run; each test prints the seed it used.

#[path = "../accidents/random.rs"]
mod random;
#[path = "../accidents/disk.rs"]
mod sectors;

mod accidents;
mod autopsy;
mod child;
mod disk;
mod journal;
mod words;

mod failing_disk;
mod kills;
mod power_cuts;
mod sled_ruins;

/// What this suite's randomness is told by.
const SUITE: random::Suite = random::Suite {
    name: "storage",
    seed: "CALLDEX_CRASH_SEED",
    rounds: "CALLDEX_CRASH_ROUNDS",
};
