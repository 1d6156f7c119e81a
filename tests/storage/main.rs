//! Storage from outside: a process under load is killed, its power cut, its disk failed, its cache
//! vandalised; what it had acknowledged must be there, once, and in order.
//!
//! Short by default. `CALLDEX_CRASH_ROUNDS=100` sets how often each kind of accident happens,
//! `CALLDEX_CRASH_SEED` repeats a run; each test prints the seed it used.

#[path = "../fault_injection/random.rs"]
mod random;
#[path = "../fault_injection/disk.rs"]
mod simulated_disk;

mod acknowledged_writes;
mod crash_run;
mod disk;
mod generated_text;
mod verification;
mod workload;

mod failing_disk;
mod kills;
mod power_cuts;
mod warm_tier_corruption;

/// What this suite's randomness is told by.
const SUITE: random::FaultSuite = random::FaultSuite {
    name: "storage",
    seed: "CALLDEX_CRASH_SEED",
    rounds: "CALLDEX_CRASH_ROUNDS",
};
