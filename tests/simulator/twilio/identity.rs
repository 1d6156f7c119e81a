//! Ids of calls and sessions, and what kind of call it is.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// `callType` of `setup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Pstn,
    Sip,
    Client,
}

impl CallKind {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Pstn => "PSTN",
            Self::Sip => "SIP",
            Self::Client => "CLIENT",
        }
    }
}

/// The kind of a call by its `From`.
pub(crate) fn kind(from: &str) -> CallKind {
    if from.starts_with("sip:") {
        CallKind::Sip
    } else if from.starts_with("client:") {
        CallKind::Client
    } else {
        CallKind::Pstn
    }
}

/// `CA` and 32 hex digits, never twice in a process and hardly ever in two.
pub(crate) fn call_sid() -> String {
    format!("CA{}", hex32())
}

/// `VX` and 32 hex digits.
pub(crate) fn session_id() -> String {
    format!("VX{}", hex32())
}

/// A token in the form of a UUID, for `I-Twilio-Idempotency-Token`.
pub(crate) fn idempotency_token() -> String {
    let hex = hex32();
    format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

/// An opaque token as `CallToken` is.
pub(crate) fn call_token(call_sid: &str) -> String {
    format!(
        "{{\"parentCallInfoToken\":\"{}\"}}",
        &call_sid[2.min(call_sid.len())..]
    )
}

fn hex32() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // RandomState is seeded by the operating system; the count keeps two draws apart.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let state = RandomState::new();
    format!(
        "{:016x}{:016x}",
        state.hash_one(count),
        state.hash_one((count, "second half"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_form_and_do_not_repeat() {
        let sids: std::collections::HashSet<String> = (0..1000).map(|_| call_sid()).collect();
        assert_eq!(sids.len(), 1000);
        assert!(
            sids.iter()
                .all(|sid| sid.len() == 34 && sid.starts_with("CA"))
        );
        assert_eq!(idempotency_token().len(), 36);
    }
}
