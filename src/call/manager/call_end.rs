//! The end of calls: reported by the provider, after a timeout, after a restart, or when the server stops.

use super::messages::SpokenRejection;
use super::{CallManager, SWEEP_EVERY};
use crate::call::call_finish::finish_call;
use crate::call::clock;
use crate::call::registry::{EndResult, RingingCall, SessionMessage, SuspendedCall};
use calldex_observability::catalog;
use calldex_observability::worker::{WorkerProgress, WorkerRegistry};
use calldex_storage::record::{CallOutcome, UnfinishedCall};
use calldex_storage::write::{CallEnded, Write};
use compact_str::CompactString;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::sleep;

impl CallManager {
    /// What Twilio says when a call cannot continue.
    pub fn failure_message(&self, called: &str) -> SpokenRejection {
        let line = self.lines.for_number(called);
        SpokenRejection::for_failure(line, &line.language)
    }

    /// The provider reports by its action or status callback that a call or its session is over. Repeated
    /// reports change nothing. For an unknown call storage creates no row.
    pub fn end_call(&self, call_sid: &str, outcome: CallOutcome) {
        match self.services.registry.end(call_sid, outcome) {
            EndResult::Suspended(suspended) => self.end_suspended(*suspended, outcome),
            EndResult::Ringing(ringing) => self.end_ringing(&ringing, outcome),
            EndResult::SessionNotified => {}
            EndResult::Unknown => {
                let at_ms = clock::now().unix_ms;
                self.end_stored(call_sid, at_ms, outcome, None);
            }
        }
    }

    /// Ends a conversation in storage. An ended one stays as it is.
    pub(super) fn end_stored(
        &self,
        call_sid: &str,
        at_ms: i64,
        outcome: CallOutcome,
        epoch: Option<u32>,
    ) {
        let call_sid = CompactString::from(call_sid);
        drop(self.storage.writer.submit(Write::CallEnded(CallEnded {
            call_sid,
            epoch,
            at_ms,
            outcome,
        })));
    }

    fn end_suspended(&self, mut suspended: SuspendedCall, outcome: CallOutcome) {
        let mut end = clock::now();
        end.unix_ms = suspended.lost_unix_ms;
        finish_call(&self.services.writer, &mut suspended.state, outcome, end);
    }

    /// Ends a call whose webhook was answered and whose socket did not open.
    fn end_ringing(&self, ringing: &RingingCall, outcome: CallOutcome) {
        let at_ms = clock::now().unix_ms;
        self.end_stored(&ringing.context.call_sid, at_ms, outcome, Some(0));
        crate::call::metrics::record_call_end(outcome, 0);
    }

    /// Ends calls that rang or were suspended for too long, and follows the ownership of calls. Ends only
    /// if storage closes.
    pub async fn sweep(&self, workers: &WorkerRegistry) {
        let worker = workers.register(
            "sweep",
            "a call that rang, or waited to come back, for too long",
            SWEEP_EVERY,
        );
        let sweep = worker.run(|| {
            self.end_expired();
            std::future::ready(Ok(WorkerProgress::Done))
        });
        // If one of the two ends, the process stops.
        tokio::select! { () = sweep => {}, () = self.follow_ownership() => {} }
    }

    fn end_expired(&self) {
        let now = clock::now();
        let expired = self.services.registry.take_expired(now.ms);
        for ringing in &expired.ringing {
            self.end_ringing(ringing, CallOutcome::Abandoned);
        }
        for suspended in expired.suspended {
            self.end_suspended(suspended, CallOutcome::Abandoned);
        }
        for claimed_call in &expired.claimed {
            let epoch = Some(claimed_call.epoch);
            self.end_stored(
                &claimed_call.call_sid,
                now.unix_ms,
                CallOutcome::Abandoned,
                epoch,
            );
        }
    }

    /// Ends the calls that an earlier process left unfinished and that do not reconnect within
    /// `call.resume_s_max` seconds. They end at their last activity. In cluster mode only the calls of this
    /// instance: the primary ends the calls of an instance that is gone.
    pub async fn end_unfinished(&self) {
        let unfinished = match self.storage.conversations.unfinished().await {
            Ok(mut unfinished) => {
                unfinished
                    .retain(|call| !self.is_clustered() || self.is_owned_by_us(&call.conversation));
                unfinished
            }
            Err(error) => {
                tracing::error!(%error, "unfinished calls cannot be read; they stay open until the next start");
                return;
            }
        };
        if unfinished.is_empty() {
            return;
        }
        tracing::info!(
            calls = unfinished.len(),
            "calls of the last run may come back"
        );
        sleep(Duration::from_secs(self.limits.resume_s_max)).await;
        for call in self.still_unfinished(unfinished).await {
            let conversation = &call.conversation;
            if self.services.registry.contains(&conversation.call_sid) {
                continue;
            }
            // A call that was resumed has a higher epoch, and this write does not end it.
            let epoch = Some(conversation.epoch);
            self.end_stored(
                &conversation.call_sid,
                call.last_activity_ms,
                CallOutcome::Abandoned,
                epoch,
            );
            catalog::CONVERSATIONS_RECOVERED_TOTAL
                .with("closed")
                .increment(1);
            let lasted = call.last_activity_ms - conversation.started_at.saturating_mul(1_000);
            crate::call::metrics::record_call_end(
                CallOutcome::Abandoned,
                u64::try_from(lasted).unwrap_or_default(),
            );
        }
    }

    /// The calls of `calls` that were neither resumed nor ended since.
    async fn still_unfinished(&self, calls: Vec<UnfinishedCall>) -> Vec<UnfinishedCall> {
        let Ok(now) = self.storage.conversations.unfinished().await else {
            // The epoch in the write protects calls that were resumed.
            return calls;
        };
        let mut epochs: HashMap<CompactString, u32> = HashMap::new();
        for call in now {
            epochs.insert(call.conversation.call_sid, call.conversation.epoch);
        }
        let as_before = |call: &UnfinishedCall| {
            let row = &call.conversation;
            epochs.get(&row.call_sid) == Some(&row.epoch)
        };
        calls.into_iter().filter(as_before).collect()
    }

    /// Ends a call whose task panicked, unless it is resumed within `call.resume_s_max` seconds. A resumed
    /// call has a later epoch, and the write does not end it.
    pub async fn end_after_panic(&self, call_sid: &str) {
        self.services.registry.remove_dead_session(call_sid);
        let lost = clock::now().unix_ms;
        let epoch = self.own_epoch(call_sid).await;
        sleep(Duration::from_secs(self.limits.resume_s_max)).await;
        if let Some(epoch) = epoch
            && !self.services.registry.contains(call_sid)
        {
            self.end_stored(call_sid, lost, CallOutcome::Failed, Some(epoch));
            crate::call::metrics::record_call_end(CallOutcome::Failed, 0);
        }
    }

    /// The epoch of a live call that this instance owns. `None` if another instance owns it, or if the read
    /// fails: then the call stays open until the next start.
    async fn own_epoch(&self, call_sid: &str) -> Option<u32> {
        match self.storage.conversations.live(call_sid).await {
            Ok(call) => {
                let row = call?.conversation;
                (!self.is_clustered() || self.is_owned_by_us(&row)).then_some(row.epoch)
            }
            Err(error) => {
                tracing::error!(call_sid, %error, "a call whose task died cannot be read");
                None
            }
        }
    }

    /// New calls are rejected from now on with the message that the server restarts.
    pub fn start_draining(&self) {
        self.admission.start_draining();
    }

    /// Ends the live calls: each says goodbye first.
    pub fn start_goodbyes(&self) {
        self.admission.start_goodbyes();
        self.services
            .registry
            .broadcast(|| SessionMessage::SayGoodbye);
    }

    /// Ends the ringing calls at the end of the process. Suspended calls stay open in storage, so that the
    /// next process resumes them.
    pub fn end_all_ringing(&self) {
        let waiting = self.services.registry.take_without_session();
        for ringing in &waiting.ringing {
            self.end_ringing(ringing, CallOutcome::Abandoned);
        }
    }
}
