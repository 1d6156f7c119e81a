//! All mutations of the database. Each carries its idempotency key, its time and every id, decided where it
//! was made, so that [`apply`] gives the same database on every instance and however often it runs.

mod apply;
mod caller_rules;
mod calls;
mod codec;
mod ownership;

pub use crate::record::{CallEnded, CallResumed, CallStarted};
pub use apply::{AppliedWrites, apply, apply_at};
pub use caller_rules::apply_to_caller;
pub use codec::{
    DecodeError, ENCODING_VERSION, ProposalId, decode_batch, decode_proposal, encode_batch,
    encode_proposal, encoding_version_at, for_format_version, is_allowed_at,
};
pub use ownership::ClaimResult;

use crate::record::{CallSid, DecisionMark, PhoneNumber, Turn};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Idempotency key and time of a decision about a caller: the call it was taken in, the maker's
/// step within that call, Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionStamp {
    /// The call in which it was decided.
    pub call_sid: CallSid,
    /// The maker's own count within the call: two decisions of one millisecond stay in order.
    pub step: u32,
    /// Unix milliseconds.
    pub at_ms: i64,
}

impl DecisionStamp {
    /// What later decisions are compared with.
    pub fn mark(&self) -> DecisionMark {
        DecisionMark {
            at_ms: self.at_ms,
            step: self.step,
        }
    }
}

/// A name decided about a number. Key: the stamp.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct StampedName {
    /// Whose.
    pub number: PhoneNumber,
    /// At most [`crate::record::Caller::NAME_CHARS_MAX`] characters; the rest is cut.
    pub name: CompactString,
    /// When and where.
    pub stamp: DecisionStamp,
}

/// A decision about a number that needs no more than itself. Key: the stamp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StampedNumber {
    /// Whose.
    pub number: PhoneNumber,
    /// When and where.
    pub stamp: DecisionStamp,
}

/// One mutation. `Debug` names it and its call, never what was said.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "write", rename_all = "snake_case")]
pub enum Write {
    /// A call has begun.
    CallStarted(CallStarted),
    /// A call was taken up again.
    CallResumed(CallResumed),
    /// One more turn. Key: call, epoch, seq.
    TurnAppended {
        /// The call.
        call_sid: CallSid,
        /// The turn.
        turn: Turn,
    },
    /// A turn as it was really heard. Applied if its revision is higher than the stored one; if the
    /// turn itself has not arrived, this stands for it.
    TurnAmended {
        /// The call.
        call_sid: CallSid,
        /// The whole turn with its new content and revision.
        turn: Turn,
    },
    /// A name was heard. Never replaces one that is confirmed or corrected.
    NameHeard(StampedName),
    /// The caller said yes to a name.
    NameConfirmed(StampedName),
    /// The caller put a name right.
    NameCorrected(StampedName),
    /// The call ended without the heard name being contradicted: it counts as confirmed.
    NameSettled(StampedName),
    /// The caller does not wish to give a name.
    NameDeclined(StampedNumber),
    /// The caller wants the name forgotten.
    NameForgotten(StampedNumber),
    /// Another person uses the number too: from now on it is greeted without a name.
    PersonAdded(StampedName),
    /// One of several people on the number is not called so: they and no other are forgotten.
    PersonForgotten(StampedName),
    /// A person on the number is called otherwise, and keeps what they want remembered.
    PersonRenamed {
        /// Whose.
        number: PhoneNumber,
        /// The wrong name.
        from: CompactString,
        /// The right one, at most [`crate::record::Caller::NAME_CHARS_MAX`] characters.
        to: CompactString,
        /// When and where.
        stamp: DecisionStamp,
    },
    /// Something to remember.
    PreferenceNoted {
        /// Whose number.
        number: PhoneNumber,
        /// In words, at most [`crate::record::Caller::PREFERENCE_CHARS_MAX`] characters.
        text: CompactString,
        /// The name of whoever said it; nobody in writes of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<CompactString>,
        /// When and where.
        stamp: DecisionStamp,
    },
    /// The caller chose a language: kept on the call and, with a number, for the next one.
    LanguageChosen {
        /// Whose, if it can be an identity.
        number: Option<PhoneNumber>,
        /// BCP 47.
        language: CompactString,
        /// When and where.
        stamp: DecisionStamp,
    },
    /// A call is over.
    CallEnded(CallEnded),
    /// Everything about a number is to be gone, and no replay may bring it back.
    CallerErased {
        /// Whose.
        number: PhoneNumber,
        /// Unix milliseconds: later calls from the number begin anew.
        at_ms: i64,
    },
    /// Every member reads format version `to`: it is in use from here on (`crate::format_version`). A
    /// lower one changes nothing.
    #[serde(rename = "level_raised")]
    FormatVersionRaised {
        /// The format version.
        to: u32,
    },
    /// A later release's: a note on a call that is over. The first stays.
    #[cfg(feature = "next-version")]
    CallNoted {
        /// The call.
        call_sid: CallSid,
        /// In words.
        note: CompactString,
    },
}

impl Write {
    /// The call it belongs to, if to one.
    pub fn call_sid(&self) -> Option<&CallSid> {
        match self {
            Self::CallStarted(start) => Some(&start.call_sid),
            Self::CallResumed(resume) => Some(&resume.call_sid),
            Self::CallEnded(end) => Some(&end.call_sid),
            Self::TurnAppended { call_sid, .. } | Self::TurnAmended { call_sid, .. } => {
                Some(call_sid)
            }
            Self::LanguageChosen { stamp, .. } => Some(&stamp.call_sid),
            #[cfg(feature = "next-version")]
            Self::CallNoted { call_sid, .. } => Some(call_sid),
            _ => None,
        }
    }

    /// The number whose caller it changes, if it does.
    pub fn number(&self) -> Option<&PhoneNumber> {
        match self {
            Self::CallStarted(start) => start.number.as_ref(),
            Self::NameHeard(given)
            | Self::NameConfirmed(given)
            | Self::NameCorrected(given)
            | Self::NameSettled(given)
            | Self::PersonAdded(given)
            | Self::PersonForgotten(given) => Some(&given.number),
            Self::NameDeclined(stamped) | Self::NameForgotten(stamped) => Some(&stamped.number),
            Self::PersonRenamed { number, .. }
            | Self::PreferenceNoted { number, .. }
            | Self::CallerErased { number, .. } => Some(number),
            Self::LanguageChosen { number, .. } => number.as_ref(),
            _ => None,
        }
    }

    /// The stamp of a decision about a caller.
    pub fn stamp(&self) -> Option<&DecisionStamp> {
        match self {
            Self::NameHeard(given)
            | Self::NameConfirmed(given)
            | Self::NameCorrected(given)
            | Self::NameSettled(given)
            | Self::PersonAdded(given)
            | Self::PersonForgotten(given) => Some(&given.stamp),
            Self::NameDeclined(stamped) | Self::NameForgotten(stamped) => Some(&stamped.stamp),
            Self::PersonRenamed { stamp, .. }
            | Self::PreferenceNoted { stamp, .. }
            | Self::LanguageChosen { stamp, .. } => Some(stamp),
            _ => None,
        }
    }

    /// Its name, as in its JSON form.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CallStarted(_) => "call_started",
            Self::CallResumed(_) => "call_resumed",
            Self::TurnAppended { .. } => "turn_appended",
            Self::TurnAmended { .. } => "turn_amended",
            Self::NameHeard(_) => "name_heard",
            Self::NameConfirmed(_) => "name_confirmed",
            Self::NameCorrected(_) => "name_corrected",
            Self::NameSettled(_) => "name_settled",
            Self::NameDeclined(_) => "name_declined",
            Self::NameForgotten(_) => "name_forgotten",
            Self::PersonAdded(_) => "person_added",
            Self::PersonForgotten(_) => "person_forgotten",
            Self::PersonRenamed { .. } => "person_renamed",
            Self::PreferenceNoted { .. } => "preference_noted",
            Self::LanguageChosen { .. } => "language_chosen",
            Self::CallEnded(_) => "call_ended",
            Self::CallerErased { .. } => "caller_erased",
            Self::FormatVersionRaised { .. } => "level_raised",
            #[cfg(feature = "next-version")]
            Self::CallNoted { .. } => "call_noted",
        }
    }

    /// Bytes it holds in memory, roughly: what the queue's bound counts.
    pub fn bytes(&self) -> usize {
        let said = match self {
            Self::TurnAppended { turn, .. } | Self::TurnAmended { turn, .. } => turn.content.len(),
            _ => 0,
        };
        size_of::<Self>() + said
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.kind())
            .field("call_sid", &self.call_sid())
            .finish_non_exhaustive()
    }
}
