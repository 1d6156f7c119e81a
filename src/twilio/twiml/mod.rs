//! Responses to webhooks: TwiML documents, well-formed for any input (docs/protocol.md 3).

mod attribute;
mod connect;
mod language_selection;
mod relay_config;
mod relay_language;
mod setting_value;
mod speakable_name;
mod verb;
mod voice_name;
mod xml_writer;

pub use attribute::{Attribute, AttributeRule};
pub use connect::Connect;
pub use relay_config::{PARAMETERS_MAX, RelayConfig};
pub use relay_language::RelayLanguage;
pub use setting_value::SettingValue;
pub use speakable_name::{NAME_CHARS_MAX, speakable_name};
pub use verb::{Dial, Enqueue, Say, Verb};

use xml_writer::XmlWriter;

/// Bytes of a document at most: what Twilio takes (docs/protocol.md 2.4).
pub const TWIML_BYTES_MAX: usize = 64 * 1024;
/// The content type of a document.
pub const TWIML_CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// A document, verb by verb in the order in which they are carried out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TwimlResponse {
    verbs: Vec<Verb>,
}

/// The document is larger than [`TWIML_BYTES_MAX`]: Twilio would refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a TwiML document of {bytes} bytes is over the {TWIML_BYTES_MAX} that Twilio takes")]
pub struct TwimlTooLarge {
    /// Its size.
    pub bytes: usize,
}

impl TwimlResponse {
    /// A document that does nothing: what a status callback or a finished call gets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a verb at the end.
    pub fn then(mut self, verb: impl Into<Verb>) -> Self {
        self.verbs.push(verb.into());
        self
    }

    /// Waits `seconds`.
    pub fn pause(self, seconds: u32) -> Self {
        self.then(Verb::Pause { seconds })
    }

    /// Ends the call.
    pub fn hangup(self) -> Self {
        self.then(Verb::Hangup)
    }

    /// The document's text.
    pub fn render(&self) -> Result<String, TwimlTooLarge> {
        let mut xml = XmlWriter::document();
        xml.open("Response");
        self.verbs.iter().for_each(|verb| verb.write(&mut xml));
        xml.close();
        let text = xml.finish();
        if text.len() > TWIML_BYTES_MAX {
            Err(TwimlTooLarge { bytes: text.len() })
        } else {
            Ok(text)
        }
    }
}

#[cfg(test)]
mod tests;
