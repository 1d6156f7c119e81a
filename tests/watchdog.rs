//! The watchdog against a simulated Twilio: calls of an instance that is gone are redirected by the
//! REST API and go on; what nobody takes up is closed.

use calldex::app::{App, RunningServer};
use calldex::cluster::watchdog::{
    Peer, PeerList, PeerSource, TwilioRestClient, TwilioRestConfig, Watchdog,
};
use calldex::config::Config;
use calldex::twilio::call_token::{CallToken, CallTokenKey};
use calldex::twilio::signature::PublicBaseUrl;
use calldex_observability::redaction::Secret;
use calldex_simulator::twilio::{AfterDrop, Call, RestApiServer, Twilio, TwilioConfig};
use calldex_storage::record::{CallOutcome, CallWithTurns, CallerKind};
use calldex_storage::write::{CallStarted, Write};
use calldex_storage::{Storage, StorageConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const TOKEN: &str = "watchdog-token-5d0e";
const PUBLIC_URL: &str = "https://phone.example.net";
const LONG: Duration = Duration::from_secs(600);
const WATCHDOG_MS: u64 = 300;
const RESUME_S: u64 = 2;

/// A cluster whose second instance has been gone for a while.
struct SecondInstanceGone(Instant);

impl PeerSource for SecondInstanceGone {
    fn peers(&self) -> Option<PeerList> {
        let gone_ms = u64::try_from(self.0.elapsed().as_millis()).ok();
        let fellow = |instance: &str, gone_ms| Peer {
            slot: 0,
            instance: instance.into(),
            gone_ms,
        };
        Some(PeerList(vec![fellow("one", None), fellow("two", gone_ms)]))
    }
}

/// A server that answers webhooks, a simulated Twilio with its API, and the primary's database.
struct WatchdogScenario {
    server: RunningServer,
    twilio: Twilio,
    rest: RestApiServer,
    storage: Arc<Storage>,
    watching: Option<JoinHandle<()>>,
    _folders: [TempDir; 2],
}

impl WatchdogScenario {
    async fn new() -> Self {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config::default();
        config.server.listen = nowhere;
        config.server.public_url = Some(PUBLIC_URL.into());
        config.server.data = folders[0].path().join("server");
        config.admin.listen = nowhere;
        config.twilio.auth_token = Some(Secret::new(TOKEN));
        let server = App::start(config).await.expect("the server starts");
        let listen = server.webhook_address.expect("its door is open");
        let twilio = Twilio::new(TwilioConfig {
            base_url: format!("http://{listen}"),
            public_url: Some(PUBLIC_URL.into()),
            auth_token: Some(TOKEN.into()),
            speed: 20.0,
            ..TwilioConfig::default()
        })
        .expect("the simulator's settings");
        let rest = RestApiServer::open(&twilio, nowhere)
            .await
            .expect("a free port");
        let storage = Storage::open(StorageConfig::new(folders[1].path())).unwrap();
        Self {
            server,
            twilio,
            rest,
            storage: Arc::new(storage),
            watching: None,
            _folders: folders,
        }
    }

    async fn call(&self) -> Call {
        let placed = self.twilio.place_call("+14155550130", "+15550100199").await;
        let call = placed.expect("the call is answered");
        call.ask("My name is Brock", LONG).await.expect("an answer");
        let started = CallStarted {
            call_sid: call.call_sid().into(),
            number: None,
            line: "+15550100199".into(),
            caller_kind: CallerKind::Number,
            identity: None,
            language: None,
            at_ms: 1_800_000_000_000,
            instance: "two".into(),
        };
        let written = self.storage.writer.submit(Write::CallStarted(started));
        written.await.expect("it is kept");
        call
    }

    fn watch(&mut self) {
        let config = TwilioRestConfig {
            api_base: self.rest.base_url(),
            account_sid: TwilioConfig::default().account_sid,
            auth_token: Secret::new(TOKEN),
            public_base: PublicBaseUrl::parse(PUBLIC_URL).unwrap(),
        };
        let key = CallTokenKey::derive(&Secret::new(TOKEN));
        let reference = move |call_sid: &str, position| {
            let reference = CallToken {
                call_sid: call_sid.into(),
                position,
                epoch: 7,
                expires_at: 4_000_000_000,
            };
            reference.sign(&key)
        };
        let rest = TwilioRestClient::new(config, Box::new(reference)).expect("a client");
        let (storage, gone) = (
            Arc::clone(&self.storage),
            SecondInstanceGone(Instant::now()),
        );
        let watchdog = Watchdog::new(storage, Arc::new(gone), Some(rest), WATCHDOG_MS, RESUME_S);
        self.watching = Some(tokio::spawn(watchdog.run()));
    }

    async fn closed(&self, call_sid: &str) -> CallWithTurns {
        let end = Instant::now() + LONG;
        loop {
            let row = self.storage.conversations.read(call_sid).await.unwrap();
            if let Some(closed) = row.filter(|row| !row.is_live()) {
                return closed;
            }
            assert!(Instant::now() < end, "waited in vain for the end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn statuses(&self) -> Vec<u16> {
        let requests = self.rest.requests().into_iter();
        requests.map(|request| request.status).collect()
    }

    async fn end(self) {
        if let Some(watching) = &self.watching {
            watching.abort();
        }
        self.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_an_instance_that_is_gone_is_redirected_once_and_goes_on_with_its_history() {
    let mut scene = WatchdogScenario::new().await;
    let call = scene.call().await;
    scene.rest.fails_with(503);
    scene.watch();
    let after = call.after_drop(1, LONG).await.expect("something happens");
    assert!(matches!(after, AfterDrop::Reconnected { .. }), "{after:?}");
    assert_eq!(
        call.greeting().as_deref(),
        Some("Sorry about that, I'm back.")
    );
    let reply = call
        .ask("What type is Onix?", LONG)
        .await
        .expect("an answer");
    assert!(reply.text.to_lowercase().contains("rock"), "{}", reply.text);
    let answered = Instant::now();
    // Nobody has taken it up in this database, so that it is closed in time, and asked for once.
    let row = scene.closed(call.call_sid()).await;
    assert!(answered.elapsed() < LONG / 2);
    assert_eq!(row.conversation.outcome, Some(CallOutcome::Abandoned));
    assert_eq!(scene.statuses(), [503, 200]);
    let url = scene.rest.requests()[1].url.clone().unwrap_or_default();
    assert!(
        url.starts_with(&format!("{PUBLIC_URL}/twilio/voice?callRef=")),
        "{url}"
    );
    call.hang_up().await.expect("a caller can hang up");
    assert!(call.violations().is_empty(), "{:?}", call.violations());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_over_at_twilio_is_closed() {
    let mut scene = WatchdogScenario::new().await;
    let call = scene.call().await;
    call.hang_up().await.expect("a caller can hang up");
    scene.watch();
    let row = scene.closed(call.call_sid()).await;
    assert_eq!(row.conversation.outcome, Some(CallOutcome::HungUp));
    assert_eq!(scene.statuses(), [400]);
    scene.end().await;
}
