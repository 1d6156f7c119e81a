//! The thread that keeps the tier: opens it, brings it in step by the change feed, and throws it
//! away when it gives reason for doubt.

use super::label::{Distrust, Label};
use super::sheet::{Fault, Sheet};
use super::{Shelf, WarmConfig, folder};
use crate::faults::Operation;
use crate::pauses::Pauses;
use crate::record::Caller;
use crate::sqlite::meta::Meta;
use crate::sqlite::{callers, connection, meta};
use calldex_observability::catalog;
use rusqlite::Connection;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Callers read from the feed and written at once.
const FEED_ROWS_MAX: usize = 1_000;
/// Rest between two full pages of the feed, so that a rebuild leaves the machine to the calls.
const FEED_REST: Duration = Duration::from_millis(1);
/// First pause after the tier could not be built; each further one doubles.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Why a round of keeping ended.
enum Halt {
    /// The storage closes.
    Stop,
    /// The tier is to be thrown away.
    Rebuild(Fault),
    /// The database could not be read; the tier itself is in order.
    Unreadable,
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Rebuild(fault)
    }
}

impl From<rusqlite::Error> for Halt {
    fn from(_: rusqlite::Error) -> Self {
        Self::Unreadable
    }
}

/// See the module.
pub(super) struct Keeper {
    config: WarmConfig,
    shelf: Arc<Shelf>,
}

impl Keeper {
    pub(super) fn new(config: WarmConfig, shelf: Arc<Shelf>) -> Self {
        Self { config, shelf }
    }

    /// Keeps the tier until the storage closes.
    pub(super) fn run(self) {
        let mut pauses = Pauses::new(RETRY_MIN, RETRY_MAX);
        loop {
            let halt = self.keep(&mut pauses);
            self.shelf.ready.store(false, Ordering::SeqCst);
            match halt {
                Halt::Stop => return self.put_away(),
                Halt::Rebuild(fault) => self.throw_away(fault),
                Halt::Unreadable => {
                    tracing::warn!("the warm tier cannot read the database; trying again")
                }
            }
            if self.rest(pauses.lengthen()) {
                return self.put_away();
            }
        }
    }

    /// Opens, catches up, and follows, until something ends it.
    fn keep(&self, pauses: &mut Pauses) -> Halt {
        match self.try_keep(pauses) {
            Ok(never) => match never {},
            Err(halt) => halt,
        }
    }

    fn try_keep(&self, pauses: &mut Pauses) -> Result<std::convert::Infallible, Halt> {
        let database = connection::open_reader(&self.config.database)?;
        let now = meta::read(&database)?;
        let (sheet, mut label) = self.open(&now)?;
        self.shelf.put_sheet(Some(Arc::clone(&sheet)));
        loop {
            self.catch_up(&database, &sheet, &mut label)?;
            if self.shelf.trust() {
                pauses.reset();
                self.count(&database)?;
            }
            self.wait_for_changes()?;
        }
    }

    /// Opens what is there if it may be believed. A mark beside the folder shows an opening that the
    /// process did not survive.
    fn open(&self, now: &Meta) -> Result<(Arc<Sheet>, Label), Halt> {
        let (folder, mark) = (folder(&self.config.data_dir), self.mark());
        if mark.exists() {
            tracing::warn!("the last opening of the warm tier ended the process");
            return Err(Fault::Panicked.into());
        }
        self.config
            .faults
            .at(Operation::OpenWarm)
            .map_err(|_| Fault::Corrupt)?;
        let is_new = !folder.exists();
        // Without the mark a damaged tier might end the process again; nothing worse.
        let _ = std::fs::write(&mark, b"");
        let opened = Sheet::open(&folder);
        let _ = std::fs::remove_file(&mark);
        let sheet = opened?;
        let label = self.believe(&sheet, is_new, now)?;
        let label = Label {
            boot: self.config.boot.clone(),
            clean: false,
            ..label
        };
        sheet.write(&[], &[], &label)?;
        sheet.flush()?;
        Ok((Arc::new(sheet), label))
    }

    fn believe(&self, sheet: &Sheet, is_new: bool, now: &Meta) -> Result<Label, Fault> {
        match sheet.label()? {
            Some(label) => {
                let checked = label.check(&now.lineage, now.rev, now.erased_rev, &self.config.boot);
                checked.map(|()| label).map_err(|distrust| match distrust {
                    Distrust::Foreign => Fault::Foreign,
                    Distrust::Behind => Fault::Behind,
                })
            }
            None if is_new => {
                catalog::WARM_REBUILDS_TOTAL
                    .with(Fault::Missing.as_str())
                    .increment(1);
                let label = Label::new(&now.lineage, &self.config.boot);
                Ok(Label {
                    erased_rev: now.erased_rev,
                    ..label
                })
            }
            // A folder without a label is a torn one, or somebody else's.
            None => Err(Fault::Corrupt),
        }
    }

    /// Writes everything that the feed has beyond the label.
    fn catch_up(
        &self,
        database: &Connection,
        sheet: &Sheet,
        label: &mut Label,
    ) -> Result<(), Halt> {
        loop {
            self.check_signal()?;
            let snapshot = database.unchecked_transaction()?;
            let now = meta::read(&snapshot)?;
            let changes = callers::changed_since(&snapshot, label.rev, FEED_ROWS_MAX)?;
            drop(snapshot);
            label.rev = if changes.is_full {
                changes.read_to
            } else {
                now.rev
            };
            self.write(sheet, &changes.callers, label)?;
            if !changes.is_full {
                return Ok(());
            }
            std::thread::sleep(FEED_REST);
        }
    }

    fn write(&self, sheet: &Sheet, changed: &[Caller], label: &mut Label) -> Result<(), Halt> {
        let rev = label.rev;
        let settled: Vec<(u64, bool)> = self
            .shelf
            .dirty
            .iter()
            .filter(|entry| entry.rev <= rev)
            .map(|entry| (*entry.key(), entry.erased))
            .collect();
        let present: HashSet<u64> = changed
            .iter()
            .map(|caller| caller.number.digits())
            .collect();
        let gone = settled
            .iter()
            .filter(|(key, erased)| *erased && !present.contains(key));
        let erased: Vec<u64> = gone.map(|(key, _)| *key).collect();
        if !erased.is_empty() {
            label.erased_rev = rev;
        }
        self.config
            .faults
            .at(Operation::WriteWarm)
            .map_err(|_| Fault::Corrupt)?;
        sheet.write(changed, &erased, label)?;
        for (key, _) in settled {
            self.shelf
                .dirty
                .remove_if(&key, |_, change| change.rev <= rev);
        }
        Ok(())
    }

    fn count(&self, database: &Connection) -> rusqlite::Result<()> {
        let callers: i64 =
            database.query_row("SELECT COUNT(*) FROM callers", [], |row| row.get(0))?;
        catalog::DIRECTORY_ENTRIES.with("warm").set(callers as f64);
        Ok(())
    }

    fn check_signal(&self) -> Result<(), Halt> {
        let mut signal = self.shelf.lock();
        signal.changed = false;
        match signal.fault.take() {
            _ if signal.stop => Err(Halt::Stop),
            Some(fault) => Err(Halt::Rebuild(fault)),
            None => Ok(()),
        }
    }

    fn wait_for_changes(&self) -> Result<(), Halt> {
        let mut signal = self.shelf.lock();
        while !(signal.changed || signal.stop || signal.fault.is_some()) {
            signal = self
                .shelf
                .told
                .wait(signal)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(signal);
        self.check_signal()
    }

    /// Sleeps up to `pause`. Whether the storage closes.
    fn rest(&self, pause: Duration) -> bool {
        let signal = self.shelf.lock();
        let waited = self
            .shelf
            .told
            .wait_timeout_while(signal, pause, |signal| !signal.stop);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }

    fn mark(&self) -> PathBuf {
        self.config.data_dir.join("warm.opening")
    }

    /// Removes the tier from disk. Look-ups go to SQLite meanwhile.
    fn throw_away(&self, fault: Fault) {
        catalog::WARM_REBUILDS_TOTAL
            .with(fault.as_str())
            .increment(1);
        catalog::DIRECTORY_ENTRIES.with("warm").set(0.0);
        tracing::warn!(
            reason = fault.as_str(),
            "the warm tier is built anew from the database"
        );
        drop(self.shelf.put_sheet(None));
        // What came in meanwhile was about the same one: the next is read from the database as it is now.
        self.shelf.lock().fault = None;
        self.shelf.dirty.clear();
        let folder = folder(&self.config.data_dir);
        let removed = if folder.is_dir() {
            std::fs::remove_dir_all(&folder)
        } else {
            std::fs::remove_file(&folder)
        };
        if let Err(error) =
            removed.or_else(|error| if folder.exists() { Err(error) } else { Ok(()) })
        {
            tracing::warn!(%error, "the warm tier could not be removed");
        }
        let _ = std::fs::remove_file(self.mark());
    }

    /// Closes in order, so that the next start may believe it.
    fn put_away(&self) {
        let Some(sheet) = self.shelf.put_sheet(None) else {
            return;
        };
        let Ok(Some(label)) = sheet.label() else {
            return;
        };
        // Left dirty, the next start builds it anew if the machine was started anew.
        let closed = sheet.flush().and_then(|()| {
            sheet.write(
                &[],
                &[],
                &Label {
                    clean: true,
                    ..label
                },
            )
        });
        let _ = closed.and_then(|()| sheet.flush());
    }
}
