//! The settings of `<ConversationRelay>`: section `[twilio.relay]` of the configuration, one
//! setting per attribute of docs/protocol.md 3.1 and 3.2.

use super::attribute::{
    Attribute, AttributeRule, NORMALIZATIONS, TRANSCRIPTION_PROVIDERS, TTS_PROVIDERS, attributes,
};
use super::relay_language::RelayLanguage;
use super::setting_value::{SettingValue, equals, non_blank_text, set_and_not};
use super::voice_name::{DEFAULT_LANGUAGE, voice_of_another_language};
use super::xml_writer::is_name;
use crate::settings::ConfigError;
use crate::twilio::call_token::CALL_TOKEN_PARAMETER;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const EVENTS: &[&str] = &["speaker-events", "tokens-played", "config-updated"];
const DEBUGS: &[&str] = &["debugging", "speaker-events", "tokens-played"];
const PROMPT_EXTRAS: &[&str] = &["turn-state", "prompt-segments"];

/// Names that people write and Twilio never knew (docs/protocol.md 3.2).
const NONEXISTENT_ATTRIBUTES: [&str; 6] = [
    "interruptByDtmf",
    "vadSilenceMs",
    "elevenlabsStability",
    "elevenlabsModelId",
    "welcomeGreetingLanguage",
    "statusCallback",
];

/// `<Parameter>`s of the settings at most, and `<Language>`s as well.
pub const PARAMETERS_MAX: usize = 32;

attributes! {
    /// Settings of `<ConversationRelay>`; what is not set is left to Twilio's default, what is
    /// blank as well. The defaults set what a correct transcript and correct interruptions need
    /// (docs/protocol.md 3.1, 4.4).
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct RelayConfig {
        /// The relay's address, `wss://…`. Not set: made from the public URL.
        url => "url": AttributeRule::WebSocketUrl,
        /// Spoken on connecting. Not set: the greeting of the caller.
        welcome_greeting => "welcomeGreeting": AttributeRule::Text,
        /// What may cut the greeting: `none`, `dtmf`, `speech`, `any`.
        welcome_greeting_interruptible => "welcomeGreetingInterruptible": AttributeRule::InputKind,
        /// Whether Twilio dials the socket again when it drops (since 2026-10-28).
        application_reconnect => "applicationReconnect": AttributeRule::Bool,
        /// Language of both directions: BCP-47 or `multi`.
        language => "language": AttributeRule::Language,
        /// Language spoken.
        tts_language => "ttsLanguage": AttributeRule::Language,
        /// `Google`, `Amazon` or `ElevenLabs`.
        tts_provider => "ttsProvider": AttributeRule::OneOf(TTS_PROVIDERS),
        /// A voice of that provider (docs/protocol.md 3.4).
        voice => "voice": AttributeRule::Text,
        /// `on`, `auto` or `off`; `on` costs latency.
        elevenlabs_text_normalization => "elevenlabsTextNormalization": AttributeRule::OneOf(NORMALIZATIONS),
        /// Language heard; `multi` with Deepgram only.
        transcription_language => "transcriptionLanguage": AttributeRule::Language,
        /// `Google` or `Deepgram`.
        transcription_provider => "transcriptionProvider": AttributeRule::OneOf(TRANSCRIPTION_PROVIDERS),
        /// `telephony`, `long`; `nova-3-general`, `nova-2-general`, `flux`.
        speech_model => "speechModel": AttributeRule::Text,
        /// Confidence that ends a turn, 0.5 to 0.9; `flux` only.
        eot_threshold => "eotThreshold": AttributeRule::NumberInRange(0.5, 0.9),
        /// Whether utterances are also reported while they are spoken.
        partial_prompts => "partialPrompts": AttributeRule::Bool,
        /// Silence after speech that ends a prompt: `auto` or 600 to 5000 ms.
        speech_timeout => "speechTimeout": AttributeRule::AutoOrMs(600, 5000),
        /// Formats numbers, dates, money.
        deepgram_smart_format => "deepgramSmartFormat": AttributeRule::Bool,
        /// Words to expect, with commas between; no card data.
        hints => "hints": AttributeRule::Text,
        /// Stars in place of swear words.
        profanity_filter => "profanityFilter": AttributeRule::Bool,
        /// Noise filter in front of recognition; accepted values are not documented.
        background_noise_reduction => "backgroundNoiseReduction": AttributeRule::Text,
        /// Twilio's own turn detection; not for PCI or HIPAA use.
        turn_detection => "turnDetection": AttributeRule::BoolOrOnOff,
        /// Drops prompts that are the agent's own echo.
        echo_prompt_filtering => "echoPromptFiltering": AttributeRule::Bool,
        /// What may cut our speech: `none`, `dtmf`, `speech`, `any`.
        interruptible => "interruptible": AttributeRule::InputKind,
        /// `high`, `medium` or `low`.
        interrupt_sensitivity => "interruptSensitivity": AttributeRule::OneOf(&["high", "medium", "low"]),
        /// "Yeah" and "uh-huh" neither interrupt nor become prompts.
        ignore_backchannel => "ignoreBackchannel": AttributeRule::Bool,
        /// What is reported while we speak: `none`, `dtmf`, `speech`, `any`.
        report_input_during_agent_speech => "reportInputDuringAgentSpeech": AttributeRule::InputKind,
        /// Whether something sent later may cut our speech.
        preemptible => "preemptible": AttributeRule::Bool,
        /// Whether keys are reported.
        dtmf_detection => "dtmfDetection": AttributeRule::Bool,
        /// Observations: `speaker-events`, `tokens-played`, `config-updated`.
        events => "events": AttributeRule::AnyOf(EVENTS),
        /// `debugging` adds the round trip.
        debug => "debug": AttributeRule::AnyOf(DEBUGS),
        /// A Conversational Intelligence service.
        intelligence_service => "intelligenceService": AttributeRule::Text,
        /// A Conversation Orchestrator configuration.
        conversation_configuration => "conversationConfiguration": AttributeRule::Text,
        /// An existing conversation.
        conversation_id => "conversationId": AttributeRule::Text,
        /// Confidence of an early end of turn, 0.3 to 0.9. Newer (docs/protocol.md 3.2).
        eager_eot_threshold => "eagerEotThreshold": AttributeRule::NumberInRange(0.3, 0.9),
        /// Whether an unfinished utterance is reported at hang-up. Newer.
        partial_prompt_on_hangup => "partialPromptOnHangup": AttributeRule::Bool,
        /// Extra fields of prompts: `turn-state` or `prompt-segments`; whether Twilio takes both
        /// together is not documented. `turn-state` tells an early end of turn from a partial
        /// prompt. Newer.
        include_in_prompt => "includeInPrompt": AttributeRule::AnyOf(PROMPT_EXTRAS),
        /// Name passed on to Conversations and Conversational Intelligence: personal data that
        /// nobody else reads, so it is never set by default. Newer.
        customer_name => "customerName": AttributeRule::Text,
        /// Smart formatting whoever listens. Newer.
        asr_smart_format => "asrSmartFormat": AttributeRule::Bool,
        /// `on`, `auto` or `off` whoever speaks. Newer.
        tts_text_normalization => "ttsTextNormalization": AttributeRule::OneOf(NORMALIZATIONS),
        /// Whether the language's rules of normalisation apply. Newer.
        tts_language_text_normalization => "ttsLanguageTextNormalization": AttributeRule::Bool,
        /// Old name of the previous one. Newer.
        elevenlabs_language_text_normalization => "elevenlabsLanguageTextNormalization": AttributeRule::Bool,
    }
    beside {
        /// Attributes that Twilio has and this list has not: XML name to value.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        extra: BTreeMap<String, SettingValue>,
        /// `<Parameter>`s of every call: they come back in `setup`. No card data.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        parameters: BTreeMap<String, String>,
        /// Languages that a call may be switched to.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        languages: Vec<RelayLanguage>,
    }
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            interruptible: Some("any".into()),
            report_input_during_agent_speech: Some("any".into()),
            dtmf_detection: Some(true.into()),
            events: Some("speaker-events tokens-played".into()),
            ..Self::unset()
        }
    }
}

impl RelayConfig {
    /// What the TwiML declares as the line's language: BCP-47 or `multi`.
    pub fn declared_language(&self) -> String {
        non_blank_text(self.language.as_ref()).unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned())
    }

    /// Every fault at once; none means that Twilio's documented rules hold. Settings are named
    /// by their path under `section`, such as `twilio.relay`.
    pub fn validate(&self, section: &str) -> Vec<ConfigError> {
        let mut faults: Vec<ConfigError> = self
            .values()
            .filter_map(|(attribute, value)| {
                let hint = attribute.rule.normalize(value?).err()?;
                Some(ConfigError::new(attribute.setting, value?, hint))
            })
            .collect();
        faults.extend(self.combination_errors());
        faults.extend(
            self.extra
                .iter()
                .filter_map(|(name, value)| extra_error(name, value)),
        );
        faults.extend(self.parameter_errors());
        faults.extend(self.language_errors());
        faults
            .into_iter()
            .map(|fault| fault.under(section))
            .collect()
    }

    /// The attribute that `name` means, by the XML's or the settings' spelling.
    pub fn attribute(name: &str) -> Option<&'static Attribute> {
        Self::ATTRIBUTES
            .iter()
            .find(|attribute| attribute.name == name || attribute.setting == name)
    }

    /// The values of `extra` that may be written: well-formed names that are no attribute of the
    /// list (XML has each attribute once).
    pub(super) fn extra_values(&self) -> impl Iterator<Item = (&str, &SettingValue)> {
        let usable = |(name, value): &(&String, &SettingValue)| extra_error(name, value).is_none();
        self.extra
            .iter()
            .filter(usable)
            .map(|(name, value)| (name.as_str(), value))
    }

    /// What is right by itself and wrong together (docs/protocol.md 3.1, 3.3, 3.4).
    fn combination_errors(&self) -> Vec<ConfigError> {
        let fault = |setting, found: Option<&SettingValue>, hint| {
            found.map(|value| ConfigError::new(setting, value, hint))
        };
        let heard = self
            .transcription_language
            .as_ref()
            .or(self.language.as_ref());
        let spoken = self.tts_language.as_ref().or(self.language.as_ref());
        let (hears_any, speaks_any) = (equals(heard, "multi"), equals(spoken, "multi"));
        let recogniser = self.transcription_provider.as_ref();
        let foreign_recogniser = set_and_not(recogniser, "Deepgram").filter(|_| hears_any);
        let foreign_voice =
            set_and_not(self.tts_provider.as_ref(), "ElevenLabs").filter(|_| speaks_any);
        let by_google = equals(recogniser, "Google");
        let foreign_model = self
            .speech_model
            .as_ref()
            .filter(|model| by_google && is_deepgram_model(model));
        [
            fault(
                "url",
                self.url.as_ref().filter(|url| is_insecure_public_url(url)),
                "wss:// instead of ws://: Twilio connects over TLS only",
            ),
            fault(
                "transcription_provider",
                foreign_recogniser,
                "Deepgram: only it listens for any language (multi)",
            ),
            fault(
                "tts_provider",
                foreign_voice,
                "ElevenLabs: only it speaks any language (multi)",
            ),
            fault(
                "speech_model",
                foreign_model,
                "a model of Google, such as telephony, or transcription_provider Deepgram",
            ),
            fault(
                "voice",
                self.voice.as_ref().filter(|voice| is_prefixed_chirp(voice)),
                "a Chirp3-HD voice without the prefix Google.",
            ),
            fault(
                "voice",
                voice_of_another_language(self.voice.as_ref(), spoken),
                "a voice of the language that is spoken: with another Twilio refuses the call",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn parameter_errors(&self) -> Vec<ConfigError> {
        let mut faults: Vec<ConfigError> = self
            .parameters
            .keys()
            .filter(|name| name.trim().is_empty() || name.as_str() == CALL_TOKEN_PARAMETER)
            .map(|name| {
                ConfigError::new(
                    "parameters",
                    name,
                    format!("a name of your own; {CALL_TOKEN_PARAMETER} is calldex's"),
                )
            })
            .collect();
        if self.parameters.len() > PARAMETERS_MAX {
            faults.push(ConfigError::new(
                "parameters",
                self.parameters.len(),
                format!("{PARAMETERS_MAX} at most"),
            ));
        }
        faults
    }

    /// What is said twice of the line's own language, and not the same.
    fn own_language_conflicts(&self, at: &str, language: &RelayLanguage) -> Vec<ConfigError> {
        if !equals(language.code.as_ref(), &self.declared_language()) {
            return Vec::new();
        }
        let conflict = |(attribute, value): (&Attribute, Option<&SettingValue>)| {
            let of_line = self.values().find(|(own, _)| own.name == attribute.name);
            let (_, of_line) = of_line?;
            let value = value?;
            (of_line? != value).then(|| {
                ConfigError::new(
                    format!("{at}.{}", attribute.setting),
                    value,
                    format!(
                        "the same as {} above: it is the line's own language",
                        attribute.setting
                    ),
                )
            })
        };
        language.values().filter_map(conflict).collect()
    }

    fn language_errors(&self) -> Vec<ConfigError> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for (at, language) in self.languages.iter().enumerate() {
            let at = format!("languages[{at}]");
            faults.extend(language.errors(&at));
            let code = language
                .code
                .as_ref()
                .map(|code| code.as_text().trim().to_ascii_lowercase());
            faults.extend(self.own_language_conflicts(&at, language));
            if code.is_some_and(|code| !code.is_empty() && !seen.insert(code)) {
                faults.push(ConfigError::new(
                    format!("{at}.code"),
                    language.code.as_ref().unwrap_or(&"".into()),
                    "each language once",
                ));
            }
        }
        if self.languages.len() > PARAMETERS_MAX {
            faults.push(ConfigError::new(
                "languages",
                self.languages.len(),
                format!("{PARAMETERS_MAX} at most"),
            ));
        }
        faults
    }
}

/// `ws://` reaches nobody but a simulator on the same machine (error 64102).
fn is_insecure_public_url(url: &SettingValue) -> bool {
    const LOOPBACK: [&str; 3] = ["localhost", "127.", "[::1]"];
    let url = url.as_text();
    url.trim()
        .strip_prefix("ws://")
        .is_some_and(|host| !LOOPBACK.iter().any(|name| host.starts_with(name)))
}

fn is_deepgram_model(model: &SettingValue) -> bool {
    let model = model.as_text().trim().to_ascii_lowercase();
    model.starts_with("nova-") || model.starts_with("flux")
}

/// A `Google.` prefix is taken for Neural2 voices only (docs/protocol.md 3.4).
fn is_prefixed_chirp(voice: &SettingValue) -> bool {
    let voice = voice.as_text();
    voice.starts_with("Google.") && voice.contains("Chirp3-HD")
}

fn extra_error(name: &str, value: &SettingValue) -> Option<ConfigError> {
    let setting = format!("extra.{name}");
    if let Some(known) = RelayConfig::attribute(name) {
        return Some(ConfigError::new(
            setting,
            value,
            format!("the setting {} instead", known.setting),
        ));
    }
    if NONEXISTENT_ATTRIBUTES.contains(&name) {
        return Some(ConfigError::new(
            setting,
            value,
            "nothing: Twilio has no such attribute",
        ));
    }
    (!is_name(name)).then(|| {
        ConfigError::new(
            setting,
            value,
            "an attribute's name: letters, digits, _ - .",
        )
    })
}
