//! Callers, conversations and turns, kept in SQLite. A write is reported as durable only once it is, and
//! no call waits for that. Knows nothing about Twilio, models or HTTP.
//!
//! Writes go in by [`Writer::submit`]; reads are [`CallerDirectory::look_up`] and [`Conversations`].
//! DESIGN.md says what can be lost in which failure.

mod backoff;
mod backup;
mod caller_directory;
mod conversations;
mod data_dir;
mod data_dir_lock;
mod disk;
mod fault_injection;
mod file_permissions;
mod format_version;
#[cfg(feature = "bench")]
pub mod measured;
mod open;
mod outbox;
mod pending_writes;
mod reader_pool;
pub mod record;
pub mod replication;
mod sqlite;
mod thread_join;
pub mod write;
mod writer;

pub use backup::{BackupError, BackupSummary, ExistingFile, backup};
pub use caller_directory::{
    CacheTier, CallerDirectory, HOT_CALLERS_MAX, LOOKUP_MS_MAX, LookupResult, WARM_BEHIND_MAX,
    WARM_CACHE_BYTES,
};
pub use conversations::{Conversations, READ_MS_MAX};
pub use data_dir::DATABASE_FILE;
pub use fault_injection::{DiskOperation, FaultInjector};
pub use format_version::{FORMAT_VERSION, FORMAT_VERSION_MIN, FormatVersionRange};
pub use open::{OpenError, Storage, StorageConfig};
pub use reader_pool::{
    BULK_READERS, BULK_READS_QUEUED_MAX, CALL_READERS, CALL_READS_QUEUED_MAX, ReadError,
};
pub use record::{Caller, Position};
pub use sqlite::LiveTurnIndex;
pub use write::ClaimResult;
pub use writer::{
    BATCH_DELAY_MS, BATCH_WRITES_MAX, CLAIM_RESULTS_BEHIND_MAX, FlushError, OUTBOX_AFTER_MS,
    PROPOSE_MS_MAX, QUEUE_BYTES_MAX, QueueDepth, Receipt, WriteError, Writer, WriterBounds,
    WriterStatus,
};
