//! An error in the configuration, with what the operator has to change.

use std::fmt;

/// One wrong setting: which, what it holds and what to write instead. A secret's value is never
/// put here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The setting's path as in the file (`call.live_max`) or the variable's or flag's name.
    pub setting: String,
    /// The value found; empty where there is none or it is a secret.
    pub value: String,
    /// What is expected, or how to mend it.
    pub hint: String,
}

impl ConfigError {
    /// An error of `setting`, which holds `value`.
    pub fn new(
        setting: impl Into<String>,
        value: impl fmt::Display,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            setting: setting.into(),
            value: value.to_string(),
            hint: hint.into(),
        }
    }
}

impl ConfigError {
    /// The same, named from the root: its setting lies in `section`.
    pub fn under(self, section: &str) -> Self {
        let dot = if section.is_empty() { "" } else { "." };
        Self {
            setting: format!("{section}{dot}{}", self.setting),
            ..self
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            value,
            hint,
        } = self;
        if value.is_empty() {
            write!(f, "{setting}: {hint}")
        } else {
            write!(f, "{setting} = {value}: {hint}")
        }
    }
}

/// All errors found, at least one.
#[derive(Debug, thiserror::Error)]
#[error("{}", error_list(.0))]
pub struct ConfigErrors(pub Vec<ConfigError>);

fn error_list(errors: &[ConfigError]) -> String {
    let count = errors.len();
    let noun = if count == 1 { "error" } else { "errors" };
    let lines: Vec<String> = errors.iter().map(|fault| format!("  {fault}")).collect();
    format!("{count} {noun} in the configuration:\n{}", lines.join("\n"))
}
