//! How storage is opened.

use crate::conversations::READ_MS_MAX;
use crate::directory::HOT_CALLERS_MAX;
use crate::faults::Faults;
use crate::writer::Bounds;
use calldex_observability::worker::Workers;
use std::path::PathBuf;
use std::time::Duration;

/// How storage is opened.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The data directory; made if it is not there.
    pub data_dir: PathBuf,
    /// Bounds of queue and batch.
    pub bounds: Bounds,
    /// Callers kept in memory.
    pub hot_callers_max: usize,
    /// Whether callers are kept in sled too.
    pub warm: bool,
    /// What a read of a conversation may take.
    pub read_deadline: Duration,
    /// Where background work is listed.
    pub workers: Workers,
    /// For tests: what happens at the labelled disk operations.
    pub faults: Faults,
}

impl StorageConfig {
    /// The defaults, in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bounds: Bounds::default(),
            hot_callers_max: HOT_CALLERS_MAX,
            warm: true,
            read_deadline: Duration::from_millis(READ_MS_MAX),
            workers: Workers::default(),
            faults: Faults::default(),
        }
    }
}
