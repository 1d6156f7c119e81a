//! One exchange through many accidents.

use crate::events::WorkloadRates;
use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, RunFindings};
use crate::random::{SeededRandom, rounds, rounds_asked};
use std::time::{Duration, Instant};

impl SeededRandom {
    /// One of `choices`.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0, choices.len() as u64 - 1) as usize]
    }
}

/// Whether the long form was asked for, in which figures are held to their bounds.
pub fn is_long_form() -> bool {
    rounds_asked().is_some()
}

/// An accident, and what it is called.
pub type FaultStep = (&'static str, fn(&mut FaultTestCluster, &mut SeededRandom));

/// Brings up an exchange, puts it under load, and lets each accident happen as often as is asked for,
/// in an order of the seed's; in the short form `short` of them, of the seed's choice. After each,
/// everything heals, comes to rest and is judged.
pub fn run_fault(
    test: &str,
    plan: FaultTestPlan,
    load: WorkloadRates,
    short: usize,
    accidents: &[FaultStep],
) -> Option<RunFindings> {
    let mut random = SeededRandom::for_test(test);
    let mut cluster = plan.open(&mut random)?;
    for (name, accident) in chosen(accidents, short, &mut random) {
        let begun = Instant::now();
        cluster.load(load);
        let before = random.within(200, 700);
        cluster.work(&mut random, Duration::from_millis(before));
        accident(&mut cluster, &mut random);
        let found = cluster.check_after_settling(&mut random, load, name);
        println!(
            "{name}: {} acknowledged so far, {:.1} s",
            found.acknowledged,
            begun.elapsed().as_secs_f64()
        );
    }
    Some(cluster.close(test))
}

fn chosen(accidents: &[FaultStep], short: usize, random: &mut SeededRandom) -> Vec<FaultStep> {
    let mut all: Vec<FaultStep> = Vec::new();
    for _ in 0..rounds(1) {
        all.extend_from_slice(accidents);
    }
    for index in (1..all.len()).rev() {
        all.swap(index, random.within(0, index as u64) as usize);
    }
    if !is_long_form() {
        all.truncate(short);
    }
    all
}
