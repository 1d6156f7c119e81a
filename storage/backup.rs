//! A consistent copy of the database in one file, made while it is in use or not.
//!
//! The copy belongs to no cluster: a server that opens it is a single node or founds a new cluster, at the position that
//! the copy was made at.

use crate::data_dir::{DATA_DIR_FILES, DATABASE_FILE};
use crate::record::Position;
use crate::sqlite::migrations::{self, MigrationError};
use crate::sqlite::{connection, meta};
use rusqlite::backup::{Backup as Copy, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pages copied in one step, 4 MiB: between two steps the disk is the calls'.
const PAGES_STEP: i32 = 1_024;
/// The pause between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(2);
/// How often a step is tried while another process holds a lock, [`LOCKED_PAUSE`] apart.
const LOCKED_STEPS_MAX: usize = 100;
/// The pause while another process holds a lock.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);
/// Only the owner reads a copy: it holds names, numbers and what was said.
const MODE: u32 = 0o600;

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupSummary {
    /// Bytes of the file.
    pub bytes: u64,
    /// Calls in it, living ones included.
    pub calls: u64,
    /// Callers in it.
    pub callers: u64,
    /// The position (TXID) that it was made at.
    pub position: Position,
}

/// What to do where the file is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingFile {
    /// It is left alone.
    Refuse,
    /// It is replaced, in one step and only by a copy that was found sound.
    Replace,
}

/// Why there is no copy. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there.
    #[error("{} exists: name another file, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// It is one of the data directory's own.
    #[error("{} is one of the data directory's own files: name another", .0.display())]
    DataDirFile(PathBuf),
    /// There is nothing to copy.
    #[error("there is no database at {}: is that the data directory?", .0.display())]
    NoDatabase(PathBuf),
    /// The database is none of ours, or a later version's.
    #[error("{} cannot be copied: {reason}", path.display())]
    NotCalldexDatabase {
        /// The database.
        path: PathBuf,
        /// What gives it away.
        reason: String,
    },
    /// The copy is not sound; it was removed.
    #[error(
        "the copy did not pass SQLite's integrity_check ({0}), and was removed: the database or a disk is damaged; see `PRAGMA integrity_check` of the database"
    )]
    IntegrityCheckFailed(String),
    /// The database or the copy: the disk, or the right to use it.
    #[error("{}: {reason}", path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// Copies the database in `data_dir` to `file`, whether or not a server has it open. The copy is made
/// beside it as `FILE.partial`, synced, checked and then renamed: `file` is whole or not there. It is
/// of one moment, that of the beginning. Blocks for as long as that takes; while it lasts, the
/// database's write-ahead log grows.
pub fn backup(
    data_dir: &Path,
    file: &Path,
    existing: ExistingFile,
) -> Result<BackupSummary, BackupError> {
    let source = data_dir.join(DATABASE_FILE);
    reject_data_dir_file(data_dir, file)?;
    if existing == ExistingFile::Refuse && file.exists() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    if !source.is_file() {
        return Err(BackupError::NoDatabase(source));
    }
    let partial = connection::sibling_path(file, ".partial");
    let made = copy_and_check(&source, &partial).and_then(|backup| {
        move_into_place(&partial, file, existing)?;
        Ok(backup)
    });
    if made.is_err() {
        remove(&partial);
    }
    made
}

fn copy_and_check(source: &Path, partial: &Path) -> Result<BackupSummary, BackupError> {
    let at_source = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => not_calldex(source, "it is not a database".to_owned()),
        _ => disk_error(source, error),
    };
    let at_copy = |error: rusqlite::Error| disk_error(partial, error);
    let from = connection::open_reader(source).map_err(at_source)?;
    let recognised = check_is_calldex(&from).map_err(at_source)?;
    recognised.map_err(|reason| not_calldex(source, reason))?;
    // One moment for all steps: what is written meanwhile would make each of them begin anew.
    let _moment = begin_read(&from).map_err(at_source)?;
    create(partial).map_err(|error| disk_error(partial, error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut to = Connection::open_with_flags(partial, flags).map_err(at_copy)?;
    copy(&from, &mut to).map_err(|error| disk_error(partial, error))?;
    let checked = detach_and_count(&to).and_then(|backup| Ok((backup, integrity_check(&to)?)));
    let (backup, report) = checked.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => BackupError::IntegrityCheckFailed(error.to_string()),
        _ => at_copy(error),
    })?;
    if report != "ok" {
        return Err(BackupError::IntegrityCheckFailed(report));
    }
    to.close().map_err(|(_, error)| at_copy(error))?;
    let file = File::open(partial).and_then(|file| {
        file.sync_all()?;
        file.metadata()
    });
    let bytes = file.map_err(|error| disk_error(partial, error))?.len();
    Ok(BackupSummary { bytes, ..backup })
}

/// A calldex database, of this version or an earlier one; the file of the original program too.
fn check_is_calldex(from: &Connection) -> rusqlite::Result<Result<(), String>> {
    match migrations::check_format_version(from) {
        Ok(_) => {}
        Err(MigrationError::Sqlite(error)) => return Err(error),
        Err(error) => return Ok(Err(format!("{error}: copy it with the one that made it"))),
    }
    let tables: i64 = from.query_row(
        "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('callers', 'conversations')",
        [],
        |row| row.get(0),
    )?;
    Ok(match tables {
        2 => Ok(()),
        _ => Err("it is not a calldex database".to_owned()),
    })
}

fn begin_read(from: &Connection) -> rusqlite::Result<rusqlite::Transaction<'_>> {
    let moment = from.unchecked_transaction()?;
    // A transaction begins with what it reads first.
    moment.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(moment)
}

/// An empty file that only its owner reads, whatever an earlier attempt has left.
fn create(partial: &Path) -> io::Result<()> {
    remove(partial);
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(partial)?;
    Ok(())
}

/// Whatever cannot be removed shows when the file is made.
fn remove(partial: &Path) {
    for file in [
        partial.to_owned(),
        connection::sibling_path(partial, "-journal"),
    ] {
        let _ = std::fs::remove_file(file);
    }
}

fn copy(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    let copy = Copy::new(from, to)?;
    let mut locked = 0;
    loop {
        match copy.step(PAGES_STEP)? {
            StepResult::Done => return Ok(()),
            StepResult::More => std::thread::sleep(STEP_PAUSE),
            _ if locked < LOCKED_STEPS_MAX => {
                locked += 1;
                std::thread::sleep(LOCKED_PAUSE);
            }
            _ => return Err(locked_for_long()),
        }
    }
}

fn locked_for_long() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, Some("locked by another process".to_owned()))
}

/// Makes the copy one file that belongs to no cluster, and counts what is in it.
fn detach_and_count(to: &Connection) -> rusqlite::Result<BackupSummary> {
    to.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    to.execute_batch("PRAGMA synchronous = FULL")?;
    let has_meta: bool = to.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta')",
        [],
        |row| row.get(0),
    )?;
    let mut position = 0;
    if has_meta {
        position = meta::read(to)?.position;
        if meta::cluster_id(to)?.is_some() {
            meta::remove_cluster(to)?;
        }
    }
    let count = |table: &str| {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        to.query_row(&sql, [], |row| row.get::<_, i64>(0))
    };
    Ok(BackupSummary {
        bytes: 0,
        calls: count("conversations")?.cast_unsigned(),
        callers: count("callers")?.cast_unsigned(),
        position,
    })
}

/// What `integrity_check` says first: "ok", or what is wrong.
fn integrity_check(to: &Connection) -> rusqlite::Result<String> {
    to.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
}

fn move_into_place(partial: &Path, file: &Path, existing: ExistingFile) -> Result<(), BackupError> {
    let placed = match existing {
        // A link fails where the name has been taken meanwhile; a rename would replace it.
        ExistingFile::Refuse => std::fs::hard_link(partial, file).map(|()| remove(partial)),
        ExistingFile::Replace => std::fs::rename(partial, file),
    };
    match placed {
        Ok(()) => {}
        Err(_) if existing == ExistingFile::Refuse && file.exists() => {
            return Err(BackupError::Exists(file.to_owned()));
        }
        // A file system without links.
        Err(_) => std::fs::rename(partial, file).map_err(|error| disk_error(file, error))?,
    }
    let folder = folder_of(file);
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| disk_error(&folder, error))
}

/// A copy in the place of what is copied would be the end of it.
fn reject_data_dir_file(data_dir: &Path, file: &Path) -> Result<(), BackupError> {
    let is_inside = match (data_dir.canonicalize(), folder_of(file).canonicalize()) {
        (Ok(data_dir), Ok(folder)) => data_dir == folder,
        _ => false,
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_own = DATA_DIR_FILES.iter().any(|own| {
        let rest = name.strip_prefix(own);
        rest.is_some_and(|rest| ["", "-wal", "-shm", "-journal"].contains(&rest))
    });
    match is_inside && is_own {
        true => Err(BackupError::DataDirFile(file.to_owned())),
        false => Ok(()),
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn not_calldex(path: &Path, reason: String) -> BackupError {
    BackupError::NotCalldexDatabase {
        path: path.to_owned(),
        reason,
    }
}

fn disk_error(path: &Path, error: impl ToString) -> BackupError {
    BackupError::Disk {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
