//! What the server says about itself: metrics, logs, health, and what it must not say. Imports
//! no other crate of calldex.

pub mod catalog;
pub mod health;
pub mod logs;
mod process;
pub mod recorder;
pub mod redaction;
pub mod spans;
pub mod vital;
pub mod worker;

pub use recorder::{Recorder, install};
