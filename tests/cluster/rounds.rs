//! One exchange through many accidents.

use crate::events::Load;
use crate::exchange::{Exchange, Findings, Plan};
use crate::random::{Random, rounds, rounds_asked};
use std::time::{Duration, Instant};

impl Random {
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
pub type Accident = (&'static str, fn(&mut Exchange, &mut Random));

/// Brings up an exchange, puts it under load, and lets each accident happen as often as is asked for,
/// in an order of the seed's; in the short form `short` of them, of the seed's choice. After each,
/// everything heals, comes to rest and is judged.
pub fn befall(
    test: &str,
    plan: Plan,
    load: Load,
    short: usize,
    accidents: &[Accident],
) -> Option<Findings> {
    let mut random = Random::for_test(test);
    let mut exchange = plan.open(&mut random)?;
    for (name, accident) in chosen(accidents, short, &mut random) {
        let begun = Instant::now();
        exchange.load(load);
        let before = random.within(200, 700);
        exchange.work(&mut random, Duration::from_millis(before));
        accident(&mut exchange, &mut random);
        let found = exchange.rest(&mut random, load, name);
        println!(
            "{name}: {} acknowledged so far, {:.1} s",
            found.acknowledged,
            begun.elapsed().as_secs_f64()
        );
    }
    Some(exchange.close(test))
}

fn chosen(accidents: &[Accident], short: usize, random: &mut Random) -> Vec<Accident> {
    let mut all: Vec<Accident> = Vec::new();
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
