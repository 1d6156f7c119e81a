//! What is kept: callers, calls and turns as plain values.

mod call;
mod caller;
mod phone_number;
mod state_digest;
mod turn;

pub use call::{
    CallOutcome, CallSid, CallWithTurns, CallerKind, Conversation, UnfinishedCall, next_epoch,
};
pub use caller::{Caller, DecisionMark, NameState, Person, Preference};
pub use phone_number::{InvalidPhoneNumber, PSEUDO_NUMBERS, PhoneNumber};
pub use state_digest::StateDigest;
pub use turn::{Turn, TurnKey, TurnKind, TurnRole, TurnUsage};
