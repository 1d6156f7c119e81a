//! The identity of this instance in its cluster. It is made at random in the data directory and never
//! configured. An empty directory has none; a directory that has lost one of its files is refused.

use super::NodeId;
use super::applied_state::AppliedLogState;
use super::log::{LogFile, RaftLogError, meta_key};
use crate::data_dir::{DATABASE_FILE, LOG_FILE, NODE_FILE};
use crate::data_dir_lock::{DataDirLock, LockError};
use crate::fault_injection::FaultInjector;
use crate::file_permissions;
use crate::sqlite::migrations::{APPLICATION_ID, MigrationError, migrate};
use crate::sqlite::{connection, meta};
use openraft::LogId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Starts that a node tells of, beside the present one: a member that has not seen it for longer
/// takes it at its word.
const EARLIER_NONCES_MAX: usize = 256;
/// The bits of a node's id that are its slot.
const SLOT_MASK: NodeId = 0xFFFF;

/// An instance's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIdentity {
    cluster_id: String,
    node_id: NodeId,
    starts: u64,
    nonce: u64,
    /// The nonces of the starts before, the latest last; [`EARLIER_NONCES_MAX`] of them.
    #[serde(default)]
    #[serde(rename = "earlier")]
    earlier_nonces: Vec<u64>,
    /// Whether the cluster begins with it: it alone may make the first entry of the log.
    #[serde(default)]
    #[serde(rename = "founder")]
    is_first_of_cluster: bool,
}

/// What a data directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDirState {
    /// It is to join through one of these addresses (`host:port`).
    Joining(Vec<String>),
    /// It is a member.
    Member(NodeIdentity),
}

/// What `node.json` says.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum NodeFile {
    Member {
        cluster_id: String,
        node_id: NodeId,
    },
    Joining {
        join: Vec<String>,
    },
    /// Everything that a survivor had is in its database; the rest of it makes way for a new cluster.
    Recovering {
        new_cluster_id: String,
        new_node_id: NodeId,
    },
}

/// Why a data directory cannot be used so. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another process has it.
    #[error("the data directory is in use by {}: stop it first", .0.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
    InUse(Option<u32>),
    /// It is an instance already.
    #[error(
        "the data directory is node {node_id} of cluster {cluster_id} already: start it with `calldex serve`"
    )]
    AlreadyMember {
        /// Of which cluster.
        cluster_id: String,
        /// Which node.
        node_id: NodeId,
    },
    /// It waits to join.
    #[error(
        "the data directory is to join a cluster through {}: start it with `calldex serve`, or remove {NODE_FILE} to begin anew", .0.join(", ")
    )]
    Joining(Vec<String>),
    /// It has calls of its own.
    #[error(
        "the data directory has calls of its own, which joining would replace: join with an empty one. To bring these calls into a new cluster, run `calldex cluster init` here"
    )]
    HasCalls,
    /// `node.json` without `raft.db`.
    #[error(
        "the data directory is node {node_id}, but its log ({LOG_FILE}) is gone, and with it what the node promised the others: it must not go on under this identity. Remove the node (`calldex cluster remove {node_id}`), take the directory away and join anew"
    )]
    LogMissing {
        /// Which node.
        node_id: NodeId,
    },
    /// `raft.db` without `node.json`.
    #[error(
        "the data directory has a log ({LOG_FILE}) but no {NODE_FILE}: put it back from where it went, or take the directory away and join anew"
    )]
    NodeFileMissing,
    /// `raft.db` of another node.
    #[error(
        "{NODE_FILE} is that of node {expected}, {LOG_FILE} that of node {found}: files of two instances were mixed. Put back what belongs together, or take the directory away and join anew"
    )]
    NodeMismatch {
        /// What `node.json` says.
        expected: NodeId,
        /// What `raft.db` says.
        found: NodeId,
    },
    /// The database is gone.
    #[error(
        "{DATABASE_FILE} of node {node_id} is gone: remove the node (`calldex cluster remove {node_id}`), take the directory away and join anew"
    )]
    DatabaseMissing {
        /// Which node.
        node_id: NodeId,
    },
    /// The database is not of this cluster.
    #[error(
        "{DATABASE_FILE} is not of cluster {expected}, but of {}: a restored backup makes a cluster of its own. Put it into an empty directory and run `calldex cluster init` there; let this instance join anew with an empty one", found.as_deref().unwrap_or("none")
    )]
    ClusterMismatch {
        /// The cluster of the identity.
        expected: String,
        /// That of the database.
        found: Option<String>,
    },
    /// The database has less than the log lets go of.
    #[error(
        "{DATABASE_FILE} ends at {}, but the log before {purged} is gone: the database was put back from an older copy. Take the directory away and join anew", applied.map_or_else(|| "nothing".to_owned(), |applied| applied.to_string())
    )]
    DatabaseBehindLog {
        /// Up to where the database has the log.
        applied: Option<u64>,
        /// Up to where the log is gone.
        purged: u64,
    },
    /// It is no member of a cluster.
    #[error(
        "the data directory belongs to no cluster: `--from-survivor` is for one that is lost. Without it, `calldex cluster init` founds a cluster with the calls that are here"
    )]
    NotAMember,
    /// A founding from a survivor was cut short.
    #[error(
        "the founding of a new cluster from this directory was cut short: run `calldex cluster init --from-survivor` again, which goes on with it"
    )]
    RecoveryInterrupted,
    /// `node.json` cannot be read.
    #[error(
        "{NODE_FILE} cannot be read: put it back, or take the data directory away and join anew"
    )]
    InvalidNodeFile,
    /// The log.
    #[error(transparent)]
    Log(#[from] RaftLogError),
    /// The database is no calldex database, or a later one's.
    #[error("{DATABASE_FILE}: {0}")]
    Database(String),
    /// The disk, or the right to use it.
    #[error("the data directory cannot be used: {0}")]
    Disk(#[from] io::Error),
}

impl From<rusqlite::Error> for IdentityError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl From<MigrationError> for IdentityError {
    fn from(error: MigrationError) -> Self {
        Self::Database(error.to_string())
    }
}

impl From<LockError> for IdentityError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(pid) => Self::InUse(pid),
            LockError::Io(error) => Self::Disk(error),
        }
    }
}

/// A data directory's files.
pub(super) struct DataDirFiles {
    node_file: PathBuf,
    log: PathBuf,
    database: PathBuf,
    dir: PathBuf,
}

impl NodeIdentity {
    /// Makes the directory the first instance of a new cluster, with the calls it has, if it has any:
    /// a single instance's database is adopted. Offline; the directory is made if it is not there.
    pub fn init_cluster(data_dir: &Path) -> Result<Self, IdentityError> {
        let place = DataDirFiles::create_at(data_dir)?;
        let _lock = DataDirLock::acquire(data_dir)?;
        place.reject_member()?;
        if let Some(NodeFile::Joining { join }) = place.node_file()? {
            return Err(IdentityError::Joining(join));
        }
        place.remove_log()?;
        let identity = Self::first_of_cluster(random_cluster_id()?, random_node_id()?);
        place.assign_database_to_cluster(&identity.cluster_id)?;
        place.write_identity(&identity)?;
        Ok(identity)
    }

    /// Notes that the directory, which must be empty of calls, is to join through one of `addresses`
    /// when it is served.
    pub fn set_join_addresses(data_dir: &Path, addresses: &[String]) -> Result<(), IdentityError> {
        let place = DataDirFiles::create_at(data_dir)?;
        let _lock = DataDirLock::acquire(data_dir)?;
        place.reject_member()?;
        place.remove_log()?;
        if place.has_calls()? {
            return Err(IdentityError::HasCalls);
        }
        let join = addresses.to_vec();
        place.write_node_file(&NodeFile::Joining { join })
    }

    /// Makes the directory `node_id` of `cluster_id`, which that cluster has agreed to. Its database is
    /// empty until the first snapshot comes.
    pub fn join(data_dir: &Path, cluster_id: &str, node_id: NodeId) -> Result<Self, IdentityError> {
        let place = DataDirFiles::create_at(data_dir)?;
        let _lock = DataDirLock::acquire(data_dir)?;
        place.reject_member()?;
        place.remove_log()?;
        if place.has_calls()? {
            return Err(IdentityError::HasCalls);
        }
        remove_database(&place.database)?;
        let identity = Self::new(cluster_id.to_owned(), node_id);
        place.assign_database_to_cluster(cluster_id)?;
        place.write_identity(&identity)?;
        Ok(identity)
    }

    /// What the directory is; `None` if nothing yet. Refuses one that is not whole. Changes nothing.
    pub fn read(data_dir: &Path) -> Result<Option<DataDirState>, IdentityError> {
        let place = DataDirFiles::at(data_dir);
        match place.node_file()? {
            Some(NodeFile::Joining { join }) => Ok(Some(DataDirState::Joining(join))),
            Some(NodeFile::Recovering { .. }) => Err(IdentityError::RecoveryInterrupted),
            Some(NodeFile::Member {
                cluster_id,
                node_id,
            }) => {
                let identity = place.member(&cluster_id, node_id)?;
                Ok(Some(DataDirState::Member(identity)))
            }
            None if place.has_started_log()? => Err(IdentityError::NodeFileMissing),
            None => Ok(None),
        }
    }

    /// Whether the directory has an identity, whole or not, or is to join: a single node must
    /// not use it.
    pub fn exists_in(data_dir: &Path) -> bool {
        let place = DataDirFiles::at(data_dir);
        let has_node_file = !matches!(place.node_file(), Ok(None));
        has_node_file || place.has_started_log().unwrap_or(true)
    }

    /// Whether the directory has calls of its own, which joining would replace.
    pub fn has_calls(data_dir: &Path) -> Result<bool, IdentityError> {
        DataDirFiles::at(data_dir).has_calls()
    }

    fn new(cluster_id: String, node_id: NodeId) -> Self {
        Self {
            cluster_id,
            node_id,
            starts: 0,
            nonce: 0,
            earlier_nonces: Vec::new(),
            is_first_of_cluster: false,
        }
    }

    /// The first node of a cluster.
    pub(super) fn first_of_cluster(cluster_id: String, node_id: NodeId) -> Self {
        Self {
            is_first_of_cluster: true,
            ..Self::new(cluster_id, node_id)
        }
    }

    /// Counts a start, on disk when it returns: before anything is sent.
    pub(crate) fn count_start(&mut self, file: &mut LogFile) -> Result<(), IdentityError> {
        if self.starts > 0 {
            self.earlier_nonces.push(self.nonce);
        }
        let beyond = self.earlier_nonces.len().saturating_sub(EARLIER_NONCES_MAX);
        self.earlier_nonces.drain(..beyond);
        self.starts += 1;
        self.nonce = random_u64()?;
        Ok(file.put_meta(meta_key::IDENTITY, self)?)
    }

    /// The cluster: 128 random bits in hexadecimal.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// What tells this node's epochs of a call from other nodes' ([`crate::record`]): never 0.
    pub fn slot(&self) -> u16 {
        (self.node_id & SLOT_MASK) as u16
    }

    /// How often it was started, this start included.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// This node, and which of its starts this is: what tells this process's proposals from all others.
    pub(crate) fn node_and_start(&self) -> (NodeId, u64) {
        (self.node_id, self.starts)
    }

    /// Whether the cluster was founded with it.
    pub fn is_first_of_cluster(&self) -> bool {
        self.is_first_of_cluster
    }

    /// Random, of this start.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The nonces of the starts before this one, the latest last, as far as they are kept.
    pub fn earlier_nonces(&self) -> &[u64] {
        &self.earlier_nonces
    }
}

impl DataDirFiles {
    pub(super) fn at(data_dir: &Path) -> Self {
        Self {
            node_file: data_dir.join(NODE_FILE),
            log: data_dir.join(LOG_FILE),
            database: data_dir.join(DATABASE_FILE),
            dir: data_dir.to_owned(),
        }
    }

    fn create_at(data_dir: &Path) -> Result<Self, IdentityError> {
        file_permissions::create_dir(data_dir)?;
        Ok(Self::at(data_dir))
    }

    pub(super) fn node_file(&self) -> Result<Option<NodeFile>, IdentityError> {
        match fs::read(&self.node_file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| IdentityError::InvalidNodeFile),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// In one step: whoever looks sees all of it or nothing, before and after a power cut.
    pub(super) fn write_node_file(&self, content: &NodeFile) -> Result<(), IdentityError> {
        let json = serde_json::to_vec_pretty(content).expect("an identity is text and numbers");
        let new = self.node_file.with_extension("json.new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        file.write_all(&json)?;
        file.sync_all()?;
        fs::rename(&new, &self.node_file)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(())
    }

    fn reject_member(&self) -> Result<(), IdentityError> {
        match self.node_file()? {
            Some(NodeFile::Member {
                cluster_id,
                node_id,
            }) => Err(IdentityError::AlreadyMember {
                cluster_id,
                node_id,
            }),
            Some(NodeFile::Recovering { .. }) => Err(IdentityError::RecoveryInterrupted),
            _ if self.has_started_log()? => Err(IdentityError::NodeFileMissing),
            _ => Ok(()),
        }
    }

    fn stored_identity(&self) -> Result<Option<NodeIdentity>, IdentityError> {
        Ok(LogFile::peek(&self.log)?.meta(meta_key::IDENTITY)?)
    }

    /// Whether there is a log that a node was started with. One that was made and never used is left
    /// of a founding or joining that was cut short.
    pub(super) fn has_started_log(&self) -> Result<bool, IdentityError> {
        if !self.log.exists() {
            return Ok(false);
        }
        match self.stored_identity() {
            Ok(kept) => Ok(kept.is_some_and(|identity| identity.starts > 0)),
            // A file without tables was cut short even earlier.
            Err(error) => match connection::open_reader(&self.log) {
                Ok(log) if has_no_tables(&log).unwrap_or(false) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Whoever calls it has seen that nothing was started with it, or that all of it is in the database.
    pub(super) fn remove_log(&self) -> Result<(), IdentityError> {
        remove_database(&self.log)
    }

    /// Whether there is a database with anything in it. One that has nothing is left of a joining that
    /// was cut short.
    fn has_calls(&self) -> Result<bool, IdentityError> {
        if !self.database.exists() {
            return Ok(false);
        }
        let connection = connection::open_reader(&self.database)?;
        if has_no_tables(&connection)? {
            return Ok(false);
        }
        if connection::read_pragma(&connection, "application_id")? != i64::from(APPLICATION_ID) {
            return Ok(true);
        }
        let is_applied_to = meta::cluster_id(&connection)?.is_some()
            && AppliedLogState::read(&connection)?.last_log_id.is_some();
        let rows: i64 = connection.query_row(
            "SELECT (SELECT COUNT(*) FROM callers) + (SELECT COUNT(*) FROM conversations)
                  + (SELECT COUNT(*) FROM tombstones)",
            [],
            |row| row.get(0),
        )?;
        Ok(is_applied_to || rows > 0)
    }

    /// Makes the database one of the cluster, on disk when it returns.
    pub(super) fn assign_database_to_cluster(&self, cluster_id: &str) -> Result<(), IdentityError> {
        connection::set_page_size(&self.database)?;
        let mut connection = connection::create_writer(&self.database)?;
        migrate(&mut connection)?;
        meta::assign_cluster(&connection, cluster_id)?;
        connection::checkpoint_and_truncate(&connection)?;
        Ok(())
    }

    /// Writes the log's file and, last, what makes it all valid.
    pub(super) fn write_identity(&self, identity: &NodeIdentity) -> Result<(), IdentityError> {
        let mut file = LogFile::create(&self.log, FaultInjector::default())?;
        file.put_meta(meta_key::IDENTITY, identity)?;
        drop(file);
        File::open(&self.dir)?.sync_all()?;
        self.write_node_file(&NodeFile::Member {
            cluster_id: identity.cluster_id.clone(),
            node_id: identity.node_id,
        })
    }

    /// The member that `node.json` names, if everything fits together.
    pub(super) fn member(
        &self,
        cluster_id: &str,
        node_id: NodeId,
    ) -> Result<NodeIdentity, IdentityError> {
        if !self.log.exists() {
            return Err(IdentityError::LogMissing { node_id });
        }
        let file = LogFile::peek(&self.log)?;
        let kept: Option<NodeIdentity> = file.meta(meta_key::IDENTITY)?;
        let identity = kept.ok_or(IdentityError::LogMissing { node_id })?;
        if identity.node_id != node_id || identity.cluster_id != cluster_id {
            return Err(IdentityError::NodeMismatch {
                expected: node_id,
                found: identity.node_id,
            });
        }
        // The log first: while both move on, the database can only be further.
        let purged: Option<LogId<NodeId>> = file.meta(meta_key::PURGED)?;
        drop(file);
        if !self.database.exists() {
            return Err(IdentityError::DatabaseMissing { node_id });
        }
        self.check_database(cluster_id, purged)?;
        Ok(identity)
    }

    fn check_database(
        &self,
        cluster_id: &str,
        purged: Option<LogId<NodeId>>,
    ) -> Result<(), IdentityError> {
        let connection = connection::open_reader(&self.database)?;
        let found = meta::cluster_id(&connection)?;
        if found.as_deref() != Some(cluster_id) {
            return Err(IdentityError::ClusterMismatch {
                expected: cluster_id.to_owned(),
                found,
            });
        }
        let applied = AppliedLogState::read(&connection)?.last_log_id;
        match purged {
            Some(purged) if applied.map(|last| last.index) < Some(purged.index) => {
                Err(IdentityError::DatabaseBehindLog {
                    applied: applied.map(|last| last.index),
                    purged: purged.index,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Whether there are no tables yet.
fn has_no_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
        [],
        |row| row.get(0),
    )
}

fn remove_database(path: &Path) -> Result<(), IdentityError> {
    for ending in ["-wal", "-shm", ""] {
        match fs::remove_file(connection::sibling_path(path, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// A new node's id: random, and its low 16 bits are not 0.
pub fn random_node_id() -> Result<NodeId, IdentityError> {
    loop {
        let node_id = random_u64()?;
        if node_id & SLOT_MASK != 0 {
            return Ok(node_id);
        }
    }
}

/// SQLite's generator, which is seeded by the system's.
fn random_u64() -> Result<u64, IdentityError> {
    let bytes: [u8; 8] =
        Connection::open_in_memory()?.query_row("SELECT randomblob(8)", [], |row| row.get(0))?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn random_cluster_id() -> Result<String, IdentityError> {
    let id = Connection::open_in_memory()?.query_row(
        "SELECT lower(hex(randomblob(16)))",
        [],
        |row| row.get(0),
    )?;
    Ok(id)
}
