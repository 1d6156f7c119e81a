//! The languages of one line: each with the voice and the recogniser that it has, and none with those of
//! another. Twilio answers a voice of another language with error 64101, and the call does not start.

use super::language::Language;
use super::relay::Relay;
use super::voice_name::{ANY, DEFAULT};
use super::word::{Word, is, text_of};
use std::collections::BTreeSet;

/// Attributes that speak one language: what another language does not set itself is left to Twilio.
const OF_VOICE: [&str; 3] = ["ttsProvider", "voice", "ttsLanguage"];
/// Attributes that understand one language, likewise.
const OF_RECOGNISER: [&str; 3] = [
    "transcriptionProvider",
    "speechModel",
    "transcriptionLanguage",
];

impl Relay {
    /// The language in which the line speaks of its own accord: never `multi`.
    pub fn own_language(&self) -> String {
        [
            &self.language,
            &self.tts_language,
            &self.transcription_language,
        ]
        .into_iter()
        .filter_map(|word| text_of(word.as_ref()))
        .find(|tag| tag != ANY)
        .unwrap_or_else(|| DEFAULT.to_owned())
    }

    /// Every language that a call can be held in: the line's own, then those prepared.
    pub fn spoken_languages(&self) -> Vec<String> {
        let prepared = self
            .languages
            .iter()
            .filter_map(|language| text_of(language.code.as_ref()))
            .filter(|tag| tag != ANY);
        let mut seen = BTreeSet::new();
        std::iter::once(self.own_language())
            .chain(prepared)
            .filter(|tag| seen.insert(tag.to_ascii_lowercase()))
            .collect()
    }

    /// Whether the recogniser understands any language, and says which it heard.
    pub fn hears_any(&self) -> bool {
        let heard = self.transcription_language.as_ref();
        is(heard.or(self.language.as_ref()), ANY)
    }

    fn speaks_any(&self) -> bool {
        is(self.tts_language.as_ref().or(self.language.as_ref()), ANY)
    }

    /// The same with the line's own language among those declared, with its own attributes: a call that
    /// begins in another language, or comes back in one, can be switched to it.
    pub fn with_own_declared(mut self) -> Self {
        let own = self.declared_language();
        let mut entry = self
            .entry(&own)
            .cloned()
            .unwrap_or_else(|| Language::new(&own));
        for attribute in Language::ATTRIBUTES.iter().skip(1) {
            let of_line = self.field(attribute.name).and_then(|field| field.clone());
            if let Some(field) = entry.field(attribute.name)
                && field.as_ref().is_none_or(Word::is_blank)
            {
                *field = of_line;
            }
        }
        match self.languages.iter().position(|known| is_of(known, &own)) {
            Some(at) => self.languages[at] = entry,
            None => self.languages.insert(0, entry),
        }
        self
    }

    /// The same for a call in the language `code`: with the voice and the recogniser that are declared
    /// for it. Those of the line's own language do not fit and are left out; what understands or speaks
    /// any language stays.
    pub fn in_language(&self, code: &str) -> Self {
        let mut relay = self.clone();
        let declared = self.entry(code);
        relay.language = Some(code.into());
        for attribute in Language::ATTRIBUTES.iter().skip(1) {
            let value = declared.and_then(|language| value_of(language, attribute.name));
            let is_kept = !self.is_bound(attribute.name);
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
        if self.hears_any() && !names(OF_RECOGNISER) {
            relay.transcription_language = Some(ANY.into());
        }
        if self.speaks_any() && !names(OF_VOICE) {
            relay.tts_language = Some(ANY.into());
        }
        relay.drop_what_only_flux_takes();
        relay
    }

    /// The settings of this relay that a call in the language `code` would not have, by their names in
    /// the configuration.
    pub fn lost_in(&self, code: &str) -> Vec<&'static str> {
        let there = self.in_language(code);
        let set = |relay: &Self| -> BTreeSet<&'static str> {
            let set = relay.values().filter(|(_, value)| value.is_some());
            set.map(|(attribute, _)| attribute.setting).collect()
        };
        set(self).difference(&set(&there)).copied().collect()
    }

    /// Removes a voice or a model that was inherited under another provider than the one set now.
    pub fn drop_of_other_providers(&mut self, before: &Self, sets_voice: bool, sets_model: bool) {
        let name = |word: &Option<Word>| text_of(word.as_ref()).map(|name| name.to_lowercase());
        let other = |now: &Option<Word>, then: &Option<Word>| name(now) != name(then);
        if !sets_voice && other(&self.tts_provider, &before.tts_provider) {
            self.voice = None;
        }
        if !sets_model && other(&self.transcription_provider, &before.transcription_provider) {
            self.speech_model = None;
            self.drop_what_only_flux_takes();
        }
    }

    /// Whether the attribute belongs to the line's own language alone.
    fn is_bound(&self, name: &str) -> bool {
        (OF_VOICE.contains(&name) && !self.speaks_any())
            || (OF_RECOGNISER.contains(&name) && !self.hears_any())
    }

    fn drop_what_only_flux_takes(&mut self) {
        let model = text_of(self.speech_model.as_ref()).unwrap_or_default();
        if !model.to_ascii_lowercase().starts_with("flux") {
            self.eot_threshold = None;
            self.eager_eot_threshold = None;
        }
    }

    fn entry(&self, code: &str) -> Option<&Language> {
        self.languages.iter().find(|known| is_of(known, code))
    }
}

fn is_of(language: &Language, code: &str) -> bool {
    is(language.code.as_ref(), code)
}

fn value_of<'a>(language: &'a Language, name: &str) -> Option<&'a Word> {
    language
        .values()
        .find(|(attribute, _)| attribute.name == name)
        .and_then(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(toml: &str) -> Relay {
        let relay: Relay = toml::from_str(toml).unwrap();
        assert_eq!(relay.validate("relay"), []);
        relay.with_own_declared()
    }

    const ENGLISH: &str = "language = 'en-US'\nvoice = 'en-US-Journey-O'\ntts_provider = 'Google'\n\
                           speech_model = 'flux'\ntranscription_provider = 'Deepgram'\n\
                           eot_threshold = 0.7\nhints = 'Pikachu'\n\
                           [[languages]]\ncode = 'es-MX'\nvoice = 'es-US-Neural2-A'\ntts_provider = 'Google'\n";

    #[test]
    fn the_own_language_is_declared_with_what_is_its_own() {
        let relay = relay(ENGLISH);
        let own = &relay.languages[0];
        assert!(is_of(own, "en-US"));
        for (name, value) in [
            ("voice", "en-US-Journey-O"),
            ("speechModel", "flux"),
            ("hints", "Pikachu"),
        ] {
            assert_eq!(value_of(own, name), Some(&value.into()), "{name}");
        }
        assert_eq!(relay.spoken_languages(), ["en-US", "es-MX"]);
        assert_eq!(relay.clone().with_own_declared(), relay, "once");
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
        assert!(is_of(&spanish.languages[0], "en-US"), "still declared");
        assert_eq!(
            relay(ENGLISH).lost_in("es-MX"),
            ["eot_threshold", "speech_model", "transcription_provider"]
        );
        assert_eq!(relay(ENGLISH).in_language("en-US"), relay(ENGLISH));
    }

    #[test]
    fn any_language_is_no_language_to_speak_of() {
        let any = relay(
            "language = 'multi'\n[[languages]]\ncode = 'multi'\n[[languages]]\ncode = 'es-MX'\n",
        );
        assert_eq!(any.spoken_languages(), ["en-US", "es-MX"]);
        assert_eq!(any.declared_language(), "multi");
        let british = relay(
            "language = 'en-GB'\ntranscription_language = 'multi'\nspeech_model = 'nova-3-general'\n\
                             [[languages]]\ncode = 'es-MX'\n",
        );
        assert_eq!(british.own_language(), "en-GB");
        let spanish = british.in_language("es-MX");
        assert_eq!(spanish.transcription_language, Some("multi".into()));
        assert_eq!(spanish.speech_model, Some("nova-3-general".into()));
        let spoken = relay("language = 'multi'\ntts_language = 'en-GB'\n");
        assert_eq!(spoken.own_language(), "en-GB");
    }
}
