//! Twilio's protocol only: parsing of requests and frames, verification of signatures, and how
//! a response is written.
//!
//! Pure: no clock, socket, file or runtime. Times come in as arguments.

pub mod call_token;
pub mod form;
pub mod frames;
pub mod identity;
pub mod signature;
pub mod twiml;
pub mod webhooks;

pub use call_token::{CALL_TOKEN_PARAMETER, CallToken, CallTokenError, CallTokenKey};
pub use form::{Form, FormError};
pub use frames::{InboundFrame, MalformedFrame, OutboundFrame};
pub use identity::{Attestation, CallerIdentity, NumberChannel, WithheldReason};
pub use signature::{PublicBaseUrl, SignatureHeaders, SignatureVerdict, SignatureVerifier};
pub use twiml::{Connect, RelayConfig, TwimlResponse};
pub use webhooks::{ActionCallback, StatusCallback, VoiceWebhook};

#[cfg(test)]
mod fixture_tests;
