//! The value of a setting in TOML or in a variable: a string, a number or a boolean.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// `true`, `600`, `0.8` or `"any"`. The rule of the attribute checks the type later, so that all errors
/// are found at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text; blank means "leave the attribute out".
    Text(String),
}

impl SettingValue {
    /// The value as an attribute spells it.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(number.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }

    /// Whether the attribute is to be left out.
    pub fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }
}

/// Whether `word` is `expected` in any case.
pub(super) fn equals(word: Option<&SettingValue>, expected: &str) -> bool {
    word.is_some_and(|word| word.as_text().trim().eq_ignore_ascii_case(expected))
}

/// What `word` says, trimmed, if it says anything.
pub(super) fn non_blank_text(word: Option<&SettingValue>) -> Option<String> {
    let word = word.filter(|word| !word.is_blank())?;
    Some(word.as_text().trim().to_owned())
}

/// `word` if it is set, and to something else than `expected`.
pub(super) fn set_and_not<'a>(
    word: Option<&'a SettingValue>,
    expected: &str,
) -> Option<&'a SettingValue> {
    word.filter(|word| !word.is_blank() && !equals(Some(word), expected))
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_text())
    }
}

impl From<bool> for SettingValue {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for SettingValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for SettingValue {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<&str> for SettingValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for SettingValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
