//! What lookups, the writer and the worker of the warm cache share.

use super::rebuild_reason::RebuildReason;
use super::sled_store::SledStore;
use crate::data_dir::WARM_DIR;
use crate::fault_injection::FaultInjector;
use dashmap::DashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

/// Where the cache is and what it is filled from.
#[derive(Clone, Debug)]
pub(crate) struct WarmCacheConfig {
    pub data_dir: PathBuf,
    pub database: PathBuf,
    pub faults: FaultInjector,
}

/// See the module.
#[derive(Default)]
pub(super) struct WarmCacheState {
    store: RwLock<Option<Arc<SledStore>>>,
    /// Whether everything but `behind` is up to date.
    pub(super) ready: AtomicBool,
    /// Numbers whose change is not in sled yet, with its revision: they are read from SQLite.
    pub(super) behind: DashMap<u64, u64>,
    signal: Mutex<WorkerSignal>,
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct WorkerSignal {
    pub(super) changed: bool,
    pub(super) stop: bool,
    /// Why the cache is to be rebuilt, if so.
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

    /// Stops look-ups in the cache from now on, and has the worker rebuild it.
    pub(super) fn request_rebuild(&self, reason: RebuildReason) {
        self.notify(|signal| {
            self.ready.store(false, Ordering::SeqCst);
            signal.rebuild = Some(reason);
        });
    }

    /// Marks the cache as up to date, unless a rebuild was requested. Returns whether it was not before.
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
