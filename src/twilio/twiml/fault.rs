//! What is wrong with a setting, and what would be right.

use std::fmt;

/// One fault of the relay's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting by its path: `twilio.relay.eot_threshold`, `twilio.relay.languages[1].code`.
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

    /// The same with its setting's whole path.
    pub(super) fn under(self, section: &str) -> Self {
        let dot = if section.is_empty() { "" } else { "." };
        Self {
            setting: format!("{section}{dot}{}", self.setting),
            ..self
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?}: {}", self.setting, self.value, self.remedy)
    }
}
