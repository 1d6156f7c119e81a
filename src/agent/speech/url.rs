//! URLs: only the host is spoken.

use super::{FilterState, SpeechFilter};
use compact_str::CompactString;

/// Starts of a URL.
const URL_STARTS: [&str; 3] = ["https://", "http://", "www."];
/// Longest host in bytes (RFC 1035); a longer one is truncated.
const HOST_BYTES_MAX: usize = 253;

impl SpeechFilter {
    /// Letters that may be the start of a URL.
    pub(super) fn scheme(&mut self, c: char, out: &mut CompactString) {
        self.pending.push(c);
        let begins = |beginning: &&str| {
            beginning
                .get(..self.pending.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(&self.pending))
        };
        let candidate = URL_STARTS.iter().find(|beginning| begins(beginning));
        if candidate.is_some_and(|beginning| beginning.len() == self.pending.len()) {
            self.pending.clear();
            self.state = FilterState::UrlHost;
        } else if candidate.is_none() {
            self.pending.pop();
            self.emit_pending(out);
            self.text(c, out);
        }
    }

    pub(super) fn host(&mut self, c: char, out: &mut CompactString) {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' => {
                if self.pending.len() < HOST_BYTES_MAX {
                    self.pending.push(c);
                }
            }
            '/' | '?' | '#' | ':' => {
                self.end_address(false, out);
                self.state = FilterState::UrlPath;
            }
            _ => {
                self.end_address(true, out);
                self.text(c, out);
            }
        }
    }

    /// The rest of an address is skipped up to white space, what closes it, or the text of a
    /// language that does not put spaces around it.
    pub(super) fn path(&mut self, c: char, out: &mut CompactString) {
        match c {
            ')' | ']' | '>' | '<' | '"' | '*' | '`' | '|' => {
                self.pending.clear();
                self.text(c, out);
            }
            c if c.is_whitespace() || !may_be_in_a_path(c) => {
                self.end_address(true, out);
                self.text(c, out);
            }
            c => {
                // The last character may belong to the sentence.
                self.pending.clear();
                if matches!(c, '.' | ',' | ';' | ':' | '!' | '?') {
                    self.pending.push(c);
                }
            }
        }
    }

    /// Says what is held of the address; dots at its end belong to the sentence, if it is over.
    pub(super) fn end_address(&mut self, over: bool, out: &mut CompactString) {
        let held = std::mem::take(&mut self.pending);
        let host = held.strip_prefix("www.").unwrap_or(&held);
        let said = if over {
            host
        } else {
            host.trim_end_matches('.')
        };
        for c in said.chars() {
            self.emit(c, out);
        }
        self.state = FilterState::Text;
        self.line_start = false;
    }
}

/// Whether an address cannot begin right after `c`: it is in the middle of a word.
pub(super) fn joins_an_address(c: char) -> bool {
    c.is_alphanumeric() && may_be_in_a_path(c)
}

/// ASCII (RFC 3986), and the letters that people leave unescaped in an address and that are
/// written with spaces between words (Latin, Greek, Cyrillic): `/wiki/Pokémon`. Any other
/// character, like `を` or `。`, is the sentence going on.
fn may_be_in_a_path(c: char) -> bool {
    let spaced_script = matches!(c, '\u{00C0}'..='\u{052F}' | '\u{1E00}'..='\u{1FFF}');
    c.is_ascii() || spaced_script
}
