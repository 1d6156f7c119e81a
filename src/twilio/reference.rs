//! The call reference: what binds a relay socket, and the action after it, to the webhook that
//! was answered before. It travels as `<Parameter name="callRef">` and in the action's query.
//!
//! Text form: URL-safe base64 without padding of
//! `version 1 | position u64 | epoch u64 | expires_at u64 | call_sid | HMAC-SHA256`, integers
//! big-endian. Nothing in it is personal.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use calldex_observability::redaction::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// Name of the `<Parameter>` and of the query parameter that carry a reference.
pub const REFERENCE_PARAMETER: &str = "callRef";
/// Bytes of a call's id at most: Twilio's have 34, Telnyx's somewhat more.
pub const CALL_SID_BYTES_MAX: usize = 128;

const VERSION: u8 = 1;
const INTEGERS_END: usize = 1 + 3 * 8;
const TAG_BYTES: usize = 32;
const TEXT_CHARS_MAX: usize = (INTEGERS_END + CALL_SID_BYTES_MAX + TAG_BYTES).div_ceil(3) * 4;

/// What the key is derived for, so that no other use of the same secret makes the same tags.
const KEY_PURPOSE: &[u8] = b"calldex call reference v1";

/// Key of references, derived from a secret. `Debug` does not print it.
#[derive(Clone)]
pub struct ReferenceKey(Hmac<Sha256>);

impl ReferenceKey {
    /// Derives the key from `secret` (the auth token, or one of the operator's own): the same
    /// secret gives the same key on every instance.
    pub fn derive(secret: &Secret) -> Self {
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        let mut master: Hmac<Sha256> =
            Hmac::new_from_slice(secret.reveal().as_bytes()).expect(ANY_LENGTH);
        master.update(KEY_PURPOSE);
        Self(Hmac::new_from_slice(&master.finalize().into_bytes()).expect(ANY_LENGTH))
    }

    fn tag(&self, payload: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.0.clone();
        mac.update(payload);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for ReferenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceKey(•••)")
    }
}

/// What one webhook said about its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The call it belongs to.
    pub call_sid: String,
    /// Position in the log (TXID) that an instance must have applied to take the call up.
    pub position: u64,
    /// Epoch of the log to which `position` belongs.
    pub epoch: u64,
    /// Unix seconds from which it is no longer taken.
    pub expires_at: u64,
}

/// Why a reference is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No reference of a version that we write.
    #[error("not a call reference")]
    Malformed,
    /// Not sealed by any of our keys.
    #[error("a call reference that we did not seal")]
    Forged,
    /// Genuine, and too old.
    #[error("a call reference that expired {seconds} s ago")]
    Expired {
        /// Since when.
        seconds: u64,
    },
    /// Genuine, and of another call.
    #[error("a call reference of another call")]
    OtherCall,
}

impl ReferenceError {
    /// A bounded word for metrics and logs; what is no reference counts as forged.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed | Self::Forged => "forged",
            Self::Expired { .. } => "expired",
            Self::OtherCall => "other_call",
        }
    }
}

impl Reference {
    /// The text to hand out: URL-safe characters only, about 128 of them for a Twilio call.
    pub fn seal(&self, key: &ReferenceKey) -> String {
        let mut bytes = Vec::with_capacity(INTEGERS_END + self.call_sid.len() + TAG_BYTES);
        bytes.push(VERSION);
        for integer in [self.position, self.epoch, self.expires_at] {
            bytes.extend_from_slice(&integer.to_be_bytes());
        }
        bytes.extend_from_slice(self.call_sid.as_bytes());
        let tag = key.tag(&bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Takes `text` if one of `keys` (the new one, and the old one while secrets are rotated)
    /// sealed it and `now` (unix seconds) is before its expiry. The tag is compared in constant
    /// time and before anything in it is believed.
    pub fn open(text: &str, keys: &[ReferenceKey], now: u64) -> Result<Self, ReferenceError> {
        let bytes = decode(text).ok_or(ReferenceError::Malformed)?;
        let (payload, tag) = bytes.split_at(bytes.len() - TAG_BYTES);
        let genuine = keys.iter().fold(subtle::Choice::from(0), |any, key| {
            any | key.tag(payload).ct_eq(tag)
        });
        if !bool::from(genuine) {
            return Err(ReferenceError::Forged);
        }
        let reference = Self::read(payload).ok_or(ReferenceError::Malformed)?;
        match now.checked_sub(reference.expires_at) {
            Some(seconds) => Err(ReferenceError::Expired { seconds }),
            None => Ok(reference),
        }
    }

    /// As [`Reference::open`], and only for the call `call_sid`.
    pub fn open_for(
        call_sid: &str,
        text: &str,
        keys: &[ReferenceKey],
        now: u64,
    ) -> Result<Self, ReferenceError> {
        let reference = Self::open(text, keys, now)?;
        reference
            .belongs_to(call_sid)
            .then_some(reference)
            .ok_or(ReferenceError::OtherCall)
    }

    /// Whether it was made for the call `call_sid`.
    pub fn belongs_to(&self, call_sid: &str) -> bool {
        bool::from(self.call_sid.as_bytes().ct_eq(call_sid.as_bytes()))
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let integer = |at: usize| {
            Some(u64::from_be_bytes(
                payload.get(at..at + 8)?.try_into().ok()?,
            ))
        };
        Some(Self {
            call_sid: String::from_utf8(payload.get(INTEGERS_END..)?.to_vec()).ok()?,
            position: integer(1)?,
            epoch: integer(9)?,
            expires_at: integer(17)?,
        })
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_CHARS_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    (bytes.len() > INTEGERS_END + TAG_BYTES && bytes[0] == VERSION).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference() -> Reference {
        Reference {
            call_sid: "CA00000000000000000000000000000771".into(),
            position: 42,
            epoch: 7,
            expires_at: 1_800_000_600,
        }
    }

    fn key(secret: &str) -> ReferenceKey {
        ReferenceKey::derive(&Secret::new(secret))
    }

    #[test]
    fn a_sealed_reference_opens_until_it_expires() {
        let text = reference().seal(&key("new"));
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
            "{text}"
        );
        let keys = [key("new")];
        assert_eq!(
            Reference::open(&text, &keys, 1_800_000_599),
            Ok(reference())
        );
        assert_eq!(
            Reference::open(&text, &keys, 1_800_000_600),
            Err(ReferenceError::Expired { seconds: 0 })
        );
        assert_eq!(
            Reference::open(&text, &keys, 1_800_000_660),
            Err(ReferenceError::Expired { seconds: 60 })
        );
    }

    #[test]
    fn the_old_key_still_opens_during_rotation() {
        let text = reference().seal(&key("old"));
        assert!(Reference::open(&text, &[key("new"), key("old")], 0).is_ok());
        assert_eq!(
            Reference::open(&text, &[key("new")], 0),
            Err(ReferenceError::Forged)
        );
        assert_eq!(Reference::open(&text, &[], 0), Err(ReferenceError::Forged));
    }

    #[test]
    fn a_reference_is_of_no_use_to_another_call() {
        let (text, keys) = (reference().seal(&key("new")), [key("new")]);
        assert!(Reference::open_for("CA00000000000000000000000000000771", &text, &keys, 0).is_ok());
        assert_eq!(
            Reference::open_for("CA1", &text, &keys, 0),
            Err(ReferenceError::OtherCall)
        );
    }

    proptest! {
        #[test]
        fn no_changed_character_is_taken(at in 0usize..120, with in "[A-Za-z0-9_-]") {
            let mut text = reference().seal(&key("new"));
            let at = at % text.len();
            prop_assume!(text[at..=at] != with);
            text.replace_range(at..=at, &with);
            prop_assert!(Reference::open(&text, &[key("new")], 0).is_err());
        }

        #[test]
        fn no_text_panics(text in ".{0,300}") {
            prop_assert!(Reference::open(&text, &[key("new")], 0).is_err());
        }
    }
}
