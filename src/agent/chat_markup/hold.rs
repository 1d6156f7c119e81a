//! Words that are held back, because they may be thoughts before a lone closing tag.

use super::deliberation::{self, Beginning};
use super::marker::{self, Kind, Seen};
use super::{ChatMarkup, Offered};

/// Most words that are held back for a closing tag that is expected.
pub(super) const HELD_BYTES_MAX: usize = 16 * 1_024;

/// Whether words are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    No,
    /// Until the beginning of the reply has told, at most 200 bytes.
    Beginning,
    /// Until the closing tag, at most [`HELD_BYTES_MAX`], or the end of the reply.
    Thoughts,
}

impl ChatMarkup {
    /// The server sends thoughts apart from words: nothing need be held back for a closing tag.
    pub(in crate::agent) fn thoughts_come_apart(&mut self, offered: &Offered) {
        if self.holding != Holding::No {
            self.holding = Holding::No;
            self.push("", offered);
        }
    }

    /// Whether all that has come is held back as thoughts.
    pub(in crate::agent) fn holds_thoughts(&self) -> bool {
        self.holding == Holding::Thoughts && !self.held.trim().is_empty()
    }

    /// What is held back is left out: the reply ended inside its thoughts.
    pub(in crate::agent) fn drop_thoughts(&mut self) {
        self.held.clear();
    }

    /// Looks for a lone closing tag before anything is let through. Whether something was found.
    pub(super) fn hold_back(&mut self) -> bool {
        let mut at = self.looked;
        let found = loop {
            let Some(next) = self.held[at..].find(marker::may_begin) else {
                at = self.held.len();
                break None;
            };
            at += next;
            match marker::read(&self.held[at..]) {
                Seen::Marker(len, kind) if kind == Kind::ThoughtEnds => break Some((len, kind)),
                // Thoughts with an opening tag, or channels: no closing tag will be alone.
                Seen::Marker(len, kind @ (Kind::ThoughtBegins | Kind::Channel)) => {
                    break Some((len, kind));
                }
                Seen::Perhaps => break None,
                _ => at = self.held.ceil_char_boundary(at + 1),
            }
        };
        self.looked = at;
        if self.holding == Holding::Beginning {
            match deliberation::read(&self.held[..at]) {
                Beginning::Words => {
                    self.holding = Holding::No;
                    return true;
                }
                Beginning::Thoughts => self.holding = Holding::Thoughts,
                Beginning::Undecided => {}
            }
        }
        match found {
            Some((len, Kind::ThoughtEnds)) => {
                self.lone_thought_seen = true;
                self.held.drain(..at + len);
                self.holding = Holding::No;
                true
            }
            Some(_) => {
                self.holding = Holding::No;
                true
            }
            None if self.held.len() > HELD_BYTES_MAX => {
                self.holding = Holding::No;
                true
            }
            None => false,
        }
    }
}
