//! What an attribute of `<ConversationRelay>` may hold. Twilio answers a bad value with error
//! 64101 and the session does not start (docs/protocol.md 3.1), so the configuration is validated.

use super::setting_value::SettingValue;
use crate::twilio::frames::LanguageTag;
use calldex_names::is_language_code;
use std::borrow::Cow;

/// Providers of text-to-speech.
pub(super) const TTS_PROVIDERS: &[&str] = &["Google", "Amazon", "ElevenLabs"];
/// Providers of transcription.
pub(super) const TRANSCRIPTION_PROVIDERS: &[&str] = &["Google", "Deepgram"];
/// Settings of the normalization of text before it is spoken.
pub(super) const NORMALIZATIONS: &[&str] = &["on", "auto", "off"];

/// One attribute: how the settings and how the XML spell it, and what it may hold.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// In the settings.
    pub setting: &'static str,
    /// In the XML: case-sensitive.
    pub name: &'static str,
    /// What it may hold.
    pub rule: AttributeRule,
}

/// What an attribute may hold.
#[derive(Debug, Clone, Copy)]
pub enum AttributeRule {
    /// Any text.
    Text,
    /// `true` or `false`.
    Bool,
    /// `true` or `false`; `on` and `off` are taken for them and written as them.
    BoolOrOnOff,
    /// Which input of the caller counts: `none`, `dtmf`, `speech`, `any`; `true` is `any`,
    /// `false` is `none`.
    InputKind,
    /// One of these, any case.
    OneOf(&'static [&'static str]),
    /// Some of these, with spaces between.
    AnyOf(&'static [&'static str]),
    /// `auto` or milliseconds in this range.
    AutoOrMs(u32, u32),
    /// A number in this range.
    NumberInRange(f64, f64),
    /// BCP-47 or `multi`.
    Language,
    /// `wss://…` (`ws://` for a server on loopback only).
    WebSocketUrl,
}

const FLAGS: &[&str] = &["true", "false"];
const INPUTS: &[&str] = &["none", "dtmf", "speech", "any"];

impl AttributeRule {
    /// `value` as Twilio spells it, or what it should be instead.
    pub fn normalize<'a>(&self, value: &'a SettingValue) -> Result<Cow<'a, str>, String> {
        let text = value.as_text();
        let trimmed = text.trim().to_owned();
        let checked: Option<Cow<'a, str>> = match *self {
            Self::Text => Some(text),
            Self::Bool => one_of(FLAGS, &trimmed),
            Self::BoolOrOnOff => match trimmed.to_ascii_lowercase().as_str() {
                "on" => Some(Cow::Borrowed("true")),
                "off" => Some(Cow::Borrowed("false")),
                other => one_of(FLAGS, other),
            },
            Self::InputKind => match trimmed.to_ascii_lowercase().as_str() {
                "true" => Some(Cow::Borrowed("any")),
                "false" => Some(Cow::Borrowed("none")),
                other => one_of(INPUTS, other),
            },
            Self::OneOf(values) => one_of(values, &trimmed),
            Self::AnyOf(values) => any_of(values, &trimmed),
            Self::AutoOrMs(low, high) => one_of(&["auto"], &trimmed).or_else(|| {
                trimmed
                    .parse()
                    .is_ok_and(|ms: u32| (low..=high).contains(&ms))
                    .then_some(Cow::Owned(trimmed))
            }),
            Self::NumberInRange(low, high) => trimmed
                .parse()
                .is_ok_and(|n: f64| (low..=high).contains(&n))
                .then_some(Cow::Owned(trimmed)),
            Self::Language => LanguageTag::parse(&trimmed)
                .filter(|tag| tag.as_str() == "multi" || is_language_code(tag.as_str()))
                .map(|_| Cow::Owned(trimmed)),
            Self::WebSocketUrl => is_websocket_url(&trimmed).then_some(Cow::Owned(trimmed)),
        };
        checked.ok_or_else(|| self.hint())
    }

    fn hint(&self) -> String {
        match *self {
            Self::Text => "any text".to_owned(),
            Self::Bool | Self::BoolOrOnOff => "true or false".to_owned(),
            Self::InputKind => format!("one of {}", INPUTS.join(", ")),
            Self::OneOf(values) => format!("one of {}", values.join(", ")),
            Self::AnyOf(values) => {
                format!("one or more of {}, with spaces between", values.join(", "))
            }
            Self::AutoOrMs(low, high) => format!("auto, or {low} to {high} milliseconds"),
            Self::NumberInRange(low, high) => format!("a number from {low} to {high}"),
            Self::Language => "a language such as en-US, or multi".to_owned(),
            Self::WebSocketUrl => "a URL that begins with wss:// and has no spaces".to_owned(),
        }
    }
}

fn one_of<'a>(values: &'static [&'static str], text: &str) -> Option<Cow<'a, str>> {
    values
        .iter()
        .find(|value| value.eq_ignore_ascii_case(text))
        .map(|value| Cow::Borrowed(*value))
}

fn any_of<'a>(values: &'static [&'static str], text: &str) -> Option<Cow<'a, str>> {
    let words: Option<Vec<_>> = text
        .split_whitespace()
        .map(|word| one_of(values, word))
        .collect();
    words
        .filter(|words| !words.is_empty())
        .map(|words| Cow::Owned(words.join(" ")))
}

fn is_websocket_url(text: &str) -> bool {
    let host = text
        .strip_prefix("wss://")
        .or_else(|| text.strip_prefix("ws://"));
    host.is_some_and(|host| !host.starts_with('/') && !host.is_empty())
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Defines a struct of optional attributes together with their table, so that the two always have the
/// same attributes.
macro_rules! attributes {
    (
        $(#[$meta:meta])* pub struct $name:ident {
            $($(#[doc = $doc:literal])+ $field:ident => $xml:literal: $rule:expr,)+
        }
        $(beside { $($(#[$extra_meta:meta])+ $extra:ident: $extra_type:ty,)+ })?
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[doc = $doc])+ #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<SettingValue>,)+
            $($($(#[$extra_meta])+ pub $extra: $extra_type,)+)?
        }

        impl $name {
            /// Every attribute, in the order of the XML.
            pub const ATTRIBUTES: &'static [Attribute] =
                &[$(Attribute { setting: stringify!($field), name: $xml, rule: $rule }),+];

            /// Nothing set: Twilio's own defaults apply.
            pub fn unset() -> Self {
                Self { $($field: None,)+ $($($extra: Default::default(),)+)? }
            }

            /// The field of the attribute `name`, by the XML's or the settings' spelling.
            #[allow(dead_code, reason = "not every struct of attributes is set by name")]
            pub(super) fn field(&mut self, name: &str) -> Option<&mut Option<SettingValue>> {
                match name {
                    $($xml => Some(&mut self.$field),)+
                    $(setting if setting == stringify!($field) => Some(&mut self.$field),)+
                    _ => None,
                }
            }

            /// Every attribute with what it is set to, blanks counting as not set.
            pub fn values(&self) -> impl Iterator<Item = (&'static Attribute, Option<&SettingValue>)> {
                let values = [$(self.$field.as_ref()),+];
                Self::ATTRIBUTES.iter().zip(values.map(|value| value.filter(|value| !value.is_blank())))
            }
        }
    };
}
pub(super) use attributes;
