//! What lookups, the writer and the worker of the warm cache share.

use super::rebuild_reason::RebuildReason;
use super::sled_store::SledStore;
use crate::data_dir::WARM_DIR;
use crate::fault_injection::FaultInjector;
use dashmap::DashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

/// How the tier is kept.
#[derive(Clone, Debug)]
pub(crate) struct WarmCacheConfig {
    pub data_dir: PathBuf,
    pub database: PathBuf,
    pub faults: FaultInjector,
}

/// What look-ups, the writer and the filler share.
#[derive(Default)]
pub(super) struct WarmCacheState {
    store: RwLock<Option<Arc<SledStore>>>,
    /// Whether everything but `behind` is in step.
    pub(super) ready: AtomicBool,
    /// Numbers whose change sled has not heard of, with its revision: they are asked for in SQLite.
    pub(super) behind: DashMap<u64, u64>,
    signal: Mutex<WorkerSignal>,
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct WorkerSignal {
    pub(super) changed: bool,
    pub(super) stop: bool,
    /// Why the tier is not to be believed any more.
    pub(super) rebuild: Option<RebuildReason>,
}

impl WarmCacheState {
    pub(super) fn store(&self) -> Option<Arc<SledStore>> {
        self.store
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn put_store(&self, store: Option<Arc<SledStore>>) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
    }

    /// From now on the tier is not asked; the filler begins anew.
    pub(super) fn request_rebuild(&self, reason: RebuildReason) {
        self.notify(|signal| {
            self.ready.store(false, Ordering::SeqCst);
            signal.rebuild = Some(reason);
        });
    }

    /// The tier is in step, unless it was doubted meanwhile. Whether that is news.
    pub(super) fn mark_ready(&self) -> bool {
        let signal = self.lock();
        signal.rebuild.is_none() && !self.ready.swap(true, Ordering::SeqCst)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WorkerSignal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify(&self, change: impl FnOnce(&mut WorkerSignal)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// The folder below `data_dir`.
pub(super) fn folder_in(data_dir: &Path) -> PathBuf {
    data_dir.join(WARM_DIR)
}
