//! What is kept: callers, calls and turns as plain values.

mod number;

pub use number::{NotANumber, PSEUDO_NUMBERS, PhoneNumber};
