//! The call: what is said, heard, asked and kept while the phone is off the hook.

pub mod clock;
pub mod first_answer;
pub mod greeting;
mod judgement;
mod keep_alive;
mod language_guess;
pub mod language_names;
mod language_tagger;
pub mod language_tags;
pub mod limits;
pub mod naming;
pub mod others;
pub mod phrases;
mod placeholders;
pub mod playback;
mod preload;
pub mod registry;
pub mod session;
pub mod state;
pub mod switchboard;
mod tally;
mod tool_calls;
pub mod tool_runner;
pub mod transcript;
pub mod transport;
