//! Ownership of the call. In cluster mode every session claims its call under an epoch of its own, by
//! compare-and-swap in storage. It does not wait for the result.

use super::ownership_claim::{CallOwner, OwnershipStatus};
use super::{CallAction, CallMetric, CallState, EventTime, ExitReason};
use calldex_storage::record::next_epoch;
use calldex_storage::write::{CallResumed, Write};
use compact_str::CompactString;

/// How often a session claims again after a lost claim. Then it leaves the call.
const CLAIMS_LOST_MAX: u8 = 3;

impl CallState {
    /// The epoch of the session's claim, or the one that storage had.
    pub fn epoch(&self) -> u32 {
        self.claim.epoch
    }

    /// What `owner` means for this call. A confirmation of the claim is noted.
    pub fn ownership_status(&mut self, owner: CallOwner) -> OwnershipStatus {
        // Storage has no such call after the erasure of its number. It continues without records.
        let Some(epoch) = owner.epoch else {
            return OwnershipStatus::Held;
        };
        match owner.claimed {
            _ if epoch == self.claim.epoch => {
                // A claim that was only looked up can still be lost.
                self.claim.is_confirmed |= owner.claimed.is_some();
                OwnershipStatus::Held
            }
            _ if self.claim.is_confirmed => OwnershipStatus::TakenOver,
            Some(claimed) if claimed != self.claim.epoch => {
                // The result of another claim; the result of this one follows.
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
                // The new claim counts the reconnect that the lost one would have counted.
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

    /// Another instance owns the call: the session says, requests and records nothing more.
    fn yield_call(&mut self, actions: &mut Vec<CallAction>) {
        self.abort_without_closing(actions);
        self.is_over = true;
        actions.push(CallAction::ExitSession(ExitReason::TakenOver));
    }

    /// Claims the call for the session `session_id`. `returned`: the claim counts a reconnect. Turns keep
    /// the epoch of the session's first claim, which no other instance can have.
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

    /// Releases the call. The next owner does not count a reconnect, because a planned move is no failure.
    pub(super) fn release_call(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let release = CallResumed {
            instance: CompactString::default(),
            ..self.next_claim("", false, now)
        };
        actions.push(CallAction::Record(Write::CallResumed(release)));
    }
}
