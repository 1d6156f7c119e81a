//! Looks callers up: in memory first (hot), then in sled on disk (warm), then in SQLite (cold).
//!
//! All tiers are caches of SQLite. Pending writes are applied to what a tier answers, so that a name
//! learned in one call is known in the next one at once.

mod hot_cache;
mod pending_overlay;
pub(crate) mod sqlite_tier;
mod warm_cache;

pub use hot_cache::HOT_CALLERS_MAX;
pub use warm_cache::{WARM_BEHIND_MAX, WARM_CACHE_BYTES};
pub(crate) use warm_cache::{WarmCache, WarmCacheConfig};

use crate::fault_injection::FaultInjector;
use crate::pending_writes::PendingWrites;
use crate::reader_pool::{DatabaseReader, ReadError, ReaderPool};
use crate::record::{Caller, PhoneNumber};
use crate::write::AppliedWrites;
use calldex_observability::catalog;
use hot_cache::{CachedCaller, HotCache};
use pending_overlay::apply_pending_writes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a look-up may take before the greeting goes without it, milliseconds.
pub const LOOKUP_MS_MAX: u64 = 100;

/// What a look-up found.
#[derive(Clone, Debug, PartialEq)]
pub enum LookupResult {
    /// A caller, with or without a name.
    Known(Arc<Caller>),
    /// No call from this number before.
    Unknown,
    /// The budget was spent, or the disk failed. The answer goes into memory when it comes.
    TimedOut,
}

impl From<CachedCaller> for LookupResult {
    fn from(known: CachedCaller) -> Self {
        known.map_or(Self::Unknown, Self::Known)
    }
}

impl LookupResult {
    fn label(&self) -> &'static str {
        match self {
            Self::Known(_) => "known",
            Self::Unknown => "unknown",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Which tier answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheTier {
    /// Memory.
    Hot,
    /// sled.
    Warm,
    /// SQLite.
    Cold,
}

impl CacheTier {
    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// The directory of callers. Cheap to clone.
#[derive(Clone)]
pub struct CallerDirectory {
    tiers: Arc<DirectoryTiers>,
}

struct DirectoryTiers {
    hot: HotCache,
    warm: Option<Arc<WarmCache>>,
    pending: Arc<PendingWrites>,
    readers: Arc<ReaderPool>,
    faults: FaultInjector,
}

impl CallerDirectory {
    pub(crate) fn new(
        hot_callers_max: usize,
        warm: Option<Arc<WarmCache>>,
        pending: Arc<PendingWrites>,
        readers: Arc<ReaderPool>,
        faults: FaultInjector,
    ) -> Self {
        let hot = HotCache::new(hot_callers_max);
        Self {
            tiers: Arc::new(DirectoryTiers {
                hot,
                warm,
                pending,
                readers,
                faults,
            }),
        }
    }

    /// Looks `number` up within `budget`. Never waits for a disk longer than that, and not at all
    /// when the number is in memory.
    pub async fn look_up(&self, number: &PhoneNumber, budget: Duration) -> LookupResult {
        self.look_up_with_tier(number, budget).await.0
    }

    /// As [`CallerDirectory::look_up`], with the tier that answered.
    pub async fn look_up_with_tier(
        &self,
        number: &PhoneNumber,
        budget: Duration,
    ) -> (LookupResult, Option<CacheTier>) {
        let begun = Instant::now();
        let (recall, tier) = match self.look_up_cached(number) {
            Some(recall) => (recall, Some(CacheTier::Hot)),
            None => self.look_up_on_disk(number, budget).await,
        };
        match tier {
            Some(tier) => catalog::LOOKUP_SECONDS
                .with(tier.as_str())
                .record(begun.elapsed().as_secs_f64()),
            None => catalog::LOOKUP_TIMEOUTS_TOTAL.increment(1),
        }
        catalog::LOOKUPS_TOTAL
            .with(tier.map_or("none", CacheTier::as_str), recall.label())
            .increment(1);
        (recall, tier)
    }

    /// What memory knows of `number`, without any waiting; `None` if it does not know.
    pub fn look_up_cached(&self, number: &PhoneNumber) -> Option<LookupResult> {
        // What waits is taken first: a write that is committed in between is then in memory.
        let waiting = self.tiers.pending.of_number(number);
        let known = self.tiers.hot.get(number.digits())?;
        Some(apply_pending_writes(known, &waiting).into())
    }

    async fn look_up_on_disk(
        &self,
        number: &PhoneNumber,
        budget: Duration,
    ) -> (LookupResult, Option<CacheTier>) {
        let (tell, told) = oneshot::channel();
        let asked = self.read_in_background(number, move |answer| {
            // The caller may have given up; the answer is in memory now.
            let _ = tell.send(answer);
        });
        if let Err(error) = asked {
            tracing::warn!(%error, "a look-up was not begun");
            return (LookupResult::TimedOut, None);
        }
        match tokio::time::timeout(budget, told).await {
            Ok(Ok(Ok((known, tier)))) => {
                (self.tiers.with_pending(number, known).into(), Some(tier))
            }
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "a look-up failed");
                (LookupResult::TimedOut, None)
            }
            Ok(Err(_)) | Err(_) => (LookupResult::TimedOut, None),
        }
    }

    /// Brings `number` into memory in the background, for a call that is about to need it. Refused
    /// while the readers have too much to do: the look-up itself will ask again.
    pub fn prefetch(&self, number: &PhoneNumber) -> Result<(), ReadError> {
        match self.tiers.hot.get(number.digits()) {
            Some(_) => Ok(()),
            None => self.read_in_background(number, |_| ()),
        }
    }

    /// The warm tier itself.
    #[cfg(feature = "bench")]
    pub(crate) fn warm_cache(&self) -> Option<&WarmCache> {
        self.tiers.warm.as_deref()
    }

    fn read_in_background(
        &self,
        number: &PhoneNumber,
        then: impl FnOnce(Result<(CachedCaller, CacheTier), ReadError>) + Send + 'static,
    ) -> Result<(), ReadError> {
        let (tiers, number) = (Arc::clone(&self.tiers), number.clone());
        self.tiers
            .readers
            .submit(move |reader| then(tiers.read_and_cache(reader, &number)))
    }

    /// Shows what a batch changed: part of the step that applied it.
    pub(crate) fn refresh(&self, applied: &AppliedWrites) {
        if let Some(warm) = &self.tiers.warm {
            warm.refresh(applied);
        }
        for (number, known) in &applied.callers {
            self.tiers.hot.refresh(number.digits(), known.clone());
        }
    }

    /// The database has changed past the writer, or another one has taken its place: nothing of what the
    /// tiers were filled with is shown any more when this returns. sled is filled anew in the background.
    pub(crate) fn invalidate(&self) {
        // Warm first: a read that begins after memory was cleared must not find the old there.
        if let Some(warm) = &self.tiers.warm {
            warm.invalidate();
        }
        self.tiers.hot.clear();
    }

    /// Whether the warm tier answers by now.
    pub fn is_warm_cache_ready(&self) -> bool {
        self.tiers.warm.as_ref().is_some_and(|warm| warm.is_ready())
    }

    /// Callers held in memory.
    pub fn hot_callers(&self) -> usize {
        self.tiers.hot.len()
    }
}

impl DirectoryTiers {
    /// Asks the disk, sled first. What is found goes into memory, unless the number changed
    /// meanwhile: then memory has the truth already, or the disk is asked again.
    fn read_and_cache(
        &self,
        reader: &mut DatabaseReader,
        number: &PhoneNumber,
    ) -> Result<(CachedCaller, CacheTier), ReadError> {
        /// A number that changes at each attempt is a busy one; its last answer is as good as any.
        const ATTEMPTS: usize = 3;
        let key = number.digits();
        let mut answer = Err(ReadError::Busy);
        for _ in 0..ATTEMPTS {
            let stamp = self.hot.freshness_stamp(key);
            answer = self.read(reader, number);
            let Ok((known, _)) = &answer else { break };
            self.hot.fill(key, known.clone(), stamp);
            if self.hot.freshness_stamp(key) == stamp {
                break;
            }
        }
        answer
    }

    fn read(
        &self,
        reader: &mut DatabaseReader,
        number: &PhoneNumber,
    ) -> Result<(CachedCaller, CacheTier), ReadError> {
        let warm = self
            .warm
            .as_ref()
            .and_then(|warm| warm.get(number.digits(), &self.faults));
        match warm {
            Some(caller) => Ok((Some(caller), CacheTier::Warm)),
            None => Ok((
                sqlite_tier::read(reader, number, &self.faults)?,
                CacheTier::Cold,
            )),
        }
    }

    /// Applies to an answer of the disk what memory has learned since, and the pending writes.
    fn with_pending(&self, number: &PhoneNumber, answer: CachedCaller) -> CachedCaller {
        let waiting = self.pending.of_number(number);
        apply_pending_writes(self.hot.get(number.digits()).unwrap_or(answer), &waiting)
    }
}
