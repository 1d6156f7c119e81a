//! Settings that have another name now: an old name is refused, and the error says the new one.

use super::variables::{LayeredSetting, variable_name};
use crate::settings::ConfigError;
use toml::Value;

/// Old and new names. A name stands for its section too: `persona.house` for `[persona.house]` and
/// all keys in it. `*` stands for one key that is kept, such as a model's name. `line` is `[[line]]`.
pub(super) const RENAMED_SETTINGS: [(&str, &str); 43] = [
    ("agent.base_url", "model.default.base_url"),
    ("agent.api_key", "model.default.api_key"),
    ("agent.temperature", "model.default.temperature"),
    ("agent.reasoning_effort", "model.default.reasoning_effort"),
    ("agent.max_tokens", "model.default.max_tokens"),
    ("agent.max_tokens_as", "model.default.max_tokens_as"),
    ("agent.usage", "model.default.usage"),
    (
        "agent.first_token_ms_max",
        "model.default.first_token_ms_max",
    ),
    ("agent.idle_ms_max", "model.default.idle_ms_max"),
    ("agent.connect_ms_max", "model.default.connect_ms_max"),
    (
        "agent.history_turns_max",
        "model.default.history_messages_max",
    ),
    ("agent.history_bytes_max", "model.default.history_bytes_max"),
    ("agent.headers", "model.default.headers"),
    ("agent.user", "model.default.user"),
    ("agent.fallback.hedge_ms", "agent.hedge_ms"),
    ("agent.judge_ms_max", "agent.name_verification_ms_max"),
    ("agent.turn_ms_max", "agent.reply_ms_max"),
    ("call.bridge_ms", "call.filler_after_ms"),
    ("call.eager_start", "call.preemptive_generation"),
    ("call.eager_starts_max", "call.preemptive_attempts_max"),
    ("call.end_wait_ms_max", "call.goodbye_playback_ms_max"),
    ("call.judge_names", "call.verify_names"),
    ("call.keys_wait_ms", "call.dtmf_wait_ms"),
    ("call.length_s_max", "call.duration_s_max"),
    ("call.tool_rounds_max", "call.tool_steps_max"),
    (
        "cluster.finish_upgrade_after_s",
        "cluster.finalize_upgrade_after_s",
    ),
    ("line.keys_wait_ms", "line.dtmf_wait_ms"),
    ("line.persona.about", "line.persona.call_facts"),
    ("line.persona.house", "line.persona.business"),
    ("line.persona.name_closed", "line.persona.name_do_not_ask"),
    ("line.phrases.*.bridges", "line.phrases.*.fillers"),
    ("line.phrases.*.handing_over", "line.phrases.*.handoff"),
    (
        "line.phrases.*.nobody_there",
        "line.phrases.*.handoff_unavailable",
    ),
    ("model.*.history_turns_max", "model.*.history_messages_max"),
    ("model.*.structured", "model.*.response_format"),
    ("persona.about", "persona.call_facts"),
    ("persona.house", "persona.business"),
    ("persona.name_closed", "persona.name_do_not_ask"),
    ("phrases.*.bridges", "phrases.*.fillers"),
    ("phrases.*.handing_over", "phrases.*.handoff"),
    ("phrases.*.nobody_there", "phrases.*.handoff_unavailable"),
    ("twilio.reference_s_max", "twilio.call_token_s_max"),
    ("twilio.reference_secret", "twilio.call_token_secret"),
];

/// The error of a setting with an old name. It does not hold the value, which may be a secret.
///
/// All settings of a renamed section give the same error; the caller drops the repetitions. A
/// variable is named in full, because each one has to be renamed.
pub(super) fn renamed_error(setting: &LayeredSetting) -> Option<ConfigError> {
    let path = &setting.path;
    if let Some(renamed) = new_name(path) {
        let (old, rest) = path.split_at(renamed.old_keys);
        let (name, new) = match setting.is_variable {
            true => {
                let new = variable_name(&[&renamed.path, rest].concat(), &setting.source);
                (setting.source.clone(), new)
            }
            false => (old.join("."), renamed.path.join(".")),
        };
        return Some(ConfigError::new(name, "", format!("is {new} now")));
    }
    if path.len() < 3 || path[..2] != ["agent", "fallback"] {
        return None;
    }
    let name = match setting.is_variable {
        true => &setting.source,
        false => "agent.fallback",
    };
    let hint = "is a model of its own now: write it under [model.NAME] and name it in \
                agent.fallback = [\"NAME\"]";
    Some(ConfigError::new(name, "", hint))
}

/// The errors for old names within the value of a setting, such as the list of `[[line]]`. What has
/// an old name is removed from the value, so that the rest is checked as well.
pub(super) fn take_renamed(setting: &mut LayeredSetting) -> Vec<ConfigError> {
    let mut nested = NestedNames {
        path: setting.path.clone(),
        shown: setting.path.clone(),
        errors: Vec::new(),
    };
    nested.take_from(&mut setting.value);
    nested.errors
}

/// What a setting is called now.
struct NewName {
    /// How many keys of the old path the new path stands for.
    old_keys: usize,
    path: Vec<String>,
}

/// The new name of the setting at `path`, or of the section that it is in.
fn new_name(path: &[String]) -> Option<NewName> {
    RENAMED_SETTINGS.iter().find_map(|(old, new)| {
        let old: Vec<&str> = old.split('.').collect();
        if path.len() < old.len() {
            return None;
        }
        let mut kept = Vec::new();
        for (key, pattern) in path.iter().zip(&old) {
            match *pattern {
                "*" => kept.push(key.clone()),
                name if name == key => {}
                _ => return None,
            }
        }
        let mut kept = kept.into_iter();
        let path = new
            .split('.')
            .map(|key| match key {
                "*" => kept
                    .next()
                    .expect("as many `*` in the new name as in the old"),
                name => name.to_owned(),
            })
            .collect();
        Some(NewName {
            old_keys: old.len(),
            path,
        })
    })
}

/// The search for old names in the value of a setting.
struct NestedNames {
    /// The keys from the root, as in [`RENAMED_SETTINGS`].
    path: Vec<String>,
    /// The same with the number of a list's element: `line[+14155550111]`.
    shown: Vec<String>,
    /// One for each setting removed.
    errors: Vec<ConfigError>,
}

impl NestedNames {
    fn take_from(&mut self, value: &mut Value) {
        match value {
            Value::Table(table) => table.retain(|key, below| {
                self.path.push(key.to_owned());
                self.shown.push(key.to_owned());
                let renamed = new_name(&self.path);
                match &renamed {
                    Some(renamed) => self.add_error(renamed),
                    None => self.take_from(below),
                }
                self.path.pop();
                self.shown.pop();
                renamed.is_none()
            }),
            Value::Array(elements) => {
                let Some(name) = self.shown.last().cloned() else {
                    return;
                };
                for (index, element) in elements.iter_mut().enumerate() {
                    let number = element.get("number").and_then(Value::as_str);
                    let label = number.map_or_else(|| index.to_string(), str::to_owned);
                    self.set_last_shown(format!("{name}[{label}]"));
                    self.take_from(element);
                }
                self.set_last_shown(name);
            }
            _ => {}
        }
    }

    fn set_last_shown(&mut self, name: String) {
        if let Some(last) = self.shown.last_mut() {
            *last = name;
        }
    }

    fn add_error(&mut self, renamed: &NewName) {
        // Keys that are the same in both names are shown with their element's number.
        let new: Vec<&str> = renamed
            .path
            .iter()
            .enumerate()
            .map(|(at, key)| match self.path.get(at) == Some(key) {
                true => self.shown[at].as_str(),
                false => key.as_str(),
            })
            .collect();
        let hint = format!("is {} now", new.join("."));
        self.errors
            .push(ConfigError::new(self.shown.join("."), "", hint));
    }
}
