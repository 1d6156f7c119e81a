//! The phone call: its state machine, its session on the socket, and the manager of all calls of this
//! instance.

pub mod admission;
mod call_finish;
pub mod caller_name;
pub mod clock;
pub mod first_answer;
pub mod greeting;
mod keep_alive;
mod language_detection;
pub mod language_names;
mod language_tagger;
pub mod language_tags;
pub mod manager;
mod metrics;
mod name_verification;
pub mod peers;
pub mod phrases;
mod placeholders;
pub mod playback;
mod prewarm;
pub mod registry;
mod running_tools;
pub mod session;
mod session_exit;
pub mod state;
pub mod tool_runner;
pub mod transcript;
pub mod transport;
