//! The epoch that a session claims its call under, and what storage says about the owner.

use super::event_time::EventTime;
use calldex_storage::record::Conversation;
use compact_str::CompactString;

/// The owner of a call, as storage reports it after a claim by any instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOwner {
    /// The epoch of the owner; `None` if storage does not have the call.
    pub epoch: Option<u32>,
    /// The epoch of the claim that was decided; `None` if the owner was looked up, which takes all claims
    /// of this instance into account.
    pub claimed: Option<u32>,
}

/// What the owner of a call means for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnershipStatus {
    /// The session continues.
    Held,
    /// The session's claim lost. Holds the epoch of the owner.
    ClaimLost(u32),
    /// The session owned the call, and another instance owns it now.
    TakenOver,
}

/// A session's claim on its call.
pub(super) struct OwnershipClaim {
    /// The epoch claimed last; before the first claim the epoch that storage has.
    pub(super) epoch: u32,
    /// Storage confirmed the claim.
    pub(super) is_confirmed: bool,
    /// Claims that were lost.
    pub(super) lost_count: u8,
    pub(super) session_id: CompactString,
    /// The claim counts a reconnect.
    pub(super) is_reconnect: bool,
    /// The next claim is made under this epoch without a comparison, because the epoch in storage is not
    /// known.
    pub(super) blind_epoch: Option<u32>,
}

impl OwnershipClaim {
    /// For a call that storage has in `epoch`.
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

/// Whether the last owner released the call (`CallState::release_call`).
pub fn is_released(row: &Conversation) -> bool {
    row.instance.as_deref() == Some("")
}

/// An epoch for a call whose epoch cannot be read. It is higher than the epoch of any owner before.
pub(super) fn blind_epoch(now: EventTime, slot: u16) -> u32 {
    /// The lowest generation of such epochs; claims that count up stay below it.
    const GENERATION_MIN: i64 = 0x4000;
    /// The duration of a generation. All generations together last longer than a call.
    const GENERATION_MS: i64 = 2_000;
    if slot == 0 {
        return u32::try_from(now.unix_ms / 1_000).unwrap_or(u32::MAX - 1);
    }
    let generation = GENERATION_MIN + (now.unix_ms / GENERATION_MS).rem_euclid(GENERATION_MIN);
    let generation = u32::try_from(generation).unwrap_or_default();
    generation << 16 | u32::from(slot)
}
