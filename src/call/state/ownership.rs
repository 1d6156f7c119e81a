//! Ownership of the call. Every session of a call that may have several owners claims it under an epoch
//! of its own, by compare-and-swap in storage, and goes on without waiting for the outcome.

use super::ownership_claim::{CallOwner, OwnershipStatus};
use super::{CallAction, CallMetric, CallState, EventTime, ExitReason};
use calldex_storage::record::next_epoch;
use calldex_storage::write::{CallResumed, Write};
use compact_str::CompactString;

/// A session whose claim lost claims again this often; then it gives the call up.
const CLAIMS_LOST_MAX: u8 = 3;

impl CallState {
    /// The epoch that this instance holds the call in, or claims it in.
    pub fn epoch(&self) -> u32 {
        self.claim.epoch
    }

    /// What the news about the call's owner mean for it.
    pub fn ownership_status(&mut self, owner: CallOwner) -> OwnershipStatus {
        // A call that storage has not is nobody's: its number was erased. It goes on, unrecorded.
        let Some(epoch) = owner.epoch else {
            return OwnershipStatus::Held;
        };
        match owner.claimed {
            _ if epoch == self.claim.epoch => {
                // A claim that is only looked up may still lose.
                self.claim.is_confirmed |= owner.claimed.is_some();
                OwnershipStatus::Held
            }
            _ if self.claim.is_confirmed => OwnershipStatus::TakenOver,
            Some(claimed) if claimed != self.claim.epoch => {
                // Others' claims, told before what came of this one.
                OwnershipStatus::Held
            }
            _ => OwnershipStatus::ClaimLost(epoch),
        }
    }

    pub(super) fn on_owner_changed(
        &mut self,
        owner: CallOwner,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        match self.ownership_status(owner) {
            OwnershipStatus::Held => {}
            OwnershipStatus::ClaimLost(epoch)
                if self.claim.lost_count < CLAIMS_LOST_MAX && !self.has_left_instance() =>
            {
                actions.push(CallAction::Count(CallMetric::ClaimLost));
                self.claim.lost_count += 1;
                self.claim.epoch = epoch;
                // What the claim that came too late would have counted, this one does.
                let session_id = self.claim.session_id.clone();
                self.claim_call(&session_id, self.claim.is_reconnect, now, actions);
            }
            OwnershipStatus::ClaimLost(_) => {
                actions.push(CallAction::Count(CallMetric::ClaimLost));
                self.yield_call(actions);
            }
            OwnershipStatus::TakenOver => self.yield_call(actions),
        }
    }

    /// The call is another's: nothing more is said, asked or kept.
    fn yield_call(&mut self, actions: &mut Vec<CallAction>) {
        self.abort_without_closing(actions);
        self.is_over = true;
        actions.push(CallAction::ExitSession(ExitReason::TakenOver));
    }

    /// Claims the call for the session `session_id`; `returned` if it came back by it. Turns keep
    /// the epoch that they are written under: that of the session's first claim, which no other
    /// instance can have.
    pub(super) fn claim_call(
        &mut self,
        session_id: &str,
        returned: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let claim = self.next_claim(session_id, returned, now);
        actions.push(CallAction::Record(Write::CallResumed(claim)));
    }

    fn next_claim(&mut self, session_id: &str, returned: bool, now: EventTime) -> CallResumed {
        let slot = self.context.node_slot;
        let found = self.claim.epoch;
        let blind = self.claim.blind_epoch.take();
        let epoch =
            blind.unwrap_or_else(|| next_epoch(found.max(self.transcript.last_epoch()), slot));
        self.claim.epoch = epoch;
        self.claim.is_confirmed = false;
        self.claim.session_id = session_id.into();
        self.claim.is_reconnect = returned;
        CallResumed {
            call_sid: self.context.call_sid.clone(),
            session_id: session_id.into(),
            epoch,
            at_ms: now.unix_ms,
            instance: self.context.instance.clone(),
            expected: (slot != 0 && blind.is_none()).then_some(found),
            returned,
        }
    }

    /// Gives the call to nobody, so that whoever takes it up next has not taken up a failure: planned
    /// moves do not count in what a call may lose.
    pub(super) fn release_call(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let release = CallResumed {
            instance: CompactString::default(),
            ..self.next_claim("", false, now)
        };
        actions.push(CallAction::Record(Write::CallResumed(release)));
    }
}
