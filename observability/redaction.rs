//! Personal data and secrets as they may be shown: numbers and names masked, secrets not at all.

use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// Leading characters of a number that stay readable: `+` and up to four digits.
const NUMBER_HEAD_CHARS: usize = 5;
/// Trailing digits of a number that stay readable.
const NUMBER_TAIL_CHARS: usize = 4;

/// `+14155550100` as `+1415•••0100`. Anything too short to hide its middle, or not made of a `+`
/// and digits (SIP and client identities are names of people), is `•••` altogether.
pub fn mask_number(number: &str) -> String {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let numeric = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !numeric || number.len() < NUMBER_HEAD_CHARS + NUMBER_TAIL_CHARS + 2 {
        return "•••".to_owned();
    }
    let tail = number.len() - NUMBER_TAIL_CHARS;
    format!("{}•••{}", &number[..NUMBER_HEAD_CHARS], &number[tail..])
}

/// `Misty` as `M•••`: enough to tell two lines of a log apart, not to tell who called.
pub fn mask_name(name: &str) -> String {
    match name.chars().next() {
        Some(first) => format!("{first}•••"),
        None => String::new(),
    }
}

/// Fewest digits after a `+` that are taken for a number in running text (E.164 knows no shorter ones
/// that a caller could have).
const NUMBER_DIGITS_MIN: usize = 7;

/// `text` with every telephone number in it masked: each `+` (also as a form writes it, `%2B`)
/// followed by seven digits or more. The last guard of what is written, not a licence to write
/// numbers: a number without its `+` cannot be told from an id.
pub fn mask_numbers_in(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut rest = text;
    while let Some((before, digits, after)) = find_number(rest) {
        masked.push_str(before);
        masked.push_str(&mask_number(&format!("+{digits}")));
        rest = after;
    }
    if masked.is_empty() {
        return Cow::Borrowed(text);
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// The text before the next number, the number's digits, and what follows them.
fn find_number(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices(['+', '%']).find_map(|(at, _)| {
        let sign = ["+", "%2B", "%2b"]
            .into_iter()
            .find(|sign| text[at..].starts_with(sign))?;
        let tail = &text[at + sign.len()..];
        let end = tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len());
        (end >= NUMBER_DIGITS_MIN).then(|| (&text[..at], &tail[..end], &tail[end..]))
    })
}

/// A secret from configuration or environment. `Debug` and `Display` do not print it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself: for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(•••)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_ends_only() {
        assert_eq!(mask_number("+14155550100"), "+1415•••0100");
        for hidden in [
            "",
            "+1555",
            "+14155501",
            "sip:ana@example.com",
            "client:tommy",
            "anonymous",
        ] {
            assert_eq!(mask_number(hidden), "•••", "{hidden}");
        }
    }

    #[test]
    fn numbers_in_running_text_are_masked_and_all_else_is_kept() {
        for (text, masked) in [
            (
                "from +14155550100 to +442079460958.",
                "from +1415•••0100 to +4420•••0958.",
            ),
            (
                "From=%2B14155550100&n=%2b1415555",
                "From=+1415•••0100&n=•••",
            ),
            ("++4915112345678+", "++4915•••5678+"),
            (
                "1 + 1, +123456, CA14155550100",
                "1 + 1, +123456, CA14155550100",
            ),
            ("100 % é +", "100 % é +"),
            ("", ""),
        ] {
            assert_eq!(mask_numbers_in(text), masked);
        }
    }

    #[test]
    fn a_name_keeps_its_first_letter_only() {
        assert_eq!(mask_name("Zoë"), "Z•••");
        assert_eq!(mask_name(""), "");
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("tiger");
        assert_eq!(format!("{secret:?} {secret}"), "Secret(•••) •••");
    }
}
