//! Tags of SSML and HTML, and thinking in tags.

use super::{FilterState, SpeechFilter};
use compact_str::CompactString;

/// Longest tag in bytes; longer text is not a tag.
const TAG_BYTES_MAX: usize = 256;
/// Tags around thinking.
const THINKING_TAGS: [&str; 3] = ["think", "thinking", "reasoning"];
/// Longest closing tag of thinking, in bytes.
const THOUGHT_END_BYTES_MAX: usize = "</reasoning>".len();

enum TagMatch {
    Tag,
    NoTag,
    Undecided,
}

impl SpeechFilter {
    pub(super) fn tag(&mut self, c: char, out: &mut CompactString) {
        self.pending.push(c);
        match match_tag(&self.pending) {
            TagMatch::Undecided => {}
            TagMatch::NoTag => self.release_tag(out),
            TagMatch::Tag => {
                let name = self
                    .pending
                    .trim_end_matches(['>', '/', ' '])
                    .to_ascii_lowercase();
                self.state = if THINKING_TAGS.contains(&name.as_str()) {
                    FilterState::Thinking
                } else {
                    FilterState::Text
                };
                self.pending.clear();
                if name == "sup" {
                    self.resolve_power(Some('0'), out);
                }
            }
        }
    }

    /// It is not a tag: the sign becomes a word or nothing, and the held characters are text.
    pub(super) fn release_tag(&mut self, out: &mut CompactString) {
        let held = std::mem::take(&mut self.pending);
        self.state = FilterState::Text;
        let sign = self.resolve_less(&held, out);
        for c in held[sign..].chars() {
            self.step(c, out);
        }
    }

    pub(super) fn thought(&mut self, c: char) {
        self.pending.push(c.to_ascii_lowercase());
        let ended = THINKING_TAGS.iter().any(|name| {
            let rest = self
                .pending
                .strip_suffix('>')
                .and_then(|held| held.strip_suffix(name));
            rest.is_some_and(|rest| rest.ends_with("</"))
        });
        if ended {
            self.pending.clear();
            self.state = FilterState::Text;
            self.line_start = true;
        } else if self.pending.len() > 2 * THOUGHT_END_BYTES_MAX {
            let keep = self
                .pending
                .ceil_char_boundary(self.pending.len() - THOUGHT_END_BYTES_MAX);
            self.pending.drain(..keep);
        }
    }
}

/// Whether `held`, which followed `<`, is a tag: a name, then `name=value` pairs, then `>`.
fn match_tag(held: &str) -> TagMatch {
    let body = held.strip_prefix(['/', '!', '?']).unwrap_or(held);
    let name_len =
        body.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_')));
    let Some(name_len) = name_len else {
        // A heart, or a number.
        if held == "3" {
            return TagMatch::Undecided;
        }
        let lettered =
            body.is_empty() || body.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-');
        return if lettered && held.len() < TAG_BYTES_MAX {
            TagMatch::Undecided
        } else {
            TagMatch::NoTag
        };
    };
    if held == "=" {
        return TagMatch::Undecided;
    }
    let named = body.starts_with(|c: char| c.is_ascii_alphabetic()) || held.starts_with("!-");
    let rest = &body[name_len..];
    if !named || held.len() >= TAG_BYTES_MAX || rest.contains(['<', '\n']) {
        return TagMatch::NoTag;
    }
    if rest.ends_with('>') {
        return TagMatch::Tag;
    }
    let attributes = rest.trim_start_matches('/');
    let spaced = attributes.is_empty() || attributes.starts_with(' ');
    let words_before_equals = attributes
        .split('=')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .count();
    let comment = held.starts_with("!-");
    if comment || (spaced && words_before_equals <= 1) {
        TagMatch::Undecided
    } else {
        TagMatch::NoTag
    }
}
