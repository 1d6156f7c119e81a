//! Called numbers with a persona, greeting, voice or language of their own.

use super::{Config, Fault, HandoffSection, LineSection, NamesDomain};
use crate::agent::Persona;
use crate::agent::Prompts;
use crate::agent::config::order_faults;
use crate::call::language_tags::same_language;
use crate::call::phrases::{PhraseBook, Phrases};
use crate::twilio::twiml::Relay;
use calldex_names::Excluded;
use calldex_storage::record::PhoneNumber;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use toml::{Table, Value};

/// Everything about one called number that a call needs, ready-made.
#[derive(Debug, Clone)]
pub struct Line {
    /// Who the agent is on this line.
    pub persona: Arc<Persona>,
    /// What its model is told.
    pub prompts: Arc<Prompts>,
    /// Its sentences, with its house and topic in them.
    pub phrases: Arc<PhraseBook>,
    /// Its TwiML, with every language declared, its own too.
    pub relay: Arc<Relay>,
    /// The same after a speech or recognition provider has failed, where another one is set.
    pub fallback: Option<Arc<Relay>>,
    /// Its language (BCP-47), in which it greets and answers.
    pub language: String,
    /// Every language it can be switched to, its own first.
    pub languages: Vec<String>,
    /// What is never a caller's name here.
    pub excluded: Arc<Excluded>,
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
    /// In place of `call.keys_wait_ms`.
    pub keys_wait_ms: Option<u64>,
}

impl LineWaits {
    fn of(section: &LineSection) -> Self {
        Self {
            silence_prompt_ms: section.silence_prompt_ms,
            silence_end_ms: section.silence_end_ms,
            keys_wait_ms: section.keys_wait_ms,
        }
    }
}

impl Line {
    /// The sentences for `language`.
    pub fn phrases(&self, language: &str) -> &Phrases {
        self.phrases.of(language)
    }

    /// The line's own spelling of a language it has: that tag, else one of the same language.
    pub fn offered(&self, tag: &str) -> Option<&str> {
        let exact = self
            .languages
            .iter()
            .find(|own| own.eq_ignore_ascii_case(tag));
        let close = || self.languages.iter().find(|own| same_language(own, tag));
        exact.or_else(close).map(String::as_str)
    }

    /// What a `language` frame names to speak `language`: `multi` where the line's own voice speaks any.
    pub fn spoken_as<'a>(&'a self, language: &'a str) -> String {
        if language == self.language {
            self.relay.declared_language()
        } else {
            language.to_owned()
        }
    }

    /// What a `language` frame names to understand `language`: `multi` where the recogniser understands
    /// any.
    pub fn heard_as(&self, language: &str) -> String {
        if self.relay.hears_any() {
            "multi".to_owned()
        } else {
            self.spoken_as(language)
        }
    }

    fn new(parts: Parts, config: &Config) -> Self {
        let Parts {
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
            phrases: Arc::new(phrases.filled(prompts.persona())),
            persona: Arc::clone(prompts.persona()),
            prompts: Arc::new(prompts),
            language: relay.own_language(),
            languages: relay.spoken_languages(),
            relay: Arc::new(relay.with_own_declared()),
            fallback: fallback.map(|relay| Arc::new(relay.with_own_declared())),
            excluded: Arc::new(excluded(config)),
            waits,
        }
    }
}

/// What a line is made of.
struct Parts {
    prompts: Prompts,
    phrases: PhraseBook,
    relay: Relay,
    fallback: Option<Relay>,
    waits: LineWaits,
    models: Vec<String>,
    handoff: HandoffSection,
}

/// The lines by called number; every other number gets the general one.
#[derive(Debug, Clone)]
pub struct Lines {
    general: Arc<Line>,
    own: HashMap<String, Arc<Line>>,
}

impl Lines {
    /// Works every line of a validated configuration out.
    pub fn new(config: &Config) -> Self {
        let plain = LineSection::default();
        let general = Arc::new(line(config, &plain).unwrap_or_else(|_| untouched(config)));
        let own = config
            .line
            .iter()
            .filter_map(|section| {
                Some((
                    section.number.clone(),
                    Arc::new(line(config, section).ok()?),
                ))
            })
            .collect();
        Self { general, own }
    }

    /// All lines, each with its number; the general one's is empty.
    pub fn all(&self) -> Vec<(&str, &Arc<Line>)> {
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
    pub fn of(&self, called: &str) -> &Arc<Line> {
        self.own.get(called).unwrap_or(&self.general)
    }
}

fn untouched(config: &Config) -> Line {
    let parts = Parts {
        prompts: Prompts::of_persona(&Arc::new(config.persona.clone())),
        phrases: config.phrases.clone(),
        relay: config.twilio.relay.clone(),
        fallback: None,
        waits: LineWaits::default(),
        models: config.agent.order(),
        handoff: config.twilio.handoff.clone(),
    };
    Line::new(parts, config)
}

fn excluded(config: &Config) -> Excluded {
    let excluded = Excluded::new(config.names.excluded.iter().map(String::as_str));
    match config.names.domain {
        NamesDomain::Pokemon => excluded,
        NamesDomain::None => excluded.without_domain(),
    }
}

fn line(config: &Config, section: &LineSection) -> Result<Line, Vec<Fault>> {
    let at = |part: &str| setting_of(section, part);
    let mut faults = Vec::new();
    let persona: Option<Persona> = over(
        &config.persona,
        &section.persona,
        &at("persona"),
        &mut faults,
    );
    let phrases: Option<PhraseBook> = over(
        &config.phrases,
        &section.phrases,
        &at("phrases"),
        &mut faults,
    );
    let relay = relay_of(config, section, &mut faults);
    let (zone, knowledge) = prompt_of(config, section, &mut faults);
    let handoff: Option<HandoffSection> = over(
        &config.twilio.handoff,
        &section.handoff,
        &at("handoff"),
        &mut faults,
    );
    let (Some(persona), Some(phrases), Some(relay), Some(handoff)) =
        (persona, phrases, relay, handoff)
    else {
        return Err(faults);
    };
    if !section.handoff.is_empty() {
        faults.extend(handoff.validate(&at("handoff")));
    }
    let models = models_of(config, section, &mut faults);
    let fallback = fallback_of(config, &relay, &mut faults);
    // What is wrong in general is told once, there.
    if config.twilio.relay.validate("").is_empty() {
        faults.extend(relay.validate(&at("relay")));
    }
    if !section.persona.is_empty() && config.persona.validate("").is_empty() {
        faults.extend(persona.validate(&at("persona")));
    }
    let is_own = !section.phrases.is_empty() || !section.persona.is_empty();
    if is_own && config.phrases.validate(&config.persona).is_empty() {
        let own = phrases.validate(&persona).into_iter();
        faults.extend(own.map(|fault| fault.under(&format!("line[{}]", section.number))));
    }
    if section.keys_wait_ms == Some(0) {
        faults.push(Fault::new(at("keys_wait_ms"), 0, "must be at least 1"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let parts = Parts {
        prompts: Prompts::new(Arc::new(persona), &section.number, zone, &knowledge),
        phrases,
        relay,
        fallback,
        waits: LineWaits::of(section),
        models,
        handoff,
    };
    Ok(Line::new(parts, config))
}

/// The names of the line's models. A line that names a model of its own and no fallback has none: those of
/// the others may speak of something else.
fn models_of(config: &Config, section: &LineSection, faults: &mut Vec<Fault>) -> Vec<String> {
    let agent = &config.agent;
    if section.model.is_none() && section.fallback.is_none() {
        return agent.order();
    }
    let first = section.model.as_ref().unwrap_or(&agent.model);
    let order: Vec<String> = std::iter::once(first)
        .chain(section.fallback.iter().flatten())
        .cloned()
        .collect();
    let at = |part: &str| setting_of(section, part);
    faults.extend(order_faults(
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
    faults: &mut Vec<Fault>,
) -> (TimeZone, String) {
    let is_general = section.number.is_empty();
    let at = |part: &str| match is_general {
        true => format!("prompt.{part}"),
        false => setting_of(section, part),
    };
    let named = section
        .time_zone
        .as_ref()
        .unwrap_or(&config.prompt.time_zone);
    let zone = TimeZone::get(named.trim()).unwrap_or_else(|_| {
        if is_general || section.time_zone.is_some() {
            let remedy = "is no time zone: name one of the IANA's, such as Europe/Berlin";
            faults.push(Fault::new(at("time_zone"), named, remedy));
        }
        TimeZone::UTC
    });
    let files = section
        .knowledge
        .as_ref()
        .unwrap_or(&config.prompt.knowledge);
    let knowledge = super::knowledge::read(files, &at("knowledge")).unwrap_or_else(|found| {
        if is_general || section.knowledge.is_some() {
            faults.extend(found);
        }
        String::new()
    });
    (zone, knowledge)
}

fn setting_of(section: &LineSection, part: &str) -> String {
    match section.number.as_str() {
        "" => part.to_owned(),
        number => format!("line[{number}].{part}"),
    }
}

/// The line's TwiML: the general one with the line's settings over it. What is bound to the general
/// language does not go over to a line in another one, nor a voice or a model to another provider.
fn relay_of(config: &Config, section: &LineSection, faults: &mut Vec<Fault>) -> Option<Relay> {
    let general = &config.twilio.relay;
    let inherited = match language_of(section) {
        Some(language) if !is_declared(general, &language) => general.in_language(&language),
        _ => general.clone(),
    };
    let at = setting_of(section, "relay");
    let mut relay: Relay = over(&inherited, &section.relay, &at, faults)?;
    if let Some(language) = &section.language {
        relay.language = Some(language.as_str().into());
    }
    let sets = |key: &str| section.relay.contains_key(key);
    let sets_voice = section.voice.is_some() || sets("voice");
    if let Some(voice) = &section.voice {
        relay.voice = Some(voice.as_str().into());
    }
    relay.drop_of_other_providers(&inherited, sets_voice, sets("speech_model"));
    Some(relay)
}

/// The line's TwiML after a provider has failed.
fn fallback_of(config: &Config, relay: &Relay, faults: &mut Vec<Fault>) -> Option<Relay> {
    let patch = &config.twilio.fallback;
    if patch.is_empty() {
        return None;
    }
    let mut fallback: Relay = over(relay, patch, "twilio.fallback", faults)?;
    let (voice, model) = (
        patch.contains_key("voice"),
        patch.contains_key("speech_model"),
    );
    fallback.drop_of_other_providers(relay, voice, model);
    if relay.validate("").is_empty() {
        faults.extend(fallback.validate("twilio.fallback"));
    }
    Some(fallback)
}

/// The language that a line names for itself.
fn language_of(section: &LineSection) -> Option<String> {
    let in_relay = section.relay.get("language").and_then(Value::as_str);
    let language = section.language.as_deref().or(in_relay)?;
    Some(language.trim().to_owned()).filter(|language| !language.is_empty())
}

fn is_declared(relay: &Relay, language: &str) -> bool {
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
        let mut lost = general.lost_in(&language);
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
fn over<T: Serialize + DeserializeOwned>(
    base: &T,
    patch: &Table,
    setting: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let mut table = Table::try_from(base).expect("a section of the configuration is a table");
    deep_merge(&mut table, patch);
    match Value::Table(table).try_into() {
        Ok(merged) => Some(merged),
        Err(error) => {
            faults.push(Fault::new(setting, "", error.message()));
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
pub(super) fn validate(config: &Config) -> Vec<Fault> {
    // Of the general line what its own sections do not say: the fallback.
    let general = LineSection::default();
    let mut faults = line(config, &general).err().unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    for section in &config.line {
        if PhoneNumber::parse(&section.number).is_none() {
            let remedy = "must be a called number such as +14155550100";
            faults.push(Fault::new(
                "line.number",
                format!("{:?}", section.number),
                remedy,
            ));
        } else if !seen.insert(&section.number) {
            faults.push(Fault::new("line.number", &section.number, "stands twice"));
        }
        faults.extend(line(config, section).err().into_iter().flatten());
    }
    faults
}
