//! A call lost its socket, is over, or waited too long.

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
    /// What is said when a call cannot go on.
    pub fn failure_message(&self, called: &str) -> SpokenRejection {
        let line = self.lines.for_number(called);
        SpokenRejection::for_failure(line, &line.language)
    }

    /// The provider says that a call is over, or its session, by its action or its status callback. Harmless when
    /// it is known already, and for a call that was never here: storage makes no row of it.
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

    /// Ends a conversation that only storage knows; one that is ended stays as it is.
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

    /// The webhook was answered, and nobody came.
    fn end_ringing(&self, ringing: &RingingCall, outcome: CallOutcome) {
        let at_ms = clock::now().unix_ms;
        self.end_stored(&ringing.context.call_sid, at_ms, outcome, Some(0));
        crate::call::metrics::record_call_end(outcome, 0);
    }

    /// Closes calls that rang or waited to come back for too long, and hears who owns which; runs as
    /// long as it is polled.
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
        // Neither ends by itself: if one does, so does the other, and with it the process.
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

    /// Calls that a process before this one left unfinished: those that do not come back in time
    /// are closed with their true end. In cluster mode only this one's own: the others' are
    /// theirs, or those of an instance that is gone, which the primary sees to.
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
            // A call that was taken up again has a higher epoch, and is not ended by this.
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

    /// Those of `calls` that nobody has taken up or closed since.
    async fn still_unfinished(&self, calls: Vec<UnfinishedCall>) -> Vec<UnfinishedCall> {
        let Ok(now) = self.storage.conversations.unfinished().await else {
            // Their epoch keeps those that were taken up from harm.
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

    /// A call whose task died: it may come back from storage like any other; if it does not, it is
    /// closed with the end it had. Waits `call.resume_s_max` for it. Whoever has taken it up meanwhile, here
    /// or elsewhere, has it under a later epoch, which this end is void for.
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

    /// The epoch of a live call that is this instance's; nothing where another has it by now. Where storage
    /// cannot say, the call stays open until the next start finds it unfinished.
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

    /// From now on new calls hear that we are restarting.
    pub fn start_draining(&self) {
        self.admission.start_draining();
    }

    /// Ends what is still live: each caller hears one sentence.
    pub fn start_goodbyes(&self) {
        self.admission.start_goodbyes();
        self.services
            .registry
            .broadcast(|| SessionMessage::SayGoodbye);
    }

    /// Closes what waits for a socket, at the end of the process. Suspended calls stay open in
    /// storage, so that the next process takes them up.
    pub fn end_all_ringing(&self) {
        let waiting = self.services.registry.take_without_session();
        for ringing in &waiting.ringing {
            self.end_ringing(ringing, CallOutcome::Abandoned);
        }
    }
}
