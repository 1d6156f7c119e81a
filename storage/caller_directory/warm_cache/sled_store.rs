//! Catches the errors and panics of sled: version 0.34 panics on damaged files.

use super::caller_record;
use super::rebuild_reason::RebuildReason;
use crate::file_permissions;
use crate::record::Caller;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// sled's page cache at most, bytes: room for a million callers, taken as they come. Beyond it pages
/// are read from disk again.
pub const WARM_CACHE_BYTES: u64 = 256 * 1024 * 1024;
/// How often sled writes out on its own, milliseconds.
const FLUSH_MS: u64 = 1_000;

/// An open sled database.
pub(super) struct SledStore {
    db: Option<sled::Db>,
}

impl SledStore {
    /// Makes an empty database in `folder`, where there must be nothing.
    pub(super) fn create(folder: &Path) -> Result<Self, RebuildReason> {
        file_permissions::create_dir(folder).map_err(|_| RebuildReason::Corrupt)?;
        let open = || {
            let config = sled::Config::new()
                .path(folder)
                .cache_capacity(WARM_CACHE_BYTES);
            config.flush_every_ms(Some(FLUSH_MS)).open()
        };
        let db = catch_failures(open)?;
        file_permissions::restrict_to_owner(folder);
        if !db.is_empty() {
            // What was there could not be removed.
            return Err(RebuildReason::Corrupt);
        }
        Ok(Self { db: Some(db) })
    }

    fn run<T>(
        &self,
        operation: impl FnOnce(&sled::Db) -> sled::Result<T>,
    ) -> Result<T, RebuildReason> {
        let db = self.db.as_ref().ok_or(RebuildReason::Corrupt)?;
        catch_failures(|| operation(db))
    }

    /// The caller under `key`.
    pub(super) fn get(&self, key: u64) -> Result<Option<Caller>, RebuildReason> {
        match self.run(|db| db.get(key.to_be_bytes()))? {
            Some(bytes) => caller_record::decode(key, &bytes)
                .map(Some)
                .ok_or(RebuildReason::Corrupt),
            None => Ok(None),
        }
    }

    /// Writes callers.
    pub(super) fn write(&self, callers: &[Caller]) -> Result<(), RebuildReason> {
        let mut batch = sled::Batch::default();
        for caller in callers {
            let key = caller.number.digits().to_be_bytes();
            batch.insert(&key, caller_record::encode(caller));
        }
        self.run(|db| db.apply_batch(batch))
    }
}

fn catch_failures<T>(operation: impl FnOnce() -> sled::Result<T>) -> Result<T, RebuildReason> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(RebuildReason::Corrupt),
        Err(_) => Err(RebuildReason::Panicked),
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let db = self.db.take();
        // Closing a damaged database may panic too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

/// Removes whatever is at `folder`. Where that fails, nothing is made there.
pub(super) fn remove(folder: &Path) {
    let removed = match folder.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(folder),
        Ok(_) => std::fs::remove_file(folder),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "the warm tier could not be removed");
    }
}
