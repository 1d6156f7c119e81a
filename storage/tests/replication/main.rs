//! raft's log and state machine on real files: what openraft asks of them, and what a failing disk
//! does to them.

mod fixtures;

mod engines;
mod identities;
mod installing;
mod logs;
mod machines;
mod suite;
mod survivors;
