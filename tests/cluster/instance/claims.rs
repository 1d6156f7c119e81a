//! Claims: every instance tries to own the same few calls, each time from what it has just read, and
//! speaks in those it has won.

use super::calls::{clock_ms, turn_of};
use super::house::House;
use super::submitter::Submitter;
use super::{Pace, say};
use crate::events::{Birth, Deed, Event};
use crate::random::Random;
use crate::words;
use calldex_storage::record::next_epoch;
use calldex_storage::write::{CallResumed, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the result of a claim is waited for here, once it is durable.
const APPLIED_MAX: Duration = crate::exchange::PATIENCE;

/// Starts the claimant.
pub fn begin(birth: &Birth, house: &Arc<House>, submitter: &Submitter, pace: &Arc<Pace>) {
    let mut claimant = Claimant {
        life: birth.life,
        instance: birth.instance(),
        house: Arc::downgrade(house),
        submitter: submitter.another(),
        random: Random::from_seed(birth.life * 16 + 8),
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
    house: std::sync::Weak<House>,
    submitter: Submitter,
    random: Random,
    pace: Arc<Pace>,
    claims: u64,
}

impl Claimant {
    /// How many calls are claimed by turns; none once everything is to come to rest.
    fn wanted_calls(&self) -> u64 {
        self.pace.wanted_calls.load(Ordering::SeqCst)
    }

    async fn claim_one(&mut self, calls: u64) {
        let call = words::wanted_call(self.random.within(0, calls - 1));
        let Some((expected, epoch)) = self.read(&call).await else {
            return;
        };
        let write = self.claim(&call, expected, epoch);
        let deed = Deed::Claimed {
            call: call.clone(),
            expected,
            epoch,
        };
        let Some(position) = self.submitter.submit_and_wait(deed, write).await else {
            return;
        };
        let Some(house) = self.house.upgrade() else {
            return;
        };
        if house.storage.wait_applied(position, APPLIED_MAX).await
            && house.owner(&call) == Some((epoch, self.instance.clone()))
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
        let house = self.house.upgrade()?;
        let read = house.storage.conversations.read(call).await.ok()?;
        let epoch = read.map_or(0, |read| read.conversation.epoch);
        say(&Event::OwnerSeen {
            call: call.to_owned(),
            epoch,
        });
        Some((epoch, next_epoch(epoch, house.slot())))
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
