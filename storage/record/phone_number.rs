//! A caller's telephone number: the only thing that is ever an identity.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The keypad spellings that carriers send for a withheld number: ANONYMOUS, UNAVAILABLE,
/// RESTRICTED, BLOCKED, UNKNOWN (docs/protocol.md 2.5). Each matches E.164 and none is a person.
pub const PSEUDO_NUMBERS: [&str; 5] = [
    "+266696687",
    "+86282452253",
    "+7378742833",
    "+2562533",
    "+8656696",
];

/// A number in E.164 form, `+` and 7 to 15 digits without a leading zero, that is not one of
/// [`PSEUDO_NUMBERS`].
///
/// `Debug` prints the masked form, so that a number cannot slip into a log; whoever needs the
/// digits says so with [`PhoneNumber::as_str`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "CompactString", into = "CompactString")]
pub struct PhoneNumber(CompactString);

impl PhoneNumber {
    /// Takes `text` as it stands (no trimming, no prefixes): `None` unless it is E.164
    /// (`^\+[1-9]\d{6,14}$`) and no pseudo-number.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?.as_bytes();
        let shaped = (7..=15).contains(&digits.len())
            && digits[0] != b'0'
            && digits.iter().all(u8::is_ascii_digit);
        (shaped && !PSEUDO_NUMBERS.contains(&text)).then(|| Self(CompactString::new(text)))
    }

    /// The digits as one integer: exact, since no number starts with zero, and eight bytes small.
    pub fn digits(&self) -> u64 {
        self.0.as_bytes()[1..]
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
    }

    /// The number whose [`PhoneNumber::digits`] these are.
    pub fn from_digits(digits: u64) -> Option<Self> {
        Self::parse(&format!("+{digits}"))
    }

    /// The digits with their `+`: personal data.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text was no number that can be an identity.
#[derive(Debug, thiserror::Error)]
#[error("not an E.164 number of a caller")]
pub struct InvalidPhoneNumber;

impl TryFrom<CompactString> for PhoneNumber {
    type Error = InvalidPhoneNumber;
    fn try_from(text: CompactString) -> Result<Self, InvalidPhoneNumber> {
        Self::parse(&text).ok_or(InvalidPhoneNumber)
    }
}

impl From<PhoneNumber> for CompactString {
    fn from(number: PhoneNumber) -> Self {
        number.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}",
            calldex_observability::redaction::mask_number(&self.0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_e164_that_is_no_pseudo_number_is_an_identity() {
        assert!(PhoneNumber::parse("+14155550100").is_some());
        for bad in [
            "",
            "14155550100",
            "+0123456789",
            "+1555",
            "+1415555010012345",
            "+1415555O100",
            " +14155550100",
        ] {
            assert!(PhoneNumber::parse(bad).is_none(), "{bad:?}");
        }
        for pseudo in PSEUDO_NUMBERS {
            assert!(PhoneNumber::parse(pseudo).is_none(), "{pseudo}");
        }
    }

    #[test]
    fn debug_never_shows_the_digits() {
        let shown = format!("{:?}", PhoneNumber::parse("+14155550100").unwrap());
        assert!(!shown.contains("555"), "{shown}");
    }
}
