//! What is kept: callers, calls and turns as plain values.

mod call;
mod call_events;
mod caller;
mod phone_number;
mod position;
mod state_digest;
mod turn;

pub use call::{
    CallOutcome, CallSid, CallWithTurns, CallerKind, Conversation, UnfinishedCall, next_epoch,
};
pub(crate) use call_events::OwnerRecord;
pub use call_events::{CallEnded, CallResumed, CallStarted};
pub use caller::{Caller, DecisionMark, NameState, Person, Preference};
pub use phone_number::{InvalidPhoneNumber, PSEUDO_NUMBERS, PhoneNumber};
pub use position::Position;
pub use state_digest::StateDigest;
pub use turn::{Turn, TurnKey, TurnKind, TurnRole, TurnUsage};
