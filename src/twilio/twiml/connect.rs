//! `<Connect><ConversationRelay>`: connects one call to the relay.

use super::relay_config::RelayConfig;
use super::setting_value::SettingValue;
use super::xml_writer::XmlWriter;
use std::collections::BTreeMap;

/// The settings of the relay together with the values of one call.
#[derive(Clone, PartialEq)]
pub struct Connect {
    relay: RelayConfig,
    action: Option<String>,
    parameters: BTreeMap<String, String>,
}

impl Connect {
    /// The relay at `url` (`wss://…`), unless the settings name an address of their own.
    pub fn new(relay: &RelayConfig, url: impl Into<String>) -> Self {
        let mut relay = relay.clone();
        relay
            .url
            .get_or_insert_with(|| SettingValue::Text(url.into()));
        let parameters = std::mem::take(&mut relay.parameters);
        Self {
            relay,
            action: None,
            parameters,
        }
    }

    /// Requested when the session ends, however it does. Without it a dropped socket ends the
    /// call (docs/protocol.md 6.3).
    pub fn action(self, url: impl Into<String>) -> Self {
        Self {
            action: Some(url.into()),
            ..self
        }
    }

    /// Spoken on connecting, in place of the settings' greeting. A blank one leaves the greeting
    /// out, as a call that continues needs it: Twilio would speak it again
    /// (docs/protocol.md 6.3).
    pub fn greeting(mut self, text: impl Into<String>) -> Self {
        self.relay.welcome_greeting = Some(SettingValue::Text(text.into()));
        self
    }

    /// A `<Parameter>` of this call: comes back in `setup`. No card data.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// A value that the validation refuses is left out: with Twilio's default the call is
    /// answered, with a bad value it is not (error 64101).
    pub(super) fn write(&self, xml: &mut XmlWriter) {
        xml.open("Connect");
        xml.optional("action", self.action.as_deref());
        xml.optional("method", self.action.as_ref().map(|_| "POST"));
        xml.open("ConversationRelay");
        for (attribute, value) in self.relay.values() {
            if let Some(value) = value.and_then(|value| attribute.rule.normalize(value).ok()) {
                xml.attribute(attribute.name, &value);
            }
        }
        self.relay
            .extra_values()
            .for_each(|(name, value)| xml.attribute(name, &value.as_text()));
        self.relay
            .languages
            .iter()
            .for_each(|language| language.write(xml));
        for (name, value) in self
            .parameters
            .iter()
            .filter(|(name, _)| !name.trim().is_empty())
        {
            xml.open("Parameter");
            xml.attribute("name", name);
            xml.attribute("value", value);
            xml.close();
        }
        xml.close();
        xml.close();
    }
}

impl std::fmt::Debug for Connect {
    /// Neither the greeting, which may hold the caller's name, nor the parameters' values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("url", &self.relay.url)
            .field("has_action", &self.action.is_some())
            .field("parameters", &self.parameters.keys())
            .finish_non_exhaustive()
    }
}
