//! The names of the files and folders in a data directory.

/// The database.
pub const DATABASE_FILE: &str = "calls.db";
/// The raft log of a member of a cluster.
pub const LOG_FILE: &str = "raft.db";
/// The writes of a member of a cluster that no primary has taken yet.
pub const OUTBOX_FILE: &str = "outbox.db";
/// The identity of a member of a cluster, as readable JSON.
pub const NODE_FILE: &str = "node.json";
/// The file that is locked while a process uses the directory; it holds the process id.
pub(crate) const LOCK_FILE: &str = "calldex.lock";
/// The key with which the server signs the references to its calls. The server writes it, not storage.
pub(crate) const KEY_FILE: &str = "reference.key";
/// The folder of the warm cache.
pub(crate) const WARM_DIR: &str = "warm";
/// The folder of snapshots that are being sent or received.
pub(crate) const SNAPSHOT_DIR: &str = "snapshots";

/// The files that a backup must not be written over.
pub(crate) const DATA_DIR_FILES: [&str; 6] = [
    DATABASE_FILE,
    LOG_FILE,
    OUTBOX_FILE,
    NODE_FILE,
    KEY_FILE,
    LOCK_FILE,
];
