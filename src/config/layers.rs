//! Merges file, environment and flags over the defaults. Each setting is checked by itself, so that one
//! wrong value does not hide the next.

use super::Config;
use super::renamed::{renamed_error, take_renamed};
use crate::settings::ConfigError;
use calldex_observability::spans;
use std::ffi::OsString;
use std::path::PathBuf;
use toml::{Table, Value};

/// Prefix of the variables that set anything: `CALLDEX_CALL__LIVE_MAX` is `call.live_max`.
const VARIABLE_PREFIX: &str = "CALLDEX_";
/// The ending of a variable that names the file of a secret, as Docker and Kubernetes provide secrets.
const FILE_ENDING: &str = "_FILE";
/// A configuration file larger than this is refused.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A secret's file larger than this is refused.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Variables with a name of their own, and the setting each stands for.
const NAMED_VARIABLES: [(&str, &str); 14] = [
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
/// Variables that begin like ours and are no settings: where the file is, the test suite's own, and
/// what Kubernetes puts into every container beside a Service called `calldex`.
const IGNORED_PREFIXES: [&str; 6] = [
    "CALLDEX_CONFIG",
    "CALLDEX_TEST",
    "CALLDEX_CRASH",
    "CALLDEX_BENCH",
    "CALLDEX_SERVICE_",
    "CALLDEX_PORT",
];
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

/// Flags of `calldex serve` and `check`; the last word.
#[derive(Debug, Clone, Default)]
pub struct ConfigFlags {
    /// `--data DIR`
    pub data: Option<PathBuf>,
    /// `--listen ADDR`
    pub listen: Option<String>,
    /// `--admin ADDR`
    pub admin: Option<String>,
}

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct ConfigSources {
    /// `--config FILE` or `CALLDEX_CONFIG`.
    pub file: Option<PathBuf>,
    /// The variables that concern us, as [`environment`] picks them.
    pub environment: Vec<(String, String)>,
    /// Command-line flags.
    pub flags: ConfigFlags,
}

/// The process's variables that are settings; empty values count as not set.
pub fn environment() -> Vec<(String, String)> {
    // A variable that is not UTF-8 is no setting.
    let readable = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os()
        .filter_map(readable)
        .filter(|(name, value)| {
            let plain = name.strip_suffix(FILE_ENDING).unwrap_or(name);
            let named = NAMED_VARIABLES
                .iter()
                .any(|(named, _)| named == name || *named == plain);
            (named || name.starts_with(VARIABLE_PREFIX))
                && !value.trim().is_empty()
                && !is_ignored(name)
        })
        .collect()
}

/// Collectors' address as every OpenTelemetry program reads it. Often set for a whole cluster, so a
/// build that cannot export passes it over (and says so at start) instead of refusing to run.
pub const OTLP_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn is_ignored(name: &str) -> bool {
    (name == OTLP_VARIABLE && !spans::CAN_EXPORT)
        || IGNORED_PREFIXES.iter().any(|other| name.starts_with(other))
}

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

/// The defaults with all layers over them, and what could not be taken.
pub(super) fn merge(sources: &ConfigSources) -> (Config, Vec<ConfigError>) {
    let mut errors = Vec::new();
    let mut settings = file_settings(sources, &mut errors);
    settings.extend(environment_settings(&sources.environment, &mut errors));
    settings.extend(flag_settings(&sources.flags));

    let mut merged = Table::try_from(Config::default()).expect("the defaults are a table");
    for mut setting in settings {
        if let Some(error) = renamed_error(&setting) {
            if !errors.contains(&error) {
                errors.push(error);
            }
            continue;
        }
        errors.extend(take_renamed(&mut setting));
        match apply(&merged, &setting) {
            Ok(next) => merged = next,
            Err(error) => errors.push(error),
        }
    }
    let config = Config::from_table(merged).unwrap_or_default();
    (config, errors)
}

impl Config {
    fn from_table(table: Table) -> Result<Self, toml::de::Error> {
        Value::Table(table).try_into()
    }
}

/// `base` with `setting` in it, if the whole still reads as a configuration.
fn apply(base: &Table, setting: &LayeredSetting) -> Result<Table, ConfigError> {
    let mut candidates = vec![setting.value.clone()];
    if let Value::String(text) = &setting.value {
        // A variable has no type: "250", "true" and "[1, 2]" may be meant as what they look like.
        candidates.extend(
            toml::from_str::<Table>(&format!("v = {text}"))
                .ok()
                .and_then(|mut t| t.remove("v")),
        );
    }
    let mut refusal = String::new();
    for value in candidates {
        let mut next = base.clone();
        if !insert(&mut next, &setting.path, value) {
            refusal = "its parent is not a table".to_owned();
            continue;
        }
        match Config::from_table(next.clone()) {
            Ok(_) => return Ok(next),
            // The message of the parser repeats the value.
            Err(_) if is_secret(setting) => refusal = "must be a text".to_owned(),
            Err(error) => refusal = error.message().to_owned(),
        }
    }
    Err(ConfigError::new(
        &setting.source,
        display_value(setting),
        refusal,
    ))
}

fn is_secret(setting: &LayeredSetting) -> bool {
    is_secret_path(&setting.path)
}

fn is_secret_path(path: &[String]) -> bool {
    let last = path.last().map_or("", String::as_str);
    SECRET_ENDINGS.iter().any(|ending| last.ends_with(ending))
}

fn display_value(setting: &LayeredSetting) -> String {
    if is_secret(setting) {
        return String::new();
    }
    match &setting.value {
        Value::String(text) => format!("{text:?}"),
        Value::Table(_) => String::new(),
        // A list of sections, perhaps with secrets in them.
        Value::Array(sections) if sections.iter().any(Value::is_table) => String::new(),
        other => other.to_string(),
    }
}

fn insert(table: &mut Table, path: &[String], value: Value) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let mut here = table;
    for key in parents {
        let entry = here
            .entry(key.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(below) = entry else {
            return false;
        };
        here = below;
    }
    here.insert(last.clone(), value);
    true
}

fn file_settings(sources: &ConfigSources, errors: &mut Vec<ConfigError>) -> Vec<LayeredSetting> {
    let Some(path) = &sources.file else {
        return Vec::new();
    };
    let shown = path.display();
    let size = std::fs::metadata(path).map(|meta| meta.len());
    if size.as_ref().is_ok_and(|bytes| *bytes > FILE_BYTES_MAX) {
        errors.push(ConfigError::new(
            "--config",
            shown,
            "is larger than 1 MiB: not a configuration file",
        ));
        return Vec::new();
    }
    match std::fs::read_to_string(path) {
        Ok(text) => match text.parse::<Table>() {
            Ok(table) => {
                let mut settings = Vec::new();
                flatten(&table, &mut Vec::new(), &mut settings);
                settings
            }
            Err(error) => {
                let line = error
                    .span()
                    .map_or(1, |at| text[..at.start].lines().count().max(1));
                // Never the line itself: it may hold a secret.
                let hint = format!("is not TOML: line {line}: {}", error.message());
                errors.push(ConfigError::new("--config", shown, hint));
                Vec::new()
            }
        },
        Err(error) => {
            let hint = format!("cannot be read ({error}): name a readable file or leave it out");
            errors.push(ConfigError::new("--config", shown, hint));
            Vec::new()
        }
    }
}

/// Every leaf of a file as a setting of its own. Arrays and empty tables are leaves.
fn flatten(table: &Table, path: &mut Vec<String>, settings: &mut Vec<LayeredSetting>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(below) if !below.is_empty() => flatten(below, path, settings),
            leaf => settings.push(LayeredSetting {
                path: path.clone(),
                value: leaf.clone(),
                source: path.join("."),
                is_variable: false,
            }),
        }
        path.pop();
    }
}

fn environment_settings(
    variables: &[(String, String)],
    errors: &mut Vec<ConfigError>,
) -> Vec<LayeredSetting> {
    let mut settings = Vec::new();
    for (name, value) in variables {
        let (path, value) = match variable_of_secret_file(name) {
            Some(plain) if variables.iter().any(|(other, _)| other == plain) => {
                let hint = format!("is set beside {plain}: leave one of the two out");
                errors.push(ConfigError::new(name, "", hint));
                continue;
            }
            Some(plain) => match read_secret(value) {
                Ok(secret) => (path_of(plain), secret),
                Err(hint) => {
                    errors.push(ConfigError::new(name, value, hint));
                    continue;
                }
            },
            None => (path_of(name), value.clone()),
        };
        if path.len() < 2 {
            let hint = "is no setting: write CALLDEX_SECTION__KEY, such as CALLDEX_CALL__LIVE_MAX \
                          for call.live_max";
            errors.push(ConfigError::new(name, "", hint));
            continue;
        }
        settings.push(LayeredSetting {
            path,
            value: Value::String(value),
            source: name.clone(),
            is_variable: true,
        });
    }
    settings
}

/// The variable that `name` gives the file for, if it is one of a secret's.
fn variable_of_secret_file(name: &str) -> Option<&str> {
    let plain = name.strip_suffix(FILE_ENDING)?;
    is_secret_path(&path_of(plain)).then_some(plain)
}

/// The secret in the file at `path`, without the line's end that editors leave.
fn read_secret(path: &str) -> Result<String, String> {
    let unreadable =
        |error: std::io::Error| format!("cannot be read ({error}): name a readable file");
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > SECRET_BYTES_MAX {
        return Err("is larger than 64 KiB: not a secret".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    match text.trim() {
        "" => Err("is empty: put the secret into it".to_owned()),
        secret => Ok(secret.to_owned()),
    }
}

fn path_of(name: &str) -> Vec<String> {
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

fn flag_settings(flags: &ConfigFlags) -> Vec<LayeredSetting> {
    let data = flags.data.as_ref().map(|dir| dir.display().to_string());
    let given = [
        ("--data", "server.data", data),
        ("--listen", "server.listen", flags.listen.clone()),
        ("--admin", "admin.listen", flags.admin.clone()),
    ];
    given
        .into_iter()
        .filter_map(|(flag, setting, value)| {
            Some(LayeredSetting {
                path: setting.split('.').map(str::to_owned).collect(),
                value: Value::String(value?),
                source: flag.to_owned(),
                is_variable: false,
            })
        })
        .collect()
}
