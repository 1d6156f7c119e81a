//! Ownership of the call. Every session of a call that may have several owners claims it under an epoch
//! of its own, by compare-and-swap in storage, and goes on without waiting for the outcome.

use super::{CallAction, CallMetric, CallState, EventTime, ExitReason};
use calldex_storage::record::{Conversation, next_epoch};
use calldex_storage::write::{CallResumed, Write};
use compact_str::CompactString;

/// A session whose claim lost claims again this often; then it gives the call up.
const CLAIMS_LOST_MAX: u8 = 3;

/// What storage says about the owner of a call, after a claim by anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOwner {
    /// The epoch that the call is owned in; `None` where storage has no such call.
    pub epoch: Option<u32>,
    /// The epoch that was claimed; `None` where the owner was looked up, and all claims made here
    /// are taken into account.
    pub claimed: Option<u32>,
}

/// What that means for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnershipStatus {
    /// It goes on.
    Held,
    /// Its own claim came too late; the owner's epoch.
    ClaimLost(u32),
    /// The call was its own, and is another's now.
    TakenOver,
}

/// A session's claim on its call.
pub(super) struct OwnershipClaim {
    /// The epoch claimed last, or the one that the call was found in.
    pub(super) epoch: u32,
    /// Storage has said that it holds.
    is_confirmed: bool,
    /// Claims that came too late.
    lost_count: u8,
    session_id: CompactString,
    /// The call came back to its caller by it.
    is_reconnect: bool,
    /// The call's epoch is not known: the next claim is made blindly, under this one.
    pub(super) blind_epoch: Option<u32>,
}

impl OwnershipClaim {
    /// A call found in `epoch`.
    pub(super) fn at_epoch(epoch: u32) -> Self {
        Self {
            epoch,
            is_confirmed: false,
            lost_count: 0,
            session_id: CompactString::default(),
            is_reconnect: false,
            blind_epoch: None,
        }
    }
}

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

/// Whether whoever had the call gave it to nobody: [`CallState::release_call`].
pub fn is_released(row: &Conversation) -> bool {
    row.instance.as_deref() == Some("")
}

/// An epoch for a call whose own cannot be read: one that no owner before can have had.
pub(super) fn blind_epoch(now: EventTime, slot: u16) -> u32 {
    /// Generations above all that are counted one by one.
    const GENERATION_MIN: i64 = 0x4000;
    /// A generation lasts this long: all of them longer than a call.
    const GENERATION_MS: i64 = 2_000;
    if slot == 0 {
        return u32::try_from(now.unix_ms / 1_000).unwrap_or(u32::MAX - 1);
    }
    let generation = GENERATION_MIN + (now.unix_ms / GENERATION_MS).rem_euclid(GENERATION_MIN);
    let generation = u32::try_from(generation).unwrap_or_default();
    generation << 16 | u32::from(slot)
}
