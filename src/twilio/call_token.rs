//! The call token binds a relay socket, and the action after it, to the webhook that was answered
//! before. It is sent as `<Parameter name="callRef">` and in the action's query.
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

/// Name of the `<Parameter>` and of the query parameter with the call token.
pub const CALL_TOKEN_PARAMETER: &str = "callRef";
/// Bytes of a call's id at most: Twilio's have 34, Telnyx's somewhat more.
pub const CALL_SID_BYTES_MAX: usize = 128;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 3 * 8;
const MAC_BYTES: usize = 32;
const TOKEN_CHARS_MAX: usize = (HEADER_BYTES + CALL_SID_BYTES_MAX + MAC_BYTES).div_ceil(3) * 4;

/// Input of the key derivation, so that another use of the same secret gives other tags.
const KEY_PURPOSE: &[u8] = b"calldex call reference v1";

/// Key of call tokens, derived from a secret. `Debug` does not print it.
#[derive(Clone)]
pub struct CallTokenKey(Hmac<Sha256>);

impl CallTokenKey {
    /// Derives the key from `secret` (the auth token, or one of the operator's own): the same
    /// secret gives the same key on every instance.
    pub fn derive(secret: &Secret) -> Self {
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        let mut master: Hmac<Sha256> =
            Hmac::new_from_slice(secret.reveal().as_bytes()).expect(ANY_LENGTH);
        master.update(KEY_PURPOSE);
        Self(Hmac::new_from_slice(&master.finalize().into_bytes()).expect(ANY_LENGTH))
    }

    fn mac(&self, payload: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = self.0.clone();
        mac.update(payload);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for CallTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallTokenKey(•••)")
    }
}

/// The contents of a call token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallToken {
    /// The call it belongs to.
    pub call_sid: String,
    /// Position in the log (TXID) that an instance must have applied before it continues the call.
    pub position: u64,
    /// Epoch of the log to which `position` belongs.
    pub epoch: u64,
    /// Unix seconds from which it is expired.
    pub expires_at: u64,
}

/// Why a call token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallTokenError {
    /// No call token of a version that we write.
    #[error("not a call token")]
    Malformed,
    /// Not signed by any of our keys.
    #[error("a call token that is not signed by one of our keys")]
    Forged,
    /// Signed by one of our keys, and expired.
    #[error("a call token that expired {seconds} s ago")]
    Expired {
        /// Seconds since it expired.
        seconds: u64,
    },
    /// Signed by one of our keys, for another call.
    #[error("a call token of another call")]
    OtherCall,
}

impl CallTokenError {
    /// A label of metrics and logs; a malformed call token counts as forged.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed | Self::Forged => "forged",
            Self::Expired { .. } => "expired",
            Self::OtherCall => "other_call",
        }
    }
}

impl CallToken {
    /// The signed text: URL-safe characters only, about 128 of them for a Twilio call.
    pub fn sign(&self, key: &CallTokenKey) -> String {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.call_sid.len() + MAC_BYTES);
        bytes.push(VERSION);
        for integer in [self.position, self.epoch, self.expires_at] {
            bytes.extend_from_slice(&integer.to_be_bytes());
        }
        bytes.extend_from_slice(self.call_sid.as_bytes());
        let tag = key.mac(&bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Parses `text` if one of `keys` (the new one, and the old one while secrets are rotated)
    /// signed it and `now` (unix seconds) is before its expiry. The tag is compared in constant
    /// time, before the payload is parsed.
    ///
    /// # Errors
    /// If it is no call token, is not signed by one of `keys`, or has expired.
    pub fn verify(text: &str, keys: &[CallTokenKey], now: u64) -> Result<Self, CallTokenError> {
        let bytes = decode_token(text).ok_or(CallTokenError::Malformed)?;
        let (payload, tag) = bytes.split_at(bytes.len() - MAC_BYTES);
        let genuine = keys.iter().fold(subtle::Choice::from(0), |any, key| {
            any | key.mac(payload).ct_eq(tag)
        });
        if !bool::from(genuine) {
            return Err(CallTokenError::Forged);
        }
        let token = Self::parse_payload(payload).ok_or(CallTokenError::Malformed)?;
        match now.checked_sub(token.expires_at) {
            Some(seconds) => Err(CallTokenError::Expired { seconds }),
            None => Ok(token),
        }
    }

    /// As [`CallToken::verify`], and only for the call `call_sid`.
    pub fn verify_for_call(
        call_sid: &str,
        text: &str,
        keys: &[CallTokenKey],
        now: u64,
    ) -> Result<Self, CallTokenError> {
        let token = Self::verify(text, keys, now)?;
        token
            .is_for_call(call_sid)
            .then_some(token)
            .ok_or(CallTokenError::OtherCall)
    }

    /// Whether it was made for the call `call_sid`.
    pub fn is_for_call(&self, call_sid: &str) -> bool {
        bool::from(self.call_sid.as_bytes().ct_eq(call_sid.as_bytes()))
    }

    fn parse_payload(payload: &[u8]) -> Option<Self> {
        let integer = |at: usize| {
            Some(u64::from_be_bytes(
                payload.get(at..at + 8)?.try_into().ok()?,
            ))
        };
        Some(Self {
            call_sid: String::from_utf8(payload.get(HEADER_BYTES..)?.to_vec()).ok()?,
            position: integer(1)?,
            epoch: integer(9)?,
            expires_at: integer(17)?,
        })
    }
}

fn decode_token(text: &str) -> Option<Vec<u8>> {
    if text.len() > TOKEN_CHARS_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    (bytes.len() > HEADER_BYTES + MAC_BYTES && bytes[0] == VERSION).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> CallToken {
        CallToken {
            call_sid: "CA00000000000000000000000000000771".into(),
            position: 42,
            epoch: 7,
            expires_at: 1_800_000_600,
        }
    }

    fn key(secret: &str) -> CallTokenKey {
        CallTokenKey::derive(&Secret::new(secret))
    }

    #[test]
    fn a_signed_token_is_valid_until_it_expires() {
        let text = token().sign(&key("new"));
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
            "{text}"
        );
        let keys = [key("new")];
        assert_eq!(CallToken::verify(&text, &keys, 1_800_000_599), Ok(token()));
        assert_eq!(
            CallToken::verify(&text, &keys, 1_800_000_600),
            Err(CallTokenError::Expired { seconds: 0 })
        );
        assert_eq!(
            CallToken::verify(&text, &keys, 1_800_000_660),
            Err(CallTokenError::Expired { seconds: 60 })
        );
    }

    #[test]
    fn the_old_key_is_accepted_during_rotation() {
        let text = token().sign(&key("old"));
        assert!(CallToken::verify(&text, &[key("new"), key("old")], 0).is_ok());
        assert_eq!(
            CallToken::verify(&text, &[key("new")], 0),
            Err(CallTokenError::Forged)
        );
        assert_eq!(
            CallToken::verify(&text, &[], 0),
            Err(CallTokenError::Forged)
        );
    }

    #[test]
    fn a_token_is_rejected_for_another_call() {
        let (text, keys) = (token().sign(&key("new")), [key("new")]);
        assert!(
            CallToken::verify_for_call("CA00000000000000000000000000000771", &text, &keys, 0)
                .is_ok()
        );
        assert_eq!(
            CallToken::verify_for_call("CA1", &text, &keys, 0),
            Err(CallTokenError::OtherCall)
        );
    }

    proptest! {
        #[test]
        fn no_changed_character_is_taken(at in 0usize..120, with in "[A-Za-z0-9_-]") {
            let mut text = token().sign(&key("new"));
            let at = at % text.len();
            prop_assume!(text[at..=at] != with);
            text.replace_range(at..=at, &with);
            prop_assert!(CallToken::verify(&text, &[key("new")], 0).is_err());
        }

        #[test]
        fn no_text_panics(text in ".{0,300}") {
            prop_assert!(CallToken::verify(&text, &[key("new")], 0).is_err());
        }
    }
}
