//! What an instance has applied, in 16 bytes: two that applied the same entries with the same outcome
//! have the same digest at the same position.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Bytes of a digest: the first of a SHA-256. Against accidents, not against an attacker, who would
/// have to be a member of the cluster.
const BYTES: usize = 16;

/// A link of the chain: it stands for all entries up to its position.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest([u8; BYTES]);

impl Digest {
    /// Where a chain begins, before its first entry.
    pub const START: Self = Self([0; BYTES]);

    /// The digest behind this one: `content` is the entry, `outcomes` what applying it did.
    pub fn next(&self, content: &[u8], outcomes: &[u64]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        // Both lengths, so that no two pairs are the same bytes.
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
        for outcome in outcomes {
            hash.update(outcome.to_le_bytes());
        }
        let whole = hash.finalize();
        Self(std::array::from_fn(|at| whole[at]))
    }

    /// The bytes, as a column holds them.
    pub fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// The digest that a column holds.
    pub fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }
}

/// The bytes in hexadecimal.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_past_is_in_it() {
        let one = Digest::START.next(b"entry", &[1, 2]);
        assert_eq!(one, Digest::START.next(b"entry", &[1, 2]));
        let others = [
            Digest::START.next(b"entry", &[2, 1]),
            Digest::START.next(b"entrz", &[1, 2]),
            Digest::START.next(b"entry", &[1]),
            one.next(b"entry", &[1, 2]),
            Digest::START,
        ];
        assert!(others.iter().all(|other| *other != one));
        assert_eq!(one.to_string().len(), 2 * BYTES);
        assert_eq!(Digest::from_bytes(*one.as_bytes()), one);
    }
}
