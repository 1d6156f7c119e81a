//! sled behind a guard: every call of it may fail or panic (0.34 does, on damaged files), and
//! neither may reach anybody else.

use super::card;
use super::label::Label;
use crate::record::Caller;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Under which the label lies: no number's key has this length.
const LABEL_KEY: &[u8] = b"label";
/// sled's page cache at most, bytes: room for a million callers, taken as they come. Beyond it pages
/// are read from disk again.
const CACHE_BYTES: u64 = 256 * 1024 * 1024;
/// How often sled writes out on its own, milliseconds. It is a cache: what a crash loses is read
/// again.
const FLUSH_MS: u64 = 1_000;
/// How long opening may take before the tier is given up.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// What makes the tier unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is none yet.
    Missing,
    /// Damaged, or failing.
    Corrupt,
    /// sled panicked, or hung in opening.
    Panicked,
    /// Of another database.
    Foreign,
    /// Too far behind to be caught up, or left in a state that cannot be believed.
    Behind,
}

impl Fault {
    /// The label of `warm_rebuilds_total`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Corrupt => "corrupt",
            Self::Panicked => "panicked",
            Self::Foreign => "foreign",
            Self::Behind => "behind",
        }
    }
}

/// An open sled database.
pub(super) struct Sheet {
    db: Option<sled::Db>,
}

impl Sheet {
    /// Opens or makes the database in `folder`, on a thread of its own that may panic or hang.
    pub(super) fn open(folder: &Path) -> Result<Self, Fault> {
        let (tell, told) = mpsc::channel();
        let folder = folder.to_owned();
        let open = move || {
            let opened = catch_unwind(|| {
                let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES);
                config.flush_every_ms(Some(FLUSH_MS)).open()
            });
            // If nobody waits any more the database is closed again right here.
            let _ = tell.send(opened);
        };
        std::thread::Builder::new()
            .name("calldex-warm-open".to_owned())
            .spawn(open)
            .map_err(|_| Fault::Corrupt)?;
        match told.recv_timeout(OPEN_MAX) {
            Ok(Ok(Ok(db))) => Ok(Self { db: Some(db) }),
            Ok(Ok(Err(_))) => Err(Fault::Corrupt),
            Ok(Err(_)) | Err(_) => Err(Fault::Panicked),
        }
    }

    fn guard<T>(&self, operation: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, Fault> {
        let Some(db) = &self.db else {
            return Err(Fault::Corrupt);
        };
        match catch_unwind(AssertUnwindSafe(|| operation(db))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(Fault::Corrupt),
            Err(_) => Err(Fault::Panicked),
        }
    }

    /// The caller under `key`.
    pub(super) fn get(&self, key: u64) -> Result<Option<Caller>, Fault> {
        match self.guard(|db| db.get(key.to_be_bytes()))? {
            Some(bytes) => card::read(key, &bytes).map(Some).ok_or(Fault::Corrupt),
            None => Ok(None),
        }
    }

    /// The label; none in a database just made.
    pub(super) fn label(&self) -> Result<Option<Label>, Fault> {
        match self.guard(|db| db.get(LABEL_KEY))? {
            Some(bytes) => Label::from_bytes(&bytes).map(Some).ok_or(Fault::Corrupt),
            None => Ok(None),
        }
    }

    /// Writes callers, removes the erased, and writes the label, in one step.
    pub(super) fn write(
        &self,
        callers: &[Caller],
        erased: &[u64],
        label: &Label,
    ) -> Result<(), Fault> {
        let mut batch = sled::Batch::default();
        for key in erased {
            batch.remove(&key.to_be_bytes());
        }
        for caller in callers {
            batch.insert(&caller.number.digits().to_be_bytes(), card::write(caller));
        }
        batch.insert(LABEL_KEY, label.to_bytes());
        self.guard(|db| db.apply_batch(batch))
    }

    /// Writes everything out.
    pub(super) fn flush(&self) -> Result<(), Fault> {
        self.guard(|db| db.flush().map(|_| ()))
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let db = self.db.take();
        // Closing a damaged database may panic too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}
