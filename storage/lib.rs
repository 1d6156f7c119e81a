//! What must be true after the phone is down: callers, conversations and turns, durable before they
//! are called so, and never waited for by a call. Knows nothing about Twilio, models or HTTP.
//!
//! The way in is [`Writer::submit`]; the ways out are [`Directory::recall`] and [`Conversations`].
//! See DESIGN.md for what can be lost when.

mod backup;
pub mod bench;
mod conversations;
mod directory;
mod ending;
mod faults;
mod level;
mod lock;
mod open;
mod pauses;
mod private;
mod readers;
pub mod record;
pub mod replication;
mod sqlite;
pub mod write;
mod writer;

pub use backup::{Backup, BackupError, Existing, backup};
pub use conversations::{Conversations, READ_MS_MAX};
pub use directory::{
    Directory, HOT_CALLERS_MAX, LOOKUP_MS_MAX, Recall, Tier, WARM_BEHIND_MAX, WARM_CACHE_BYTES,
};
pub use faults::{Faults, Operation};
pub use level::{LEVEL, LEVEL_MIN, Levels};
pub use open::{DATABASE_FILE, OpenError, Storage, StorageConfig};
pub use readers::{
    CALL_READERS, CALL_READS_QUEUED_MAX, PEOPLE_READERS, PEOPLE_READS_QUEUED_MAX, ReadError,
};
pub use record::Caller;
pub use sqlite::Ledger;
pub use write::Takeover;
pub use writer::{
    BATCH_DELAY_MS, BATCH_WRITES_MAX, Bounds, Depth, FlushError, KEEP_AFTER_MS, NotDurable,
    PROPOSE_MS_MAX, Position, QUEUE_BYTES_MAX, Receipt, TAKEOVERS_BEHIND_MAX, Writer, WriterStatus,
};
