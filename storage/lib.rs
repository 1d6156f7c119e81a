//! What must be true after the phone is down.

pub mod record;
