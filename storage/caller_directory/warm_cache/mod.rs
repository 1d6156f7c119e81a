//! The warm tier: sled on disk, a cache of `callers` for those that memory has no room for. Nothing lies
//! only here. It is thrown away at every start, at an erasure, and whenever the database may have changed
//! past it; then it is filled again from the database in the background, and SQLite answers meanwhile.

mod caller_record;
mod rebuild_worker;
mod sled_store;

use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::record::Caller;
use crate::thread_join;
use crate::write::AppliedWrites;
use dashmap::DashMap;
use rebuild_worker::WarmCacheWorker;
use sled_store::SledStore;
pub use sled_store::WARM_CACHE_BYTES;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// The tier's folder in the data directory.
pub(crate) const WARM_DIR: &str = "warm";
/// Numbers that sled has yet to hear of. Beyond it the tier is filled anew.
pub const WARM_BEHIND_MAX: usize = 100_000;

/// Why the tier is filled anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RebuildReason {
    /// The server was started.
    Start,
    /// A caller was erased: sled keeps what it has deleted.
    Erasure,
    /// The database was changed past the writer, or replaced.
    Changed,
    /// Too many numbers have changed since it was written last.
    Behind,
    /// Damaged, or failing.
    Corrupt,
    /// sled panicked.
    Panicked,
}

impl RebuildReason {
    /// The label of `warm_rebuilds_total`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Erasure => "erasure",
            Self::Changed => "changed",
            Self::Behind => "behind",
            Self::Corrupt => "corrupt",
            Self::Panicked => "panicked",
        }
    }

    fn is_failure(self) -> bool {
        matches!(self, Self::Corrupt | Self::Panicked)
    }
}

/// How the tier is kept.
#[derive(Clone, Debug)]
pub(crate) struct WarmCacheConfig {
    pub data_dir: PathBuf,
    pub database: PathBuf,
    pub faults: FaultInjector,
}

/// The tier and the thread that fills it.
pub(crate) struct WarmCache {
    shared: Arc<WarmCacheState>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// What look-ups, the writer and the filler share.
#[derive(Default)]
struct WarmCacheState {
    store: RwLock<Option<Arc<SledStore>>>,
    /// Whether everything but `behind` is in step.
    ready: AtomicBool,
    /// Numbers whose change sled has not heard of, with its revision: they are asked for in SQLite.
    behind: DashMap<u64, u64>,
    signal: Mutex<WorkerSignal>,
    changed: Condvar,
}

#[derive(Default)]
struct WorkerSignal {
    changed: bool,
    stop: bool,
    /// Why the tier is not to be believed any more.
    rebuild: Option<RebuildReason>,
}

impl WarmCache {
    /// Starts the thread, which throws away what is there and fills the tier. Blocks for neither.
    pub(crate) fn start(config: WarmCacheConfig) -> std::io::Result<Self> {
        let shared = Arc::new(WarmCacheState::default());
        let worker = WarmCacheWorker::new(config, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("calldex-warm".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self {
            shared,
            worker: Mutex::new(Some(thread)),
        })
    }

    /// Removes what a server that had the tier has left: it is not kept in step without one.
    pub(crate) fn delete_folder(data_dir: &Path) {
        sled_store::remove(&folder_in(data_dir));
    }

    /// The caller behind `key`, if the tier is in step and has it. `None` says nothing. May wait for
    /// the disk.
    pub(crate) fn get(&self, key: u64, faults: &FaultInjector) -> Option<Arc<Caller>> {
        if !self.is_ready() || self.shared.behind.contains_key(&key) {
            return None;
        }
        faults.inject(DiskOperation::ReadWarm).ok()?;
        let store = self.shared.store()?;
        match store.get(key) {
            Ok(found) => found.map(Arc::new),
            Err(reason) => {
                self.shared.request_rebuild(reason);
                None
            }
        }
    }

    /// Whether it answers.
    pub(crate) fn is_ready(&self) -> bool {
        self.shared.ready.load(Ordering::SeqCst)
    }

    /// Hears of what a batch changed. Never waits for sled.
    pub(crate) fn refresh(&self, applied: &AppliedWrites) {
        if applied.callers.is_empty() {
            return;
        }
        if applied.callers.iter().any(|(_, known)| known.is_none()) {
            return self.shared.request_rebuild(RebuildReason::Erasure);
        }
        for (number, _) in &applied.callers {
            self.shared.behind.insert(number.digits(), applied.rev);
        }
        if self.shared.behind.len() > WARM_BEHIND_MAX {
            return self.shared.request_rebuild(RebuildReason::Behind);
        }
        self.shared.notify(|signal| signal.changed = true);
    }

    /// The database has changed otherwise: nothing is answered from now on, until the tier is filled anew.
    pub(crate) fn invalidate(&self) {
        self.shared.request_rebuild(RebuildReason::Changed);
    }

    /// Lets the thread remove the tier until `end`; later it is left.
    pub(crate) fn close(&self, end: Instant) {
        self.shared.notify(|signal| signal.stop = true);
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = worker.take() {
            let _ = thread_join::join_until(worker, end);
        }
    }
}

impl WarmCacheState {
    fn store(&self) -> Option<Arc<SledStore>> {
        self.store
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put_store(&self, store: Option<Arc<SledStore>>) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
    }

    /// From now on the tier is not asked; the filler begins anew.
    fn request_rebuild(&self, reason: RebuildReason) {
        self.notify(|signal| {
            self.ready.store(false, Ordering::SeqCst);
            signal.rebuild = Some(reason);
        });
    }

    /// The tier is in step, unless it was doubted meanwhile. Whether that is news.
    fn mark_ready(&self) -> bool {
        let signal = self.lock();
        signal.rebuild.is_none() && !self.ready.swap(true, Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, WorkerSignal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, change: impl FnOnce(&mut WorkerSignal)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// The folder below `data_dir`.
fn folder_in(data_dir: &Path) -> PathBuf {
    data_dir.join(WARM_DIR)
}
