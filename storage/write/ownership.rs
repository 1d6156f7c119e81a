//! Who owns a call: claims by compare-and-swap, and what came of them.

use super::{CallEnded, CallResumed};
use crate::record::{CallOutcome, CallSid};
use compact_str::CompactString;

/// What came of a claim ([`Write::CallResumed`]): told once for each that is applied, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimResult {
    /// The call.
    pub call_sid: CallSid,
    /// The owner's epoch after it; 0 where the call is not known, or erased.
    pub epoch: u32,
    /// The owner after it; empty where there is none.
    pub instance: CompactString,
    /// Whether the claim holds: now, or since an earlier time when it came already.
    pub has_won: bool,
    /// The epoch that was claimed.
    pub claimed_epoch: u32,
    /// Who claimed it.
    pub claimed_by: CompactString,
}

impl ClaimResult {
    /// That `owner` has the call, as if it had just claimed it.
    pub(crate) fn for_current_owner(call_sid: CallSid, owner: OwnerRecord) -> Self {
        Self {
            call_sid,
            epoch: owner.epoch,
            instance: owner.instance.clone(),
            has_won: true,
            claimed_epoch: owner.epoch,
            claimed_by: owner.instance,
        }
    }

    /// What came of `claim`, the row being of `owner` now.
    pub(super) fn of_claim(claim: &CallResumed, owner: Option<OwnerRecord>) -> Self {
        let owner = owner.unwrap_or_default();
        Self {
            call_sid: claim.call_sid.clone(),
            has_won: owner.matches(claim),
            epoch: owner.epoch,
            instance: owner.instance,
            claimed_epoch: claim.epoch,
            claimed_by: claim.instance.clone(),
        }
    }
}

/// Who has a call: what a claim is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnerRecord {
    pub epoch: u32,
    pub instance: CompactString,
    pub session_id: CompactString,
}

impl OwnerRecord {
    fn matches(&self, claim: &CallResumed) -> bool {
        let is_it = self.instance == claim.instance && self.session_id == claim.session_id;
        self.epoch == claim.epoch && is_it
    }
}

impl CallResumed {
    /// Whether the claim wins a call that is at `epoch`; one that is not known is at 0. The whole
    /// rule, for the disk's row and for the one in memory.
    pub(crate) fn wins(&self, epoch: u32) -> bool {
        self.epoch > epoch && self.expected.is_none_or(|expected| expected == epoch)
    }

    /// Whether a call that had ended lives again by it: not by one that only comes late, the provider having
    /// told of an end of the call itself at `provider_end_at_ms` (0 if not) or the claimer of its own, the
    /// latest such owner's epoch being `end_epoch` (-1 if none). For the row in memory; the disk's is changed
    /// by the same rule in `sqlite::conversations::resume`.
    pub(crate) fn reopens(&self, provider_end_at_ms: i64, end_epoch: i64) -> bool {
        self.at_ms > provider_end_at_ms && i64::from(self.epoch) > end_epoch
    }

    /// Whether it says what the first form of a batch cannot.
    pub(super) fn is_conditional(&self) -> bool {
        self.expected.is_some() || !self.returned
    }
}

/// An epoch from here on holds the slot of its owner.
const FIRST_EPOCH_WITH_SLOT: u32 = 1 << 16;

impl CallEnded {
    /// Whether the provider says that the call itself is over, so that nothing of it can come after. What
    /// it says of a session, or an owner of its own, may be followed by another session.
    pub(crate) fn is_final(&self) -> bool {
        self.epoch.is_none() && self.outcome == CallOutcome::HungUp
    }

    /// Its time if it [is final](Self::is_final), else 0.
    pub(crate) fn final_at_ms(&self) -> i64 {
        if self.is_final() { self.at_ms } else { 0 }
    }

    /// Whether it may end a call that is owned in `epoch`: by the provider's word, or by its owner's.
    /// Among several instances nobody else counts, even under an epoch that is higher: that of a
    /// claim that came too late. The whole rule, for the disk's row and for the one in memory.
    pub(crate) fn may_end(&self, epoch: u32) -> bool {
        self.epoch.is_none_or(|own| match epoch {
            FIRST_EPOCH_WITH_SLOT.. => own == epoch,
            _ => own >= epoch,
        })
    }
}
