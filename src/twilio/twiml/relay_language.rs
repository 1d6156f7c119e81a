//! `<Language>`: how one language is spoken and heard, for a later switch (docs/protocol.md 3.3).

use super::attribute::{
    Attribute, AttributeRule, NORMALIZATIONS, TRANSCRIPTION_PROVIDERS, TTS_PROVIDERS, attributes,
};
use super::setting_value::{self, SettingValue};
use super::voice_name::voice_of_another_language;
use super::xml_writer::XmlWriter;
use crate::settings::ConfigError;
use serde::{Deserialize, Serialize};

attributes! {
    /// One language. It activates nothing: it prepares a later `language` frame.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct RelayLanguage {
        /// BCP-47 or `multi` (which needs ElevenLabs voices and Deepgram). Required.
        code => "code": AttributeRule::Language,
        /// `Google`, `Amazon` or `ElevenLabs`.
        tts_provider => "ttsProvider": AttributeRule::OneOf(TTS_PROVIDERS),
        /// A voice of that provider.
        voice => "voice": AttributeRule::Text,
        /// `Google` or `Deepgram`.
        transcription_provider => "transcriptionProvider": AttributeRule::OneOf(TRANSCRIPTION_PROVIDERS),
        /// A model of that provider.
        speech_model => "speechModel": AttributeRule::Text,
        /// Language spoken, where it differs from the code.
        tts_language => "ttsLanguage": AttributeRule::Language,
        /// Language heard, where it differs from the code.
        transcription_language => "transcriptionLanguage": AttributeRule::Language,
        /// Words to expect, with commas between. Newer (docs/protocol.md 3.2).
        hints => "hints": AttributeRule::Text,
        /// Formats numbers, dates, money. Newer.
        asr_smart_format => "asrSmartFormat": AttributeRule::Bool,
        /// `on`, `auto` or `off`. Newer.
        tts_text_normalization => "ttsTextNormalization": AttributeRule::OneOf(NORMALIZATIONS),
        /// Whether the language's rules of normalisation apply. Newer.
        tts_language_text_normalization => "ttsLanguageTextNormalization": AttributeRule::Bool,
    }
}

impl Default for RelayLanguage {
    fn default() -> Self {
        Self::unset()
    }
}

impl RelayLanguage {
    /// A language by its code.
    pub fn new(code: &str) -> Self {
        Self {
            code: Some(code.into()),
            ..Self::unset()
        }
    }

    /// Its faults; `at` is the setting's path, such as `languages[0]`.
    pub(super) fn errors(&self, at: &str) -> Vec<ConfigError> {
        let mut faults: Vec<ConfigError> = self
            .values()
            .filter_map(|(attribute, value)| {
                let hint = attribute.rule.normalize(value?).err()?;
                Some(ConfigError::new(
                    format!("{at}.{}", attribute.setting),
                    value?,
                    hint,
                ))
            })
            .collect();
        if self.code.as_ref().is_none_or(SettingValue::is_blank) {
            faults.push(ConfigError::new(
                format!("{at}.code"),
                "",
                "the language's code, such as es-MX, or multi",
            ));
        }
        let spoken = self.tts_language.as_ref().or(self.code.as_ref());
        if let Some(voice) = voice_of_another_language(self.voice.as_ref(), spoken) {
            let hint = "a voice of this language: with another Twilio refuses the switch";
            faults.push(ConfigError::new(format!("{at}.voice"), voice, hint));
        }
        if setting_value::equals(self.code.as_ref(), "multi") {
            let multi = [
                (&self.tts_provider, "tts_provider", "ElevenLabs"),
                (
                    &self.transcription_provider,
                    "transcription_provider",
                    "Deepgram",
                ),
            ];
            faults.extend(multi.into_iter().filter_map(|(set, setting, needed)| {
                setting_value::set_and_not(set.as_ref(), needed).map(|found| {
                    ConfigError::new(
                        format!("{at}.{setting}"),
                        found,
                        format!("{needed}: multi needs it"),
                    )
                })
            }));
        }
        faults
    }

    /// Writes it, unless it has no valid code: then Twilio would refuse the whole document.
    pub(super) fn write(&self, xml: &mut XmlWriter) {
        if self
            .code
            .as_ref()
            .is_none_or(|code| AttributeRule::Language.normalize(code).is_err())
        {
            return;
        }
        xml.open("Language");
        for (attribute, value) in self.values() {
            if let Some(value) = value.and_then(|value| attribute.rule.normalize(value).ok()) {
                xml.attribute(attribute.name, &value);
            }
        }
        xml.close();
    }
}
