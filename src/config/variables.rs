//! Environment variables as names of settings, and one setting as a layer gives it.

use toml::Value;

/// Prefix of the variables that set anything: `CALLDEX_CALL__LIVE_MAX` is `call.live_max`.
pub(super) const VARIABLE_PREFIX: &str = "CALLDEX_";
/// The ending of a variable that names the file of a secret, as Docker and Kubernetes provide secrets.
pub(super) const FILE_ENDING: &str = "_FILE";

/// Variables with a name of their own, and the setting each stands for.
pub(super) const NAMED_VARIABLES: [(&str, &str); 14] = [
    ("TWILIO_ACCOUNT_SID", "twilio.account_sid"),
    ("TWILIO_AUTH_TOKEN", "twilio.auth_token"),
    ("TWILIO_AUTH_TOKENS", "twilio.auth_tokens"),
    ("TWILIO_AUTH_TOKEN_OLD", "twilio.auth_token_old"),
    ("PUBLIC_URL", "server.public_url"),
    ("OPENAI_API_KEY", "model.default.api_key"),
    ("OPENAI_BASE_URL", "model.default.base_url"),
    ("OPENAI_MODEL", "model.default.model"),
    ("CALLDEX_DATA", "server.data"),
    ("CALLDEX_LISTEN", "server.listen"),
    ("CALLDEX_ADMIN", "admin.listen"),
    ("CALLDEX_ADMIN_TOKEN", "admin.token"),
    ("CALLDEX_LOG", "log.level"),
    (OTLP_VARIABLE, "log.otlp_endpoint"),
];

/// Collectors' address as every OpenTelemetry program reads it. Often set for a whole cluster, so a
/// build that cannot export passes it over (and says so at start) instead of refusing to run.
pub const OTLP_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Settings whose value must not be shown in an error.
const SECRET_ENDINGS: [&str; 7] = [
    "token",
    "tokens",
    "token_old",
    "api_key",
    "secret",
    "secret_accepted",
    "key",
];

/// One setting of one layer.
pub(super) struct LayeredSetting {
    /// Keys from the root.
    pub path: Vec<String>,
    pub value: Value,
    /// What the operator wrote: file key, variable or flag.
    pub source: String,
    /// Whether `source` is an environment variable.
    pub is_variable: bool,
}

pub(super) fn is_secret_path(path: &[String]) -> bool {
    let last = path.last().map_or("", String::as_str);
    SECRET_ENDINGS.iter().any(|ending| last.ends_with(ending))
}

/// The variable that `name` gives the file for, if it is one of a secret's.
pub(super) fn variable_of_secret_file(name: &str) -> Option<&str> {
    let plain = name.strip_suffix(FILE_ENDING)?;
    is_secret_path(&path_of(plain)).then_some(plain)
}

pub(super) fn path_of(name: &str) -> Vec<String> {
    match NAMED_VARIABLES.iter().find(|(named, _)| *named == name) {
        Some((_, setting)) => setting.split('.').map(str::to_owned).collect(),
        None => variable_path(name),
    }
}

fn variable_path(name: &str) -> Vec<String> {
    let rest = name.strip_prefix(VARIABLE_PREFIX).unwrap_or(name);
    let mut path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
    // A header's name has dashes where a variable's can only have underscores.
    if let Some([.., parent, name]) = path.get_mut(..)
        && parent == "headers"
    {
        *name = name.replace('_', "-");
    }
    path
}

/// The variable of the setting at `path`, to be written in place of the variable `old`: with the
/// ending of a secret's file where that has it.
pub(super) fn variable_name(path: &[String], old: &str) -> String {
    let name = path.join("__").to_uppercase().replace('-', "_");
    let ending = variable_of_secret_file(old).map_or("", |_| FILE_ENDING);
    format!("{VARIABLE_PREFIX}{name}{ending}")
}
