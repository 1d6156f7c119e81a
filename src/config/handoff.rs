//! `[twilio.handoff]`, and what of it a line has of its own.

use crate::settings::ConfigError;
use calldex_storage::record::PhoneNumber;
use serde::{Deserialize, Serialize};

/// `[twilio.handoff]`: where a call goes when the agent gives it to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HandoffSection {
    /// A number to dial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dial: Option<String>,
    /// The number that the person sees, one of the account's own; the caller's where not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_id: Option<String>,
    /// How long it rings there, in seconds, 5 to 600. Where nobody answers the caller comes back to the
    /// agent.
    pub timeout_s: u32,
    /// A TaskRouter workflow (`WW…`) to enqueue into, when nothing is dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
}

impl Default for HandoffSection {
    fn default() -> Self {
        Self {
            dial: None,
            caller_id: None,
            timeout_s: 25,
            workflow: None,
        }
    }
}

impl HandoffSection {
    /// What is wrong with it; `section` is its name in the file.
    pub(super) fn validate(&self, section: &str) -> Vec<ConfigError> {
        let numbers = [("dial", &self.dial), ("caller_id", &self.caller_id)];
        let wrong = |(setting, number): (&str, &Option<String>)| {
            let number = number.as_ref()?;
            let hint = "must be a number such as +14155550100";
            PhoneNumber::parse(number)
                .is_none()
                .then(|| ConfigError::new(format!("{section}.{setting}"), number, hint))
        };
        let mut errors: Vec<ConfigError> = numbers.into_iter().filter_map(wrong).collect();
        if !(5..=600).contains(&self.timeout_s) {
            let hint = "must be 5 to 600 seconds";
            errors.push(ConfigError::new(
                format!("{section}.timeout_s"),
                self.timeout_s,
                hint,
            ));
        }
        errors
    }

    /// Whether there is anybody to hand over to.
    pub fn is_possible(&self) -> bool {
        self.dial.is_some() || self.workflow.is_some()
    }
}
