//! STIR/SHAKEN attestation of the calling number (`StirVerstat`, docs/protocol.md 2.1).

/// What the carrier says, best first. The order is the order of trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attestation {
    /// `TN-Validation-Failed…`: signed, and the signature does not hold.
    Failed,
    /// `No-TN-Validation`, or a value that is not known: nobody vouches.
    Unverified,
    /// No such parameter: a call from outside SHAKEN, most countries' ordinary case.
    Absent,
    /// Level C: the carrier let the call in at a gateway, and knows no more.
    Gateway,
    /// Level B: the carrier knows its customer, not the customer's right to the number.
    Partial,
    /// Level A: the carrier knows the customer and the right to the number.
    Full,
}

impl Attestation {
    /// Reads `StirVerstat` (or its bare letter); blank counts as missing.
    pub fn parse(stir_verstat: Option<&str>) -> Self {
        let Some(text) = stir_verstat.map(str::trim).filter(|text| !text.is_empty()) else {
            return Self::Absent;
        };
        let text = text.to_ascii_lowercase();
        let level = text.strip_prefix("tn-validation-passed-").unwrap_or(&text);
        match level {
            "a" => Self::Full,
            "b" => Self::Partial,
            "c" => Self::Gateway,
            failed if failed.starts_with("tn-validation-failed") => Self::Failed,
            _ => Self::Unverified,
        }
    }

    /// Whether the attestation is at least `required`. The operator may require one before a name is
    /// spoken.
    pub fn is_at_least(self, required: Self) -> bool {
        self >= required
    }
}
