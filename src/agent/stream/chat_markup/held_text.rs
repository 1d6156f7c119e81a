//! Text that is held back, because it may be thinking before a lone closing tag.

use super::ChatMarkup;
use super::marker::{self, MarkerKind, MarkerMatch};
use super::thinking_start::{self, ReplyStart};
use crate::agent::tools::offered_names::OfferedToolNames;

/// Most bytes that are held back for an expected closing tag.
pub(super) const HELD_BYTES_MAX: usize = 16 * 1_024;

/// Whether text is held back, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldMode {
    No,
    /// Until the start of the reply is classified, at most 200 bytes.
    UntilStartKnown,
    /// Until the closing tag, at most [`HELD_BYTES_MAX`], or the end of the reply.
    UntilClosingTag,
}

impl ChatMarkup {
    /// The server sends thinking in a field of its own: no text is held back for a closing tag any more.
    pub(in crate::agent) fn thinking_is_separate(&mut self, offered: &OfferedToolNames) {
        if self.hold_mode != HoldMode::No {
            self.hold_mode = HoldMode::No;
            self.push("", offered);
        }
    }

    /// Whether text is held back as thinking.
    pub(in crate::agent) fn holds_thinking(&self) -> bool {
        self.hold_mode == HoldMode::UntilClosingTag && !self.held.trim().is_empty()
    }

    /// Drops the held text: the reply ended within its thinking.
    pub(in crate::agent) fn drop_held_thinking(&mut self) {
        self.held.clear();
    }

    /// Searches the held text for a lone closing tag. Returns whether the decision was made.
    pub(super) fn scan_held(&mut self) -> bool {
        let mut at = self.scanned;
        let found = loop {
            let Some(next) = self.held[at..].find(marker::may_begin) else {
                at = self.held.len();
                break None;
            };
            at += next;
            match marker::match_marker(&self.held[at..]) {
                MarkerMatch::Marker(len, kind) if kind == MarkerKind::ThinkingEnd => {
                    break Some((len, kind));
                }
                // Thinking with an opening tag, or channels: no lone closing tag will follow.
                MarkerMatch::Marker(
                    len,
                    kind @ (MarkerKind::ThinkingStart | MarkerKind::Channel),
                ) => {
                    break Some((len, kind));
                }
                MarkerMatch::Incomplete => break None,
                _ => at = self.held.ceil_char_boundary(at + 1),
            }
        };
        self.scanned = at;
        if self.hold_mode == HoldMode::UntilStartKnown {
            match thinking_start::classify_start(&self.held[..at]) {
                ReplyStart::Text => {
                    self.hold_mode = HoldMode::No;
                    return true;
                }
                ReplyStart::Thinking => self.hold_mode = HoldMode::UntilClosingTag,
                ReplyStart::Undecided => {}
            }
        }
        match found {
            Some((len, MarkerKind::ThinkingEnd)) => {
                self.unopened_thinking_seen = true;
                self.held.drain(..at + len);
                self.hold_mode = HoldMode::No;
                true
            }
            Some(_) => {
                self.hold_mode = HoldMode::No;
                true
            }
            None if self.held.len() > HELD_BYTES_MAX => {
                self.hold_mode = HoldMode::No;
                true
            }
            None => false,
        }
    }
}
