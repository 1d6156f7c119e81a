//! Several instances and the network between them: brought up, put under load, hurt by the tests,
//! and in the end brought to rest and judged.

use crate::checkers::{self, tokens};
use crate::database_contents::{self, DatabaseContents};
use crate::dump::{self, DatabaseDump};
use crate::event_record::EventRecord;
use crate::events::{IdentitySource, InstanceEvent, SubmittedWrite, TestCommand, WorkloadRates};
use crate::node::{ANSWER_MAX, ClusterView, NodeHandle, fresh_number};
use crate::random::SeededRandom;
use crate::test_network::{self, TestNetwork};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before the test gives up. No measure of anything: what waits, waits for what
/// it needs, and this is only so that a test of something that never comes ends.
pub const WAIT_MAX: Duration = Duration::from_secs(600);
/// How often is looked whether something has come.
const STEP: Duration = Duration::from_millis(40);
/// Writes looked through for one that is durable.
const LOOKED_THROUGH_MAX: usize = 300;
/// Twice what every instance demands.
const SECRET: &str = "the-fault-suite-keeps-no-secrets-from-itself-0123456789abcdef";

/// The ordinary load of each instance.
pub const ORDINARY: WorkloadRates = WorkloadRates {
    writes_per_s: 150,
    long_winded: false,
    wanted_calls: 6,
    names: true,
};
/// One that makes the log grow.
pub const HEAVY: WorkloadRates = WorkloadRates {
    writes_per_s: 150,
    long_winded: true,
    wanted_calls: 4,
    names: true,
};

/// What is brought up.
#[derive(Clone, Copy, Debug)]
pub struct FaultTestPlan {
    /// Instances that run from the beginning.
    pub nodes: u64,
    /// Further ones that may join.
    pub spare: u64,
    /// Whether links must be cut: without namespaces there is no test.
    pub cuts: bool,
    /// Whether disks and clocks are simulated.
    pub machines: bool,
    /// Bytes of log kept.
    pub log_bytes_max: u64,
    /// Which instance says that writes are durable when they are submitted.
    pub liar: Option<u64>,
}

impl FaultTestPlan {
    /// Three instances, which is what the server recommends.
    pub fn three() -> Self {
        Self {
            nodes: 3,
            spare: 0,
            cuts: false,
            machines: false,
            log_bytes_max: 64 * 1024 * 1024,
            liar: None,
        }
    }

    /// With links that can be cut.
    pub fn with_cuts(mut self) -> Self {
        self.cuts = true;
        self
    }

    /// With simulated disks and clocks.
    pub fn with_machines(mut self) -> Self {
        self.machines = true;
        self
    }

    /// With places for more instances.
    pub fn with_spare(mut self, spare: u64) -> Self {
        self.spare = spare;
        self
    }

    /// Brings them up; nothing, with a line that says why, where that cannot be done.
    pub fn open(self, random: &mut SeededRandom) -> Option<FaultTestCluster> {
        // One at a time: instances that wait for the processor hold elections.
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let net = TestNetwork::create(self.nodes + self.spare);
        if let (true, Err(hindrance)) = (self.cuts, &net) {
            println!("skipped: cutting a network needs root, `ip` and `iptables`: {hindrance}");
            return None;
        }
        let mut cluster = FaultTestCluster::build(self, net.ok(), alone);
        for node in &mut cluster.nodes {
            if self.machines && !node.simulate(random.next()) {
                return None;
            }
            node.lies = self.liar == Some(node.index);
        }
        cluster.bring_up(self.nodes as usize);
        Some(cluster)
    }
}

/// See the module.
pub struct FaultTestCluster {
    /// All of them, running or not.
    pub nodes: Vec<NodeHandle>,
    /// Their network, where it can be cut.
    pub net: Option<TestNetwork>,
    /// What they told.
    pub record: Arc<EventRecord>,
    /// Instances that stay away from now on.
    pub retired: Vec<usize>,
    findings: RunFindings,
    folder: Option<TempDir>,
    _alone: MutexGuard<'static, ()>,
}

/// What was found when everything had come to rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunFindings {
    /// Writes that were acknowledged, since the beginning.
    pub acknowledged: usize,
    /// Turns in each database.
    pub turns: usize,
    /// Rows in each database.
    pub rows: usize,
}

impl FaultTestCluster {
    fn build(
        plan: FaultTestPlan,
        net: Option<TestNetwork>,
        alone: MutexGuard<'static, ()>,
    ) -> Self {
        let folder = TempDir::with_prefix("calldex-cluster-").expect("a temporary folder");
        let record = Arc::new(EventRecord::default());
        let all = plan.nodes + plan.spare;
        let addresses: Vec<String> = match &net {
            Some(_) => (0..all)
                .map(|node| format!("{}:{}", test_network::host(node), test_network::PORT))
                .collect(),
            None => free_addresses(all),
        };
        let nodes = (0..all).map(|index| {
            let enter = net.as_ref().map_or(Vec::new(), |net| net.enter(index));
            let section = section(&addresses, index, plan.log_bytes_max);
            let folder = folder.path().join(format!("node-{index}"));
            NodeHandle::new(index, folder, section, enter, Arc::clone(&record))
        });
        Self {
            nodes: nodes.collect(),
            net,
            record,
            retired: Vec::new(),
            findings: RunFindings::default(),
            folder: Some(folder),
            _alone: alone,
        }
    }

    fn bring_up(&mut self, nodes: usize) {
        self.retired = (nodes..self.nodes.len()).collect();
        self.nodes[0].start(IdentitySource::Found);
        self.wait_serving(0, "founding");
        for index in 1..nodes {
            self.nodes[index].start(IdentitySource::Join);
        }
        for index in 1..nodes {
            self.wait_serving(index, "joining");
        }
        self.wait_voters(nodes);
    }

    /// Waits until an instance belongs to a cluster with a primary.
    pub fn wait_serving(&mut self, index: usize, what: &str) {
        let life = self.nodes[index].life();
        let served = self.record.wait(WAIT_MAX, |told| {
            let standing = told.lives.get(&life)?;
            (standing.is_serving || standing.is_gone).then_some(standing.is_serving)
        });
        let standing = self.nodes[index].life_status();
        assert_eq!(served, Some(true), "{what}: instance {index}: {standing:?}");
    }

    /// Waits until so many vote, as the primary sees it.
    pub fn wait_voters(&mut self, voters: usize) {
        let what = format!("{voters} voters");
        self.wait_for(&what, |cluster| {
            let primary = cluster.find_primary()?;
            let view = cluster.nodes[primary].view()?;
            let voting = view.members.iter().filter(|member| member.voter).count();
            (voting == voters).then_some(())
        });
    }

    /// Waits until `look` finds something, at most [`WAIT_MAX`].
    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + WAIT_MAX;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if Instant::now() >= end {
                let views = self.cluster_views();
                panic!("waited {WAIT_MAX:?} in vain for {what}: {views:#?}");
            }
            std::thread::sleep(STEP);
        }
    }

    /// How those that run see the cluster.
    pub fn cluster_views(&mut self) -> Vec<(usize, Option<ClusterView>)> {
        let running: Vec<usize> = self.awake();
        let view = |index: usize| (index, self.nodes[index].view());
        running.into_iter().map(view).collect()
    }

    /// Instances that belong to it, run and are not paused.
    pub fn awake(&self) -> Vec<usize> {
        let awake = |index: &usize| self.nodes[*index].is_awake() && !self.retired.contains(index);
        (0..self.nodes.len()).filter(awake).collect()
    }

    /// The primary of the latest election, if one that a majority follows is known.
    pub fn find_primary(&mut self) -> Option<usize> {
        let views = self.cluster_views();
        let primaries = views.iter().filter_map(|(index, view)| {
            let view = view.as_ref()?;
            (view.role == "primary" && view.has_quorum).then_some((view.term, *index))
        });
        primaries.max().map(|(_, index)| index)
    }

    /// The primary; waits until there is one.
    pub fn primary(&mut self) -> usize {
        self.wait_for("a primary", Self::find_primary)
    }

    /// One that runs and is not the primary.
    pub fn replica(&mut self, random: &mut SeededRandom) -> usize {
        let primary = self.primary();
        let others: Vec<usize> = self
            .awake()
            .into_iter()
            .filter(|index| *index != primary)
            .collect();
        random.one_of(&others)
    }

    /// Puts everybody under load.
    pub fn load(&mut self, load: WorkloadRates) {
        self.nodes
            .iter_mut()
            .for_each(|node| node.send_command(&TestCommand::Load(load)));
    }

    /// Lets the load go on for a while, during which what is durable is looked for elsewhere.
    pub fn work(&mut self, random: &mut SeededRandom, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::thread::sleep(STEP);
            self.look_elsewhere(random);
        }
    }

    /// Looks for a recent durable write of one instance at another: by its token, or by asking the
    /// other to catch up.
    fn look_elsewhere(&mut self, random: &mut SeededRandom) {
        let awake = self.awake();
        if awake.len() < 2 {
            return;
        }
        let (writer, reader) = (random.one_of(&awake), random.one_of(&awake));
        if writer == reader {
            return;
        }
        let Some((deed, position)) = self.recent(self.nodes[writer].life()) else {
            return;
        };
        let order = TestCommand::Look {
            asked: fresh_number(),
            position: random.chance(50).then_some(position),
            deed,
        };
        self.nodes[reader].send_command(&order);
    }

    /// Lets the load go on until so many more writes are acknowledged, to anybody.
    pub fn work_until_acknowledged(&mut self, random: &mut SeededRandom, more: usize) {
        let count = |cluster: &Self| cluster.record.events().history.acknowledged_count();
        let wanted = count(self) + more;
        self.wait_for("writes to be acknowledged", |cluster| {
            cluster.work(random, STEP);
            (count(cluster) >= wanted).then_some(())
        });
    }

    /// Lets the load go on until so many more entries are applied by one instance.
    pub fn work_until_applied(&mut self, random: &mut SeededRandom, index: usize, more: u64) {
        let path = self.nodes[index].data().join("calls.db");
        let first = self.wait_for("a position", |_| database_contents::position(&path).ok());
        self.wait_for("entries to be applied", |cluster| {
            cluster.work(random, STEP);
            (database_contents::position(&path).ok()? >= first + more).then_some(())
        });
    }

    fn recent(&self, life: u64) -> Option<(SubmittedWrite, u64)> {
        let told = self.record.events();
        let writes = told
            .history
            .writes
            .range((life, 0)..=(life, u64::MAX))
            .rev();
        let mut durable = writes.take(LOOKED_THROUGH_MAX).filter_map(|(_, write)| {
            let is_lost_claim = matches!(write.deed, SubmittedWrite::Claimed { .. });
            let position = write.position().filter(|_| !is_lost_claim)?;
            Some((write.deed.clone(), position))
        });
        durable.next()
    }

    /// Starts an instance again on its own files.
    pub fn restart(&mut self, index: usize) {
        self.nodes[index].start(IdentitySource::GoOn);
    }

    /// Everything is well again: links, disks, the paused and the dead.
    pub fn heal(&mut self) {
        if let Some(net) = &self.net {
            net.heal();
        }
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if let Some(machine) = &node.machine {
                machine.recover();
            }
            node.resume();
            // One may have ended by itself.
            if node.is_running() && node.life_status().is_gone {
                node.wait_end(WAIT_MAX);
            }
            if !node.is_running() && !self.retired.contains(&index) {
                self.restart(index);
            }
        }
    }

    /// Heals, goes on for a moment, comes to rest, and judges everything.
    pub fn check_after_settling(
        &mut self,
        random: &mut SeededRandom,
        load: WorkloadRates,
        what: &str,
    ) -> RunFindings {
        self.heal();
        for index in self.awake() {
            self.wait_serving(index, what);
        }
        self.load(load);
        self.work(random, Duration::from_millis(350));
        self.settle(what);
        let held = self.wait_equal(what);
        self.drain_events(what);
        let wrong = self.check(&held);
        assert!(wrong.is_empty(), "{what}: {wrong}");
        self.findings
    }

    /// The same, where something is expected to be wrong: what it is, in words.
    pub fn rest_and_find(&mut self, what: &str) -> String {
        self.heal();
        for index in self.awake() {
            self.wait_serving(index, what);
        }
        self.settle(what);
        let held = self.wait_equal(what);
        self.drain_events(what);
        self.check(&held)
    }

    /// Nobody submits any more, and nothing is under way.
    pub fn settle(&mut self, what: &str) {
        self.nodes
            .iter_mut()
            .for_each(|node| node.send_command(&TestCommand::Hush));
        let what = format!("{what}: every write decided");
        self.wait_for(&what, |cluster| {
            let awake = cluster.awake();
            let decided = |index: usize| {
                let answer =
                    cluster.nodes[index].ask(|asked| TestCommand::UnderWay { asked }, ANSWER_MAX);
                matches!(answer, Some(InstanceEvent::UnderWay { writes: 0, .. }))
            };
            awake.into_iter().all(decided).then_some(())
        });
    }

    /// All databases, once they are at one position.
    fn wait_equal(&mut self, what: &str) -> Vec<(usize, DatabaseContents)> {
        let mut last = String::new();
        let end = Instant::now() + WAIT_MAX;
        while Instant::now() < end {
            match self.compare() {
                Ok(held) => return held,
                Err(difference) => last = difference,
            }
            std::thread::sleep(STEP);
        }
        let views = self.cluster_views();
        panic!("{what}: the databases never became equal: {last}\n{views:#?}");
    }

    /// Waits until every instance has told what it heard of claims: the databases are read from outside,
    /// and are equal a moment before their instances have told of what is in them.
    fn drain_events(&mut self, what: &str) {
        for index in self.awake() {
            let path = self.nodes[index].data().join("calls.db");
            let position = self.wait_for(what, |_| database_contents::position(&path).ok());
            let told =
                self.nodes[index].ask(|asked| TestCommand::Tell { asked, position }, WAIT_MAX);
            let reached = matches!(told, Some(InstanceEvent::Told { reached: true, .. }));
            assert!(reached, "{what}: instance {index} never told of {position}");
        }
    }

    fn compare(&mut self) -> Result<Vec<(usize, DatabaseContents)>, String> {
        let paths = self.awake().into_iter();
        let paths = paths.map(|index| (index, self.nodes[index].data().join("calls.db")));
        let paths: Vec<_> = paths.collect();
        let positions = paths
            .iter()
            .map(|(_, path)| database_contents::position(path));
        let positions = positions.collect::<Result<Vec<_>, _>>();
        let positions = positions.map_err(|error| error.to_string())?;
        if positions.iter().any(|position| *position != positions[0]) {
            return Err(format!("positions {positions:?}"));
        }
        let mut held: Vec<(usize, DatabaseContents)> = Vec::new();
        let mut first: Option<DatabaseDump> = None;
        for (index, path) in paths {
            let (books, dump) =
                database_contents::read(&path).map_err(|error| error.to_string())?;
            let first = first.get_or_insert_with(|| dump.clone());
            if let Some(difference) = first.difference(&dump) {
                return Err(format!("instance {index}: {difference}"));
            }
            self.findings.rows = dump.rows();
            held.push((index, books));
        }
        Ok(held)
    }

    /// What is wrong, in words; nothing if nothing is.
    fn check(&mut self, held: &[(usize, DatabaseContents)]) -> String {
        let mut wrong = String::new();
        let told = self.record.events();
        let verdict = checkers::check_history(&told.history);
        if !verdict.is_clean() {
            wrong.push_str(&format!("the history:\n{}\n", verdict.report()));
        }
        for (index, books) in held {
            let verdict = checkers::check_database(&told.history, books);
            if !verdict.is_clean() {
                wrong.push_str(&format!("instance {index}:\n{}\n", verdict.report()));
            }
            let integrity = dump::integrity(&self.nodes[*index].data().join("calls.db"));
            if integrity != "ok" {
                wrong.push_str(&format!("instance {index}: {integrity}\n"));
            }
            self.findings.turns = books.turns();
        }
        let denials = told.history.denials();
        if let Some(first) = denials.first() {
            let count = denials.len();
            wrong.push_str(&format!("{count} writes were refused, the first {first}\n"));
        }
        self.findings.acknowledged = told.history.acknowledged_count();
        wrong
    }

    /// Ends all in order, and looks at every file once more.
    pub fn close(mut self, what: &str) -> RunFindings {
        self.settle(what);
        // All at once: each waits a moment for the others' connections.
        let running = self.awake();
        running
            .iter()
            .for_each(|index| self.nodes[*index].send_command(&TestCommand::Stop));
        for index in running {
            let unflushed = self.nodes[index].stop();
            assert_eq!(
                unflushed,
                Some(0),
                "{what}: instance {index} gave up writes"
            );
        }
        for node in &self.nodes {
            for name in ["calls.db", "raft.db", "outbox.db"] {
                let path = node.data().join(name);
                if path.exists() {
                    assert_eq!(
                        dump::integrity(&path),
                        "ok",
                        "{what}: {name} of {}",
                        node.index
                    );
                }
            }
        }
        let told = self.record.events();
        let looks = tokens::tell(&told.history);
        let found = self.findings;
        println!(
            "{what}: {} acknowledged, 0 lost, 0 twice; {} turns and {} rows on each, equal; {looks}",
            found.acknowledged, found.turns, found.rows
        );
        assert!(found.acknowledged > 0, "{what}: the load was no load");
        drop(told);
        found
    }
}

impl Drop for FaultTestCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let folder = self.folder.take().map(TempDir::keep);
            eprintln!("files and logs of the instances are kept in {folder:?}");
        }
    }
}

fn section(addresses: &[String], index: u64, log_bytes_max: u64) -> Value {
    let own = &addresses[index as usize];
    let others: Vec<&String> = addresses.iter().filter(|address| *address != own).collect();
    json!({
        "listen": own,
        "advertise": own,
        "join": others,
        "secret": SECRET,
        "log_bytes_max": log_bytes_max,
        // Wiped directories join anew within the test's patience.
        "replace_after_s": 1,
    })
}

/// Free ports of this machine. They are given back at once, so another process may be quicker.
fn free_addresses(count: u64) -> Vec<String> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
    listeners.iter().map(address).collect()
}
