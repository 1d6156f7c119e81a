//! The warm tier: a cache of the table `callers` in sled on disk, for those that do not fit into memory. It
//! is deleted at every start, at an erasure, and whenever another process may have changed the database.
//! Then it is rebuilt from the database in the background, and SQLite answers meanwhile.

mod caller_record;
mod rebuild_reason;
mod rebuild_worker;
mod sled_store;
mod state;

use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::record::Caller;
use crate::thread_join;
use crate::write::AppliedWrites;
use rebuild_reason::RebuildReason;
use rebuild_worker::WarmCacheWorker;
pub use sled_store::WARM_CACHE_BYTES;
pub(crate) use state::WarmCacheConfig;
use state::{WarmCacheState, folder_in};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Most numbers whose change is not in sled yet. Beyond it the cache is rebuilt.
pub const WARM_BEHIND_MAX: usize = 100_000;

/// The cache and the thread that fills it.
pub(crate) struct WarmCache {
    shared: Arc<WarmCacheState>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl WarmCache {
    /// Starts the thread, which deletes the folder and fills the cache. Does not wait for it.
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

    /// Removes the folder of an earlier process: without the thread it would become out of date.
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

    /// Notes the callers that a batch changed. Never waits for sled.
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

    /// The database was changed by another process or replaced: nothing is answered until the cache is rebuilt.
    pub(crate) fn invalidate(&self) {
        self.shared.request_rebuild(RebuildReason::Changed);
    }

    /// Lets the thread delete the folder, and waits until `end` at most.
    pub(crate) fn close(&self, end: Instant) {
        self.shared.notify(|signal| signal.stop = true);
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = worker.take() {
            let _ = thread_join::join_until(worker, end);
        }
    }
}
