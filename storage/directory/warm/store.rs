//! sled behind a guard: every call of it may fail or panic (0.34 does, on damaged files), and
//! neither may reach anybody else.

use super::{Reason, encoding};
use crate::private;
use crate::record::Caller;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// sled's page cache at most, bytes: room for a million callers, taken as they come. Beyond it pages
/// are read from disk again.
pub const WARM_CACHE_BYTES: u64 = 256 * 1024 * 1024;
/// How often sled writes out on its own, milliseconds.
const FLUSH_MS: u64 = 1_000;

/// An open sled database.
pub(super) struct Store {
    db: Option<sled::Db>,
}

impl Store {
    /// Makes an empty database in `folder`, where there must be nothing.
    pub(super) fn create(folder: &Path) -> Result<Self, Reason> {
        private::create_dir(folder).map_err(|_| Reason::Corrupt)?;
        let open = || {
            let config = sled::Config::new()
                .path(folder)
                .cache_capacity(WARM_CACHE_BYTES);
            config.flush_every_ms(Some(FLUSH_MS)).open()
        };
        let db = guard(open)?;
        private::mend(folder);
        if !db.is_empty() {
            // What was there could not be removed.
            return Err(Reason::Corrupt);
        }
        Ok(Self { db: Some(db) })
    }

    fn ask<T>(&self, operation: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, Reason> {
        let db = self.db.as_ref().ok_or(Reason::Corrupt)?;
        guard(|| operation(db))
    }

    /// The caller under `key`.
    pub(super) fn get(&self, key: u64) -> Result<Option<Caller>, Reason> {
        match self.ask(|db| db.get(key.to_be_bytes()))? {
            Some(bytes) => encoding::read(key, &bytes).map(Some).ok_or(Reason::Corrupt),
            None => Ok(None),
        }
    }

    /// Writes callers.
    pub(super) fn write(&self, callers: &[Caller]) -> Result<(), Reason> {
        let mut batch = sled::Batch::default();
        for caller in callers {
            let key = caller.number.digits().to_be_bytes();
            batch.insert(&key, encoding::write(caller));
        }
        self.ask(|db| db.apply_batch(batch))
    }
}

fn guard<T>(operation: impl FnOnce() -> sled::Result<T>) -> Result<T, Reason> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(Reason::Corrupt),
        Err(_) => Err(Reason::Panicked),
    }
}

impl Drop for Store {
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
