//! A running server: the binary, its folder, and Twilio at its door.

use crate::database::{CallerRow, ConversationRow, Database, TurnRow};
use crate::fake_model::FakeModel;
use crate::raw_http;
use crate::test_caller::{SPEED, TestCaller};
use calldex_simulator::twilio::playback::Pace;
use calldex_simulator::twilio::{CallError, Dial, Twilio, TwilioConfig};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_calldex");
/// The account's auth token in servers with signatures.
pub const TOKEN: &str = "admin-token-7c1f";
/// How Twilio reaches a signed server.
pub const PUBLIC_URL: &str = "https://phone.example.net";
/// The number that everybody calls.
pub const LINE: &str = "+15550100199";
/// Longest wait for anything. No measure of anything: what waits, waits for what it needs, and this is only so
/// that a test of something that never comes ends.
pub const WAIT_MAX: Duration = Duration::from_secs(600);
/// How long the server waits for storage and for the model before it does something else: longer than a busy
/// machine takes. Tests of such a wait set it themselves.
const PRODUCT_WAITS: [(&str, u64); 7] = [
    ("call.lookup_ms_max", 5_000),
    ("call.filler_after_ms", 120_000),
    ("call.silence_prompt_ms", 600_000),
    ("agent.reply_ms_max", 120_000),
    ("model.default.first_token_ms_max", 120_000),
    ("model.default.idle_ms_max", 120_000),
    ("model.default.connect_ms_max", 120_000),
];
/// How fast the voice is where nobody speaks into it: three times as fast as a real one.
const FAST_CHARACTERS_PER_S: f64 = 60.0;
/// And what a clause takes beside.
const FAST_CLAUSE: Duration = Duration::from_millis(100);
/// How often is looked whether something has come.
const STEP: Duration = Duration::from_millis(15);

/// The binary with nothing of this machine's settings in its environment.
pub fn bare_command() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars() {
        let named = ["PUBLIC_URL", "TWILIO_", "OPENAI_", "CALLDEX_"];
        if named.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// The variable that holds the setting with this path, such as `call.live_max`.
pub fn variable_for(path: &str) -> String {
    format!("CALLDEX_{}", path.replace('.', "__").to_uppercase())
}

/// Sends a process a signal by its name, such as `TERM`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(sent.expect("kill is there").success());
}

/// The sum of a metric over the series of a page whose labels hold `label` (all of them, if empty).
pub fn sum(page: &str, name: &str, label: &str) -> f64 {
    let mut sum = 0.0;
    for line in page.lines() {
        let series = line
            .strip_prefix(name)
            .filter(|rest| rest.starts_with([' ', '{']));
        if let Some((labels, value)) = series.and_then(|rest| rest.rsplit_once(' '))
            && labels.contains(label)
        {
            sum += value.parse::<f64>().expect("a metric's value is a number");
        }
    }
    sum
}

/// Waits until `look` finds something, at most [`WAIT_MAX`].
pub async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {WAIT_MAX:?} in vain for {what}"
        );
        tokio::time::sleep(STEP).await;
    }
}

/// A server before it is started.
pub struct TestServerBuilder {
    settings: Vec<(String, String)>,
    config: String,
    signed: bool,
    twilio: TwilioConfig,
}

impl Default for TestServerBuilder {
    fn default() -> Self {
        let mut twilio = TwilioConfig {
            speed: SPEED,
            ..TwilioConfig::default()
        };
        twilio.pace.characters_per_s = FAST_CHARACTERS_PER_S;
        twilio.pace.clause = FAST_CLAUSE;
        let unhurried = PRODUCT_WAITS.map(|(path, ms)| (variable_for(path), ms.to_string()));
        Self {
            settings: unhurried.to_vec(),
            config: String::new(),
            signed: true,
            twilio,
        }
    }
}

impl TestServerBuilder {
    /// No auth token and no public URL: the first minute of a new user.
    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    /// A setting by its path, such as `call.live_max`.
    pub fn set(self, path: &str, value: impl ToString) -> Self {
        self.variable(&variable_for(path), value)
    }

    /// A variable by its own name.
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Lines of the configuration file.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// The agent has this model behind it.
    pub fn with_model(self, model: &FakeModel) -> Self {
        self.variable("OPENAI_BASE_URL", model.base_url())
            .variable("OPENAI_API_KEY", "sk-test_server")
            .variable("OPENAI_MODEL", "server-model")
    }

    /// The voice takes its time, so that it can be interrupted.
    pub fn with_product_waits(self) -> Self {
        self.twilio(|twilio| twilio.pace = Pace::default())
    }

    /// Changes how Twilio behaves.
    pub fn twilio(mut self, change: impl FnOnce(&mut TwilioConfig)) -> Self {
        change(&mut self.twilio);
        self
    }

    /// A server with a door for others is the first instance of a cluster.
    fn init_cluster_if_configured(&self, folder: &Path) {
        let has_door = |(name, _): &(String, String)| name == "CALLDEX_CLUSTER__LISTEN";
        if self.settings.iter().any(has_door) {
            let mut command = bare_command();
            command
                .current_dir(folder)
                .args(["cluster", "init", "--data", "data"]);
            let founded = command.output().expect("the binary starts");
            assert!(founded.status.success(), "{founded:?}");
        }
    }

    /// Starts it on free ports and an empty folder.
    pub async fn start(self) -> TestServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("calldex.toml"), &self.config).expect("a config file");
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        self.init_cluster_if_configured(folder.path());
        let child = ServerProcess::start(&self, folder.path(), free, free).await;
        let mut twilio = self.twilio.clone();
        twilio.base_url = format!("http://{}", child.listen);
        if self.signed {
            twilio.public_url = Some(PUBLIC_URL.to_owned());
            twilio.auth_token = Some(TOKEN.into());
        }
        TestServer {
            twilio: Twilio::new(twilio).expect("the simulator's settings"),
            listen: child.listen,
            admin: child.admin,
            process: Some(child),
            folder,
            builder: self,
        }
    }
}

/// One process of a server.
struct ServerProcess {
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl ServerProcess {
    async fn start(
        plan: &TestServerBuilder,
        folder: &Path,
        listen: SocketAddr,
        admin: SocketAddr,
    ) -> Self {
        let mut command = bare_command();
        command
            .current_dir(folder)
            .arg("serve")
            .args(["--config", "calldex.toml", "--data", "data"])
            .args([
                "--listen",
                &listen.to_string(),
                "--admin",
                &admin.to_string(),
            ])
            .envs(plan.settings.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if plan.signed {
            command
                .env("TWILIO_AUTH_TOKEN", TOKEN)
                .env("PUBLIC_URL", PUBLIC_URL);
        }
        let mut child = command.spawn().expect("the binary starts");
        let said = collect_output(child.stdout.take().expect("stdout is piped"));
        let complained = collect_output(child.stderr.take().expect("stderr is piped"));
        let mut starting = Self {
            child,
            listen,
            admin,
            stdout: said,
            stderr: complained,
        };
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let banner = text(&starting.stdout);
            let found = ("webhook listener", "admin server");
            if let (Some(listen), Some(admin)) =
                (address_in(&banner, found.0), address_in(&banner, found.1))
            {
                (starting.listen, starting.admin) = (listen, admin);
                return starting;
            }
            let ended = starting.child.try_wait().expect("a child can be asked");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the server did not start ({ended:?}):\n{banner}\n{}",
                text(&starting.stderr)
            );
            tokio::time::sleep(STEP).await;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- what the server said\n{}\n--- what it complained of\n{}\n---",
                text(&self.stdout),
                text(&self.stderr)
            );
        }
    }
}

/// Reads a pipe to its end in a thread of its own.
fn collect_output(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let gathered = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&gathered);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count) = pipe.read(&mut piece) {
            if count == 0 {
                return;
            }
            let more = String::from_utf8_lossy(&piece[..count]).into_owned();
            into.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&more);
        }
    });
    gathered
}

fn text(gathered: &Mutex<String>) -> String {
    gathered
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// The address on the whole line of the banner that begins with `label`.
fn address_in(banner: &str, label: &str) -> Option<SocketAddr> {
    let at = banner.find(label)?;
    let (line, _) = banner[at..].split_once('\n')?;
    let (_, url) = line.split_once("http://")?;
    url.split(['/', ' ']).next()?.parse().ok()
}

/// The server, its folder, and Twilio. Dropping it kills it.
pub struct TestServer {
    /// Calls come from here.
    pub twilio: Twilio,
    /// Twilio's door.
    pub listen: SocketAddr,
    /// The operator's door.
    pub admin: SocketAddr,
    process: Option<ServerProcess>,
    folder: TempDir,
    builder: TestServerBuilder,
}

impl TestServer {
    /// A server to be furnished: signed, with the offline agent.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::default()
    }

    /// A signed server with the offline agent.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A signed server with this model, whose failures are noticed quickly.
    pub async fn with_model(model: &FakeModel) -> Self {
        Self::builder().with_model(model).start().await
    }

    /// An ordinary call, up to the greeting.
    pub async fn call(&self, from: &str) -> TestCaller {
        self.dial(Dial::new(from, LINE))
            .await
            .unwrap_or_else(|error| panic!("a call from {from}: {error}"))
    }

    /// An unusual call.
    pub async fn dial(&self, dial: Dial) -> Result<TestCaller, CallError> {
        self.twilio.place(dial).await.map(TestCaller::new)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Starts again on the same folder and ports.
    pub async fn restart(&mut self) {
        self.process.take();
        let again =
            ServerProcess::start(&self.builder, self.folder.path(), self.listen, self.admin).await;
        self.process = Some(again);
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(&self.process().child, name);
    }

    /// Waits until the process has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let running = self.process.as_mut().expect("the server is running");
            if let Some(status) = running.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            tokio::time::sleep(STEP).await;
        }
    }

    fn process(&self) -> &ServerProcess {
        self.process.as_ref().expect("the server is running")
    }

    /// What it wrote to standard output and error so far.
    pub fn output(&self) -> String {
        let running = self.process();
        format!("{}{}", text(&running.stdout), text(&running.stderr))
    }

    /// Where its database lies.
    pub fn database_path(&self) -> PathBuf {
        self.folder.path().join("data/calls.db")
    }

    /// The folder it runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The database.
    pub fn database(&self) -> Database {
        Database::open(&self.database_path())
    }

    /// What is kept of a number.
    pub fn caller(&self, number: &str) -> Option<CallerRow> {
        self.database().caller(number)
    }

    /// The conversation of a call, once it is closed.
    pub async fn wait_conversation_closed(&self, call_sid: &str) -> ConversationRow {
        wait_for("the conversation to be closed", || {
            self.database()
                .conversation(call_sid)
                .filter(|conversation| conversation.ended_at.is_some())
        })
        .await
    }

    /// Waits until a turn of a call with these words is kept, live or closed.
    pub async fn wait_turn_stored(&self, call_sid: &str, words: &str) -> TurnRow {
        wait_for(&format!("{words:?} to be kept"), || {
            let turns = self.database().turns(call_sid);
            turns.into_iter().find(|turn| turn.content.contains(words))
        })
        .await
    }

    /// The sum of a metric over the series whose labels hold `label` (all of them, if empty).
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let answer = raw_http::get(self.admin, "/metrics", &[]).await;
        assert_eq!(answer.status, 200);
        sum(&answer.body, name, label)
    }

    /// Waits until a metric reaches a value.
    pub async fn wait_metric(&self, name: &str, label: &str, wanted: f64) {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let value = self.metric(name, label).await;
            if value >= wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{name}{{{label}}} is {value}");
            tokio::time::sleep(STEP).await;
        }
    }
}
