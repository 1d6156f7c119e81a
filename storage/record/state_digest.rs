//! What an instance has applied, in 16 bytes: two that applied the same entries with the same outcome
//! have the same digest at the same position.

use serde::{Deserialize, Serialize};
use std::fmt;
use twox_hash::xxhash3_128::Hasher;

/// Bytes of a digest, an XXH3-128. It detects accidents, not an attacker, who would have to be a member
/// of the cluster. Every instance computes it over every byte that it applies, so its speed counts:
/// SHA-256 took 1 us of a turn's 9 on a processor without instructions for it.
const BYTES: usize = 16;

/// A link of the chain: it stands for all entries up to its position.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDigest([u8; BYTES]);

impl StateDigest {
    /// Where a chain begins, before its first entry.
    pub const START: Self = Self([0; BYTES]);

    /// The digest behind this one: `content` is the entry, `outcomes` what applying it did.
    pub fn next(&self, content: &[u8], outcomes: &[u64]) -> Self {
        let mut hash = Hasher::new();
        hash.write(&self.0);
        // The length of the content, so that no two pairs are the same bytes.
        hash.write(&(content.len() as u64).to_le_bytes());
        hash.write(content);
        for outcome in outcomes {
            hash.write(&outcome.to_le_bytes());
        }
        Self(hash.finish_128().to_le_bytes())
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
impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_past_is_in_it() {
        let one = StateDigest::START.next(b"entry", &[1, 2]);
        assert_eq!(one, StateDigest::START.next(b"entry", &[1, 2]));
        let others = [
            StateDigest::START.next(b"entry", &[2, 1]),
            StateDigest::START.next(b"entrz", &[1, 2]),
            StateDigest::START.next(b"entry", &[1]),
            one.next(b"entry", &[1, 2]),
            StateDigest::START,
        ];
        assert!(others.iter().all(|other| *other != one));
        assert_eq!(one.to_string().len(), 2 * BYTES);
        assert_eq!(StateDigest::from_bytes(*one.as_bytes()), one);
    }
}
