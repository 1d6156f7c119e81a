//! What is wrong with a setting, and what would be right.

use std::fmt;

/// One fault of the relay's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting, relative to the section: `eot_threshold`, `languages[1].code`.
    pub setting: String,
    /// What it holds.
    pub value: String,
    /// What to write instead.
    pub remedy: String,
}

impl Fault {
    pub(super) fn new(
        setting: impl Into<String>,
        value: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            setting: setting.into(),
            value: value.to_string(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?}: {}", self.setting, self.value, self.remedy)
    }
}
