//! Redirects the calls of an instance that is gone: the primary asks Twilio by its REST API to request the
//! webhook again, and closes the conversations that no instance resumes.
//!
//! Twilio notices most lost sockets itself and requests the action URL a second later. It does not notice
//! a socket that hangs because its machine has failed.

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

/// How often the members are checked.
const POLL_PERIOD: Duration = Duration::from_millis(250);

/// The members of the cluster, as its primary sees them.
pub trait PeerSource: Send + Sync + 'static {
    /// All members; `None` on an instance that is not the primary, which watches no calls.
    fn peers(&self) -> Option<PeerList>;
}

/// Watches the calls of instances that are gone, while this instance is primary.
pub struct Watchdog {
    storage: Arc<Storage>,
    peers: Arc<dyn PeerSource>,
    twilio: Option<Arc<TwilioRestClient>>,
    machine: WatchdogMachine,
    jobs: JoinSet<WatchdogJob>,
}

/// The result of a task.
enum WatchdogJob {
    Read(Option<Vec<UnfinishedCall>>),
    Redirected(CallSid, u32, RedirectResponse),
}

impl Watchdog {
    /// `rest` is given where calls can be redirected. An owner counts as lost after `watchdog_ms` milliseconds
    /// without an answer. Its calls are closed when no instance has resumed them for `resume_s_max` seconds.
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

    /// Runs until it is dropped, which also cancels the requests under way.
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
                    Err(error) => tracing::error!(%error, "a task of the watchdog panicked"),
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

/// Whether a call is still owned in this epoch. It was listed a while ago, and a redirect must not cut short
/// a call that another instance has resumed since. A call that cannot be read counts as still owned.
async fn is_owned_in(storage: &Storage, call_sid: &str, epoch: u32) -> bool {
    match storage.conversations.read(call_sid).await {
        Ok(call) => call.is_some_and(|call| call.is_live() && call.conversation.epoch == epoch),
        Err(_) => true,
    }
}
