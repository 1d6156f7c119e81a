//! A call lost its socket, is over, or waited too long.

use super::{Farewell, SWEEP_EVERY, Switchboard};
use crate::call::clock;
use crate::call::registry::{Control, Parked, Removed, Ringing};
use crate::call::session::finish;
use calldex_observability::catalog;
use calldex_observability::worker::{Progress, Workers};
use calldex_storage::record::{Outcome, UnfinishedCall};
use calldex_storage::write::{CallEnded, Write};
use compact_str::CompactString;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::sleep;

impl Switchboard {
    /// What is said when a call cannot go on.
    pub fn failed(&self, called: &str) -> Farewell {
        let line = self.lines.of(called);
        Farewell::failed(line, &line.language)
    }

    /// The provider says that a call is over, or its session, by its action or its status callback. Harmless when
    /// it is known already, and for a call that was never here: storage makes no row of it.
    pub fn over(&self, call_sid: &str, outcome: Outcome) {
        match self.room.registry.over(call_sid, outcome) {
            Removed::Parked(parked) => self.close_parked(*parked, outcome),
            Removed::Ringing(ringing) => self.close_ringing(&ringing, outcome),
            Removed::Told => {}
            Removed::Unknown => {
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
        outcome: Outcome,
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

    fn close_parked(&self, mut parked: Parked, outcome: Outcome) {
        let mut end = clock::now();
        end.unix_ms = parked.lost_unix_ms;
        finish(&self.room.writer, &mut parked.state, outcome, end);
    }

    /// The webhook was answered, and nobody came.
    fn close_ringing(&self, ringing: &Ringing, outcome: Outcome) {
        let at_ms = clock::now().unix_ms;
        self.end_stored(&ringing.setting.call_sid, at_ms, outcome, Some(0));
        crate::call::tally::over(outcome, 0);
    }

    /// Closes calls that rang or waited to come back for too long, and hears who owns which; runs as
    /// long as it is polled.
    pub async fn sweep(&self, workers: &Workers) {
        let worker = workers.register(
            "sweep",
            "a call that rang, or waited to come back, for too long",
            SWEEP_EVERY,
        );
        let sweep = worker.run(|| {
            self.close_expired();
            std::future::ready(Ok(Progress::Done))
        });
        // Neither ends by itself: if one does, so does the other, and with it the process.
        tokio::select! { () = sweep => {}, () = self.follow_takeovers() => {} }
    }

    fn close_expired(&self) {
        let now = clock::now();
        let expired = self.room.registry.expired(now.ms);
        for ringing in &expired.ringing {
            self.close_ringing(ringing, Outcome::Abandoned);
        }
        for parked in expired.parked {
            self.close_parked(parked, Outcome::Abandoned);
        }
        for awaited in &expired.awaited {
            let epoch = Some(awaited.epoch);
            self.end_stored(&awaited.call_sid, now.unix_ms, Outcome::Abandoned, epoch);
        }
    }

    /// Calls that a process before this one left unfinished: those that do not come back in time
    /// are closed with their true end. Among several instances only this one's own: the others' are
    /// theirs, or those of an instance that is gone, which the primary sees to.
    pub async fn close_unfinished(&self) {
        let unfinished = match self.storage.conversations.unfinished().await {
            Ok(mut unfinished) => {
                unfinished.retain(|call| !self.is_several() || self.is_ours(&call.conversation));
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
        sleep(Duration::from_secs(self.bounds.resume_s_max)).await;
        for call in self.still_unfinished(unfinished).await {
            let conversation = &call.conversation;
            if self.room.registry.holds(&conversation.call_sid) {
                continue;
            }
            // A call that was taken up again has a higher epoch, and is not ended by this.
            let epoch = Some(conversation.epoch);
            self.end_stored(
                &conversation.call_sid,
                call.last_at_ms,
                Outcome::Abandoned,
                epoch,
            );
            catalog::CONVERSATIONS_RECOVERED_TOTAL
                .with("closed")
                .increment(1);
            let lasted = call.last_at_ms - conversation.started_at.saturating_mul(1_000);
            crate::call::tally::over(
                Outcome::Abandoned,
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
    pub async fn close_if_gone(&self, call_sid: &str) {
        self.room.registry.forget_dead(call_sid);
        let lost = clock::now().unix_ms;
        let epoch = self.own_epoch(call_sid).await;
        sleep(Duration::from_secs(self.bounds.resume_s_max)).await;
        if let Some(epoch) = epoch
            && !self.room.registry.holds(call_sid)
        {
            self.end_stored(call_sid, lost, Outcome::Failed, Some(epoch));
            crate::call::tally::over(Outcome::Failed, 0);
        }
    }

    /// The epoch of a live call that is this instance's; nothing where another has it by now. Where storage
    /// cannot say, the call stays open until the next start finds it unfinished.
    async fn own_epoch(&self, call_sid: &str) -> Option<u32> {
        match self.storage.conversations.live(call_sid).await {
            Ok(call) => {
                let row = call?.conversation;
                (!self.is_several() || self.is_ours(&row)).then_some(row.epoch)
            }
            Err(error) => {
                tracing::error!(call = call_sid, %error, "a call whose task died cannot be read");
                None
            }
        }
    }

    /// From now on new calls hear that we are restarting.
    pub fn drain(&self) {
        self.limits.drain();
    }

    /// Ends what is still live: each caller hears one sentence.
    pub fn part(&self) {
        self.limits.part();
        self.room.registry.tell_all(|| Control::Drain);
    }

    /// Closes what waits for a socket, at the end of the process. Parked calls stay open in
    /// storage, so that the next process takes them up.
    pub fn close(&self) {
        let waiting = self.room.registry.take_waiting();
        for ringing in &waiting.ringing {
            self.close_ringing(ringing, Outcome::Abandoned);
        }
    }
}
