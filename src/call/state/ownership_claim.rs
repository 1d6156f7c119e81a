//! The epoch that a session claims its call under, and what storage says about the owner.

use super::event_time::EventTime;
use calldex_storage::record::Conversation;
use compact_str::CompactString;

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
    pub(super) is_confirmed: bool,
    /// Claims that came too late.
    pub(super) lost_count: u8,
    pub(super) session_id: CompactString,
    /// The call came back to its caller by it.
    pub(super) is_reconnect: bool,
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

/// Whether whoever had the call gave it to nobody: `CallState::release_call`.
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
