//! What the house says about itself. Imports nothing of ours.

pub mod catalog;
pub mod redaction;
