//! Instances that share a database, as if each had applied the same log, and callers on their
//! sockets.

use crate::agent::Agent;
use crate::call::manager::{
    CallManager, IncomingCall, LogPosition, ReconnectDecision, ReconnectRequest, ReconnectTrigger,
    RelayConnect, ResumeToken, SessionSetup, WebhookReply,
};
use crate::call::peers::{CatchUpStatus, Peers};
use crate::call::transport::{Transport, TransportEvent};
use crate::config::{CallSection, Config, PhoneLines};
use crate::twilio::identity::{Attestation, RawAddress};
use calldex_observability::worker::WorkerRegistry;
use calldex_storage::record::CallWithTurns;
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
const TEST_TIMEOUT: Duration = Duration::from_secs(10);
const LOG: u64 = 77;

/// A fake of the other instances; counts how often the primary was asked.
struct FakePeers {
    slot: u16,
    catch_up_status: CatchUpStatus,
    asked: Arc<AtomicU32>,
}

impl Peers for FakePeers {
    fn slot(&self) -> u16 {
        self.slot
    }

    fn log_id(&self) -> u64 {
        LOG
    }

    fn catch_up(&self, _deadline: Duration) -> BoxFuture<'_, CatchUpStatus> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(ready(self.catch_up_status))
    }

    fn live_call<'a>(
        &'a self,
        _call_sid: &'a str,
        _deadline: Duration,
    ) -> BoxFuture<'a, Option<CallWithTurns>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(ready(None))
    }
}

/// The database and its folder.
pub(super) struct ClusterHarness {
    storage: Arc<Storage>,
    _folder: TempDir,
}

/// One instance.
pub(super) struct TestInstance {
    pub(super) manager: Arc<CallManager>,
    asked: Arc<AtomicU32>,
    sweep_task: JoinHandle<()>,
}

impl Drop for TestInstance {
    fn drop(&mut self) {
        self.sweep_task.abort();
    }
}

impl ClusterHarness {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(StorageConfig::new(folder.path())).unwrap();
        Self {
            storage: Arc::new(storage),
            _folder: folder,
        }
    }

    pub(super) fn instance(&self, name: &str, slot: u16) -> TestInstance {
        self.instance_with_catch_up(name, slot, CatchUpStatus::UpToDate)
    }

    /// One that catches up with the others so far.
    pub(super) fn instance_with_catch_up(
        &self,
        name: &str,
        slot: u16,
        caught_up: CatchUpStatus,
    ) -> TestInstance {
        self.new_instance(name, slot, caught_up, CallSection::default())
    }

    /// One at which a lost call waits for so many seconds.
    pub(super) fn instance_with_resume_limit(
        &self,
        name: &str,
        slot: u16,
        resume_s_max: u64,
    ) -> TestInstance {
        let limits = CallSection {
            resume_s_max,
            ..CallSection::default()
        };
        self.new_instance(name, slot, CatchUpStatus::UpToDate, limits)
    }

    fn new_instance(
        &self,
        name: &str,
        slot: u16,
        caught_up: CatchUpStatus,
        limits: CallSection,
    ) -> TestInstance {
        let config = Config::default();
        let agent = Agent::new(&config.agent, &config.model).unwrap();
        let manager = CallManager::new(
            Arc::clone(&self.storage),
            Arc::new(agent),
            PhoneLines::new(&Config::default()),
            limits,
            3,
            name,
        );
        let asked = Arc::new(AtomicU32::new(0));
        let peers = FakePeers {
            slot,
            catch_up_status: caught_up,
            asked: Arc::clone(&asked),
        };
        let manager = Arc::new(manager.with_peers(Arc::new(peers)));
        let sweeping = Arc::clone(&manager);
        TestInstance {
            manager,
            asked,
            sweep_task: tokio::spawn(
                async move { sweeping.sweep(&WorkerRegistry::default()).await },
            ),
        }
    }

    pub(super) async fn row(&self, call_sid: &str) -> CallWithTurns {
        let call = self.storage.conversations.read(call_sid).await.unwrap();
        call.expect("the call is known")
    }

    /// Waits until everything that was told so far is kept.
    pub(super) async fn flush(&self) {
        self.storage.writer.flush(TEST_TIMEOUT).await.unwrap();
    }

    /// Waits until the call is owned by this instance, and every claim made so far is decided.
    pub(super) async fn owned_by(&self, call_sid: &str, instance: &str) {
        self.flush().await;
        let owner = self.row(call_sid).await.conversation.instance;
        assert_eq!(owner.as_deref(), Some(instance));
    }

    /// What the caller said, as it is kept.
    pub(super) async fn said(&self, call_sid: &str) -> Vec<String> {
        let turns = self.row(call_sid).await.turns.into_iter();
        let said = turns.filter(|turn| turn.role == calldex_storage::record::TurnRole::Caller);
        said.map(|turn| turn.content.to_string()).collect()
    }
}

/// Waits until something holds.
pub(super) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + TEST_TIMEOUT;
    while !holds() {
        assert!(Instant::now() < end, "timed out waiting for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn incoming_call(call_sid: &str) -> IncomingCall {
    IncomingCall {
        call_sid: call_sid.into(),
        caller: RawAddress::new("+14155550130").identity(),
        called_number: "+15550100199".into(),
        attestation: Attestation::Absent,
    }
}

/// What of a document matters: the epoch it names, the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedTwiml {
    pub(super) resume_token: Option<ResumeToken>,
    pub(super) greeting: String,
    pub(super) log_position: LogPosition,
}

fn record_twiml(
    into: &Mutex<Option<RecordedTwiml>>,
) -> impl FnOnce(&RelayConnect<'_>) -> String + '_ {
    |connection| {
        *into.lock().unwrap() = Some(RecordedTwiml {
            resume_token: connection.resume_token,
            greeting: connection.greeting.text.clone(),
            log_position: connection.log_position,
        });
        "<Response/>".to_owned()
    }
}

impl TestInstance {
    pub(super) async fn call_rings(&self, call_sid: &str) -> RecordedTwiml {
        let twiml = Mutex::new(None);
        let answer = self
            .manager
            .on_ringing(&incoming_call(call_sid), record_twiml(&twiml))
            .await;
        assert!(matches!(answer, WebhookReply::Connect(_)));
        twiml.into_inner().unwrap().unwrap()
    }

    /// The action of a lost session comes here; `None`: a goodbye.
    pub(super) async fn action_requested(
        &self,
        call_sid: &str,
        way: ReconnectTrigger,
    ) -> Option<RecordedTwiml> {
        let twiml = Mutex::new(None);
        let back = ReconnectRequest::of_trigger(way);
        let after = self
            .manager
            .reconnect(&incoming_call(call_sid), &back, record_twiml(&twiml))
            .await;
        match after {
            ReconnectDecision::Reconnect(_) => twiml.into_inner().unwrap(),
            ReconnectDecision::SayAndHangUp(_) | ReconnectDecision::AlreadyEnded(_) => None,
        }
    }

    /// A webhook for a call in progress of which nothing says that it was here before; whether it was.
    pub(super) async fn redirect_of_unproven_call(&self, call_sid: &str) -> bool {
        let back = ReconnectRequest {
            proves_known: false,
            ..ReconnectRequest::of_trigger(ReconnectTrigger::Redirect)
        };
        let twiml = Mutex::new(None);
        let returned = self
            .manager
            .reconnect_if_known(&incoming_call(call_sid), &back, record_twiml(&twiml))
            .await;
        returned.is_some()
    }

    /// How often the primary was asked anything.
    pub(super) fn primary_queries(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The first session of a call.
    pub(super) fn first_session(&self, call_sid: &str, twiml: &RecordedTwiml) -> FakeCaller {
        self.open_session(call_sid, twiml, SessionKind::First)
    }

    /// A session by the TwiML of an action.
    pub(super) fn session_by_action(&self, call_sid: &str, twiml: &RecordedTwiml) -> FakeCaller {
        self.open_session(call_sid, twiml, SessionKind::ByAction)
    }

    /// Twilio's own reconnect: the same parameters as before.
    pub(super) fn session_by_twilio_reconnect(
        &self,
        call_sid: &str,
        twiml: &RecordedTwiml,
    ) -> FakeCaller {
        self.open_session(call_sid, twiml, SessionKind::TwilioReconnect)
    }

    fn open_session(&self, call_sid: &str, twiml: &RecordedTwiml, kind: SessionKind) -> FakeCaller {
        static SESSIONS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let session = SESSIONS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (says, incoming) = mpsc::unbounded_channel();
        let (outgoing, hears) = mpsc::unbounded_channel();
        let manager = Arc::clone(&self.manager);
        let (call_sid, twiml) = (call_sid.to_owned(), twiml.clone());
        let task = tokio::spawn(async move {
            let mut transport = TestTransport {
                incoming,
                outgoing,
                closed: None,
            };
            let session_id = format!("VX{session}");
            let setup = SessionSetup {
                incoming_call: incoming_call(&call_sid),
                session_id: &session_id,
                greeting: Some((&twiml.greeting, false)),
                resume_token: twiml.resume_token.filter(|_| kind == SessionKind::ByAction),
                in_progress: kind != SessionKind::First,
                log_position: twiml.log_position,
            };
            manager.on_socket(&mut transport, setup).await;
            transport.closed
        });
        FakeCaller { says, hears, task }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SessionKind {
    First,
    ByAction,
    TwilioReconnect,
}

/// A caller on a socket.
pub(super) struct FakeCaller {
    says: mpsc::UnboundedSender<TransportEvent>,
    hears: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<Option<u16>>,
}

impl FakeCaller {
    /// Says something and does not wait for an answer.
    pub(super) fn says(&self, words: &str) {
        let frame =
            serde_json::json!({"type": "prompt", "voicePrompt": words, "lang": "en", "last": true});
        self.frame(&frame.to_string());
    }

    pub(super) fn frame(&self, frame: &str) {
        self.says
            .send(TransportEvent::Text(frame.to_owned()))
            .unwrap();
    }

    /// What has been said once it has `words` in it.
    pub(super) async fn hears(&mut self, words: &str) -> String {
        let mut heard = String::new();
        while !heard.contains(words) {
            let frame = timeout(TEST_TIMEOUT, self.hears.recv()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{words:?} is not in {heard:?}"));
            let frame = frame.unwrap_or_else(|| panic!("closed: {words:?} is not in {heard:?}"));
            let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
            heard.push_str(frame["token"].as_str().unwrap_or_default());
        }
        heard
    }

    /// All that was said and not yet heard is played.
    pub(super) fn play_all(&mut self, also: &str) {
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
    pub(super) async fn drop_connection(self) {
        let closed = TransportEvent::Closed { clean: false };
        self.says.send(closed).unwrap();
        timeout(TEST_TIMEOUT, self.task).await.unwrap().unwrap();
    }

    pub(super) async fn hang_up(self) {
        self.says
            .send(TransportEvent::Closed { clean: true })
            .unwrap();
        timeout(TEST_TIMEOUT, self.task).await.unwrap().unwrap();
    }

    /// The code that the session closed its socket with.
    pub(super) async fn close_code(self) -> Option<u16> {
        timeout(TEST_TIMEOUT, self.task).await.unwrap().unwrap()
    }

    pub(super) fn is_open(&self) -> bool {
        !self.task.is_finished()
    }
}

struct TestTransport {
    incoming: mpsc::UnboundedReceiver<TransportEvent>,
    outgoing: mpsc::UnboundedSender<String>,
    closed: Option<u16>,
}

impl Transport for TestTransport {
    async fn next(&mut self) -> TransportEvent {
        let next = self.incoming.recv().await;
        next.unwrap_or(TransportEvent::Closed { clean: false })
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
