//! The hot tier: callers in memory, bounded, the longest unused of a sample going first. Numbers
//! that nobody is known behind are kept too.

use crate::record::Caller;
use calldex_observability::catalog;
use dashmap::DashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Callers kept in memory unless configured otherwise: 134 to 206 bytes each, 210 MB when full.
pub const HOT_CALLERS_MAX: usize = 1_000_000;
/// Entries looked at to find the one that goes.
const EVICTION_SAMPLE: usize = 8;
/// Counters that tell a slow reader that what it read may be out of date by now.
const STRIPES: usize = 1_024;

/// What is known of a number: its caller, or that there is none.
pub(crate) type CachedCaller = Option<Arc<Caller>>;

struct HotEntry {
    caller: CachedCaller,
    /// The tick of the last use; ticks are counted by insertions, so that a hit writes nothing that
    /// other threads read.
    last_used: AtomicU32,
}

/// Taken before a slow read; an insertion with a stamp that is no longer true is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FreshnessStamp(u64);

/// See the module. Keys are the digits of numbers: exact, and eight bytes.
pub(crate) struct HotCache {
    entries: DashMap<u64, HotEntry>,
    /// All keys, in no order, to draw samples from.
    keys: Mutex<EvictionKeys>,
    tick: AtomicU32,
    stripe_versions: Box<[AtomicU64]>,
    entries_max: usize,
}

struct EvictionKeys {
    all: Vec<u64>,
    random: u64,
}

impl HotCache {
    pub(crate) fn new(entries_max: usize) -> Self {
        let keys = EvictionKeys {
            all: Vec::new(),
            random: 0x9E37_79B9_7F4A_7C15,
        };
        Self {
            entries: DashMap::new(),
            keys: Mutex::new(keys),
            tick: AtomicU32::new(0),
            stripe_versions: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            entries_max: entries_max.max(1),
        }
    }

    /// What is known of the number, if it is here.
    pub(crate) fn get(&self, key: u64) -> Option<CachedCaller> {
        let entry = self.entries.get(&key)?;
        entry
            .last_used
            .store(self.tick.load(Ordering::Relaxed), Ordering::Relaxed);
        Some(entry.caller.clone())
    }

    /// To be taken before reading about `key` elsewhere.
    pub(crate) fn freshness_stamp(&self, key: u64) -> FreshnessStamp {
        FreshnessStamp(self.stripe(key).load(Ordering::SeqCst))
    }

    /// Keeps what was read elsewhere, unless the number was refreshed since `freshness_stamp` was taken.
    pub(crate) fn fill(&self, key: u64, known: CachedCaller, stamp: FreshnessStamp) {
        let mut news = false;
        {
            // The entry's lock orders this against `refresh`, which moves the stripe under it.
            let entry = self.entries.entry(key);
            if self.freshness_stamp(key) != stamp {
                return;
            }
            entry.or_insert_with(|| {
                news = true;
                self.new_entry(known)
            });
        }
        if news {
            self.add_key(key);
        }
    }

    /// Puts the truth in, whatever was there: called by the writer's step that applied it.
    pub(crate) fn refresh(&self, key: u64, known: CachedCaller) {
        let fresh = self.new_entry(known);
        let news = {
            let entry = self.entries.entry(key);
            self.stripe(key).fetch_add(1, Ordering::SeqCst);
            match entry {
                dashmap::Entry::Occupied(mut occupied) => {
                    occupied.insert(fresh);
                    false
                }
                dashmap::Entry::Vacant(vacant) => {
                    vacant.insert(fresh);
                    true
                }
            }
        };
        if news {
            self.add_key(key);
        }
    }

    /// Forgets everything: another database has taken the place of the one that it was read from. What
    /// was read before cannot come in any more.
    pub(crate) fn clear(&self) {
        for stripe in &self.stripe_versions {
            stripe.fetch_add(1, Ordering::SeqCst);
        }
        // Held throughout, so that an entry of the new database never stays without its key.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        self.entries.clear();
        keys.all.clear();
        catalog::DIRECTORY_ENTRIES.with("hot").set(0.0);
    }

    /// Entries held.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn new_entry(&self, known: CachedCaller) -> HotEntry {
        HotEntry {
            caller: known,
            last_used: AtomicU32::new(self.tick.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn stripe(&self, key: u64) -> &AtomicU64 {
        // Neighbouring numbers need not share a stripe; the multiplier spreads them.
        let spread = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        &self.stripe_versions[spread as usize % STRIPES]
    }

    /// Adds a new key to those that samples are drawn from, and makes room.
    fn add_key(&self, key: u64) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.all.push(key);
        while keys.all.len() > self.entries_max {
            let evicted = keys.take_least_recently_used(self);
            self.entries.remove(&evicted);
            catalog::DIRECTORY_EVICTIONS_TOTAL.increment(1);
        }
        catalog::DIRECTORY_ENTRIES
            .with("hot")
            .set(keys.all.len() as f64);
    }
}

impl EvictionKeys {
    /// Takes the longest unused of a sample out of the keys.
    fn take_least_recently_used(&mut self, hot: &HotCache) -> u64 {
        let now = hot.tick.load(Ordering::Relaxed);
        let (mut oldest, mut oldest_age) = (0, 0);
        for _ in 0..EVICTION_SAMPLE {
            let at = self.next_random() as usize % self.all.len();
            let used = hot
                .entries
                .get(&self.all[at])
                .map(|entry| entry.last_used.load(Ordering::Relaxed));
            let age = used.map_or(u32::MAX, |used| now.wrapping_sub(used));
            if age >= oldest_age {
                (oldest, oldest_age) = (at, age);
            }
        }
        self.all.swap_remove(oldest)
    }

    /// xorshift: which entries are looked at need not be unpredictable.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PhoneNumber;

    fn caller(digits: u64) -> CachedCaller {
        let number = PhoneNumber::parse(&format!("+{digits}")).unwrap();
        Some(Arc::new(Caller::new(number, 1)))
    }

    const FIRST: u64 = 14_155_550_000;

    #[test]
    fn at_its_bound_it_keeps_what_is_used() {
        let hot = HotCache::new(100);
        for digits in FIRST..FIRST + 1_000 {
            hot.refresh(FIRST, caller(FIRST));
            hot.refresh(digits, caller(digits));
            assert!(hot.get(FIRST).is_some());
        }
        assert!(hot.len() <= 100, "{}", hot.len());
    }

    #[test]
    fn a_slow_read_never_overwrites_what_was_refreshed_meanwhile() {
        let hot = HotCache::new(100);
        let stamp = hot.freshness_stamp(FIRST);
        hot.refresh(FIRST, caller(FIRST));
        hot.fill(FIRST, None, stamp);
        assert!(hot.get(FIRST).unwrap().is_some());
    }

    #[test]
    fn a_slow_read_is_refused_even_after_the_refreshed_entry_was_evicted() {
        let hot = HotCache::new(1);
        let stamp = hot.freshness_stamp(FIRST);
        hot.refresh(FIRST, caller(FIRST));
        hot.refresh(FIRST + 1, caller(FIRST + 1));
        hot.refresh(FIRST + 2, caller(FIRST + 2));
        hot.entries.remove(&FIRST);
        hot.fill(FIRST, None, stamp);
        assert!(hot.get(FIRST).is_none());
    }

    #[test]
    fn what_was_read_of_a_replaced_database_does_not_come_back() {
        let hot = HotCache::new(10);
        hot.refresh(FIRST, caller(FIRST));
        let stamp = hot.freshness_stamp(FIRST + 1);
        hot.clear();
        assert!(hot.get(FIRST).is_none());
        hot.fill(FIRST + 1, caller(FIRST + 1), stamp);
        assert!(hot.get(FIRST + 1).is_none());
        hot.fill(FIRST + 1, None, hot.freshness_stamp(FIRST + 1));
        assert!(matches!(hot.get(FIRST + 1), Some(None)));
        for digits in FIRST..FIRST + 100 {
            hot.refresh(digits, caller(digits));
        }
        assert!(hot.len() <= 10, "the bound holds after it was cleared");
    }

    #[test]
    fn an_unknown_number_is_known_to_be_unknown() {
        let hot = HotCache::new(10);
        hot.fill(FIRST, None, hot.freshness_stamp(FIRST));
        assert!(matches!(hot.get(FIRST), Some(None)));
    }
}
