//! The relay's frames: what Twilio says on the socket ([`Heard`], protocol 4) and what we say
//! back ([`Spoken`], protocol 5).

mod heard;
mod info;
mod json_text;
mod language_tag;
mod lenient;
mod setup;
mod spoken;

pub use heard::{ErrorFrame, Heard, Interrupt, Key, Malformed, Prompt};
pub use info::Info;
pub use language_tag::LanguageTag;
pub use setup::{CallType, Setup};
pub use spoken::{
    DIGITS_MAX, Digits, HANDOFF_BYTES_MAX, Handoff, LOOP_TIMES_MAX, Languages, Play, Refused,
    Spoken, TOKEN_BYTES_MAX, Text,
};

/// Bytes of an inbound frame that are parsed at most. Twilio documents no size; Jetty, which it
/// uses, stops at 64 KB by default (protocol 8).
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
