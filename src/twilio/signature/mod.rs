//! Whether a request is Twilio's: `X-Twilio-Signature` over webhooks and handshakes (docs/protocol.md 7).

mod key;
mod public_url;
#[cfg(test)]
mod sign;
mod signed_payload;
mod url_variants;

pub use key::SharedKey;
pub use public_url::{
    EndpointKind, ForwardedHeaders, ProxyTrust, PublicBaseUrl, PublicBaseUrlError,
    public_base_of_request, redact_url,
};
#[cfg(test)]
pub use sign::{sign_form, sign_url, sign_with_digest};

use super::form::Form;
use calldex_observability::redaction::Secret;
use key::{HmacAlgorithm, HmacKey};
use sha2::{Digest, Sha256};
use signed_payload::SignedPayload;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// Name of the header with the signature, in lower case.
pub const SIGNATURE_HEADER: &str = "x-twilio-signature";
/// Name of the header that names a shared key (docs/protocol.md 7.3), in lower case.
pub const SIGNATURE_SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";
/// Query parameter with the SHA-256 of a body that is no form (docs/protocol.md 7.2).
pub const BODY_DIGEST_PARAMETER: &str = "bodySHA256";

/// The result of a check. Only [`SignatureVerdict::Accepted`] accepts a request. All others are HTTP 403
/// for the sender and differ in metrics and in the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureVerdict {
    /// Signed by Twilio.
    Accepted,
    /// No signature header, or a blank one.
    Missing,
    /// The header is no standard base64 of a digest of the right length.
    Malformed,
    /// A digest, but of something else or by another key.
    Mismatch,
    /// The URL is signed, the body is not the one that `bodySHA256` names (or names none).
    BodyMismatch,
    /// A handshake must be checked under `wss://` (or `ws://` on loopback), and was not.
    NotAWebSocketUrl,
    /// Signed by a shared key (docs/protocol.md 7.3) that is not configured, or with settings that are
    /// not understood.
    UnknownSharedKey,
    /// There is no token to check with: nothing can be accepted.
    NoAuthToken,
}

impl SignatureVerdict {
    /// Whether the request is accepted.
    pub fn is_accepted(self) -> bool {
        self == Self::Accepted
    }

    /// A bounded word for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Mismatch => "mismatch",
            Self::BodyMismatch => "body_mismatch",
            Self::NotAWebSocketUrl => "not_a_handshake_url",
            Self::UnknownSharedKey => "unknown_shared_key",
            Self::NoAuthToken => "no_token",
        }
    }
}

/// The headers of one request that speak of its signature.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignatureHeaders<'a> {
    /// Value of [`SIGNATURE_HEADER`].
    pub signature: Option<&'a str>,
    /// Value of [`SIGNATURE_SETTINGS_HEADER`]; `None` means auth token and HMAC-SHA1.
    pub settings: Option<&'a str>,
}

impl<'a> From<&'a str> for SignatureHeaders<'a> {
    fn from(signature: &'a str) -> Self {
        Self {
            signature: Some(signature),
            settings: None,
        }
    }
}

impl<'a> From<Option<&'a str>> for SignatureHeaders<'a> {
    fn from(signature: Option<&'a str>) -> Self {
        Self {
            signature,
            settings: None,
        }
    }
}

/// Checks signatures with every token that is accepted at the moment. `Debug` prints no key.
#[derive(Clone)]
pub struct SignatureVerifier {
    tokens: Vec<HmacKey>,
    shared: Vec<(String, HmacKey, HmacKey)>,
}

impl SignatureVerifier {
    /// `tokens`: the account's auth token, and while it is being rotated the old one as well.
    /// Empty ones are left out: an empty key would accept what anybody can sign.
    pub fn new(tokens: &[Secret]) -> Self {
        let tokens = tokens.iter().filter(|token| !token.is_empty());
        Self {
            tokens: tokens
                .map(|token| HmacKey::new(HmacAlgorithm::Sha1, token))
                .collect(),
            shared: Vec::new(),
        }
    }

    /// Adds shared keys (docs/protocol.md 7.3). Without them a request that names one is refused.
    pub fn with_shared_keys(mut self, keys: &[SharedKey]) -> Self {
        let usable = keys
            .iter()
            .filter(|key| !key.secret.is_empty() && !key.id.is_empty());
        self.shared = usable
            .map(|key| {
                let both = [HmacAlgorithm::Sha1, HmacAlgorithm::Sha256]
                    .map(|kind| HmacKey::new(kind, &key.secret));
                let [sha1, sha256] = both;
                (key.id.clone(), sha1, sha256)
            })
            .collect();
        self
    }

    /// A form POST (docs/protocol.md 7.1): `url` as Twilio requested it, then the sorted parameters.
    pub fn verify_form<'a>(
        &self,
        url: &str,
        form: &Form,
        presented: impl Into<SignatureHeaders<'a>>,
    ) -> SignatureVerdict {
        self.verify(&SignedPayload::form(url, form), presented.into())
    }

    /// A request whose parameters are all in its URL: GET, or a POST without a body.
    pub fn verify_url<'a>(
        &self,
        url: &str,
        presented: impl Into<SignatureHeaders<'a>>,
    ) -> SignatureVerdict {
        self.verify(&SignedPayload::url(url), presented.into())
    }

    /// A body that is no form (docs/protocol.md 7.2): the URL is signed, and names the digest of the
    /// raw body. An empty body also matches the digest of `{}`.
    pub fn verify_json<'a>(
        &self,
        url: &str,
        body: &[u8],
        presented: impl Into<SignatureHeaders<'a>>,
    ) -> SignatureVerdict {
        match self.verify_url(url, presented) {
            SignatureVerdict::Accepted if digest_matches(url, body) => SignatureVerdict::Accepted,
            SignatureVerdict::Accepted => SignatureVerdict::BodyMismatch,
            refused => refused,
        }
    }

    /// A WebSocket handshake (docs/protocol.md 7.4): `url` with the scheme of the TwiML, which is `wss`.
    /// `ws` is what a loopback server without TLS writes there; `https` never matches.
    pub fn verify_handshake<'a>(
        &self,
        url: &str,
        presented: impl Into<SignatureHeaders<'a>>,
    ) -> SignatureVerdict {
        if !url.starts_with("wss://") && !url.starts_with("ws://") {
            return SignatureVerdict::NotAWebSocketUrl;
        }
        self.verify_url(url, presented)
    }

    fn verify(
        &self,
        signed: &SignedPayload<'_>,
        presented: SignatureHeaders<'_>,
    ) -> SignatureVerdict {
        let Some(signature) = presented
            .signature
            .map(str::trim)
            .filter(|text| !text.is_empty())
        else {
            return SignatureVerdict::Missing;
        };
        match presented.settings {
            None if self.tokens.is_empty() => SignatureVerdict::NoAuthToken,
            None => verify_digest(self.tokens.iter(), signed, signature),
            Some(settings) => match self.shared_key(settings) {
                Some(key) => verify_digest(std::iter::once(key), signed, signature),
                None => SignatureVerdict::UnknownSharedKey,
            },
        }
    }

    fn shared_key(&self, settings: &str) -> Option<&HmacKey> {
        let (id, algorithm) = key::parse_settings(settings)?;
        let (_, sha1, sha256) = self.shared.iter().find(|(known, ..)| known == id)?;
        Some(match algorithm {
            HmacAlgorithm::Sha1 => sha1,
            HmacAlgorithm::Sha256 => sha256,
        })
    }
}

impl fmt::Debug for SignatureVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SignatureVerifier({} tokens, {} shared keys)",
            self.tokens.len(),
            self.shared.len()
        )
    }
}

/// Tries every key on every form of the URL and looks at all results together, so that the time
/// tells neither which matched nor how far.
fn verify_digest<'k>(
    keys: impl Iterator<Item = &'k HmacKey>,
    signed: &SignedPayload<'_>,
    signature: &str,
) -> SignatureVerdict {
    let Some(digest) = key::decode_signature(signature) else {
        return SignatureVerdict::Malformed;
    };
    let mut matched = Choice::from(0);
    let mut comparable = false;
    for key in keys {
        comparable |= key.digest_bytes() == digest.len();
        for url in signed.url_variants() {
            matched |= key
                .digest(|sink| signed.write_to(&url, sink))
                .as_slice()
                .ct_eq(&digest);
        }
    }
    match (bool::from(matched), comparable) {
        (true, _) => SignatureVerdict::Accepted,
        (false, true) => SignatureVerdict::Mismatch,
        (false, false) => SignatureVerdict::Malformed,
    }
}

fn digest_matches(url: &str, body: &[u8]) -> bool {
    let Some(named) = body_digest_in_url(url) else {
        return false;
    };
    let named = named.to_ascii_lowercase();
    let is = |bytes: &[u8]| {
        signed_payload::hex(&Sha256::digest(bytes))
            .as_bytes()
            .ct_eq(named.as_bytes())
    };
    bool::from(is(body)) || (body.is_empty() && bool::from(is(b"{}")))
}

/// The value of `bodySHA256` in the query of `url`.
fn body_digest_in_url(url: &str) -> Option<&str> {
    let query = url_variants::without_fragment(url).split_once('?')?.1;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(BODY_DIGEST_PARAMETER)?.strip_prefix('='))
}

#[cfg(test)]
mod tests;
