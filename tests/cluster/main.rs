//! Several instances from outside: real processes on real files, hurt in every way that machines and
//! networks are hurt, while judges compare what was acknowledged with what is there.
//!
//! Short by default: each kind of fault once or a few times, under four minutes on two cores.
//! `CALLDEX_TEST_CLUSTER_ROUNDS=10` sets how often each kind happens (and holds figures to their
//! bounds), `CALLDEX_TEST_CLUSTER_SEED` repeats a run's choices; each test prints the seed it used.
//! Moments are chosen by the seed, but what the processes do in them is theirs, so a seed repeats a
//! plan and not a run. `CALLDEX_TEST_CLUSTER_OTHER` names another version's build of this test
//! binary: rolling restarts then mix the two.
//!
//! The words are [`node::Node`] (one instance, a process that comes and goes), [`exchange::Exchange`]
//! (all of them), [`net::Net`] (their links), [`machine::Machine`] (disk and clock under one), and
//! [`history::History`] (what they told), which [`checkers`] judge.

#[path = "../accidents/random.rs"]
mod random;
#[path = "../accidents/disk.rs"]
mod sectors;

mod books;
mod checkers;
mod dump;
mod events;
mod exchange;
mod history;
mod instance;
mod machine;
mod net;
mod node;
mod record;
mod rounds;
mod words;

mod clocks;
mod controls;
mod directories;
mod disks;
mod ends;
mod failovers;
mod kills;
mod members;
mod moments;
mod outboxes;
mod partitions;
mod pauses;
mod restarts;
mod snapshots;

/// What this suite's randomness is told by.
const SUITE: random::Suite = random::Suite {
    name: "cluster",
    seed: "CALLDEX_TEST_CLUSTER_SEED",
    rounds: "CALLDEX_TEST_CLUSTER_ROUNDS",
};
