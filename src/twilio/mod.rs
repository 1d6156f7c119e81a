//! Twilio's wire, and nothing but the wire: what a request says, whether Twilio said it, and how
//! an answer is spelled.
//!
//! Pure: no clock, socket, file or runtime. Times come in as arguments.

pub mod form;
pub mod identity;
pub mod reference;
pub mod relay;
pub mod signature;
pub mod twiml;
pub mod voice;

pub use form::{Form, FormError};
pub use identity::{Attestation, Channel, Identity, Withheld};
pub use reference::{REFERENCE_PARAMETER, Reference, ReferenceError, ReferenceKey};
pub use relay::{Heard, Malformed, Spoken};
pub use signature::{Presented, PublicBase, Verdict, Verifier};
pub use twiml::{Connect, Relay, Response};
pub use voice::{Ended, StatusCallback, Voice};

#[cfg(test)]
mod fixture_tests;
