//! Claims: every instance tries to own the same few calls, each time from what it has just read, and
//! speaks in those it has won.

use super::calls::{clock_ms, turn_of};
use super::runtime::InstanceRuntime;
use super::submitter::Submitter;
use super::{WorkloadPace, print_event};
use crate::events::{InstanceEvent, InstanceSetup, SubmittedWrite};
use crate::generated_text;
use crate::random::SeededRandom;
use calldex_storage::record::next_epoch;
use calldex_storage::write::{CallResumed, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the result of a claim is waited for here, once it is durable.
const APPLIED_MAX: Duration = crate::fault_cluster::WAIT_MAX;

/// Starts the claimant.
pub fn begin(
    birth: &InstanceSetup,
    runtime: &Arc<InstanceRuntime>,
    submitter: &Submitter,
    pace: &Arc<WorkloadPace>,
) {
    let mut claimant = Claimant {
        life: birth.life,
        instance: birth.instance(),
        runtime: Arc::downgrade(runtime),
        submitter: submitter.another(),
        random: SeededRandom::from_seed(birth.life * 16 + 8),
        pace: Arc::clone(pace),
        claims: 0,
    };
    tokio::spawn(async move {
        loop {
            let rest_ms = claimant.random.within(5, 60);
            tokio::time::sleep(Duration::from_millis(rest_ms)).await;
            let calls = claimant.wanted_calls();
            if calls > 0 {
                claimant.claim_one(calls).await;
            }
        }
    });
}

struct Claimant {
    life: u64,
    instance: String,
    runtime: std::sync::Weak<InstanceRuntime>,
    submitter: Submitter,
    random: SeededRandom,
    pace: Arc<WorkloadPace>,
    claims: u64,
}

impl Claimant {
    /// How many calls are claimed by turns; none once everything is to come to rest.
    fn wanted_calls(&self) -> u64 {
        self.pace.wanted_calls.load(Ordering::SeqCst)
    }

    async fn claim_one(&mut self, calls: u64) {
        let call = generated_text::wanted_call(self.random.within(0, calls - 1));
        let Some((expected, epoch)) = self.read(&call).await else {
            return;
        };
        let write = self.claim(&call, expected, epoch);
        let deed = SubmittedWrite::Claimed {
            call: call.clone(),
            expected,
            epoch,
        };
        let Some(position) = self.submitter.submit_and_wait(deed, write).await else {
            return;
        };
        let Some(runtime) = self.runtime.upgrade() else {
            return;
        };
        if runtime.storage.wait_applied(position, APPLIED_MAX).await
            && runtime.owner(&call) == Some((epoch, self.instance.clone()))
            // It may have been waited for so long that the databases are being compared by now.
            && self.wanted_calls() > 0
        {
            let (deed, turn) = turn_of(&call, epoch, 0, 0);
            let call_sid = call.as_str().into();
            self.submitter
                .submit(deed, Write::TurnAppended { call_sid, turn });
        }
    }

    /// The epoch that the call has, and the one that this instance would take.
    async fn read(&self, call: &str) -> Option<(u32, u32)> {
        let runtime = self.runtime.upgrade()?;
        let read = runtime.storage.conversations.read(call).await.ok()?;
        let epoch = read.map_or(0, |read| read.conversation.epoch);
        print_event(&InstanceEvent::OwnerSeen {
            call: call.to_owned(),
            epoch,
        });
        Some((epoch, next_epoch(epoch, runtime.slot())))
    }

    fn claim(&mut self, call: &str, expected: u32, epoch: u32) -> Write {
        self.claims += 1;
        Write::CallResumed(CallResumed {
            call_sid: call.into(),
            session_id: format!("VX{}-{}", self.life, self.claims).into(),
            epoch,
            expected: Some(expected),
            returned: true,
            at_ms: clock_ms(),
            instance: self.instance.as_str().into(),
        })
    }
}
