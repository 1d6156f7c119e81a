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
//! The words are [`node::NodeHandle`] (one instance, a process that comes and goes),
//! [`fault_cluster::FaultTestCluster`] (all of them), [`test_network::TestNetwork`] (their links),
//! [`simulated_machine::SimulatedMachine`] (disk and clock under one), and [`history::History`] (what they told),
//! which [`checkers`] check.

#[path = "../fault_injection/random.rs"]
mod random;
#[path = "../fault_injection/disk.rs"]
mod simulated_disk;

mod checkers;
mod database_contents;
mod dump;
mod event_record;
mod events;
mod fault_cluster;
mod fault_rounds;
mod generated_text;
mod history;
mod instance;
mod node;
mod simulated_machine;
mod test_network;

mod call_ends;
mod clocks;
mod crash_points;
mod data_directories;
mod disks;
mod failovers;
mod kills;
mod members;
mod negative_controls;
mod outbox_recovery;
mod partitions;
mod pauses;
mod restarts;
mod snapshots;

/// What this suite's randomness is told by.
const SUITE: random::FaultSuite = random::FaultSuite {
    name: "cluster",
    seed: "CALLDEX_TEST_CLUSTER_SEED",
    rounds: "CALLDEX_TEST_CLUSTER_ROUNDS",
};
