//! The storage from its public side, one process: what is written is read, once, whatever happens.

mod fake_primary;
mod fixtures;

mod backups;
mod calls;
mod early_ends;
mod failing_disk;
mod file_permissions;
mod idempotency;
mod lookups;
mod names;
mod opening;
mod ownership;
mod proposing;
mod warm_cache;
