//! The warm tier: sled on disk, a projection of `callers`, so that a restarted house knows its
//! callers without asking SQLite. Nothing lies only here. It is believed only while it is known to
//! be in step, and thrown away whenever it gives reason for doubt.

mod card;
mod keeper;
mod label;
mod sheet;

use crate::ending;
use crate::faults::{Faults, Operation};
use crate::record::Caller;
use crate::write::Applied;
use dashmap::DashMap;
use keeper::Keeper;
pub(crate) use label::boot_of_machine;
use sheet::{Fault, Sheet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// The tier's folder in the data directory. May be deleted at any time while the house is closed.
pub(crate) const WARM_DIR: &str = "warm";
/// Numbers that sled has yet to hear of. Beyond it the tier is thrown away and built anew.
const DIRTY_MAX: usize = 100_000;

/// How the tier is kept.
#[derive(Clone, Debug)]
pub(crate) struct WarmConfig {
    pub data_dir: PathBuf,
    pub database: PathBuf,
    /// Which start of the machine this is: what an unclean end left on disk is believed only within
    /// one, since sled loses what was not synced when the power goes.
    pub boot: String,
    pub faults: Faults,
}

/// The tier and the thread that keeps it.
pub(crate) struct Warm {
    shelf: Arc<Shelf>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// What look-ups, the writer and the keeper share.
#[derive(Default)]
struct Shelf {
    sheet: RwLock<Option<Arc<Sheet>>>,
    /// Whether everything but `dirty` is in step.
    ready: AtomicBool,
    /// Changes that sled has not heard of: these numbers are asked for in SQLite.
    dirty: DashMap<u64, Change>,
    signal: Mutex<Signal>,
    told: Condvar,
}

/// A change of a caller: its revision, and whether the caller is gone.
#[derive(Clone, Copy)]
struct Change {
    rev: u64,
    erased: bool,
}

#[derive(Default)]
struct Signal {
    changed: bool,
    stop: bool,
    /// Why the tier is not to be believed any more.
    fault: Option<Fault>,
}

impl Warm {
    /// Starts the keeper, which opens sled and brings it in step in the background.
    pub(crate) fn start(config: WarmConfig) -> std::io::Result<Self> {
        let shelf = Arc::new(Shelf::default());
        let keeper = Keeper::new(config, Arc::clone(&shelf));
        let thread = std::thread::Builder::new()
            .name("calldex-warm".to_owned())
            .spawn(move || keeper.run())?;
        Ok(Self {
            shelf,
            keeper: Mutex::new(Some(thread)),
        })
    }

    /// The caller behind `key`, if the tier is in step and has it. `None` says nothing. May wait for
    /// the disk.
    pub(crate) fn get(&self, key: u64, faults: &Faults) -> Option<Arc<Caller>> {
        if !self.is_ready() || self.shelf.dirty.contains_key(&key) {
            return None;
        }
        faults.at(Operation::ReadWarm).ok()?;
        let sheet = self.shelf.sheet()?;
        match sheet.get(key) {
            Ok(found) => found.map(Arc::new),
            Err(fault) => {
                self.shelf.doubt(fault);
                None
            }
        }
    }

    /// Whether it answers.
    pub(crate) fn is_ready(&self) -> bool {
        self.shelf.ready.load(Ordering::SeqCst)
    }

    /// Hears of what a batch changed. Never waits for sled.
    pub(crate) fn refresh(&self, applied: &Applied) {
        if applied.callers.is_empty() {
            return;
        }
        for (number, known) in &applied.callers {
            let change = Change {
                rev: applied.rev,
                erased: known.is_none(),
            };
            self.shelf.dirty.insert(number.digits(), change);
        }
        if self.shelf.dirty.len() > DIRTY_MAX {
            self.shelf.doubt(Fault::Behind);
        }
        self.shelf.tell(|signal| signal.changed = true);
    }

    /// The database is another one: nothing is answered from now on, until the tier is built anew.
    pub(crate) fn database_replaced(&self) {
        self.shelf.doubt(Fault::Foreign);
    }

    /// Lets the keeper finish until `end` and mark the tier as cleanly closed; later it is left.
    pub(crate) fn close(&self, end: Instant) {
        self.shelf.tell(|signal| signal.stop = true);
        let Some(keeper) = self
            .keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return;
        };
        let _ = ending::join(keeper, end);
    }
}

impl Shelf {
    fn sheet(&self) -> Option<Arc<Sheet>> {
        self.sheet
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put_sheet(&self, sheet: Option<Arc<Sheet>>) -> Option<Arc<Sheet>> {
        let mut place = self.sheet.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, sheet)
    }

    /// From now on the tier is not asked; the keeper builds it anew.
    fn doubt(&self, fault: Fault) {
        self.tell(|signal| {
            self.ready.store(false, Ordering::SeqCst);
            signal.fault = Some(fault);
        });
    }

    /// The tier is in step, unless it was doubted meanwhile. Whether that is news.
    fn trust(&self) -> bool {
        let signal = self.lock();
        signal.fault.is_none() && !self.ready.swap(true, Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Signal)) {
        change(&mut self.lock());
        self.told.notify_all();
    }
}

/// The folder below `data_dir`.
fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(WARM_DIR)
}
