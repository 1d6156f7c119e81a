//! The bytes that are signed: the URL, then the parameters sorted and without separators
//! (docs/protocol.md 7.1).

use super::super::form::Form;
use super::url_variants::{UrlVariant, url_variants};

/// One request, ready to be fed to any number of keys.
pub(super) struct SignedPayload<'a> {
    url: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> SignedPayload<'a> {
    /// A URL alone.
    pub fn url(url: &'a str) -> Self {
        Self {
            url,
            parameters: Vec::new(),
        }
    }

    /// A URL and a form. `str` compares by bytes, as the rule wants; equal values of one name
    /// count once.
    pub fn form(url: &'a str, form: &'a Form) -> Self {
        let mut parameters: Vec<_> = form.pairs().collect();
        parameters.sort_unstable();
        parameters.dedup();
        Self { url, parameters }
    }

    /// The URL in every form that Twilio may have signed.
    pub fn url_variants(&self) -> impl Iterator<Item = UrlVariant<'a>> {
        url_variants(self.url)
    }

    /// Passes the data to `sink`, piece by piece.
    pub fn write_to(&self, url: &UrlVariant<'_>, sink: &mut dyn FnMut(&[u8])) {
        url.pieces().iter().for_each(|piece| sink(piece.as_bytes()));
        for (name, value) in &self.parameters {
            sink(name.as_bytes());
            sink(value.as_bytes());
        }
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
