//! Lenient fields: any JSON value is accepted, such as a number as a string, a string as a number or
//! null.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A scalar as text, borrowed from the frame where it has no escapes; `None` for null, a list or
/// an object.
#[derive(Default, Clone)]
pub(super) struct LenientScalar<'a>(Option<Cow<'a, str>>);

impl<'a> LenientScalar<'a> {
    /// The text, `""` when there is none.
    pub fn into_text(self) -> Cow<'a, str> {
        self.0.unwrap_or_default()
    }

    /// Whether the field has a value.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The text without taking it.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// `true`, `on`, `yes`, `1` and their opposites in any case.
    pub fn as_bool(&self) -> Option<bool> {
        let text = self.as_str().trim();
        let is_one_of = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        match () {
            () if is_one_of(["true", "on", "yes", "1"]) => Some(true),
            () if is_one_of(["false", "off", "no", "0"]) => Some(false),
            () => None,
        }
    }

    /// A count, rounded down; `None` for what is negative or no number.
    pub fn as_count(&self) -> Option<u64> {
        let text = self.as_str().trim();
        let rounded = || {
            text.parse::<f64>()
                .ok()
                .filter(|n| *n >= 0.0 && *n < 1e15)
                .map(|n| n as u64)
        };
        text.parse().ok().or_else(rounded)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for LenientScalar<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LenientScalarVisitor).map(Self)
    }
}

struct LenientScalarVisitor;

impl<'de> Visitor<'de> for LenientScalarVisitor {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(if truth { "true" } else { "false" })))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// `customParameters`: a map of strings, empty for any other value.
#[derive(Default)]
pub(super) struct CustomParameters(pub BTreeMap<String, String>);

/// Custom parameters kept at most.
const PARAMETERS_MAX: usize = 64;

impl<'de> Deserialize<'de> for CustomParameters {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CustomParametersVisitor).map(Self)
    }
}

struct CustomParametersVisitor;

impl<'de> Visitor<'de> for CustomParametersVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut parameters = BTreeMap::new();
        while let Some((name, value)) = object.next_entry::<Cow<'de, str>, LenientScalar<'de>>()? {
            if parameters.len() < PARAMETERS_MAX {
                parameters.insert(name.into_owned(), value.into_text().into_owned());
            }
        }
        Ok(parameters)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(BTreeMap::new())
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }
}
