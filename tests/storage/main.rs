//! Storage from outside: a process under load is killed, its power cut, its disk failed, its cache
//! vandalised; what it had acknowledged must be there, once, and in order.
//!
//! Short by default. `CALLDEX_CRASH_ROUNDS=100` sets how often each kind of accident happens,
//! `CALLDEX_CRASH_SEED` repeats a run; each test prints the seed it used.

mod accidents;
mod autopsy;
mod child;
mod disk;
mod journal;
mod random;
mod words;

mod failing_disk;
mod kills;
mod power_cuts;
mod sled_ruins;
