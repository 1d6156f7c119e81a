//! The call: what is said, heard, asked and kept while the phone is off the hook.

pub mod clock;
pub mod greeting;
pub mod limits;
pub mod name;
pub mod naming;
pub mod others;
pub mod phrases;
pub mod playback;
pub mod registry;
pub mod session;
pub mod state;
pub mod switchboard;
mod tally;
pub mod transcript;
