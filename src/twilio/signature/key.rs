//! Keys of signatures: the account's token, or a shared key with its algorithm
//! (docs/protocol.md 7.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use calldex_observability::redaction::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// Characters of a signature that are decoded at most: SHA-256 has 44.
const SIGNATURE_CHARS_MAX: usize = 64;

/// How a digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HmacAlgorithm {
    /// HMAC-SHA1: what every account has.
    Sha1,
    /// HMAC-SHA256: shared keys only.
    Sha256,
}

/// A key that an account signs its webhooks with instead of its token (public beta of 2026-09).
#[derive(Debug, Clone)]
pub struct SharedKey {
    /// As the settings header names it.
    pub id: String,
    /// The key itself.
    pub secret: Secret,
}

/// A key with its schedule computed once; cloned for each digest.
#[derive(Clone)]
pub(super) enum HmacKey {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl HmacKey {
    pub fn new(algorithm: HmacAlgorithm, secret: &Secret) -> Self {
        let bytes = secret.reveal().as_bytes();
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        match algorithm {
            HmacAlgorithm::Sha1 => Self::Sha1(Hmac::new_from_slice(bytes).expect(ANY_LENGTH)),
            HmacAlgorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(bytes).expect(ANY_LENGTH)),
        }
    }

    /// Length of a digest by this key, in bytes.
    pub fn digest_bytes(&self) -> usize {
        match self {
            Self::Sha1(_) => 20,
            Self::Sha256(_) => 32,
        }
    }

    /// The digest of what `feed` passes to its sink.
    pub fn digest(&self, feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Vec<u8> {
        match self {
            Self::Sha1(key) => compute_mac(key.clone(), feed),
            Self::Sha256(key) => compute_mac(key.clone(), feed),
        }
    }
}

fn compute_mac<M: Mac>(mut mac: M, feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Vec<u8> {
    feed(&mut |bytes| mac.update(bytes));
    mac.finalize().into_bytes().to_vec()
}

/// Decodes standard base64 with padding. Other forms are rejected, because Twilio does not write
/// them.
pub(super) fn decode_signature(signature: &str) -> Option<Vec<u8>> {
    (signature.len() <= SIGNATURE_CHARS_MAX)
        .then(|| STANDARD.decode(signature).ok())
        .flatten()
}

/// `key=<id>,algorithm=HMAC_SHA1|HMAC_SHA256`, in any order, with spaces; unknown settings are
/// ignored. `None` when either is missing or the algorithm is not one of the two.
pub(super) fn parse_settings(header: &str) -> Option<(&str, HmacAlgorithm)> {
    let (mut id, mut algorithm) = (None, None);
    for setting in header.split(',') {
        match setting
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()))
        {
            Some(("key", value)) if !value.is_empty() => id = Some(value),
            Some(("algorithm", "HMAC_SHA1")) => algorithm = Some(HmacAlgorithm::Sha1),
            Some(("algorithm", "HMAC_SHA256")) => algorithm = Some(HmacAlgorithm::Sha256),
            Some(("algorithm", _)) => return None,
            _ => {}
        }
    }
    id.zip(algorithm)
}
