//! The storage from its public side, one process: what is written is read, once, whatever happens.

mod fixtures;
mod members;

mod backups;
mod calls;
mod ends;
mod failing_disk;
mod forwarding;
mod lookups;
mod names;
mod opening;
mod ownership;
mod private;
mod repetition;
mod warm_tier;
