//! Called numbers with a persona, greeting, voice or language of their own.

use super::{Config, Fault, LineSection};
use crate::agent::Persona;
use crate::call::name::Excluded;
use crate::call::phrases::{PhraseBook, Phrases};
use crate::twilio::twiml::Relay;
use calldex_storage::record::PhoneNumber;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use toml::{Table, Value};

/// The language where neither line nor relay names one (protocol 3.1).
const LANGUAGE: &str = "en-US";

/// Everything about one called number that a call needs, ready-made.
#[derive(Debug, Clone)]
pub struct Line {
    /// Who the agent is on this line.
    pub persona: Arc<Persona>,
    /// Its sentences.
    pub phrases: Arc<PhraseBook>,
    /// Its TwiML.
    pub relay: Arc<Relay>,
    /// Its language (BCP-47).
    pub language: String,
    /// Every language it can be switched to, its own first.
    pub languages: Vec<String>,
    /// What is never a caller's name here.
    pub excluded: Arc<Excluded>,
}

impl Line {
    /// The sentences for `language`.
    pub fn phrases(&self, language: &str) -> &Phrases {
        self.phrases.of(language)
    }
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

    /// The line that was called.
    pub fn of(&self, called: &str) -> &Arc<Line> {
        self.own.get(called).unwrap_or(&self.general)
    }
}

fn untouched(config: &Config) -> Line {
    Line {
        persona: Arc::new(config.persona.clone()),
        phrases: Arc::new(config.phrases.clone()),
        relay: Arc::new(config.twilio.relay.clone()),
        language: language_of(&config.twilio.relay),
        languages: languages_of(&config.twilio.relay),
        excluded: Arc::new(excluded(config)),
    }
}

fn language_of(relay: &Relay) -> String {
    relay
        .language
        .as_ref()
        .map_or_else(|| LANGUAGE.to_owned(), |tag| tag.as_text().into_owned())
}

fn languages_of(relay: &Relay) -> Vec<String> {
    let prepared = relay
        .languages
        .iter()
        .filter_map(|language| language.code.as_ref());
    let prepared = prepared.map(|code| code.as_text().into_owned());
    std::iter::once(language_of(relay))
        .chain(prepared)
        .collect()
}

fn excluded(config: &Config) -> Excluded {
    Excluded::new(config.names.excluded.iter().map(String::as_str))
}

fn line(config: &Config, section: &LineSection) -> Result<Line, Vec<Fault>> {
    let at = |part: &str| format!("line[{}].{part}", section.number);
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
    let relay: Option<Relay> = over(
        &config.twilio.relay,
        &section.relay,
        &at("relay"),
        &mut faults,
    );
    let (Some(persona), Some(phrases), Some(mut relay)) = (persona, phrases, relay) else {
        return Err(faults);
    };
    if let Some(language) = &section.language {
        relay.language = Some(language.as_str().into());
    }
    if let Some(voice) = &section.voice {
        relay.voice = Some(voice.as_str().into());
    }
    // What is wrong in general is told once, there.
    if config.twilio.relay.validate("").is_empty() {
        faults.extend(relay.validate(&at("relay")));
    }
    if !section.phrases.is_empty() && config.phrases.validate().is_empty() {
        let own = phrases.validate().into_iter();
        faults.extend(own.map(|fault| fault.under(&format!("line[{}]", section.number))));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Line {
        excluded: Arc::new(excluded(config)),
        language: language_of(&relay),
        languages: languages_of(&relay),
        persona: Arc::new(persona),
        phrases: Arc::new(phrases),
        relay: Arc::new(relay),
    })
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
    let mut faults = Vec::new();
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
