//! Who is calling: memory first (hot), then sled on disk (warm), then SQLite (cold).
//!
//! Nothing here is the truth; that is SQLite's. What is accepted and not yet durable is laid over
//! whatever a tier answers, so that a name learned in one call greets the next at once.

pub(crate) mod cold;
mod hot;
mod overlay;
mod warm;

pub use hot::HOT_CALLERS_MAX;
pub use warm::{WARM_BEHIND_MAX, WARM_CACHE_BYTES};
pub(crate) use warm::{Warm, WarmConfig};

use crate::faults::Faults;
use crate::readers::{ReadError, Reader, Readers};
use crate::record::{Caller, PhoneNumber};
use crate::write::Applied;
use crate::writer::Pending;
use calldex_observability::catalog;
use hot::{Hot, Known};
use overlay::overlay;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a look-up may take before the greeting goes without it, milliseconds.
pub const LOOKUP_MS_MAX: u64 = 100;

/// What a look-up found.
#[derive(Clone, Debug, PartialEq)]
pub enum Recall {
    /// A caller, with or without a name.
    Known(Arc<Caller>),
    /// No call from this number before.
    Unknown,
    /// The budget was spent, or the disk failed. The answer goes into memory when it comes.
    TimedOut,
}

impl From<Known> for Recall {
    fn from(known: Known) -> Self {
        known.map_or(Self::Unknown, Self::Known)
    }
}

impl Recall {
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
pub enum Tier {
    /// Memory.
    Hot,
    /// sled.
    Warm,
    /// SQLite.
    Cold,
}

impl Tier {
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
pub struct Directory {
    shelf: Arc<Shelf>,
}

struct Shelf {
    hot: Hot,
    warm: Option<Arc<Warm>>,
    pending: Arc<Pending>,
    readers: Arc<Readers>,
    faults: Faults,
}

impl Directory {
    pub(crate) fn new(
        hot_callers_max: usize,
        warm: Option<Arc<Warm>>,
        pending: Arc<Pending>,
        readers: Arc<Readers>,
        faults: Faults,
    ) -> Self {
        let hot = Hot::new(hot_callers_max);
        Self {
            shelf: Arc::new(Shelf {
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
    pub async fn recall(&self, number: &PhoneNumber, budget: Duration) -> Recall {
        self.recall_from(number, budget).await.0
    }

    /// As [`Directory::recall`], with the tier that answered.
    pub async fn recall_from(
        &self,
        number: &PhoneNumber,
        budget: Duration,
    ) -> (Recall, Option<Tier>) {
        let begun = Instant::now();
        let (recall, tier) = match self.peek(number) {
            Some(recall) => (recall, Some(Tier::Hot)),
            None => self.recall_slowly(number, budget).await,
        };
        match tier {
            Some(tier) => catalog::LOOKUP_SECONDS
                .with(tier.as_str())
                .record(begun.elapsed().as_secs_f64()),
            None => catalog::LOOKUP_TIMEOUTS_TOTAL.increment(1),
        }
        catalog::LOOKUPS_TOTAL
            .with(tier.map_or("none", Tier::as_str), recall.label())
            .increment(1);
        (recall, tier)
    }

    /// What memory knows of `number`, without any waiting; `None` if it does not know.
    pub fn peek(&self, number: &PhoneNumber) -> Option<Recall> {
        // What waits is taken first: a write that is committed in between is then in memory.
        let waiting = self.shelf.pending.of_number(number);
        let known = self.shelf.hot.get(number.digits())?;
        Some(overlay(known, &waiting).into())
    }

    async fn recall_slowly(
        &self,
        number: &PhoneNumber,
        budget: Duration,
    ) -> (Recall, Option<Tier>) {
        let (tell, told) = oneshot::channel();
        let asked = self.fetch(number, move |answer| {
            // Whoever asked may have gone on without; memory has the answer now.
            let _ = tell.send(answer);
        });
        if let Err(error) = asked {
            tracing::warn!(%error, "a look-up was not begun");
            return (Recall::TimedOut, None);
        }
        match tokio::time::timeout(budget, told).await {
            Ok(Ok(Ok((known, tier)))) => (self.shelf.lay_over(number, known).into(), Some(tier)),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "a look-up failed");
                (Recall::TimedOut, None)
            }
            Ok(Err(_)) | Err(_) => (Recall::TimedOut, None),
        }
    }

    /// Brings `number` into memory in the background, for a call that is about to need it. Refused
    /// while the readers have too much to do: the look-up itself will ask again.
    pub fn remember(&self, number: &PhoneNumber) -> Result<(), ReadError> {
        match self.shelf.hot.get(number.digits()) {
            Some(_) => Ok(()),
            None => self.fetch(number, |_| ()),
        }
    }

    /// The warm tier itself.
    pub(crate) fn warm(&self) -> Option<&Warm> {
        self.shelf.warm.as_deref()
    }

    fn fetch(
        &self,
        number: &PhoneNumber,
        then: impl FnOnce(Result<(Known, Tier), ReadError>) + Send + 'static,
    ) -> Result<(), ReadError> {
        let (shelf, number) = (Arc::clone(&self.shelf), number.clone());
        self.shelf
            .readers
            .submit(move |reader| then(shelf.look_up(reader, &number)))
    }

    /// Shows what a batch changed: part of the step that applied it.
    pub(crate) fn refresh(&self, applied: &Applied) {
        if let Some(warm) = &self.shelf.warm {
            warm.refresh(applied);
        }
        for (number, known) in &applied.callers {
            self.shelf.hot.refresh(number.digits(), known.clone());
        }
    }

    /// The database has changed past the writer, or another one has taken its place: nothing of what the
    /// tiers were filled with is shown any more when this returns. sled is filled anew in the background.
    pub(crate) fn database_changed(&self) {
        // Warm first: a read that begins after memory was cleared must not find the old there.
        if let Some(warm) = &self.shelf.warm {
            warm.database_changed();
        }
        self.shelf.hot.clear();
    }

    /// Whether the warm tier answers by now.
    pub fn is_warm(&self) -> bool {
        self.shelf.warm.as_ref().is_some_and(|warm| warm.is_ready())
    }

    /// Callers held in memory.
    pub fn hot_callers(&self) -> usize {
        self.shelf.hot.len()
    }
}

impl Shelf {
    /// Asks the disk, sled first. What is found goes into memory, unless the number changed
    /// meanwhile: then memory has the truth already, or the disk is asked again.
    fn look_up(
        &self,
        reader: &mut Reader,
        number: &PhoneNumber,
    ) -> Result<(Known, Tier), ReadError> {
        /// A number that changes at each attempt is a busy one; its last answer is as good as any.
        const ATTEMPTS: usize = 3;
        let key = number.digits();
        let mut answer = Err(ReadError::Busy);
        for _ in 0..ATTEMPTS {
            let stamp = self.hot.stamp(key);
            answer = self.read(reader, number);
            let Ok((known, _)) = &answer else { break };
            self.hot.fill(key, known.clone(), stamp);
            if self.hot.stamp(key) == stamp {
                break;
            }
        }
        answer
    }

    fn read(&self, reader: &mut Reader, number: &PhoneNumber) -> Result<(Known, Tier), ReadError> {
        let warm = self
            .warm
            .as_ref()
            .and_then(|warm| warm.get(number.digits(), &self.faults));
        match warm {
            Some(caller) => Ok((Some(caller), Tier::Warm)),
            None => Ok((cold::read(reader, number, &self.faults)?, Tier::Cold)),
        }
    }

    /// Lays over an answer of the disk what memory has learned since, and what waits.
    fn lay_over(&self, number: &PhoneNumber, answer: Known) -> Known {
        let waiting = self.pending.of_number(number);
        overlay(self.hot.get(number.digits()).unwrap_or(answer), &waiting)
    }
}
