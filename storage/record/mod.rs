//! What is kept: callers, calls and turns as plain values.

mod call;
mod caller;
mod digest;
mod number;
mod turn;

pub use call::{CallSid, CallerKind, Conversation, LiveCall, Outcome, UnfinishedCall, next_epoch};
pub use caller::{Caller, NameMark, NameState, Person, Preference};
pub use digest::Digest;
pub use number::{NotANumber, PSEUDO_NUMBERS, PhoneNumber};
pub use turn::{Role, Turn, TurnKey, TurnKind, TurnUsage};
