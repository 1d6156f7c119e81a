//! The storage from its public side, one process: what is written is read, once, whatever happens.

mod fixtures;

mod calls;
mod failing_disk;
mod lookups;
mod names;
mod opening;
mod repetition;
mod warm_tier;
