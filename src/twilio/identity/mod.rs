//! The identity of a caller: every form of `From` and `setup.from` (docs/protocol.md 2.5), and the
//! carrier's attestation.

mod attestation;
mod raw_address;
mod tel_uri;

pub use attestation::Attestation;
pub use raw_address::RawAddress;

use calldex_storage::record::{PSEUDO_NUMBERS, PhoneNumber};
use std::fmt;

/// The identity of a caller. Only [`CallerIdentity::Number`] can be the key of a caller's record: all
/// withheld callers would share one record, and the far end chooses SIP and client names freely.
#[derive(Clone, PartialEq, Eq)]
pub enum CallerIdentity {
    /// A number in E.164 form and the network that brought it.
    Number(PhoneNumber, NumberChannel),
    /// The caller or a carrier withholds the number.
    Withheld(WithheldReason),
    /// A SIP address, whatever its user part looks like: the text after `sip:` or `sips:`
    /// without parameters.
    Sip(String),
    /// A Voice SDK identity: the text after `client:`.
    Client(String),
    /// Nothing that identifies a caller: empty, an extension, or malformed.
    Unusable,
}

/// The network that a number came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberChannel {
    /// The telephone network.
    Pstn,
    /// WhatsApp Business Calling: the first one or two seconds of speech may be lost.
    WhatsApp,
}

/// Which word stood for the withheld number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithheldReason {
    /// `anonymous`, `private`, `+266696687`, or SIP's `anonymous.invalid` (RFC 3323).
    Anonymous,
    /// `unavailable` or `+86282452253`.
    Unavailable,
    /// `restricted` or `+7378742833`.
    Restricted,
    /// `blocked` or `+2562533`.
    Blocked,
    /// `unknown` or `+8656696`.
    Unknown,
}

/// The pseudo-numbers' meanings, in the order of [`PSEUDO_NUMBERS`].
const PSEUDO_NUMBER_REASONS: [WithheldReason; 5] = [
    WithheldReason::Anonymous,
    WithheldReason::Unavailable,
    WithheldReason::Restricted,
    WithheldReason::Blocked,
    WithheldReason::Unknown,
];

impl CallerIdentity {
    /// Reads a `From`: surrounding white space and the case of schemes and words do not matter.
    ///
    /// `whatsapp:` is taken off; `tel:` URIs and visual separators (RFC 3966) are reduced to
    /// the digits. A number that also is the called one (From == To) stays a number: such calls
    /// exist and ring.
    pub fn parse(from: &str) -> Self {
        let text = from.trim();
        if let Some(withheld) = WithheldReason::parse(text) {
            return Self::Withheld(withheld);
        }
        match scheme_of(text) {
            Some(("client", name)) => Self::Client(name.trim().to_owned()),
            Some(("sip" | "sips", address)) => sip_identity(address),
            Some(("whatsapp", number)) => number_identity(number, NumberChannel::WhatsApp),
            Some(("tel", number)) => number_identity(number, NumberChannel::Pstn),
            Some(_) => Self::Unusable,
            None => number_identity(text, NumberChannel::Pstn),
        }
    }

    /// The number, if this is one that a person may be known by.
    pub fn number(&self) -> Option<&PhoneNumber> {
        match self {
            Self::Number(number, _) => Some(number),
            _ => None,
        }
    }
}

impl fmt::Debug for CallerIdentity {
    /// Numbers masked; SIP and client names, which are names of people, not at all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number, channel) => f
                .debug_tuple("Number")
                .field(number)
                .field(channel)
                .finish(),
            Self::Withheld(kind) => f.debug_tuple("Withheld").field(kind).finish(),
            Self::Sip(_) => f.write_str("Sip(•••)"),
            Self::Client(_) => f.write_str("Client(•••)"),
            Self::Unusable => f.write_str("Unusable"),
        }
    }
}

impl WithheldReason {
    /// The pseudo-numbers and the words, any case; `None` for anything else.
    fn parse(text: &str) -> Option<Self> {
        if let Some(at) = PSEUDO_NUMBERS.iter().position(|pseudo| *pseudo == text) {
            return Some(PSEUDO_NUMBER_REASONS[at]);
        }
        Some(match text.to_ascii_lowercase().as_str() {
            "anonymous" | "private" | "withheld" => Self::Anonymous,
            "unavailable" => Self::Unavailable,
            "restricted" => Self::Restricted,
            "blocked" => Self::Blocked,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }
}

/// `scheme:rest` with the scheme in lower case, if it is one of docs/protocol.md 2.5 or any
/// other run of letters.
fn scheme_of(text: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let known = ["client", "sip", "sips", "whatsapp", "tel"];
    Some((
        known
            .into_iter()
            .find(|name| scheme.eq_ignore_ascii_case(name))
            .unwrap_or("other"),
        rest,
    ))
}

fn number_identity(text: &str, channel: NumberChannel) -> CallerIdentity {
    let text = text.trim();
    if let Some(withheld) = WithheldReason::parse(text) {
        return CallerIdentity::Withheld(withheld);
    }
    let Some(digits) = tel_uri::global_number(text) else {
        return CallerIdentity::Unusable;
    };
    match (WithheldReason::parse(&digits), PhoneNumber::parse(&digits)) {
        (Some(withheld), _) => CallerIdentity::Withheld(withheld),
        (None, Some(number)) => CallerIdentity::Number(number, channel),
        (None, None) => CallerIdentity::Unusable,
    }
}

/// The identity of a SIP address. It is never a number, not even for `sip:+14155550100@…`, because the
/// far end chooses it freely. Its words for a withheld number are accepted.
fn sip_identity(address: &str) -> CallerIdentity {
    let address = address
        .split([';', '?'])
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches(['<', '>']);
    let (user, host) = address.split_once('@').unwrap_or(("", address));
    let user = user.split(':').next().unwrap_or_default();
    if let Some(withheld) = WithheldReason::parse(user) {
        return CallerIdentity::Withheld(withheld);
    }
    if host.eq_ignore_ascii_case("anonymous.invalid") {
        return CallerIdentity::Withheld(WithheldReason::Anonymous);
    }
    if address.is_empty() {
        CallerIdentity::Unusable
    } else {
        CallerIdentity::Sip(address.to_owned())
    }
}

#[cfg(test)]
mod tests;
