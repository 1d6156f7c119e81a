//! How storage is opened.

use crate::caller_directory::HOT_CALLERS_MAX;
use crate::conversations::READ_MS_MAX;
use crate::fault_injection::FaultInjector;
use crate::writer::WriterBounds;
use calldex_observability::worker::WorkerRegistry;
use std::path::PathBuf;
use std::time::Duration;

/// How storage is opened.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The data directory; made if it is not there.
    pub data_dir: PathBuf,
    /// Bounds of queue and batch.
    pub bounds: WriterBounds,
    /// Callers kept in memory.
    pub hot_callers_max: usize,
    /// Whether callers are kept in sled too.
    pub warm_cache: bool,
    /// What a read of a conversation may take.
    pub read_deadline: Duration,
    /// Where background work is listed.
    pub workers: WorkerRegistry,
    /// For tests: what happens at the labelled disk operations.
    pub faults: FaultInjector,
}

impl StorageConfig {
    /// The defaults, in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bounds: WriterBounds::default(),
            hot_callers_max: HOT_CALLERS_MAX,
            warm_cache: true,
            read_deadline: Duration::from_millis(READ_MS_MAX),
            workers: WorkerRegistry::default(),
            faults: FaultInjector::default(),
        }
    }
}
