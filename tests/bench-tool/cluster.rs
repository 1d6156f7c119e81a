//! One instance alone and several, in turns, on the same disk: what replication costs.

use super::instance_protocol::{
    InstanceClusterConfig, InstanceCommand, InstanceConfig, InstanceReply, NameRange, TurnSeries,
    WriteTimings,
};
use super::processes::{InstanceProcess, Processes};
use super::results::{Aggregation, BenchResults, BenchSide, ComparedFigure};
use crate::storage as bench;
use calldex_storage::replication::random_node_id;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Callers in the directory, many more than memory keeps.
const CALLERS: usize = 20_000;
/// Names that are learned on one instance and looked for on the others, a round.
const NAMES_A_ROUND: usize = 100;
/// fsyncs before and after each part of a round.
const FSYNCS_A_PART: usize = 100;
/// Seconds of each steady load.
const STEADY_SECONDS: usize = 3;
/// How long the instances may take to find together.
const FORM_MAX: Duration = Duration::from_secs(30);
const POLL_PERIOD: Duration = Duration::from_millis(50);

/// What is measured.
pub(super) struct ClusterBenchOptions {
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

impl ClusterBenchOptions {
    /// Where this process measures.
    pub(super) fn folder(&self) -> PathBuf {
        let name = format!("calldex-bench-cluster-{}", std::process::id());
        self.data.join(name)
    }
}

/// A folder that is gone when the measurement is, and everybody who worked in it.
struct BenchFolder {
    dir: PathBuf,
    processes: Processes,
}

impl Drop for BenchFolder {
    fn drop(&mut self) {
        self.processes.kill_all();
        // What is left of a measurement is only in the way.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Measures everything; the instances are `staff`'s.
///
/// # Errors
/// A folder that does not exist, a disk that fails, an instance that does not answer in time.
pub(super) fn run(
    options: &ClusterBenchOptions,
    processes: Processes,
) -> io::Result<Vec<ComparedFigure>> {
    let dir = options.folder();
    std::fs::create_dir(&dir)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
    let scene = BenchFolder { dir, processes };
    let mut results = BenchResults::default();
    for round in 0..options.rounds {
        let mut order = [BenchSide::SingleNode, BenchSide::Cluster];
        // Neither is always the first.
        order.rotate_left(round % 2);
        for side in order {
            eprintln!(
                "round {} of {}: {}",
                round + 1,
                options.rounds,
                match side {
                    BenchSide::SingleNode => "one alone".to_owned(),
                    BenchSide::Cluster => format!("{} together", options.instances),
                }
            );
            let mut part = SideRun {
                options,
                side,
                round,
                dir: scene.dir.join("data"),
                series: 0,
                results: &mut results,
            };
            part.measure(&scene.processes)?;
        }
    }
    Ok(results.figures())
}

/// One side of one round.
struct SideRun<'a> {
    options: &'a ClusterBenchOptions,
    side: BenchSide,
    round: usize,
    dir: PathBuf,
    /// Of the last turns.
    series: u32,
    results: &'a mut BenchResults,
}

impl SideRun<'_> {
    fn measure(&mut self, processes: &Processes) -> io::Result<()> {
        std::fs::create_dir(&self.dir)?;
        self.measure_fsyncs()?;
        let mut instances = self.start_instances(processes)?;
        let primary = primary_index(&mut instances)?;
        let populated = expect_written(
            instances[primary].request(&InstanceCommand::Populate { callers: CALLERS })?,
        )?;
        wait_applied(&mut instances, populated.position)?;
        match self.side {
            BenchSide::SingleNode => self.measure_single_node(&mut instances)?,
            BenchSide::Cluster => self.measure_cluster(&mut instances, primary)?,
        }
        processes.kill_all();
        self.measure_fsyncs()?;
        std::fs::remove_dir_all(&self.dir)
    }

    fn measure_single_node(&mut self, instances: &mut [InstanceProcess]) -> io::Result<()> {
        self.measure_max_rate(instances, 0, "at a replica")?;
        self.measure_max_rate(instances, 0, "at the primary")?;
        self.measure_steady_rate(instances, &[0], "at a replica")?;
        self.measure_steady_rate(instances, &[0], "spread on all")?;
        self.measure_look_ups(instances, 0)
    }

    fn measure_cluster(
        &mut self,
        instances: &mut [InstanceProcess],
        primary: usize,
    ) -> io::Result<()> {
        let replica = (primary + 1) % instances.len();
        let all: Vec<usize> = (0..instances.len()).collect();
        self.measure_max_rate(instances, replica, "at a replica")?;
        self.measure_max_rate(instances, primary, "at the primary")?;
        self.measure_steady_rate(instances, &[replica], "at a replica")?;
        self.measure_steady_rate(instances, &all, "spread on all")?;
        self.measure_look_ups(instances, replica)?;
        self.measure_name_propagation(instances, replica)
    }

    /// Starts the instances: one alone, or several, the others joining the first.
    fn start_instances(&self, processes: &Processes) -> io::Result<Vec<InstanceProcess>> {
        let count = match self.side {
            BenchSide::SingleNode => 1,
            BenchSide::Cluster => self.options.instances,
        };
        let random = || random_node_id().map_err(io::Error::other);
        let secret = format!("{:016x}{:016x}", random()?, random()?);
        let mut instances = Vec::new();
        let mut first = None;
        for index in 0..count {
            let name = format!("bench-{index}");
            let mut place = None;
            if self.side == BenchSide::Cluster {
                let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
                place = Some(InstanceClusterConfig {
                    listen,
                    join: first,
                    secret: secret.clone(),
                });
                first.get_or_insert(listen);
            }
            let mut instance = processes.spawn(&name)?;
            instance.request(&InstanceCommand::Open(Box::new(InstanceConfig {
                data: self.dir.join(&name),
                name,
                // One round asks sled and the next SQLite.
                warm: self.round.is_multiple_of(2),
                cluster: place,
            })))?;
            instances.push(instance);
            wait_formed(&mut instances)?;
        }
        Ok(instances)
    }

    fn measure_max_rate(
        &mut self,
        instances: &mut [InstanceProcess],
        at: usize,
        who: &str,
    ) -> io::Result<()> {
        let turns = self.next_series(self.options.turns);
        let before = cpu_seconds(instances);
        let written = expect_written(instances[at].request(&InstanceCommand::FlatOut(turns))?)?;
        wait_applied(instances, written.position)?;
        let rate = turns.count as f64 / written.seconds;
        self.record_median(&format!("turns flat out, {who}"), "1/s", Some(rate));
        self.record_cpu(
            instances,
            before,
            turns.count,
            &format!("flat out, {who}"),
            &[at],
        );
        Ok(())
    }

    fn measure_steady_rate(
        &mut self,
        instances: &mut [InstanceProcess],
        at: &[usize],
        who: &str,
    ) -> io::Result<()> {
        let before = cpu_seconds(instances);
        let rate = self.options.rate;
        let (count, last) = self.write_steadily(instances, at, who, None)?;
        wait_applied(instances, last)?;
        self.record_cpu(instances, before, count, &format!("at {rate}/s, {who}"), at);
        Ok(())
    }

    /// Writes at the rate, divided among `at`. How many turns, and the last position.
    fn write_steadily(
        &mut self,
        instances: &mut [InstanceProcess],
        at: &[usize],
        who: &str,
        look_up_of: Option<usize>,
    ) -> io::Result<(usize, u64)> {
        let rate = (self.options.rate / at.len() as u64).max(1);
        let count = rate as usize * STEADY_SECONDS;
        for index in at {
            let turns = self.next_series(count);
            instances[*index].send(&InstanceCommand::Steady {
                turns,
                rate,
                look_up_of,
            })?;
        }
        let mut last = 0;
        for index in at {
            let written = expect_written(instances[*index].receive()?)?;
            last = last.max(written.position);
            if look_up_of.is_some() {
                let times = written.look_ups;
                self.record_look_ups(&times, "while turns are written");
            } else {
                let times = written.times_us.iter().map(|us| f64::from(*us) / 1e3);
                let what = format!("turn to durable at {}/s, {who}", self.options.rate);
                self.results
                    .record(self.side, Aggregation::MedianAndP99, &what, "ms", times);
            }
        }
        Ok((count * at.len(), last))
    }

    /// Looks callers up at an instance: while turns come to it, and for a while in peace.
    fn measure_look_ups(&mut self, instances: &mut [InstanceProcess], at: usize) -> io::Result<()> {
        let (_, last) = self.write_steadily(instances, &[at], "", Some(CALLERS))?;
        wait_applied(instances, last)?;
        let ms = 1_000;
        if let InstanceReply::LookedUp(times) =
            instances[at].request(&InstanceCommand::LookUp { of: CALLERS, ms })?
        {
            self.record_look_ups(&times, "while nothing is written");
        }
        Ok(())
    }

    fn record_look_ups(&mut self, times: &super::instance_protocol::LookUpTimings, when: &str) {
        for (tier, ns) in [
            ("hot", &times.hot_ns),
            ("warm", &times.warm_ns),
            ("cold", &times.cold_ns),
        ] {
            let us = ns.iter().map(|ns| f64::from(*ns) / 1e3);
            let what = format!("look-up, {tier}, {when}");
            self.results
                .record(self.side, Aggregation::MedianAndP99, &what, "us", us);
        }
    }

    /// From a name acknowledged at `at` until the others know it.
    fn measure_name_propagation(
        &mut self,
        instances: &mut [InstanceProcess],
        at: usize,
    ) -> io::Result<()> {
        let names = NameRange {
            first: CALLERS,
            count: NAMES_A_ROUND,
        };
        for (index, instance) in instances.iter_mut().enumerate() {
            if index != at {
                instance.send(&InstanceCommand::Watch(names))?;
            }
        }
        let acknowledged =
            expect_timestamps(instances[at].request(&InstanceCommand::Learn(names))?)?;
        for (index, instance) in instances.iter().enumerate() {
            if index == at {
                continue;
            }
            let known = expect_timestamps(instance.receive()?)?;
            let times = known.iter().zip(&acknowledged);
            // It may know before the one that asked has its answer.
            let ms = times.map(|(known, said)| known.saturating_sub(*said) as f64 / 1e6);
            let what = "name acknowledged until another instance says it";
            self.results
                .record(self.side, Aggregation::MedianAndP99, what, "ms", ms);
        }
        Ok(())
    }

    fn next_series(&mut self, count: usize) -> TurnSeries {
        self.series += 1;
        TurnSeries {
            series: self.series,
            count,
        }
    }

    fn record_median(&mut self, what: &str, unit: &'static str, value: Option<f64>) {
        self.results
            .record(self.side, Aggregation::Median, what, unit, value);
    }

    /// Notes the CPU since `before`, of all together, of those that turns came to, and of the others.
    fn record_cpu(
        &mut self,
        instances: &[InstanceProcess],
        before: Option<Vec<f64>>,
        turns: usize,
        when: &str,
        at: &[usize],
    ) {
        let (Some(before), Some(after)) = (before, cpu_seconds(instances)) else {
            return;
        };
        let spent = |index: usize| (after[index] - before[index]) * 1e6 / turns as f64;
        let all = (0..instances.len()).map(spent).sum();
        self.record_median(&format!("CPU a turn, {when}, all"), "us", Some(all));
        if let ([submitter], true) = (at, instances.len() > 1) {
            let others = instances.len() - 1;
            let own = spent(*submitter);
            self.record_median(&format!("CPU a turn, {when}, there"), "us", Some(own));
            let other = (all - own) / others as f64;
            self.record_median(
                &format!("CPU a turn, {when}, each other"),
                "us",
                Some(other),
            );
        }
    }

    fn measure_fsyncs(&mut self) -> io::Result<()> {
        let times = bench::fsyncs(&self.dir.join("fsync"), FSYNCS_A_PART)?;
        let ms = times.iter().map(|time| time.as_secs_f64() * 1e3);
        self.results
            .record(self.side, Aggregation::MedianAndP99, "one fsync", "ms", ms);
        Ok(())
    }
}

/// Waits until everybody takes part, votes, and one is primary.
fn wait_formed(instances: &mut [InstanceProcess]) -> io::Result<()> {
    let begun = Instant::now();
    let count = instances.len();
    loop {
        let mut there = 0;
        let mut primaries = 0;
        for instance in instances.iter_mut() {
            if let InstanceReply::Status {
                is_primary,
                voters,
                is_ready,
            } = instance.request(&InstanceCommand::Status)?
            {
                there += usize::from(is_ready && voters == count);
                primaries += usize::from(is_primary);
            }
        }
        if there == count && primaries == 1 {
            return Ok(());
        }
        if begun.elapsed() > FORM_MAX {
            return Err(io::Error::other(
                "the instances did not find together in time",
            ));
        }
        std::thread::sleep(POLL_PERIOD);
    }
}

fn primary_index(instances: &mut [InstanceProcess]) -> io::Result<usize> {
    for (index, instance) in instances.iter_mut().enumerate() {
        if matches!(
            instance.request(&InstanceCommand::Status)?,
            InstanceReply::Status {
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
fn wait_applied(instances: &mut [InstanceProcess], position: u64) -> io::Result<()> {
    for instance in instances.iter_mut() {
        instance.send(&InstanceCommand::WaitApplied { position })?;
    }
    instances
        .iter()
        .try_for_each(|instance| instance.receive().map(drop))
}

fn cpu_seconds(instances: &[InstanceProcess]) -> Option<Vec<f64>> {
    instances.iter().map(InstanceProcess::cpu_seconds).collect()
}

fn expect_written(answer: InstanceReply) -> io::Result<WriteTimings> {
    match answer {
        InstanceReply::Written(written) if written.failed == 0 => Ok(written),
        InstanceReply::Written(written) => Err(io::Error::other(format!(
            "{} turns did not become durable",
            written.failed
        ))),
        _ => Err(io::Error::other("another answer than was asked for")),
    }
}

fn expect_timestamps(answer: InstanceReply) -> io::Result<Vec<u64>> {
    match answer {
        InstanceReply::Timestamps { unix_ns } => Ok(unix_ns),
        _ => Err(io::Error::other("another answer than was asked for")),
    }
}
