//! Called numbers with a persona, greeting, voice or language of their own.

use super::{Config, HandoffSection, LineSection, NamesDomain};
use crate::agent::Persona;
use crate::agent::SystemPrompt;
use crate::agent::config::validate_model_order;
use crate::call::language_tags::same_language;
use crate::call::phrases::{CannedPhrases, PhraseCatalog};
use crate::settings::ConfigError;
use crate::twilio::twiml::RelayConfig;
use calldex_names::ExcludedWords;
use calldex_storage::record::PhoneNumber;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use toml::{Table, Value};

/// Everything about one called number that a call needs, ready-made.
#[derive(Debug, Clone)]
pub struct PhoneLine {
    /// Who the agent is on this line.
    pub persona: Arc<Persona>,
    /// What its model is told.
    pub prompts: Arc<SystemPrompt>,
    /// Its sentences, with its business and topic in them.
    pub phrases: Arc<PhraseCatalog>,
    /// Its TwiML, with every language declared, its own too.
    pub relay: Arc<RelayConfig>,
    /// The same after a speech or recognition provider has failed, where another one is set.
    pub fallback: Option<Arc<RelayConfig>>,
    /// Its language (BCP-47), in which it greets and answers.
    pub language: String,
    /// Every language it can be switched to, its own first.
    pub languages: Vec<String>,
    /// What is never a caller's name here.
    pub excluded: Arc<ExcludedWords>,
    /// Its own waits.
    pub waits: LineWaits,
    /// Names of the models that answer on it, in the order in which they are asked.
    pub models: Arc<[String]>,
    /// Where calls go that the agent gives to a person.
    pub handoff: Arc<HandoffSection>,
}

/// Waits in which a line differs from `[call]`, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineWaits {
    /// In place of `call.silence_prompt_ms`.
    pub silence_prompt_ms: Option<u64>,
    /// In place of `call.silence_end_ms`.
    pub silence_end_ms: Option<u64>,
    /// In place of `call.dtmf_wait_ms`.
    pub dtmf_wait_ms: Option<u64>,
}

impl LineWaits {
    fn from_section(section: &LineSection) -> Self {
        Self {
            silence_prompt_ms: section.silence_prompt_ms,
            silence_end_ms: section.silence_end_ms,
            dtmf_wait_ms: section.dtmf_wait_ms,
        }
    }
}

impl PhoneLine {
    /// The sentences for `language`.
    pub fn phrases(&self, language: &str) -> &CannedPhrases {
        self.phrases.for_language(language)
    }

    /// The line's own spelling of a language it has: that tag, else one of the same language.
    pub fn language_like(&self, tag: &str) -> Option<&str> {
        let exact = self
            .languages
            .iter()
            .find(|own| own.eq_ignore_ascii_case(tag));
        let close = || self.languages.iter().find(|own| same_language(own, tag));
        exact.or_else(close).map(String::as_str)
    }

    /// What a `language` frame names to speak `language`: `multi` where the line's own voice speaks any.
    pub fn tts_language<'a>(&'a self, language: &'a str) -> String {
        if language == self.language {
            self.relay.declared_language()
        } else {
            language.to_owned()
        }
    }

    /// What a `language` frame names to understand `language`: `multi` where the recogniser understands
    /// any.
    pub fn transcription_language(&self, language: &str) -> String {
        if self.relay.transcribes_any_language() {
            "multi".to_owned()
        } else {
            self.tts_language(language)
        }
    }

    fn new(parts: PhoneLineParts, config: &Config) -> Self {
        let PhoneLineParts {
            prompts,
            phrases,
            relay,
            fallback,
            waits,
            models,
            handoff,
        } = parts;
        Self {
            models: models.into(),
            handoff: Arc::new(handoff),
            phrases: Arc::new(phrases.with_persona(prompts.persona())),
            persona: Arc::clone(prompts.persona()),
            prompts: Arc::new(prompts),
            language: relay.primary_language(),
            languages: relay.supported_languages(),
            relay: Arc::new(relay.with_primary_declared()),
            fallback: fallback.map(|relay| Arc::new(relay.with_primary_declared())),
            excluded: Arc::new(excluded(config)),
            waits,
        }
    }
}

/// What a line is made of.
struct PhoneLineParts {
    prompts: SystemPrompt,
    phrases: PhraseCatalog,
    relay: RelayConfig,
    fallback: Option<RelayConfig>,
    waits: LineWaits,
    models: Vec<String>,
    handoff: HandoffSection,
}

/// The lines by called number; every other number gets the general one.
#[derive(Debug, Clone)]
pub struct PhoneLines {
    general: Arc<PhoneLine>,
    own: HashMap<String, Arc<PhoneLine>>,
}

impl PhoneLines {
    /// Works every line of a validated configuration out.
    pub fn new(config: &Config) -> Self {
        let plain = LineSection::default();
        let general = Arc::new(build_line(config, &plain).unwrap_or_else(|_| default_line(config)));
        let own = config
            .line
            .iter()
            .filter_map(|section| {
                Some((
                    section.number.clone(),
                    Arc::new(build_line(config, section).ok()?),
                ))
            })
            .collect();
        Self { general, own }
    }

    /// All lines, each with its number; the general one's is empty.
    pub fn all(&self) -> Vec<(&str, &Arc<PhoneLine>)> {
        let mut own: Vec<_> = self
            .own
            .iter()
            .map(|(number, line)| (number.as_str(), line))
            .collect();
        own.sort_by_key(|(number, _)| *number);
        own.insert(0, ("", &self.general));
        own
    }

    /// The line that was called.
    pub fn for_number(&self, called: &str) -> &Arc<PhoneLine> {
        self.own.get(called).unwrap_or(&self.general)
    }
}

fn default_line(config: &Config) -> PhoneLine {
    let parts = PhoneLineParts {
        prompts: SystemPrompt::for_persona(&Arc::new(config.persona.clone())),
        phrases: config.phrases.clone(),
        relay: config.twilio.relay.clone(),
        fallback: None,
        waits: LineWaits::default(),
        models: config.agent.model_order(),
        handoff: config.twilio.handoff.clone(),
    };
    PhoneLine::new(parts, config)
}

fn excluded(config: &Config) -> ExcludedWords {
    let excluded = ExcludedWords::new(config.names.excluded.iter().map(String::as_str));
    match config.names.domain {
        NamesDomain::Pokemon => excluded,
        NamesDomain::None => excluded.allowing_domain_words(),
    }
}

fn build_line(config: &Config, section: &LineSection) -> Result<PhoneLine, Vec<ConfigError>> {
    let at = |part: &str| setting_path(section, part);
    let mut errors = Vec::new();
    let persona: Option<Persona> = merged(
        &config.persona,
        &section.persona,
        &at("persona"),
        &mut errors,
    );
    let phrases: Option<PhraseCatalog> = merged(
        &config.phrases,
        &section.phrases,
        &at("phrases"),
        &mut errors,
    );
    let relay = relay_of(config, section, &mut errors);
    let (zone, knowledge) = prompt_of(config, section, &mut errors);
    let handoff: Option<HandoffSection> = merged(
        &config.twilio.handoff,
        &section.handoff,
        &at("handoff"),
        &mut errors,
    );
    let (Some(persona), Some(phrases), Some(relay), Some(handoff)) =
        (persona, phrases, relay, handoff)
    else {
        return Err(errors);
    };
    if !section.handoff.is_empty() {
        errors.extend(handoff.validate(&at("handoff")));
    }
    let models = models_of(config, section, &mut errors);
    let fallback = fallback_of(config, &relay, &mut errors);
    // What is wrong in general is told once, there.
    if config.twilio.relay.validate("").is_empty() {
        errors.extend(relay.validate(&at("relay")));
    }
    if !section.persona.is_empty() && config.persona.validate("").is_empty() {
        errors.extend(persona.validate(&at("persona")));
    }
    let is_own = !section.phrases.is_empty() || !section.persona.is_empty();
    if is_own && config.phrases.validate(&config.persona).is_empty() {
        let own = phrases.validate(&persona).into_iter();
        errors.extend(own.map(|error| error.under(&format!("line[{}]", section.number))));
    }
    if section.dtmf_wait_ms == Some(0) {
        errors.push(ConfigError::new(
            at("dtmf_wait_ms"),
            0,
            "must be at least 1",
        ));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let parts = PhoneLineParts {
        prompts: SystemPrompt::new(Arc::new(persona), &section.number, zone, &knowledge),
        phrases,
        relay,
        fallback,
        waits: LineWaits::from_section(section),
        models,
        handoff,
    };
    Ok(PhoneLine::new(parts, config))
}

/// The names of the line's models. A line that names a model of its own and no fallback has none: those of
/// the others may speak of something else.
fn models_of(config: &Config, section: &LineSection, errors: &mut Vec<ConfigError>) -> Vec<String> {
    let agent = &config.agent;
    if section.model.is_none() && section.fallback.is_none() {
        return agent.model_order();
    }
    let first = section.model.as_ref().unwrap_or(&agent.model);
    let order: Vec<String> = std::iter::once(first)
        .chain(section.fallback.iter().flatten())
        .cloned()
        .collect();
    let at = |part: &str| setting_path(section, part);
    errors.extend(validate_model_order(
        &at("model"),
        &at("fallback"),
        &order,
        &config.model,
    ));
    order
}

/// The time zone and the knowledge of the line. What is wrong in general is told once, of the general line.
fn prompt_of(
    config: &Config,
    section: &LineSection,
    errors: &mut Vec<ConfigError>,
) -> (TimeZone, String) {
    let is_general = section.number.is_empty();
    let at = |part: &str| match is_general {
        true => format!("prompt.{part}"),
        false => setting_path(section, part),
    };
    let named = section
        .time_zone
        .as_ref()
        .unwrap_or(&config.prompt.time_zone);
    let zone = TimeZone::get(named.trim()).unwrap_or_else(|_| {
        if is_general || section.time_zone.is_some() {
            let hint = "is no time zone: name one of the IANA's, such as Europe/Berlin";
            errors.push(ConfigError::new(at("time_zone"), named, hint));
        }
        TimeZone::UTC
    });
    let files = section
        .knowledge
        .as_ref()
        .unwrap_or(&config.prompt.knowledge);
    let knowledge =
        super::knowledge::read_knowledge(files, &at("knowledge")).unwrap_or_else(|found| {
            if is_general || section.knowledge.is_some() {
                errors.extend(found);
            }
            String::new()
        });
    (zone, knowledge)
}

fn setting_path(section: &LineSection, part: &str) -> String {
    match section.number.as_str() {
        "" => part.to_owned(),
        number => format!("line[{number}].{part}"),
    }
}

/// The line's TwiML: the general one with the line's settings over it. What is bound to the general
/// language does not go over to a line in another one, nor a voice or a model to another provider.
fn relay_of(
    config: &Config,
    section: &LineSection,
    errors: &mut Vec<ConfigError>,
) -> Option<RelayConfig> {
    let general = &config.twilio.relay;
    let inherited = match language_of(section) {
        Some(language) if !is_declared(general, &language) => general.in_language(&language),
        _ => general.clone(),
    };
    let at = setting_path(section, "relay");
    let mut relay: RelayConfig = merged(&inherited, &section.relay, &at, errors)?;
    if let Some(language) = &section.language {
        relay.language = Some(language.as_str().into());
    }
    let sets = |key: &str| section.relay.contains_key(key);
    let sets_voice = section.voice.is_some() || sets("voice");
    if let Some(voice) = &section.voice {
        relay.voice = Some(voice.as_str().into());
    }
    relay.clear_other_provider_settings(&inherited, sets_voice, sets("speech_model"));
    Some(relay)
}

/// The line's TwiML after a provider has failed.
fn fallback_of(
    config: &Config,
    relay: &RelayConfig,
    errors: &mut Vec<ConfigError>,
) -> Option<RelayConfig> {
    let patch = &config.twilio.fallback;
    if patch.is_empty() {
        return None;
    }
    let mut fallback: RelayConfig = merged(relay, patch, "twilio.fallback", errors)?;
    let (voice, model) = (
        patch.contains_key("voice"),
        patch.contains_key("speech_model"),
    );
    fallback.clear_other_provider_settings(relay, voice, model);
    if relay.validate("").is_empty() {
        errors.extend(fallback.validate("twilio.fallback"));
    }
    Some(fallback)
}

/// The language that a line names for itself.
fn language_of(section: &LineSection) -> Option<String> {
    let in_relay = section.relay.get("language").and_then(Value::as_str);
    let language = section.language.as_deref().or(in_relay)?;
    Some(language.trim().to_owned()).filter(|language| !language.is_empty())
}

fn is_declared(relay: &RelayConfig, language: &str) -> bool {
    relay.declared_language().eq_ignore_ascii_case(language)
}

/// What a line in another language does without, for `calldex check`: a line a note.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let general = &config.twilio.relay;
    let mut notes = Vec::new();
    for section in &config.line {
        let Some(language) = language_of(section).filter(|tag| !is_declared(general, tag)) else {
            continue;
        };
        let mut lost = general.settings_lost_in(&language);
        lost.retain(|setting| {
            let is_voice = *setting == "voice" && section.voice.is_some();
            !is_voice && !section.relay.contains_key(*setting)
        });
        if !lost.is_empty() {
            notes.push(format!(
                "line[{}] speaks {language}: {} of [twilio.relay] are for {} and are not used there; \
                 Twilio's defaults are, where the line sets nothing",
                section.number,
                lost.join(", "),
                general.declared_language()
            ));
        }
    }
    notes
}

/// `base` with the settings of `patch` in place of its own.
fn merged<T: Serialize + DeserializeOwned>(
    base: &T,
    patch: &Table,
    setting: &str,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    let mut table = Table::try_from(base).expect("a section of the configuration is a table");
    deep_merge(&mut table, patch);
    match Value::Table(table).try_into() {
        Ok(merged) => Some(merged),
        Err(error) => {
            errors.push(ConfigError::new(setting, "", error.message()));
            None
        }
    }
}

fn deep_merge(base: &mut Table, patch: &Table) {
    for (key, value) in patch {
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(patch)) => deep_merge(below, patch),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Faults of all lines.
pub(super) fn validate(config: &Config) -> Vec<ConfigError> {
    // Of the general line what its own sections do not say: the fallback.
    let general = LineSection::default();
    let mut errors = build_line(config, &general).err().unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    for section in &config.line {
        if PhoneNumber::parse(&section.number).is_none() {
            let hint = "must be a called number such as +14155550100";
            errors.push(ConfigError::new(
                "line.number",
                format!("{:?}", section.number),
                hint,
            ));
        } else if !seen.insert(&section.number) {
            errors.push(ConfigError::new(
                "line.number",
                &section.number,
                "stands twice",
            ));
        }
        errors.extend(build_line(config, section).err().into_iter().flatten());
    }
    errors
}
