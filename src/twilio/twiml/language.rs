//! `<Language>`: how one language is spoken and heard, for a later switch (protocol 3.3).

use super::attribute::{Attribute, Rule, attributes};
use super::relay::{NORMALIZATIONS, RECOGNISERS, VOICES};
use super::voice_name::voice_of_another_language;
use super::word::{self, Word};
use super::xml::Xml;
use crate::config::Fault;
use serde::{Deserialize, Serialize};

attributes! {
    /// One language. It activates nothing: it prepares a later `language` frame.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct Language {
        /// BCP-47 or `multi` (which needs ElevenLabs voices and Deepgram). Required.
        code => "code": Rule::Language,
        /// `Google`, `Amazon` or `ElevenLabs`.
        tts_provider => "ttsProvider": Rule::OneOf(VOICES),
        /// A voice of that provider.
        voice => "voice": Rule::Text,
        /// `Google` or `Deepgram`.
        transcription_provider => "transcriptionProvider": Rule::OneOf(RECOGNISERS),
        /// A model of that provider.
        speech_model => "speechModel": Rule::Text,
        /// Language spoken, where it differs from the code.
        tts_language => "ttsLanguage": Rule::Language,
        /// Language heard, where it differs from the code.
        transcription_language => "transcriptionLanguage": Rule::Language,
        /// Words to expect, with commas between. Newer (protocol 3.2).
        hints => "hints": Rule::Text,
        /// Formats numbers, dates, money. Newer.
        asr_smart_format => "asrSmartFormat": Rule::Flag,
        /// `on`, `auto` or `off`. Newer.
        tts_text_normalization => "ttsTextNormalization": Rule::OneOf(NORMALIZATIONS),
        /// Whether the language's rules of normalisation apply. Newer.
        tts_language_text_normalization => "ttsLanguageTextNormalization": Rule::Flag,
    }
}

impl Default for Language {
    fn default() -> Self {
        Self::unset()
    }
}

impl Language {
    /// A language by its code.
    pub fn new(code: &str) -> Self {
        Self {
            code: Some(code.into()),
            ..Self::unset()
        }
    }

    /// Its faults; `at` is the setting's path, such as `languages[0]`.
    pub(super) fn faults(&self, at: &str) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self
            .values()
            .filter_map(|(attribute, value)| {
                let remedy = attribute.rule.check(value?).err()?;
                Some(Fault::new(
                    format!("{at}.{}", attribute.setting),
                    value?,
                    remedy,
                ))
            })
            .collect();
        if self.code.as_ref().is_none_or(Word::is_blank) {
            faults.push(Fault::new(
                format!("{at}.code"),
                "",
                "the language's code, such as es-MX, or multi",
            ));
        }
        let spoken = self.tts_language.as_ref().or(self.code.as_ref());
        if let Some(voice) = voice_of_another_language(self.voice.as_ref(), spoken) {
            let remedy = "a voice of this language: with another Twilio refuses the switch";
            faults.push(Fault::new(format!("{at}.voice"), voice, remedy));
        }
        if word::is(self.code.as_ref(), "multi") {
            let multi = [
                (&self.tts_provider, "tts_provider", "ElevenLabs"),
                (
                    &self.transcription_provider,
                    "transcription_provider",
                    "Deepgram",
                ),
            ];
            faults.extend(multi.into_iter().filter_map(|(set, setting, needed)| {
                word::other_than(set.as_ref(), needed).map(|found| {
                    Fault::new(
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
    pub(super) fn write(&self, xml: &mut Xml) {
        if self
            .code
            .as_ref()
            .is_none_or(|code| Rule::Language.check(code).is_err())
        {
            return;
        }
        xml.open("Language");
        for (attribute, value) in self.values() {
            if let Some(value) = value.and_then(|value| attribute.rule.check(value).ok()) {
                xml.attribute(attribute.name, &value);
            }
        }
        xml.close();
    }
}
