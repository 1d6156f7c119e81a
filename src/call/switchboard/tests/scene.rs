//! Instances that share a database, as if each had applied the same log, and callers on their
//! sockets.

use crate::agent::Agent;
use crate::call::others::{CaughtUp, Others};
use crate::call::switchboard::{
    After, Answer, Arrival, Back, Connection, Hold, Mark, Setup, Switchboard, Way,
};
use crate::call::transport::{Incoming, Wire};
use crate::config::{CallSection, Config, Lines};
use crate::twilio::identity::{Attestation, Party};
use calldex_observability::worker::Workers;
use calldex_storage::record::LiveCall;
use calldex_storage::{Storage, StorageConfig};
use futures_util::future::{BoxFuture, ready};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(10);
const LOG: u64 = 77;

/// One of several, and how often it asked the primary anything.
struct Slot {
    slot: u16,
    caught_up: CaughtUp,
    asked: Arc<AtomicU32>,
}

impl Others for Slot {
    fn slot(&self) -> u16 {
        self.slot
    }

    fn log(&self) -> u64 {
        LOG
    }

    fn catch_up(&self, _deadline: Duration) -> BoxFuture<'_, CaughtUp> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(ready(self.caught_up))
    }

    fn live_call<'a>(
        &'a self,
        _call_sid: &'a str,
        _deadline: Duration,
    ) -> BoxFuture<'a, Option<LiveCall>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(ready(None))
    }
}

/// The database and its folder.
pub(super) struct Scene {
    storage: Arc<Storage>,
    _folder: TempDir,
}

/// One instance.
pub(super) struct Instance {
    pub(super) switchboard: Arc<Switchboard>,
    asked: Arc<AtomicU32>,
    sweeping: JoinHandle<()>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.sweeping.abort();
    }
}

impl Scene {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(StorageConfig::new(folder.path())).unwrap();
        Self {
            storage: Arc::new(storage),
            _folder: folder,
        }
    }

    pub(super) fn instance(&self, name: &str, slot: u16) -> Instance {
        self.instance_that(name, slot, CaughtUp::Fully)
    }

    /// One that catches up with the others so far.
    pub(super) fn instance_that(&self, name: &str, slot: u16, caught_up: CaughtUp) -> Instance {
        self.instance_within(name, slot, caught_up, CallSection::default())
    }

    /// One at which a lost call waits for so many seconds.
    pub(super) fn instance_that_waits(&self, name: &str, slot: u16, resume_s_max: u64) -> Instance {
        let bounds = CallSection {
            resume_s_max,
            ..CallSection::default()
        };
        self.instance_within(name, slot, CaughtUp::Fully, bounds)
    }

    fn instance_within(
        &self,
        name: &str,
        slot: u16,
        caught_up: CaughtUp,
        bounds: CallSection,
    ) -> Instance {
        let config = Config::default();
        let agent = Agent::new(&config.agent, &config.model).unwrap();
        let switchboard = Switchboard::new(
            Arc::clone(&self.storage),
            Arc::new(agent),
            Lines::new(&Config::default()),
            bounds,
            3,
            name,
        );
        let asked = Arc::new(AtomicU32::new(0));
        let others = Slot {
            slot,
            caught_up,
            asked: Arc::clone(&asked),
        };
        let switchboard = Arc::new(switchboard.among(Arc::new(others)));
        let sweeping = Arc::clone(&switchboard);
        Instance {
            switchboard,
            asked,
            sweeping: tokio::spawn(async move { sweeping.sweep(&Workers::default()).await }),
        }
    }

    pub(super) async fn row(&self, call_sid: &str) -> LiveCall {
        let call = self.storage.conversations.read(call_sid).await.unwrap();
        call.expect("the call is known")
    }

    /// Waits until everything that was told so far is kept.
    pub(super) async fn is_written(&self) {
        self.storage.writer.flush(PATIENCE).await.unwrap();
    }

    /// Waits until the call is owned by this instance, and every claim made so far is decided.
    pub(super) async fn owned_by(&self, call_sid: &str, instance: &str) {
        self.is_written().await;
        let owner = self.row(call_sid).await.conversation.instance;
        assert_eq!(owner.as_deref(), Some(instance));
    }

    /// What the caller said, as it is kept.
    pub(super) async fn said(&self, call_sid: &str) -> Vec<String> {
        let turns = self.row(call_sid).await.turns.into_iter();
        let said = turns.filter(|turn| turn.role == calldex_storage::record::Role::Caller);
        said.map(|turn| turn.content.to_string()).collect()
    }
}

/// Waits until something holds.
pub(super) async fn soon(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn arrival(call_sid: &str) -> Arrival {
    Arrival {
        call_sid: call_sid.into(),
        identity: Party::new("+14155550130").identity(),
        called: "+15550100199".into(),
        attestation: Attestation::Unstated,
    }
}

/// What of a document matters: the epoch it names, the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) hold: Option<Hold>,
    pub(super) greeting: String,
    pub(super) mark: Mark,
}

fn note(into: &Mutex<Option<Document>>) -> impl FnOnce(&Connection<'_>) -> String + '_ {
    |connection| {
        *into.lock().unwrap() = Some(Document {
            hold: connection.resumed,
            greeting: connection.greeting.text.clone(),
            mark: connection.mark,
        });
        "<Response/>".to_owned()
    }
}

impl Instance {
    pub(super) async fn rings(&self, call_sid: &str) -> Document {
        let document = Mutex::new(None);
        let answer = self
            .switchboard
            .ring(&arrival(call_sid), note(&document))
            .await;
        assert!(matches!(answer, Answer::Connect(_)));
        document.into_inner().unwrap().unwrap()
    }

    /// The action of a lost session comes here; `None`: a goodbye.
    pub(super) async fn is_asked(&self, call_sid: &str, way: Way) -> Option<Document> {
        let document = Mutex::new(None);
        let back = Back::by(way);
        let after = self
            .switchboard
            .lost(&arrival(call_sid), &back, note(&document))
            .await;
        match after {
            After::Reconnect(_) => document.into_inner().unwrap(),
            After::Goodbye(_) | After::Over(_) => None,
        }
    }

    /// A webhook for a call in progress of which nothing says that it was here before; whether it was.
    pub(super) async fn is_asked_unsurely(&self, call_sid: &str) -> bool {
        let back = Back {
            sure: false,
            ..Back::by(Way::Redirect)
        };
        let document = Mutex::new(None);
        let returned = self
            .switchboard
            .returned(&arrival(call_sid), &back, note(&document))
            .await;
        returned.is_some()
    }

    /// How often the primary was asked anything.
    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The first session of a call.
    pub(super) fn connects(&self, call_sid: &str, document: &Document) -> Phone {
        self.opens(call_sid, document, Kind::First)
    }

    /// A session by the TwiML of an action.
    pub(super) fn connects_again(&self, call_sid: &str, document: &Document) -> Phone {
        self.opens(call_sid, document, Kind::ByAction)
    }

    /// Twilio's own reconnect: the same parameters as before.
    pub(super) fn redials(&self, call_sid: &str, document: &Document) -> Phone {
        self.opens(call_sid, document, Kind::Redial)
    }

    fn opens(&self, call_sid: &str, document: &Document, kind: Kind) -> Phone {
        static SESSIONS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let session = SESSIONS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (says, incoming) = mpsc::unbounded_channel();
        let (outgoing, hears) = mpsc::unbounded_channel();
        let switchboard = Arc::clone(&self.switchboard);
        let (call_sid, document) = (call_sid.to_owned(), document.clone());
        let task = tokio::spawn(async move {
            let mut wire = Socket {
                incoming,
                outgoing,
                closed: None,
            };
            let session_id = format!("VX{session}");
            let setup = Setup {
                arrival: arrival(&call_sid),
                session_id: &session_id,
                greeting: Some((&document.greeting, false)),
                reconnected: document.hold.filter(|_| kind == Kind::ByAction),
                in_progress: kind != Kind::First,
                mark: document.mark,
            };
            switchboard.connect(&mut wire, setup).await;
            wire.closed
        });
        Phone { says, hears, task }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    First,
    ByAction,
    Redial,
}

/// A caller on a socket.
pub(super) struct Phone {
    says: mpsc::UnboundedSender<Incoming>,
    hears: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<Option<u16>>,
}

impl Phone {
    /// Says something and does not wait for an answer.
    pub(super) fn says(&self, words: &str) {
        let frame =
            serde_json::json!({"type": "prompt", "voicePrompt": words, "lang": "en", "last": true});
        self.frame(&frame.to_string());
    }

    pub(super) fn frame(&self, frame: &str) {
        self.says.send(Incoming::Text(frame.to_owned())).unwrap();
    }

    /// What has been said once it has `words` in it.
    pub(super) async fn hears(&mut self, words: &str) -> String {
        let mut heard = String::new();
        while !heard.contains(words) {
            let frame = timeout(PATIENCE, self.hears.recv()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{words:?} is not in {heard:?}"));
            let frame = frame.unwrap_or_else(|| panic!("closed: {words:?} is not in {heard:?}"));
            let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
            heard.push_str(frame["token"].as_str().unwrap_or_default());
        }
        heard
    }

    /// All that was said and not yet heard is played.
    pub(super) fn all_is_played(&mut self, also: &str) {
        self.frame(r#"{"type":"info","name":"agentSpeaking","value":"on"}"#);
        let mut text = also.to_owned();
        while let Ok(frame) = self.hears.try_recv() {
            let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
            text.push_str(frame["token"].as_str().unwrap_or_default());
        }
        let played = serde_json::json!({"type": "info", "name": "tokensPlayed", "value": text});
        self.frame(&played.to_string());
        self.frame(r#"{"type":"info","name":"agentSpeaking","value":"off"}"#);
    }

    /// The socket breaks.
    pub(super) async fn breaks(self) {
        let closed = Incoming::Closed { clean: false };
        self.says.send(closed).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    pub(super) async fn hangs_up(self) {
        self.says.send(Incoming::Closed { clean: true }).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    /// The code that the session closed its socket with.
    pub(super) async fn closed(self) -> Option<u16> {
        timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }

    pub(super) fn is_open(&self) -> bool {
        !self.task.is_finished()
    }
}

struct Socket {
    incoming: mpsc::UnboundedReceiver<Incoming>,
    outgoing: mpsc::UnboundedSender<String>,
    closed: Option<u16>,
}

impl Wire for Socket {
    async fn next(&mut self) -> Incoming {
        let next = self.incoming.recv().await;
        next.unwrap_or(Incoming::Closed { clean: false })
    }

    async fn send(&mut self, frame: String) -> bool {
        self.outgoing.send(frame).is_ok()
    }

    async fn ping(&mut self) -> bool {
        true
    }

    async fn close(&mut self, code: u16, _reason: &'static str) {
        self.closed = Some(code);
    }
}
