//! The events of a call that decide about its row and its owner: start, claim and end. The rules of
//! ownership are here, so that the row on disk and the one in memory follow the same ones.

use super::{CallOutcome, CallSid, CallerKind, PhoneNumber};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// An epoch from here on holds the slot of its owner.
const FIRST_EPOCH_WITH_SLOT: u32 = 1 << 16;

/// A call has begun. Key: the call.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CallStarted {
    /// The call.
    pub call_sid: CallSid,
    /// Whose call, only if it can be an identity.
    pub number: Option<PhoneNumber>,
    /// The number that was called.
    pub line: CompactString,
    /// The kind of identity.
    pub caller_kind: CallerKind,
    /// A SIP or client identity as given; nothing for a withheld number.
    pub identity: Option<CompactString>,
    /// Language the call begins in.
    pub language: Option<CompactString>,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The instance that owns the call.
    pub instance: CompactString,
}

/// A call was resumed, or claimed by another instance. Key: call and epoch; only a higher epoch is
/// applied, and with [`CallResumed::expected`] only against the epoch that the claiming instance had seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResumed {
    /// The call.
    pub call_sid: CallSid,
    /// The new session's id.
    pub session_id: CompactString,
    /// The new ownership, as [`super::next_epoch`] gives it.
    pub epoch: u32,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The new owner.
    pub instance: CompactString,
    /// The epoch that the call must have for the claim to win: compare-and-swap. A call that is not
    /// known has epoch 0. It is one that its maker has seen, or claimed before: on one that is still to
    /// come a claim loses now and wins when it comes again. Nothing where any lower epoch will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u32>,
    /// Whether the call came back to its caller by it, which counts in `resumes`; a mere change of
    /// owner does not.
    #[serde(default = "default_true", skip_serializing_if = "is_true")]
    pub returned: bool,
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
    /// by the same rule in `sqlite::conversations::apply_claim`.
    pub(crate) fn reopens(&self, provider_end_at_ms: i64, end_epoch: i64) -> bool {
        self.at_ms > provider_end_at_ms && i64::from(self.epoch) > end_epoch
    }

    /// Whether it says what the first form of a batch cannot.
    pub(crate) fn is_conditional(&self) -> bool {
        self.expected.is_some() || !self.returned
    }
}

fn default_true() -> bool {
    true
}

// By reference, as serde calls it.
fn is_true(answer: &bool) -> bool {
    *answer
}

/// Who has a call: what a claim is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnerRecord {
    pub epoch: u32,
    pub instance: CompactString,
    pub session_id: CompactString,
}

impl OwnerRecord {
    /// Whether `claim` made it the owner.
    pub(crate) fn matches(&self, claim: &CallResumed) -> bool {
        let is_it = self.instance == claim.instance && self.session_id == claim.session_id;
        self.epoch == claim.epoch && is_it
    }
}

/// A call is over. Key: the call; the first to arrive ends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEnded {
    /// The call.
    pub call_sid: CallSid,
    /// The epoch of who says so, which cannot end a call that another has taken over since, nor one
    /// whose claim it lost; nothing when the provider itself says that the call is over.
    pub epoch: Option<u32>,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// How.
    pub outcome: CallOutcome,
}

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
    /// In a cluster nobody else may, not even under a higher epoch, which is that of a claim that came
    /// too late. The whole rule, for the disk's row and for the one in memory.
    pub(crate) fn may_end(&self, epoch: u32) -> bool {
        self.epoch.is_none_or(|own| match epoch {
            FIRST_EPOCH_WITH_SLOT.. => own == epoch,
            _ => own >= epoch,
        })
    }
}
