//! How long the write-ahead log is, told by SQLite itself after each commit.

use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a page.
pub(crate) const PAGE_BYTES: u64 = 4_096;

/// Pages in the log after the last commit. Shared by writer and checkpointer.
#[derive(Clone, Default)]
pub(crate) struct WalPages(Arc<AtomicU64>);

impl WalPages {
    /// From now on `connection` tells its commits.
    pub(crate) fn install_hook(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let pages = Arc::clone(&self.0);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, in_log: i32| {
            pages.store(u64::from(in_log.unsigned_abs()), Ordering::Relaxed);
            Ok(())
        }))
    }

    /// Pages now.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
