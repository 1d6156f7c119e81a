//! The relay's frames: what Twilio says on the socket ([`InboundFrame`], docs/protocol.md 4) and
//! what we say back ([`OutboundFrame`], docs/protocol.md 5).

mod inbound;
mod info;
mod json_string;
mod language_tag;
mod lenient;
mod outbound;
mod raw_frame;
mod setup;

pub use inbound::{DtmfKey, ErrorFrame, InboundFrame, InterruptFrame, PromptFrame};
pub use info::InfoFrame;
pub use language_tag::LanguageTag;
pub use outbound::{
    HANDOFF_BYTES_MAX, HandoffData, InvalidFrame, LanguageSwitch, OutboundFrame, TOKEN_BYTES_MAX,
    TextFrame,
};
pub use raw_frame::MalformedFrame;
pub use setup::SetupFrame;

/// Bytes of an inbound frame that are parsed at most. Twilio documents no size; Jetty, which it
/// uses, stops at 64 KB by default (docs/protocol.md 8).
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
