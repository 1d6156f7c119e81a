//! Calls of an instance that is gone and of which Twilio asked nobody: the primary asks Twilio to ask
//! again, by its REST API, and closes what nobody takes up.
//!
//! A socket that is lost is usually noticed by Twilio itself, which asks for the action a second
//! later. One that hangs, because its machine vanished without a word, is not.

mod machine;
mod twilio_rest;

pub use machine::{Peer, PeerList, REDIRECTS_AT_ONCE_MAX};
pub use twilio_rest::{
    CallTokenMaker, RedirectResponse, TwilioRestClient, TwilioRestConfig, TwilioRestError,
};

use crate::call::clock;
use calldex_observability::catalog;
use calldex_storage::Storage;
use calldex_storage::record::{CallSid, UnfinishedCall};
use calldex_storage::write::Write;
use machine::{RedirectOutcome, WatchdogAction, WatchdogEvent, WatchdogMachine};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// How often is looked who is gone.
const POLL_PERIOD: Duration = Duration::from_millis(250);

/// Who belongs to the cluster, as its primary sees it.
pub trait PeerSource: Send + Sync + 'static {
    /// All members; `None` on an instance that is not the primary, which watches nobody.
    fn peers(&self) -> Option<PeerList>;
}

/// Watches over the calls of instances that are gone, wherever this instance is primary.
pub struct Watchdog {
    storage: Arc<Storage>,
    peers: Arc<dyn PeerSource>,
    twilio: Option<Arc<TwilioRestClient>>,
    machine: WatchdogMachine,
    jobs: JoinSet<WatchdogJob>,
}

/// What came of a piece of work.
enum WatchdogJob {
    Read(Option<Vec<UnfinishedCall>>),
    Redirected(CallSid, u32, RedirectResponse),
}

impl Watchdog {
    /// `rest` where calls can be redirected. An owner is taken for lost after `watchdog_ms`
    /// without a sign, and its calls are closed when nobody has taken them up for `resume_s_max`.
    pub fn new(
        storage: Arc<Storage>,
        peers: Arc<dyn PeerSource>,
        rest: Option<TwilioRestClient>,
        watchdog_ms: u64,
        resume_s_max: u64,
    ) -> Self {
        let machine = WatchdogMachine::new(
            watchdog_ms,
            resume_s_max.saturating_mul(1_000),
            rest.is_some(),
        );
        Self {
            storage,
            peers,
            twilio: rest.map(Arc::new),
            machine,
            jobs: JoinSet::new(),
        }
    }

    /// Watches as long as it is polled; what is under way is given up with it.
    pub async fn run(mut self) {
        let mut look = interval(POLL_PERIOD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {
                    let peers = self.peers.peers();
                    self.handle(WatchdogEvent::Peers(peers.as_ref()));
                }
                Some(done) = self.jobs.join_next() => match done {
                    Ok(WatchdogJob::Read(calls)) => self.handle(WatchdogEvent::Unfinished(calls.as_deref())),
                    Ok(WatchdogJob::Redirected(call_sid, epoch, response)) => {
                        self.handle(WatchdogEvent::RedirectAnswered { call_sid: &call_sid, epoch, response });
                    }
                    Err(error) => tracing::error!(%error, "a piece of the watchdog's work died"),
                },
            }
        }
    }

    fn handle(&mut self, event: WatchdogEvent<'_>) {
        let mut actions = Vec::new();
        self.machine.on(event, clock::now(), &mut actions);
        for action in actions {
            self.execute(action);
        }
    }

    fn execute(&mut self, action: WatchdogAction) {
        match action {
            WatchdogAction::ReadUnfinished => {
                let conversations = self.storage.conversations.clone();
                self.jobs.spawn(async move {
                    let calls = conversations.unfinished().await;
                    if let Err(error) = &calls {
                        tracing::warn!(%error, "the calls of an instance that is gone cannot be read");
                    }
                    WatchdogJob::Read(calls.ok())
                });
            }
            WatchdogAction::Redirect { call_sid, epoch } => self.redirect(call_sid, epoch),
            WatchdogAction::Close(end) => {
                catalog::CONVERSATIONS_RECOVERED_TOTAL
                    .with("closed")
                    .increment(1);
                catalog::CALLS_ENDED_TOTAL
                    .with(end.outcome.as_str())
                    .increment(1);
                drop(self.storage.writer.submit(Write::CallEnded(end)));
            }
            WatchdogAction::Count(result) => {
                catalog::CALLS_REDIRECTED_TOTAL
                    .with(result.label())
                    .increment(1);
                if result == RedirectOutcome::CannotRedirect {
                    tracing::error!(
                        "an instance is gone and its calls cannot be redirected: set \
                         twilio.account_sid beside TWILIO_AUTH_TOKEN and PUBLIC_URL"
                    );
                }
            }
        }
    }

    fn redirect(&mut self, call_sid: CallSid, epoch: u32) {
        let Some(rest) = self.twilio.clone() else {
            return;
        };
        let storage = Arc::clone(&self.storage);
        self.jobs.spawn(async move {
            let answer = if is_owned_in(&storage, &call_sid, epoch).await {
                tracing::info!(call_sid = %call_sid, "its instance is gone: Twilio is asked to redirect it");
                rest.redirect(&call_sid, storage.applied()).await
            } else {
                RedirectResponse::NotSent
            };
            WatchdogJob::Redirected(call_sid, epoch, answer)
        });
    }
}

/// Whether a call goes on in this epoch still: it was listed a while ago, and who has taken it up
/// since must not be cut short by a redirect. What cannot be read is taken for what it was.
async fn is_owned_in(storage: &Storage, call_sid: &str, epoch: u32) -> bool {
    match storage.conversations.read(call_sid).await {
        Ok(call) => call.is_some_and(|call| call.is_live() && call.conversation.epoch == epoch),
        Err(_) => true,
    }
}
