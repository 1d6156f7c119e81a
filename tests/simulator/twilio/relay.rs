//! What a `<ConversationRelay>` asks for (docs/protocol.md 3.1), checked as Twilio checks it.

use super::{error::CallError, playback::Interruptible, twiml::Connect};

/// Every attribute that is documented or that an SDK writes (docs/protocol.md 3.1 and 3.2).
const KNOWN: &[&str] = &[
    "url",
    "welcomeGreeting",
    "welcomeGreetingInterruptible",
    "applicationReconnect",
    "language",
    "ttsLanguage",
    "ttsProvider",
    "voice",
    "elevenlabsTextNormalization",
    "transcriptionLanguage",
    "transcriptionProvider",
    "speechModel",
    "eotThreshold",
    "partialPrompts",
    "speechTimeout",
    "deepgramSmartFormat",
    "hints",
    "profanityFilter",
    "backgroundNoiseReduction",
    "turnDetection",
    "echoPromptFiltering",
    "interruptible",
    "interruptSensitivity",
    "ignoreBackchannel",
    "reportInputDuringAgentSpeech",
    "preemptible",
    "dtmfDetection",
    "events",
    "debug",
    "intelligenceService",
    "conversationConfiguration",
    "conversationId",
    "eagerEotThreshold",
    "partialPromptOnHangup",
    "includeInPrompt",
    "customerName",
    "asrSmartFormat",
    "ttsTextNormalization",
    "ttsLanguageTextNormalization",
    "elevenlabsLanguageTextNormalization",
];
const BOOLEANS: &[&str] = &[
    "applicationReconnect",
    "partialPrompts",
    "deepgramSmartFormat",
    "profanityFilter",
    "echoPromptFiltering",
    "ignoreBackchannel",
    "preemptible",
    "dtmfDetection",
    "partialPromptOnHangup",
];
/// Attributes with a closed set of values; matched without regard to case where Twilio does so.
const CHOICES: &[(&str, &[&str])] = &[
    ("ttsProvider", &["google", "amazon", "elevenlabs"]),
    ("transcriptionProvider", &["google", "deepgram"]),
    ("interruptSensitivity", &["high", "medium", "low"]),
    ("elevenlabsTextNormalization", &["on", "auto", "off"]),
];

/// The settings that matter to a simulated session.
#[derive(Clone, Debug)]
pub(crate) struct RelaySettings {
    pub(crate) url: String,
    pub(crate) greeting: Option<String>,
    pub(crate) greeting_interruptible: Interruptible,
    pub(crate) interruptible: Interruptible,
    pub(crate) report_input: Interruptible,
    pub(crate) preemptible: bool,
    pub(crate) dtmf_detection: bool,
    pub(crate) partial_prompts: bool,
    pub(crate) ignore_backchannel: bool,
    pub(crate) application_reconnect: bool,
    pub(crate) speaker_events: bool,
    pub(crate) tokens_played: bool,
    /// As a prompt's `lang` has it: `en`.
    pub(crate) lang: String,
    pub(crate) parameters: Vec<(String, String)>,
    /// Attributes that no relay knows.
    pub(crate) unknown: Vec<String>,
}

/// Whether `url` is `ws://` to a loopback host.
fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("ws://").unwrap_or_default();
    ["127.", "localhost:", "localhost/", "[::1]"]
        .iter()
        .any(|start| host.starts_with(start))
}

impl RelaySettings {
    /// Reads and checks the attributes; a bad value is 64101, a URL that is not `wss` 64102. Twilio
    /// itself has no way to a loopback address; a server without a public URL says `ws` there.
    pub(crate) fn read(connect: &Connect) -> Result<Self, CallError> {
        if !connect.url().starts_with("wss://") && !is_loopback(connect.url()) {
            return Err(CallError::Handshake {
                url: connect.url().to_owned(),
                status: None,
                reason: "only wss:// is allowed in <ConversationRelay url>".into(),
            });
        }
        check_values(connect)?;
        let flag = |name: &str| connect.attribute(name) == Some("true");
        let events: Vec<&str> = connect
            .attribute("events")
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        Ok(Self {
            url: connect.url().to_owned(),
            greeting: connect
                .attribute("welcomeGreeting")
                .filter(|text| !text.trim().is_empty())
                .map(str::to_owned),
            greeting_interruptible: input(
                connect,
                "welcomeGreetingInterruptible",
                Interruptible::ANY,
            )?,
            interruptible: input(connect, "interruptible", Interruptible::ANY)?,
            report_input: input(connect, "reportInputDuringAgentSpeech", Interruptible::NONE)?,
            preemptible: flag("preemptible"),
            dtmf_detection: flag("dtmfDetection"),
            partial_prompts: flag("partialPrompts"),
            ignore_backchannel: flag("ignoreBackchannel"),
            application_reconnect: flag("applicationReconnect"),
            speaker_events: events.contains(&"speaker-events"),
            tokens_played: events.contains(&"tokens-played"),
            lang: wire_lang(
                connect
                    .attribute("transcriptionLanguage")
                    .or(connect.attribute("language")),
            ),
            parameters: connect.parameters.clone(),
            unknown: unknown(connect),
        })
    }
}

/// A prompt's `lang` for a configured language: `en` for `en-US`, and for `multi`.
pub(crate) fn wire_lang(language: Option<&str>) -> String {
    match language {
        None | Some("" | "multi") => "en".into(),
        Some(tag) => tag.split('-').next().unwrap_or(tag).to_ascii_lowercase(),
    }
}

fn unknown(connect: &Connect) -> Vec<String> {
    let names = connect.attributes.iter().map(|(name, _)| name);
    names
        .filter(|name| !KNOWN.contains(&name.as_str()))
        .cloned()
        .collect()
}

fn refused(name: &str, value: &str) -> CallError {
    CallError::RelaySettings(format!("{name}={value:?}"))
}

fn input(
    connect: &Connect,
    name: &str,
    default: Interruptible,
) -> Result<Interruptible, CallError> {
    match connect.attribute(name) {
        None => Ok(default),
        Some("any" | "true") => Ok(Interruptible::ANY),
        Some("none" | "false") => Ok(Interruptible::NONE),
        Some("speech") => Ok(Interruptible {
            speech: true,
            key: false,
        }),
        Some("dtmf") => Ok(Interruptible {
            speech: false,
            key: true,
        }),
        Some(other) => Err(refused(name, other)),
    }
}

fn check_values(connect: &Connect) -> Result<(), CallError> {
    for (name, value) in &connect.attributes {
        let fine = match name.as_str() {
            name if BOOLEANS.contains(&name) => matches!(value.as_str(), "true" | "false"),
            "eotThreshold" => in_range(value, 0.5, 0.9),
            "eagerEotThreshold" => in_range(value, 0.3, 0.9),
            "speechTimeout" => value == "auto" || in_range(value, 600.0, 5000.0),
            "events" => value.split_whitespace().all(|event| {
                matches!(event, "speaker-events" | "tokens-played" | "config-updated")
            }),
            "debug" => value
                .split_whitespace()
                .all(|event| matches!(event, "debugging" | "speaker-events" | "tokens-played")),
            name => CHOICES.iter().all(|(choice, values)| {
                *choice != name || values.contains(&value.to_ascii_lowercase().as_str())
            }),
        };
        if !fine {
            return Err(refused(name, value));
        }
    }
    Ok(())
}

fn in_range(value: &str, low: f64, high: f64) -> bool {
    value
        .parse::<f64>()
        .is_ok_and(|number| (low..=high).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(attributes: &[(&str, &str)]) -> Connect {
        let mut all = vec![("url".to_owned(), "wss://h.example/relay".to_owned())];
        all.extend(
            attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Connect {
            attributes: all,
            ..Connect::default()
        }
    }

    #[test]
    fn without_attributes_the_documented_defaults_hold() {
        let settings = RelaySettings::read(&connect(&[])).unwrap();
        assert_eq!(settings.interruptible, Interruptible::ANY);
        assert_eq!(settings.report_input, Interruptible::NONE);
        assert!(!settings.tokens_played && !settings.partial_prompts && !settings.dtmf_detection);
        assert_eq!(settings.lang, "en");
    }

    #[test]
    fn a_bad_value_is_refused_and_an_unknown_name_is_noted() {
        for bad in [
            ("interruptible", "maybe"),
            ("eotThreshold", "0.95"),
            ("events", "all"),
            ("ttsProvider", "Polly"),
            ("dtmfDetection", "1"),
        ] {
            assert!(
                matches!(
                    RelaySettings::read(&connect(&[bad])),
                    Err(CallError::RelaySettings(_))
                ),
                "{bad:?}"
            );
        }
        let settings = RelaySettings::read(&connect(&[("vadSilenceMs", "3")])).unwrap();
        assert_eq!(settings.unknown, ["vadSilenceMs"]);
    }

    #[test]
    fn only_wss_is_dialled() {
        let plain = Connect {
            attributes: vec![("url".into(), "ws://h.example/relay".into())],
            ..Connect::default()
        };
        assert!(matches!(
            RelaySettings::read(&plain),
            Err(CallError::Handshake { .. })
        ));
    }
}
