//! Who calls, as far as the line can say: every form that `From` and `setup.from` take
//! (protocol 2.5), and how far the carrier vouches for it.

mod attestation;
mod party;
mod tel;

pub use attestation::Attestation;
pub use party::Party;

use calldex_storage::record::{PSEUDO_NUMBERS, PhoneNumber};
use std::fmt;

/// A caller's kind. Only [`Identity::Number`] can be a key of a person: all withheld callers
/// would share one record, and SIP and client names are the far end's own invention.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A number in E.164 form and the network that brought it.
    Number(PhoneNumber, Channel),
    /// The caller, or a carrier on the way, keeps the number back.
    Withheld(Withheld),
    /// A SIP address, whatever its user part looks like: the text after `sip:` or `sips:`
    /// without parameters.
    Sip(String),
    /// A Voice SDK identity: the text after `client:`.
    Client(String),
    /// Nothing that says who calls: empty, an extension, carrier rubbish.
    Unusable,
}

/// The network that a number came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The telephone network.
    Phone,
    /// WhatsApp Business Calling: the first one or two seconds of speech may be lost.
    WhatsApp,
}

/// Which word stood for the withheld number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
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
const PSEUDO_MEANINGS: [Withheld; 5] = [
    Withheld::Anonymous,
    Withheld::Unavailable,
    Withheld::Restricted,
    Withheld::Blocked,
    Withheld::Unknown,
];

impl Identity {
    /// Reads a `From`: surrounding white space and the case of schemes and words do not matter.
    ///
    /// `whatsapp:` is taken off; `tel:` URIs and visual separators (RFC 3966) are reduced to
    /// the digits. A number that also is the called one (From == To) stays a number: such calls
    /// exist and ring; see `Voice::calls_itself`.
    pub fn read(from: &str) -> Self {
        let text = from.trim();
        if let Some(withheld) = Withheld::read(text) {
            return Self::Withheld(withheld);
        }
        match scheme_of(text) {
            Some(("client", name)) => Self::Client(name.trim().to_owned()),
            Some(("sip" | "sips", address)) => sip(address),
            Some(("whatsapp", number)) => number_or_withheld(number, Channel::WhatsApp),
            Some(("tel", number)) => number_or_withheld(number, Channel::Phone),
            Some(_) => Self::Unusable,
            None => number_or_withheld(text, Channel::Phone),
        }
    }

    /// The number, if this is one that a person may be known by.
    pub fn number(&self) -> Option<&PhoneNumber> {
        match self {
            Self::Number(number, _) => Some(number),
            _ => None,
        }
    }

    /// A bounded word for metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Number(_, Channel::Phone) => "number",
            Self::Number(_, Channel::WhatsApp) => "whatsapp",
            Self::Withheld(_) => "withheld",
            Self::Sip(_) => "sip",
            Self::Client(_) => "client",
            Self::Unusable => "unusable",
        }
    }
}

impl fmt::Debug for Identity {
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

impl Withheld {
    /// The pseudo-numbers and the words, any case; `None` for anything else.
    fn read(text: &str) -> Option<Self> {
        if let Some(at) = PSEUDO_NUMBERS.iter().position(|pseudo| *pseudo == text) {
            return Some(PSEUDO_MEANINGS[at]);
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

/// `scheme:rest` with the scheme in lower case, if it is one that protocol 2.5 knows or any
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

fn number_or_withheld(text: &str, channel: Channel) -> Identity {
    let text = text.trim();
    if let Some(withheld) = Withheld::read(text) {
        return Identity::Withheld(withheld);
    }
    let Some(digits) = tel::global_number(text) else {
        return Identity::Unusable;
    };
    match (Withheld::read(&digits), PhoneNumber::parse(&digits)) {
        (Some(withheld), _) => Identity::Withheld(withheld),
        (None, Some(number)) => Identity::Number(number, channel),
        (None, None) => Identity::Unusable,
    }
}

/// A SIP address is never a number, not even `sip:+14155550100@…`: whoever runs the far end
/// writes there what they like. Its words for withheld are believed, since they claim nothing.
fn sip(address: &str) -> Identity {
    let address = address
        .split([';', '?'])
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches(['<', '>']);
    let (user, host) = address.split_once('@').unwrap_or(("", address));
    let user = user.split(':').next().unwrap_or_default();
    if let Some(withheld) = Withheld::read(user) {
        return Identity::Withheld(withheld);
    }
    if host.eq_ignore_ascii_case("anonymous.invalid") {
        return Identity::Withheld(Withheld::Anonymous);
    }
    if address.is_empty() {
        Identity::Unusable
    } else {
        Identity::Sip(address.to_owned())
    }
}

#[cfg(test)]
mod tests;
