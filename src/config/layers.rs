//! Merges file, environment and flags over the defaults. Each setting is checked by itself, so that one
//! wrong value does not hide the next.

use super::Config;
use super::renamed::{renamed_error, take_renamed};
use super::variables::{
    FILE_ENDING, LayeredSetting, NAMED_VARIABLES, OTLP_VARIABLE, VARIABLE_PREFIX, is_secret_path,
    path_of, variable_of_secret_file,
};
use crate::settings::ConfigError;
use calldex_observability::spans;
use std::ffi::OsString;
use std::path::PathBuf;
use toml::{Table, Value};

/// A configuration file larger than this is refused.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A secret's file larger than this is refused.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

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

fn is_ignored(name: &str) -> bool {
    (name == OTLP_VARIABLE && !spans::CAN_EXPORT)
        || IGNORED_PREFIXES.iter().any(|other| name.starts_with(other))
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
