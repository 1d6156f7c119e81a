//! raft's log and state machine on real files: what openraft asks of them, and what a failing disk
//! does to them.

mod fixtures;

mod identities;
mod openraft_suite;
mod raft_engines;
mod raft_log;
mod snapshot_install;
mod state_machine;
mod survivor_recovery;
