//! The warm tier: sled on disk, a cache of `callers` for those that memory has no room for. Nothing lies
//! only here. It is thrown away at every start, at an erasure, and whenever the database may have changed
//! past it; then it is filled again from the database in the background, and SQLite answers meanwhile.

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

/// Numbers that sled has yet to hear of. Beyond it the tier is filled anew.
pub const WARM_BEHIND_MAX: usize = 100_000;

/// The tier and the thread that fills it.
pub(crate) struct WarmCache {
    shared: Arc<WarmCacheState>,
    worker: Mutex<Option<JoinHandle<()>>>,
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
