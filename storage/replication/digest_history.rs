//! The digests of the entries that this instance applied last, to be compared with those of the others:
//! two that differ at one position have databases that differ.

use crate::record::StateDigest;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Digests kept. At the bound the oldest goes: whoever asks for it is told that it is not known.
pub const DIGESTS_MAX: usize = 1_024;

/// See the module.
#[derive(Default)]
pub struct DigestHistory(Mutex<VecDeque<(u64, StateDigest)>>);

impl DigestHistory {
    /// The digest after the entry at `position`: nothing where that is not applied, longer ago than
    /// [`DIGESTS_MAX`] entries, or from before the chain began.
    pub fn digest_at(&self, position: u64) -> Option<StateDigest> {
        let digests = self.lock();
        let at = digests.binary_search_by_key(&position, |(position, _)| *position);
        at.ok().map(|at| digests[at].1)
    }

    /// The last of them, with its position.
    pub fn latest(&self) -> Option<(u64, StateDigest)> {
        self.lock().back().copied()
    }

    /// Begins with what a database has that was opened, or has taken the place of another.
    pub(crate) fn reset(&self, position: u64, digest: Option<StateDigest>) {
        let mut digests = self.lock();
        digests.clear();
        digests.extend(digest.map(|digest| (position, digest)));
    }

    /// Adds what was applied, in its order.
    pub(crate) fn extend(&self, applied: &[(u64, StateDigest)]) {
        let mut digests = self.lock();
        for link in applied {
            if digests.len() == DIGESTS_MAX {
                digests.pop_front();
            }
            digests.push_back(*link);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, StateDigest)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_begun_anew_with_another_database() {
        let digests = DigestHistory::default();
        let link = |position: u64| (position, StateDigest::START.next(b"", &[position]));
        digests.reset(4, Some(StateDigest::START));
        let applied: Vec<_> = (5..=2_000).map(link).collect();
        digests.extend(&applied);
        assert_eq!(digests.digest_at(2_000), Some(link(2_000).1));
        assert_eq!(digests.latest(), Some(link(2_000)));
        let oldest = 2_001 - DIGESTS_MAX as u64;
        assert_eq!(digests.digest_at(oldest), Some(link(oldest).1));
        assert_eq!(digests.digest_at(oldest - 1), None);
        digests.reset(9, None);
        assert_eq!(digests.latest(), None);
    }
}
