//! An unparsed address of a call.

use super::CallerIdentity;
use calldex_observability::redaction::mask_number;
use std::fmt;

/// The raw text of `From`, `To` and their like: personal data. `Debug` prints it masked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawAddress(String);

impl RawAddress {
    /// Wraps the text unchanged.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, unchanged.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identity in the address.
    pub fn identity(&self) -> CallerIdentity {
        CallerIdentity::parse(&self.0)
    }
}

impl fmt::Debug for RawAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_number(self.0.trim()))
    }
}
