//! The languages of one line, each with its own voice and recogniser. For a voice of another language
//! Twilio reports error 64101, and the call does not start.

use super::relay_config::RelayConfig;
use super::relay_language::RelayLanguage;
use super::setting_value::{SettingValue, equals, non_blank_text};
use super::voice_name::{ANY_LANGUAGE, DEFAULT_LANGUAGE};
use std::collections::BTreeSet;

/// Attributes of speech in one language. Another language that does not set them gets Twilio's default.
const VOICE_ATTRIBUTES: [&str; 3] = ["ttsProvider", "voice", "ttsLanguage"];
/// Attributes of recognition in one language, with the same rule.
const TRANSCRIPTION_ATTRIBUTES: [&str; 3] = [
    "transcriptionProvider",
    "speechModel",
    "transcriptionLanguage",
];

impl RelayConfig {
    /// The language in which the line speaks by default: never `multi`.
    pub fn primary_language(&self) -> String {
        [
            &self.language,
            &self.tts_language,
            &self.transcription_language,
        ]
        .into_iter()
        .filter_map(|word| non_blank_text(word.as_ref()))
        .find(|tag| tag != ANY_LANGUAGE)
        .unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned())
    }

    /// Every language that a call can be held in: the line's own, then those prepared.
    pub fn supported_languages(&self) -> Vec<String> {
        let prepared = self
            .languages
            .iter()
            .filter_map(|language| non_blank_text(language.code.as_ref()))
            .filter(|tag| tag != ANY_LANGUAGE);
        let mut seen = BTreeSet::new();
        std::iter::once(self.primary_language())
            .chain(prepared)
            .filter(|tag| seen.insert(tag.to_ascii_lowercase()))
            .collect()
    }

    /// Whether the recogniser detects the language and reports it.
    pub fn transcribes_any_language(&self) -> bool {
        let heard = self.transcription_language.as_ref();
        equals(heard.or(self.language.as_ref()), ANY_LANGUAGE)
    }

    fn speaks_any_language(&self) -> bool {
        equals(
            self.tts_language.as_ref().or(self.language.as_ref()),
            ANY_LANGUAGE,
        )
    }

    /// These settings with the line's own language declared as a `<Language>`, so that a call that begins
    /// or reconnects in another language can be switched to it.
    pub fn with_primary_declared(mut self) -> Self {
        let own = self.declared_language();
        let mut entry = self
            .declared(&own)
            .cloned()
            .unwrap_or_else(|| RelayLanguage::new(&own));
        for attribute in RelayLanguage::ATTRIBUTES.iter().skip(1) {
            let of_line = self.field(attribute.name).and_then(|field| field.clone());
            if let Some(field) = entry.field(attribute.name)
                && field.as_ref().is_none_or(SettingValue::is_blank)
            {
                *field = of_line;
            }
        }
        match self
            .languages
            .iter()
            .position(|known| has_code(known, &own))
        {
            Some(at) => self.languages[at] = entry,
            None => self.languages.insert(0, entry),
        }
        self
    }

    /// These settings for a call in the language `code`, with the voice and the recogniser that are
    /// declared for it. Attributes of the line's own language are left out; those for any language stay.
    pub fn in_language(&self, code: &str) -> Self {
        let mut relay = self.clone();
        let declared = self.declared(code);
        relay.language = Some(code.into());
        for attribute in RelayLanguage::ATTRIBUTES.iter().skip(1) {
            let value = declared.and_then(|language| value_of(language, attribute.name));
            let is_kept = !self.is_language_bound(attribute.name);
            if let Some(field) = relay.field(attribute.name)
                && (value.is_some() || !is_kept)
            {
                *field = value.cloned();
            }
        }
        let names = |names: [&str; 3]| {
            let named = |name: &&str| declared.and_then(|it| value_of(it, name)).is_some();
            names.iter().any(named)
        };
        if self.transcribes_any_language() && !names(TRANSCRIPTION_ATTRIBUTES) {
            relay.transcription_language = Some(ANY_LANGUAGE.into());
        }
        if self.speaks_any_language() && !names(VOICE_ATTRIBUTES) {
            relay.tts_language = Some(ANY_LANGUAGE.into());
        }
        relay.clear_flux_only_settings();
        relay
    }

    /// The settings of this relay that a call in the language `code` would not have, by their names in
    /// the configuration.
    pub fn settings_lost_in(&self, code: &str) -> Vec<&'static str> {
        let there = self.in_language(code);
        let set = |relay: &Self| -> BTreeSet<&'static str> {
            let set = relay.values().filter(|(_, value)| value.is_some());
            set.map(|(attribute, _)| attribute.setting).collect()
        };
        set(self).difference(&set(&there)).copied().collect()
    }

    /// Removes a voice or a model that was inherited under another provider than the one set now.
    pub fn clear_other_provider_settings(
        &mut self,
        before: &Self,
        sets_voice: bool,
        sets_model: bool,
    ) {
        let name = |word: &Option<SettingValue>| {
            non_blank_text(word.as_ref()).map(|name| name.to_lowercase())
        };
        let other =
            |now: &Option<SettingValue>, then: &Option<SettingValue>| name(now) != name(then);
        if !sets_voice && other(&self.tts_provider, &before.tts_provider) {
            self.voice = None;
        }
        if !sets_model && other(&self.transcription_provider, &before.transcription_provider) {
            self.speech_model = None;
            self.clear_flux_only_settings();
        }
    }

    /// Whether the attribute belongs to the line's own language alone.
    fn is_language_bound(&self, name: &str) -> bool {
        (VOICE_ATTRIBUTES.contains(&name) && !self.speaks_any_language())
            || (TRANSCRIPTION_ATTRIBUTES.contains(&name) && !self.transcribes_any_language())
    }

    fn clear_flux_only_settings(&mut self) {
        let model = non_blank_text(self.speech_model.as_ref()).unwrap_or_default();
        if !model.to_ascii_lowercase().starts_with("flux") {
            self.eot_threshold = None;
            self.eager_eot_threshold = None;
        }
    }

    fn declared(&self, code: &str) -> Option<&RelayLanguage> {
        self.languages.iter().find(|known| has_code(known, code))
    }
}

fn has_code(language: &RelayLanguage, code: &str) -> bool {
    equals(language.code.as_ref(), code)
}

fn value_of<'a>(language: &'a RelayLanguage, name: &str) -> Option<&'a SettingValue> {
    language
        .values()
        .find(|(attribute, _)| attribute.name == name)
        .and_then(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(toml: &str) -> RelayConfig {
        let relay: RelayConfig = toml::from_str(toml).unwrap();
        assert_eq!(relay.validate("relay"), []);
        relay.with_primary_declared()
    }

    const ENGLISH: &str = "language = 'en-US'\nvoice = 'en-US-Journey-O'\ntts_provider = 'Google'\n\
                           speech_model = 'flux'\ntranscription_provider = 'Deepgram'\n\
                           eot_threshold = 0.7\nhints = 'Pikachu'\n\
                           [[languages]]\ncode = 'es-MX'\nvoice = 'es-US-Neural2-A'\ntts_provider = 'Google'\n";

    #[test]
    fn the_own_language_is_declared_with_what_is_its_own() {
        let relay = relay(ENGLISH);
        let own = &relay.languages[0];
        assert!(has_code(own, "en-US"));
        for (name, value) in [
            ("voice", "en-US-Journey-O"),
            ("speechModel", "flux"),
            ("hints", "Pikachu"),
        ] {
            assert_eq!(value_of(own, name), Some(&value.into()), "{name}");
        }
        assert_eq!(relay.supported_languages(), ["en-US", "es-MX"]);
        assert_eq!(relay.clone().with_primary_declared(), relay, "once");
    }

    #[test]
    fn another_language_has_its_own_voice_and_nothing_of_the_lines() {
        let spanish = relay(ENGLISH).in_language("es-MX");
        assert_eq!(spanish.language, Some("es-MX".into()));
        assert_eq!(spanish.voice, Some("es-US-Neural2-A".into()));
        assert_eq!(spanish.speech_model, None);
        assert_eq!(spanish.transcription_provider, None);
        assert_eq!(spanish.eot_threshold, None, "flux only");
        assert_eq!(spanish.hints, Some("Pikachu".into()));
        assert!(has_code(&spanish.languages[0], "en-US"), "still declared");
        assert_eq!(
            relay(ENGLISH).settings_lost_in("es-MX"),
            ["eot_threshold", "speech_model", "transcription_provider"]
        );
        assert_eq!(relay(ENGLISH).in_language("en-US"), relay(ENGLISH));
    }

    #[test]
    fn any_language_is_no_language_to_speak_of() {
        let any = relay(
            "language = 'multi'\n[[languages]]\ncode = 'multi'\n[[languages]]\ncode = 'es-MX'\n",
        );
        assert_eq!(any.supported_languages(), ["en-US", "es-MX"]);
        assert_eq!(any.declared_language(), "multi");
        let british = relay(
            "language = 'en-GB'\ntranscription_language = 'multi'\nspeech_model = 'nova-3-general'\n\
                             [[languages]]\ncode = 'es-MX'\n",
        );
        assert_eq!(british.primary_language(), "en-GB");
        let spanish = british.in_language("es-MX");
        assert_eq!(spanish.transcription_language, Some("multi".into()));
        assert_eq!(spanish.speech_model, Some("nova-3-general".into()));
        let spoken = relay("language = 'multi'\ntts_language = 'en-GB'\n");
        assert_eq!(spoken.primary_language(), "en-GB");
    }
}
