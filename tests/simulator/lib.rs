//! Twilio and a language model, simulated.
//!
//! Imports nothing of calldex: every form, frame and chunk is written here from the protocol, so that a mistake
//! on the wire cannot hide by being made on both sides. Integration tests use it, and the binary ships it as
//! `calldex call` ([`terminal`]) and `calldex load` ([`load`]).

#![allow(
    missing_docs,
    reason = "many fields have the names of the protocols, which say what they are"
)]

mod http_connection;
pub mod load;
pub mod model;
pub mod terminal;
mod tls;
pub mod twilio;
