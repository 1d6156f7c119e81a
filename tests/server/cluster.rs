//! Several instances behind one number: processes of one cluster on loopback, and Twilio before them,
//! which sends each request where a test says.

use crate::database::{ConversationRow, Database};
use crate::fake_model::FakeModel;
use crate::raw_http;
use crate::test_caller::{SPEED, TestCaller};
use crate::test_server::{self, LINE, PUBLIC_URL, TOKEN, bare_command, variable_for};
use calldex_simulator::twilio::{Dial, RestApiServer, Routing, Twilio, TwilioConfig};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Shared by all instances of a cluster.
pub const SECRET: &str = "several-instances-share-one-secret";
/// Longest wait for anything that takes elections and restarts on a busy machine.
pub const LONG: Duration = Duration::from_secs(600);
/// How often is looked whether something has come.
const STEP: Duration = Duration::from_millis(50);
/// Clusters that run at once; each is three processes.
const CLUSTERS_MAX: usize = 2;
/// Ports are chosen from here on, below those that the system hands out by itself.
const PORTS: std::ops::Range<u16> = 12_000..19_000;
const NAMES: [&str; 3] = ["one", "two", "three"];

static CLUSTER_PERMITS: Semaphore = Semaphore::const_new(CLUSTERS_MAX);
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// Waits until `look` finds something, at most [`LONG`].
pub async fn wait_until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {LONG:?} for {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// A port that nobody has, and that no other test of this process is given.
pub fn free_address() -> SocketAddr {
    let count = PORTS.end - PORTS.start;
    // Another process begins elsewhere.
    let begin = u16::try_from(std::process::id() % u32::from(count)).expect("below a u16");
    loop {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + begin.wrapping_add(step) % count;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// What a command printed, on both of its outputs.
pub fn output_text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// One instance: its folder and doors, and the process while it runs.
pub struct ServerInstance {
    pub name: String,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub cluster: SocketAddr,
    folder: PathBuf,
    settings: Vec<(String, String)>,
    child: Option<Child>,
}

impl ServerInstance {
    /// One that is not started, in a folder below `below`.
    pub fn new(below: &Path, name: &str) -> Self {
        let folder = below.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self {
            name: name.to_owned(),
            listen: free_address(),
            admin: free_address(),
            cluster: free_address(),
            folder,
            settings: Vec::new(),
            child: None,
        }
    }

    /// A setting by its path; a later one replaces an earlier.
    pub fn set(&mut self, path: &str, value: impl ToString) {
        self.variable(&variable_for(path), value);
    }

    /// A variable by its own name.
    pub fn variable(&mut self, name: &str, value: impl ToString) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_string()));
    }

    /// What every one of several has: its doors, and those of `doors`.
    pub fn joins(&mut self, doors: &[String]) {
        self.set("listen", self.listen);
        self.set("admin", self.admin);
        self.set("server.instance", self.name.clone());
        self.set("cluster.listen", self.cluster);
        self.set("cluster.join", doors.join(","));
        self.set("cluster.secret", SECRET);
        // A machine that runs all tests at once is slow to answer.
        self.set("cluster.heartbeat_ms", 100);
        self.set("cluster.election_ms_min", 600);
        self.set("cluster.election_ms_max", 1_200);
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn database_path(&self) -> PathBuf {
        self.data().join("calls.db")
    }

    /// `calldex ARGUMENTS` with this instance's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command();
        command
            .current_dir(&self.folder)
            .args(arguments)
            .args(["--data", "data"])
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run_command(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output();
        output.expect("the binary starts")
    }

    /// Starts `calldex serve`, and waits for nothing.
    pub fn start(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("a log file");
        let both = log.try_clone().expect("a second handle");
        let mut command = self.command(&["serve"]);
        command.stdout(log).stderr(both);
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What it has printed, in all its lives.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended already cannot be killed, which is as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        test_server::signal(self.child.as_ref().expect("the instance runs"), name);
    }

    /// Waits until the process has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("the instance runs");
        let ended = wait_until("an instance to end", async || {
            child.try_wait().expect("a child can be asked")
        });
        let status = ended.await;
        self.child = None;
        status
    }

    /// A page of the admin door, if that is open.
    pub async fn page(&self, path: &str) -> Option<raw_http::HttpResponse> {
        TcpStream::connect(self.admin).await.ok()?;
        Some(raw_http::get(self.admin, path, &[]).await)
    }

    /// What `/readyz` says: its HTTP status, and its words.
    pub async fn ready(&self) -> Option<(u16, Value)> {
        let answer = self.page("/readyz").await?;
        let words = serde_json::from_str(&answer.body).ok()?;
        Some((answer.status, words))
    }

    /// Whether it takes part and nothing is amiss.
    pub async fn is_healthy(&self) -> bool {
        let ready = self.ready().await;
        ready.is_some_and(|(status, words)| status == 200 && words["status"] == "ok")
    }

    /// How it says the cluster stands.
    pub async fn status(&self) -> Option<Value> {
        let answer = self.page("/api/status").await?;
        let mut status: Value = serde_json::from_str(&answer.body).ok()?;
        Some(status["cluster"].take()).filter(Value::is_object)
    }

    pub fn database(&self) -> Database {
        Database::open(&self.database_path())
    }

    /// The sum of a metric over its series.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = self.page("/metrics").await.expect("the admin door is open");
        test_server::sum(&answer.body, name, "")
    }
}

impl Drop for ServerInstance {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- what {} said\n{}---", self.name, self.log_text());
        }
    }
}

/// Instances before they are started.
pub struct TestClusterBuilder {
    /// What all have in their environment.
    variables: Vec<(String, String)>,
    twilio: TwilioConfig,
    /// The first so many take calls.
    calls: usize,
}

impl TestClusterBuilder {
    /// A setting of all, by its path.
    pub fn set(self, path: &str, value: impl ToString) -> Self {
        self.variable(&variable_for(path), value)
    }

    fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// The last takes no calls.
    pub fn with_a_third_voter(mut self) -> Self {
        self.calls = 2;
        self
    }

    /// The agent has this model behind it, and never says that it is still thinking.
    pub fn with_model(self, model: &FakeModel) -> Self {
        self.variable("OPENAI_BASE_URL", model.base_url())
            .variable("OPENAI_API_KEY", "sk-test_server")
            .variable("OPENAI_MODEL", "server-model")
            .set("call.filler_after_ms", 120_000)
            .set("call.silence_prompt_ms", 600_000)
    }

    /// Twilio takes its real time where it asks for the action; the voice is fast instead.
    pub fn real_time(mut self) -> Self {
        self.twilio.speed = 1.0;
        self.twilio.pace.characters_per_s = 600.0;
        self.twilio.pace.clause = Duration::ZERO;
        self.twilio.pace.first_audio = Duration::from_millis(20);
        self.twilio.pace.synthesis = Duration::from_millis(10);
        self.twilio.pace.greeting_after = Duration::from_millis(20);
        self
    }

    /// Starts all, and waits until each is a voter that lacks nothing.
    pub async fn start(self) -> TestCluster {
        let turn = CLUSTER_PERMITS.acquire().await.expect("never closed");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut instances: Vec<ServerInstance> = NAMES
            .iter()
            .map(|name| ServerInstance::new(folder.path(), name))
            .collect();
        let mut twilio = self.twilio.clone();
        let mut bases = instances[..self.calls]
            .iter()
            .map(|instance| format!("http://{}", instance.listen));
        twilio.base_url = bases.next().expect("somebody takes calls");
        twilio.instances = bases.collect();
        twilio.public_url = Some(PUBLIC_URL.to_owned());
        twilio.auth_token = Some(TOKEN.into());
        let account_sid = twilio.account_sid.clone();
        let twilio = Twilio::new(twilio).expect("the simulator's settings");
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let rest = RestApiServer::open(&twilio, anywhere)
            .await
            .expect("a free port");
        let doors: Vec<String> = instances
            .iter()
            .map(|instance| instance.cluster.to_string())
            .collect();
        for (place, instance) in instances.iter_mut().enumerate() {
            instance.joins(&doors);
            instance.variable("TWILIO_AUTH_TOKEN", TOKEN);
            instance.variable("PUBLIC_URL", PUBLIC_URL);
            instance.set("twilio.account_sid", &account_sid);
            instance.set("twilio.api_base", rest.base_url());
            instance.set("server.calls", place < self.calls);
            for (name, value) in &self.variables {
                instance.variable(name, value);
            }
        }
        let founded = instances[0].run_command(&["cluster", "init"]);
        assert!(founded.status.success(), "{}", output_text(&founded));
        instances.iter_mut().for_each(ServerInstance::start);
        let several = TestCluster {
            twilio,
            rest,
            instances,
            folder,
            _permit: turn,
        };
        several.wait_settled().await;
        several
    }
}

/// The instances and Twilio before them. Dropping it kills them all.
pub struct TestCluster {
    pub twilio: Twilio,
    /// Where the primary asks Twilio to redirect calls.
    pub rest: RestApiServer,
    pub instances: Vec<ServerInstance>,
    folder: TempDir,
    _permit: SemaphorePermit<'static>,
}

impl TestCluster {
    /// Three signed instances with the offline agent.
    pub fn builder() -> TestClusterBuilder {
        let mut twilio = TwilioConfig {
            speed: SPEED,
            ..TwilioConfig::default()
        };
        twilio.pace.characters_per_s = 60.0;
        twilio.pace.clause = Duration::from_millis(100);
        TestClusterBuilder {
            variables: Vec::new(),
            twilio,
            calls: NAMES.len(),
        }
    }

    /// Where they all lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn running_instances(&self) -> impl Iterator<Item = &ServerInstance> {
        self.instances
            .iter()
            .filter(|instance| instance.is_running())
    }

    /// An ordinary call, up to the greeting, whose requests go there.
    pub async fn call(&self, from: &str, via: Routing) -> TestCaller {
        let mut dial = Dial::new(from, LINE);
        dial.via = via;
        let placed = self.twilio.place(dial).await;
        TestCaller::new(placed.unwrap_or_else(|error| panic!("a call from {from}: {error}")))
    }

    /// Waits until all that run are well, are as far as each other, and know each other as voters.
    pub async fn wait_settled(&self) {
        wait_until("all to be well and equally far", async || {
            let mut positions = Vec::new();
            for instance in self.running_instances() {
                if !instance.is_healthy().await {
                    return None;
                }
                let standing = instance.status().await?;
                let members = standing["members"].as_array()?;
                let is_whole =
                    |member: &Value| member["voter"] == true && member["reachable"] == true;
                if members.len() != NAMES.len() || !members.iter().all(is_whole) {
                    return None;
                }
                positions.push(standing["applied"].as_u64()?);
            }
            positions.dedup();
            (positions.len() == 1).then_some(())
        })
        .await;
    }

    /// The place of the primary that a majority follows.
    pub async fn primary(&self) -> usize {
        wait_until("a primary", async || {
            for (place, instance) in self.instances.iter().enumerate() {
                if !instance.is_running() {
                    continue;
                }
                let standing = instance.status().await?;
                if standing["role"] == "primary" && standing["has_quorum"] == true {
                    return Some(place);
                }
            }
            None
        })
        .await
    }

    /// Waits until a turn with these words is in the database of each that runs.
    pub async fn wait_turn_stored(&self, call_sid: &str, words: &str) {
        wait_until(&format!("{words:?} to be kept by all"), async || {
            let has = |instance: &ServerInstance| {
                let turns = instance.database().turns(call_sid);
                turns.iter().any(|turn| turn.content.contains(words))
            };
            self.running_instances().all(has).then_some(())
        })
        .await;
    }

    /// The conversation once all that run have its end.
    pub async fn wait_conversation_closed(&self, call_sid: &str) -> ConversationRow {
        wait_until("the conversation to be closed everywhere", async || {
            let mut found = None;
            for instance in self.running_instances() {
                let row = instance.database().conversation(call_sid);
                found = Some(row.filter(|row| row.ended_at.is_some())?);
            }
            found
        })
        .await
    }

    /// The place of the primary, or of one that is not.
    pub async fn instance_by_role(&self, is_primary: bool) -> usize {
        let primary = self.primary().await;
        match is_primary {
            true => primary,
            false => (primary + 1) % NAMES.len(),
        }
    }

    /// Waits until the databases of all that run hold the same, and says what.
    pub async fn wait_replicated(&self) -> Vec<String> {
        let mut last = Vec::new();
        let deadline = Instant::now() + LONG;
        loop {
            let dumps: Vec<_> = self
                .running_instances()
                .map(|one| one.database().dump())
                .collect();
            if dumps.windows(2).all(|two| two[0] == two[1]) {
                return dumps.into_iter().next().unwrap_or(last);
            }
            last = dumps.concat();
            last.sort();
            assert!(
                Instant::now() < deadline,
                "the databases are not alike:\n{}",
                last.join("\n")
            );
            tokio::time::sleep(STEP).await;
        }
    }
}

/// Replaces an instance's database, and nothing else of it.
pub fn restore_copy(copy: &Path, database: &Path) {
    for tail in ["-wal", "-shm"] {
        // There may be none.
        let _ = std::fs::remove_file(format!("{}{tail}", database.display()));
    }
    std::fs::copy(copy, database).expect("a database can be copied");
    let synced = File::open(database).and_then(|file| file.sync_all());
    synced.expect("to be written");
}
