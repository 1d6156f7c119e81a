//! Signatures as Twilio makes them, for tests.

use super::BODY_DIGEST_PARAMETER;
use super::key::{HmacAlgorithm, HmacKey};
use super::signed_payload::{SignedPayload, hex};
use super::url_variants::without_fragment;
use crate::twilio::form::Form;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use calldex_observability::redaction::Secret;
use sha2::{Digest, Sha256};

/// The signature of a form POST to `url`, in the form in which `url` is written.
pub fn sign_form(token: &Secret, url: &str, form: &Form) -> String {
    sign(token, &SignedPayload::form(url, form))
}

/// The signature of a GET, or of a handshake when `url` is `wss://…`.
pub fn sign_url(token: &Secret, url: &str) -> String {
    sign(token, &SignedPayload::url(url))
}

/// The URL to which a body that is no form is sent, and its signature (docs/protocol.md 7.2).
pub fn sign_with_digest(token: &Secret, url: &str, body: &[u8]) -> (String, String) {
    let url = without_fragment(url);
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!(
        "{url}{joint}{BODY_DIGEST_PARAMETER}={}",
        hex(&Sha256::digest(body))
    );
    let signature = sign_url(token, &url);
    (url, signature)
}

fn sign(token: &Secret, signed: &SignedPayload<'_>) -> String {
    let as_written = signed
        .url_variants()
        .next()
        .expect("the URL as written is always a form of itself");
    STANDARD.encode(
        HmacKey::new(HmacAlgorithm::Sha1, token).digest(|sink| signed.write_to(&as_written, sink)),
    )
}
