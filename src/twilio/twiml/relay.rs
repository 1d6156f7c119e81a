//! The settings of `<ConversationRelay>`: section `[twilio.relay]` of the configuration, one
//! setting per attribute of protocol 3.1 and 3.2.

use super::attribute::{Attribute, Rule, attributes};
use super::language::Language;
use super::voice_name::{DEFAULT, voice_of_another_language};
use super::word::{Word, is, other_than, text_of};
use super::xml::is_name;
use crate::config::Fault;
use crate::twilio::reference::REFERENCE_PARAMETER;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Who speaks.
pub(super) const VOICES: &[&str] = &["Google", "Amazon", "ElevenLabs"];
/// Who listens.
pub(super) const RECOGNISERS: &[&str] = &["Google", "Deepgram"];
/// How text is normalised for speech.
pub(super) const NORMALIZATIONS: &[&str] = &["on", "auto", "off"];
const EVENTS: &[&str] = &["speaker-events", "tokens-played", "config-updated"];
const DEBUGS: &[&str] = &["debugging", "speaker-events", "tokens-played"];
const PROMPT_EXTRAS: &[&str] = &["turn-state", "prompt-segments"];

/// Names that people write and Twilio never knew (protocol 3.2).
const INVENTED: [&str; 6] = [
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
    /// blank as well. The defaults set what a correct transcript and a correct barge-in need
    /// (protocol 1.6, 4.4).
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct Relay {
        /// The relay's address, `wss://…`. Not set: made from the public URL.
        url => "url": Rule::WebSocket,
        /// Spoken on connecting. Not set: the greeting of the caller.
        welcome_greeting => "welcomeGreeting": Rule::Text,
        /// What may cut the greeting: `none`, `dtmf`, `speech`, `any`.
        welcome_greeting_interruptible => "welcomeGreetingInterruptible": Rule::Input,
        /// Whether Twilio dials the socket again when it drops (since 2026-10-28).
        application_reconnect => "applicationReconnect": Rule::Flag,
        /// Language of both directions: BCP-47 or `multi`.
        language => "language": Rule::Language,
        /// Language spoken.
        tts_language => "ttsLanguage": Rule::Language,
        /// `Google`, `Amazon` or `ElevenLabs`.
        tts_provider => "ttsProvider": Rule::OneOf(VOICES),
        /// A voice of that provider (protocol 3.4).
        voice => "voice": Rule::Text,
        /// `on`, `auto` or `off`; `on` costs latency.
        elevenlabs_text_normalization => "elevenlabsTextNormalization": Rule::OneOf(NORMALIZATIONS),
        /// Language heard; `multi` with Deepgram only.
        transcription_language => "transcriptionLanguage": Rule::Language,
        /// `Google` or `Deepgram`.
        transcription_provider => "transcriptionProvider": Rule::OneOf(RECOGNISERS),
        /// `telephony`, `long`; `nova-3-general`, `nova-2-general`, `flux`.
        speech_model => "speechModel": Rule::Text,
        /// Confidence that ends a turn, 0.5 to 0.9; `flux` only.
        eot_threshold => "eotThreshold": Rule::Between(0.5, 0.9),
        /// Whether utterances are also reported while they are spoken.
        partial_prompts => "partialPrompts": Rule::Flag,
        /// Silence after speech that ends a prompt: `auto` or 600 to 5000 ms.
        speech_timeout => "speechTimeout": Rule::AutoOrMs(600, 5000),
        /// Formats numbers, dates, money.
        deepgram_smart_format => "deepgramSmartFormat": Rule::Flag,
        /// Words to expect, with commas between; no card data.
        hints => "hints": Rule::Text,
        /// Stars in place of swear words.
        profanity_filter => "profanityFilter": Rule::Flag,
        /// Noise filter in front of recognition; accepted values are not documented.
        background_noise_reduction => "backgroundNoiseReduction": Rule::Text,
        /// Twilio's own turn detection; not for PCI or HIPAA use.
        turn_detection => "turnDetection": Rule::Switch,
        /// Drops prompts that are the agent's own echo.
        echo_prompt_filtering => "echoPromptFiltering": Rule::Flag,
        /// What may cut our speech: `none`, `dtmf`, `speech`, `any`.
        interruptible => "interruptible": Rule::Input,
        /// `high`, `medium` or `low`.
        interrupt_sensitivity => "interruptSensitivity": Rule::OneOf(&["high", "medium", "low"]),
        /// "Yeah" and "uh-huh" neither interrupt nor become prompts.
        ignore_backchannel => "ignoreBackchannel": Rule::Flag,
        /// What is reported while we speak: `none`, `dtmf`, `speech`, `any`.
        report_input_during_agent_speech => "reportInputDuringAgentSpeech": Rule::Input,
        /// Whether something sent later may cut our speech.
        preemptible => "preemptible": Rule::Flag,
        /// Whether keys are reported.
        dtmf_detection => "dtmfDetection": Rule::Flag,
        /// Observations: `speaker-events`, `tokens-played`, `config-updated`.
        events => "events": Rule::SomeOf(EVENTS),
        /// `debugging` adds the round trip.
        debug => "debug": Rule::SomeOf(DEBUGS),
        /// A Conversational Intelligence service.
        intelligence_service => "intelligenceService": Rule::Text,
        /// A Conversation Orchestrator configuration.
        conversation_configuration => "conversationConfiguration": Rule::Text,
        /// An existing conversation.
        conversation_id => "conversationId": Rule::Text,
        /// Confidence of an early end of turn, 0.3 to 0.9. Newer (protocol 3.2).
        eager_eot_threshold => "eagerEotThreshold": Rule::Between(0.3, 0.9),
        /// Whether an unfinished utterance is reported at hang-up. Newer.
        partial_prompt_on_hangup => "partialPromptOnHangup": Rule::Flag,
        /// Extra fields of prompts: `turn-state` or `prompt-segments`; whether Twilio takes both
        /// together is not documented. `turn-state` tells an early end of turn from a partial
        /// prompt. Newer.
        include_in_prompt => "includeInPrompt": Rule::SomeOf(PROMPT_EXTRAS),
        /// Name passed on to Conversations and Conversational Intelligence: personal data that
        /// nobody else reads, so it is never set by default. Newer.
        customer_name => "customerName": Rule::Text,
        /// Smart formatting whoever listens. Newer.
        asr_smart_format => "asrSmartFormat": Rule::Flag,
        /// `on`, `auto` or `off` whoever speaks. Newer.
        tts_text_normalization => "ttsTextNormalization": Rule::OneOf(NORMALIZATIONS),
        /// Whether the language's rules of normalisation apply. Newer.
        tts_language_text_normalization => "ttsLanguageTextNormalization": Rule::Flag,
        /// Old name of the previous one. Newer.
        elevenlabs_language_text_normalization => "elevenlabsLanguageTextNormalization": Rule::Flag,
    }
    beside {
        /// Attributes that Twilio has and this list has not: XML name to value.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        extra: BTreeMap<String, Word>,
        /// `<Parameter>`s of every call: they come back in `setup`. No card data.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        parameters: BTreeMap<String, String>,
        /// Languages that a call may be switched to.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        languages: Vec<Language>,
    }
}

impl Default for Relay {
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

impl Relay {
    /// What the TwiML declares as the line's language: BCP-47 or `multi`.
    pub fn declared_language(&self) -> String {
        text_of(self.language.as_ref()).unwrap_or_else(|| DEFAULT.to_owned())
    }

    /// Every fault at once; none means that Twilio's documented rules hold. Settings are named
    /// by their path under `section`, such as `twilio.relay`.
    pub fn validate(&self, section: &str) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self
            .values()
            .filter_map(|(attribute, value)| {
                let remedy = attribute.rule.check(value?).err()?;
                Some(Fault::new(attribute.setting, value?, remedy))
            })
            .collect();
        faults.extend(self.combination_faults());
        faults.extend(
            self.extra
                .iter()
                .filter_map(|(name, value)| extra_fault(name, value)),
        );
        faults.extend(self.parameter_faults());
        faults.extend(self.language_faults());
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
    pub(super) fn extra_values(&self) -> impl Iterator<Item = (&str, &Word)> {
        let usable = |(name, value): &(&String, &Word)| extra_fault(name, value).is_none();
        self.extra
            .iter()
            .filter(usable)
            .map(|(name, value)| (name.as_str(), value))
    }

    /// What is right by itself and wrong together (protocol 3.1, 3.3, 3.4).
    fn combination_faults(&self) -> Vec<Fault> {
        let fault = |setting, found: Option<&Word>, remedy| {
            found.map(|value| Fault::new(setting, value, remedy))
        };
        let heard = self
            .transcription_language
            .as_ref()
            .or(self.language.as_ref());
        let spoken = self.tts_language.as_ref().or(self.language.as_ref());
        let (hears_any, speaks_any) = (is(heard, "multi"), is(spoken, "multi"));
        let recogniser = self.transcription_provider.as_ref();
        let foreign_recogniser = other_than(recogniser, "Deepgram").filter(|_| hears_any);
        let foreign_voice =
            other_than(self.tts_provider.as_ref(), "ElevenLabs").filter(|_| speaks_any);
        let by_google = is(recogniser, "Google");
        let foreign_model = self
            .speech_model
            .as_ref()
            .filter(|model| by_google && is_deepgram_model(model));
        [
            fault(
                "url",
                self.url.as_ref().filter(|url| is_plain_and_public(url)),
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

    fn parameter_faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self
            .parameters
            .keys()
            .filter(|name| name.trim().is_empty() || name.as_str() == REFERENCE_PARAMETER)
            .map(|name| {
                Fault::new(
                    "parameters",
                    name,
                    format!("a name of your own; {REFERENCE_PARAMETER} is calldex's"),
                )
            })
            .collect();
        if self.parameters.len() > PARAMETERS_MAX {
            faults.push(Fault::new(
                "parameters",
                self.parameters.len(),
                format!("{PARAMETERS_MAX} at most"),
            ));
        }
        faults
    }

    /// What is said twice of the line's own language, and not the same.
    fn conflicts(&self, at: &str, language: &Language) -> Vec<Fault> {
        if !is(language.code.as_ref(), &self.declared_language()) {
            return Vec::new();
        }
        let conflict = |(attribute, value): (&Attribute, Option<&Word>)| {
            let of_line = self.values().find(|(own, _)| own.name == attribute.name);
            let (_, of_line) = of_line?;
            let value = value?;
            (of_line? != value).then(|| {
                Fault::new(
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

    fn language_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for (at, language) in self.languages.iter().enumerate() {
            let at = format!("languages[{at}]");
            faults.extend(language.faults(&at));
            let code = language
                .code
                .as_ref()
                .map(|code| code.as_text().trim().to_ascii_lowercase());
            faults.extend(self.conflicts(&at, language));
            if code.is_some_and(|code| !code.is_empty() && !seen.insert(code)) {
                faults.push(Fault::new(
                    format!("{at}.code"),
                    language.code.as_ref().unwrap_or(&"".into()),
                    "each language once",
                ));
            }
        }
        if self.languages.len() > PARAMETERS_MAX {
            faults.push(Fault::new(
                "languages",
                self.languages.len(),
                format!("{PARAMETERS_MAX} at most"),
            ));
        }
        faults
    }
}

/// `ws://` reaches nobody but a simulator on the same machine (error 64102).
fn is_plain_and_public(url: &Word) -> bool {
    const LOOPBACK: [&str; 3] = ["localhost", "127.", "[::1]"];
    let url = url.as_text();
    url.trim()
        .strip_prefix("ws://")
        .is_some_and(|host| !LOOPBACK.iter().any(|name| host.starts_with(name)))
}

fn is_deepgram_model(model: &Word) -> bool {
    let model = model.as_text().trim().to_ascii_lowercase();
    model.starts_with("nova-") || model.starts_with("flux")
}

/// A `Google.` prefix is taken for Neural2 voices only (protocol 3.4).
fn is_prefixed_chirp(voice: &Word) -> bool {
    let voice = voice.as_text();
    voice.starts_with("Google.") && voice.contains("Chirp3-HD")
}

fn extra_fault(name: &str, value: &Word) -> Option<Fault> {
    let setting = format!("extra.{name}");
    if let Some(known) = Relay::attribute(name) {
        return Some(Fault::new(
            setting,
            value,
            format!("the setting {} instead", known.setting),
        ));
    }
    if INVENTED.contains(&name) {
        return Some(Fault::new(
            setting,
            value,
            "nothing: Twilio has no such attribute",
        ));
    }
    (!is_name(name)).then(|| {
        Fault::new(
            setting,
            value,
            "an attribute's name: letters, digits, _ - .",
        )
    })
}
