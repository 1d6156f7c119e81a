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

pub use form::Form;

#[cfg(test)]
mod fixture_tests;
