//! One instance alone and several, in turns, on the same disk: what replication costs.

use super::orders::{Answer, Names, Opening, Order, Place, Turns, Written};
use super::staff::{Hand, Staff};
use super::tally::{Figure, Side, Sum, Tally};
use calldex_storage::bench;
use calldex_storage::replication::random_node_id;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Callers in the directory, many more than memory keeps.
const CALLERS: usize = 20_000;
/// Names that are learned on one instance and looked for on the others, a round.
const NAMES: usize = 100;
/// fsyncs before and after each part of a round.
const FSYNCS: usize = 100;
/// Seconds of each steady load.
const STEADY_SECONDS: usize = 3;
/// How long the instances may take to find together.
const GATHERING_MAX: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(50);

/// What is measured.
pub(super) struct Options {
    /// The disk, by a folder on it.
    pub(super) data: PathBuf,
    /// Turns written flat out, each time.
    pub(super) turns: usize,
    /// Turns a second at a steady rate.
    pub(super) rate: u64,
    /// Instances together.
    pub(super) instances: usize,
    /// How often everything is repeated.
    pub(super) rounds: usize,
}

impl Options {
    /// Where this process measures.
    pub(super) fn folder(&self) -> PathBuf {
        let name = format!("calldex-bench-cluster-{}", std::process::id());
        self.data.join(name)
    }
}

/// A folder that is gone when the measurement is, and everybody who worked in it.
struct Scene {
    dir: PathBuf,
    staff: Staff,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.staff.dismiss();
        // What is left of a measurement is only in the way.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Measures everything; the instances are `staff`'s.
///
/// # Errors
/// A folder that does not exist, a disk that fails, an instance that does not answer in time.
pub(super) fn run(options: &Options, staff: Staff) -> io::Result<Vec<Figure>> {
    let dir = options.folder();
    std::fs::create_dir(&dir)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
    let scene = Scene { dir, staff };
    let mut tally = Tally::default();
    for round in 0..options.rounds {
        let mut order = [Side::Alone, Side::Several];
        // Neither is always the first.
        order.rotate_left(round % 2);
        for side in order {
            eprintln!(
                "round {} of {}: {}",
                round + 1,
                options.rounds,
                match side {
                    Side::Alone => "one alone".to_owned(),
                    Side::Several => format!("{} together", options.instances),
                }
            );
            let mut part = Part {
                options,
                side,
                round,
                dir: scene.dir.join("data"),
                series: 0,
                tally: &mut tally,
            };
            part.measure(&scene.staff)?;
        }
    }
    Ok(tally.figures())
}

/// One side of one round.
struct Part<'a> {
    options: &'a Options,
    side: Side,
    round: usize,
    dir: PathBuf,
    /// Of the last turns.
    series: u32,
    tally: &'a mut Tally,
}

impl Part<'_> {
    fn measure(&mut self, staff: &Staff) -> io::Result<()> {
        std::fs::create_dir(&self.dir)?;
        self.fsyncs()?;
        let mut hands = self.open(staff)?;
        let primary = primary_of(&mut hands)?;
        let populated = written(hands[primary].ask(&Order::Populate { callers: CALLERS })?)?;
        reach(&mut hands, populated.position)?;
        match self.side {
            Side::Alone => self.alone(&mut hands)?,
            Side::Several => self.several(&mut hands, primary)?,
        }
        staff.dismiss();
        self.fsyncs()?;
        std::fs::remove_dir_all(&self.dir)
    }

    fn alone(&mut self, hands: &mut [Hand]) -> io::Result<()> {
        self.flat_out(hands, 0, "at a replica")?;
        self.flat_out(hands, 0, "at the primary")?;
        self.steady(hands, &[0], "at a replica")?;
        self.steady(hands, &[0], "spread on all")?;
        self.look_ups(hands, 0)
    }

    fn several(&mut self, hands: &mut [Hand], primary: usize) -> io::Result<()> {
        let replica = (primary + 1) % hands.len();
        let all: Vec<usize> = (0..hands.len()).collect();
        self.flat_out(hands, replica, "at a replica")?;
        self.flat_out(hands, primary, "at the primary")?;
        self.steady(hands, &[replica], "at a replica")?;
        self.steady(hands, &all, "spread on all")?;
        self.look_ups(hands, replica)?;
        self.names(hands, replica)
    }

    /// Starts the instances: one alone, or several, the others joining the first.
    fn open(&self, staff: &Staff) -> io::Result<Vec<Hand>> {
        let count = match self.side {
            Side::Alone => 1,
            Side::Several => self.options.instances,
        };
        let random = || random_node_id().map_err(io::Error::other);
        let secret = format!("{:016x}{:016x}", random()?, random()?);
        let mut hands = Vec::new();
        let mut first = None;
        for index in 0..count {
            let name = format!("bench-{index}");
            let mut place = None;
            if self.side == Side::Several {
                let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
                place = Some(Place {
                    listen,
                    join: first,
                    secret: secret.clone(),
                });
                first.get_or_insert(listen);
            }
            let mut hand = staff.hire(&name)?;
            hand.ask(&Order::Open(Box::new(Opening {
                data: self.dir.join(&name),
                name,
                // One round asks sled and the next SQLite.
                warm: self.round.is_multiple_of(2),
                place,
            })))?;
            hands.push(hand);
            gather(&mut hands)?;
        }
        Ok(hands)
    }

    fn flat_out(&mut self, hands: &mut [Hand], at: usize, who: &str) -> io::Result<()> {
        let turns = self.turns(self.options.turns);
        let before = cpu(hands);
        let written = written(hands[at].ask(&Order::FlatOut(turns))?)?;
        reach(hands, written.position)?;
        let rate = turns.count as f64 / written.seconds;
        self.median(&format!("turns flat out, {who}"), "1/s", Some(rate));
        self.cpu(
            hands,
            before,
            turns.count,
            &format!("flat out, {who}"),
            &[at],
        );
        Ok(())
    }

    fn steady(&mut self, hands: &mut [Hand], at: &[usize], who: &str) -> io::Result<()> {
        let before = cpu(hands);
        let rate = self.options.rate;
        let (count, last) = self.write_steadily(hands, at, who, None)?;
        reach(hands, last)?;
        self.cpu(hands, before, count, &format!("at {rate}/s, {who}"), at);
        Ok(())
    }

    /// Writes at the rate, divided among `at`. How many turns, and the last position.
    fn write_steadily(
        &mut self,
        hands: &mut [Hand],
        at: &[usize],
        who: &str,
        look_up_of: Option<usize>,
    ) -> io::Result<(usize, u64)> {
        let rate = (self.options.rate / at.len() as u64).max(1);
        let count = rate as usize * STEADY_SECONDS;
        for index in at {
            let turns = self.turns(count);
            hands[*index].tell(&Order::Steady {
                turns,
                rate,
                look_up_of,
            })?;
        }
        let mut last = 0;
        for index in at {
            let written = written(hands[*index].hear()?)?;
            last = last.max(written.position);
            if look_up_of.is_some() {
                let times = written.look_ups;
                self.note_look_ups(&times, "while turns are written");
            } else {
                let times = written.times_us.iter().map(|us| f64::from(*us) / 1e3);
                let what = format!("turn to durable at {}/s, {who}", self.options.rate);
                self.tally.note(self.side, Sum::Spread, &what, "ms", times);
            }
        }
        Ok((count * at.len(), last))
    }

    /// Looks callers up at an instance: while turns come to it, and for a while in peace.
    fn look_ups(&mut self, hands: &mut [Hand], at: usize) -> io::Result<()> {
        let (_, last) = self.write_steadily(hands, &[at], "", Some(CALLERS))?;
        reach(hands, last)?;
        let ms = 1_000;
        if let Answer::LookedUp(times) = hands[at].ask(&Order::LookUp { of: CALLERS, ms })? {
            self.note_look_ups(&times, "while nothing is written");
        }
        Ok(())
    }

    fn note_look_ups(&mut self, times: &super::orders::LookUps, when: &str) {
        for (tier, ns) in [
            ("hot", &times.hot_ns),
            ("warm", &times.warm_ns),
            ("cold", &times.cold_ns),
        ] {
            let us = ns.iter().map(|ns| f64::from(*ns) / 1e3);
            let what = format!("look-up, {tier}, {when}");
            self.tally.note(self.side, Sum::Spread, &what, "us", us);
        }
    }

    /// From a name acknowledged at `at` until the others know it.
    fn names(&mut self, hands: &mut [Hand], at: usize) -> io::Result<()> {
        let names = Names {
            first: CALLERS,
            count: NAMES,
        };
        for (index, hand) in hands.iter_mut().enumerate() {
            if index != at {
                hand.tell(&Order::Watch(names))?;
            }
        }
        let acknowledged = moments(hands[at].ask(&Order::Learn(names))?)?;
        for (index, hand) in hands.iter().enumerate() {
            if index == at {
                continue;
            }
            let known = moments(hand.hear()?)?;
            let times = known.iter().zip(&acknowledged);
            // It may know before the one that asked has its answer.
            let ms = times.map(|(known, said)| known.saturating_sub(*said) as f64 / 1e6);
            let what = "name acknowledged until another instance says it";
            self.tally.note(self.side, Sum::Spread, what, "ms", ms);
        }
        Ok(())
    }

    fn turns(&mut self, count: usize) -> Turns {
        self.series += 1;
        Turns {
            series: self.series,
            count,
        }
    }

    fn median(&mut self, what: &str, unit: &'static str, value: Option<f64>) {
        self.tally.note(self.side, Sum::Median, what, unit, value);
    }

    /// Notes the CPU since `before`, of all together, of those that turns came to, and of the others.
    fn cpu(
        &mut self,
        hands: &[Hand],
        before: Option<Vec<f64>>,
        turns: usize,
        when: &str,
        at: &[usize],
    ) {
        let (Some(before), Some(after)) = (before, cpu(hands)) else {
            return;
        };
        let spent = |index: usize| (after[index] - before[index]) * 1e6 / turns as f64;
        let all = (0..hands.len()).map(spent).sum();
        self.median(&format!("CPU a turn, {when}, all"), "us", Some(all));
        if let ([submitter], true) = (at, hands.len() > 1) {
            let others = hands.len() - 1;
            let own = spent(*submitter);
            self.median(&format!("CPU a turn, {when}, there"), "us", Some(own));
            let other = (all - own) / others as f64;
            self.median(
                &format!("CPU a turn, {when}, each other"),
                "us",
                Some(other),
            );
        }
    }

    fn fsyncs(&mut self) -> io::Result<()> {
        let times = bench::fsyncs(&self.dir.join("fsync"), FSYNCS)?;
        let ms = times.iter().map(|time| time.as_secs_f64() * 1e3);
        self.tally
            .note(self.side, Sum::Spread, "one fsync", "ms", ms);
        Ok(())
    }
}

/// Waits until everybody takes part, votes, and one is primary.
fn gather(hands: &mut [Hand]) -> io::Result<()> {
    let begun = Instant::now();
    let count = hands.len();
    loop {
        let mut there = 0;
        let mut primaries = 0;
        for hand in hands.iter_mut() {
            if let Answer::Standing {
                is_primary,
                voters,
                is_ready,
            } = hand.ask(&Order::Stand)?
            {
                there += usize::from(is_ready && voters == count);
                primaries += usize::from(is_primary);
            }
        }
        if there == count && primaries == 1 {
            return Ok(());
        }
        if begun.elapsed() > GATHERING_MAX {
            return Err(io::Error::other(
                "the instances did not find together in time",
            ));
        }
        std::thread::sleep(STEP);
    }
}

fn primary_of(hands: &mut [Hand]) -> io::Result<usize> {
    for (index, hand) in hands.iter_mut().enumerate() {
        if matches!(
            hand.ask(&Order::Stand)?,
            Answer::Standing {
                is_primary: true,
                ..
            }
        ) {
            return Ok(index);
        }
    }
    Err(io::Error::other("there is no primary"))
}

/// Waits until everybody's database is at `position`.
fn reach(hands: &mut [Hand], position: u64) -> io::Result<()> {
    for hand in hands.iter_mut() {
        hand.tell(&Order::Reach { position })?;
    }
    hands.iter().try_for_each(|hand| hand.hear().map(drop))
}

fn cpu(hands: &[Hand]) -> Option<Vec<f64>> {
    hands.iter().map(Hand::cpu_seconds).collect()
}

fn written(answer: Answer) -> io::Result<Written> {
    match answer {
        Answer::Written(written) if written.failed == 0 => Ok(written),
        Answer::Written(written) => Err(io::Error::other(format!(
            "{} turns did not become durable",
            written.failed
        ))),
        _ => Err(io::Error::other("another answer than was asked for")),
    }
}

fn moments(answer: Answer) -> io::Result<Vec<u64>> {
    match answer {
        Answer::Moments { unix_ns } => Ok(unix_ns),
        _ => Err(io::Error::other("another answer than was asked for")),
    }
}
