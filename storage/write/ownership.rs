//! The result of a claim of a call.

use crate::record::{CallResumed, CallSid, OwnerRecord};
use compact_str::CompactString;

/// The result of a claim (`Write::CallResumed`): published once for each that is applied, of any instance.
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
    /// As if `owner` had just claimed the call.
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

    /// The result of `claim`, after which the row belongs to `owner`.
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
