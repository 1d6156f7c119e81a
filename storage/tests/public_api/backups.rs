//! Copies of the database: whole, of one moment, and good to be served.

use crate::fake_primary::{PrimaryBehaviour, TestClusterNode};
use crate::fixtures::*;
use calldex_storage::replication::NodeIdentity;
use calldex_storage::{BackupError, ExistingFile, Storage, StorageConfig, backup};
use rusqlite::Connection;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const FROM: &str = "+14155550100";

/// Puts the copy where it is served, as the manual says.
fn restore(copy: &Path) -> (TempDir, Storage) {
    let dir = TempDir::new().unwrap();
    std::fs::copy(copy, dir.path().join("calls.db")).unwrap();
    let storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    (dir, storage)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_while_writes_go_on_is_of_one_moment_and_can_be_served() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", Some(FROM)));
    fixture.write(calldex_storage::write::Write::NameConfirmed(stamped_name(
        FROM, "Misty", 1,
    )));
    let words = "x".repeat(2_000);
    // Beyond one step of the copy.
    for seq in 0..3_000 {
        drop(
            fixture
                .storage()
                .writer
                .submit(turn_appended("CA1", 0, seq, &words)),
        );
    }
    fixture.storage().writer.flush(WAIT_MAX).await.unwrap();
    let is_over = AtomicBool::new(false);
    let out = TempDir::new().unwrap();
    let file = out.path().join("copy.db");
    let made = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seq = 3_000;
            while !is_over.load(Ordering::SeqCst) {
                drop(
                    fixture
                        .storage()
                        .writer
                        .submit(turn_appended("CA1", 0, seq, "more")),
                );
                seq += 1;
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let made = backup(fixture.dir.path(), &file, ExistingFile::Refuse);
        is_over.store(true, Ordering::SeqCst);
        made.unwrap()
    });
    assert_eq!((made.calls, made.callers), (1, 1));
    assert_eq!(made.bytes, std::fs::metadata(&file).unwrap().len());
    assert_eq!(
        std::fs::read_dir(out.path()).unwrap().count(),
        1,
        "only the copy is left"
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "somebody else may read it");

    let (_dir, restored) = restore(&file);
    assert_eq!(restored.opened_at(), made.position);
    let call = restored.conversations.live("CA1").await.unwrap().unwrap();
    let seqs: Vec<u32> = call.turns.iter().map(|turn| turn.seq).collect();
    assert!(seqs.len() >= 3_000);
    assert_eq!(
        seqs,
        (0..seqs.len() as u32).collect::<Vec<_>>(),
        "no turn is passed over"
    );
    let recall = restored.callers.look_up(&number(FROM), WAIT_MAX).await;
    let calldex_storage::LookupResult::Known(caller) = recall else {
        panic!("{recall:?}")
    };
    assert_eq!(caller.greeting_name(), Some("Misty"));
    assert!(
        restored
            .writer
            .submit(call_ended("CA1", None, 60))
            .await
            .unwrap()
            > made.position
    );
}

#[test]
fn a_copy_of_one_of_several_belongs_to_no_cluster() {
    let instance = TestClusterNode::new(PrimaryBehaviour::Accepts);
    let position = wait_durable(
        instance
            .storage()
            .writer
            .submit(call_started("CA1", Some(FROM))),
    )
    .unwrap();
    instance.wait_applied(position);
    let out = TempDir::new().unwrap();
    let file = out.path().join("copy.db");
    let copying = instance
        .storage()
        .backup(file.clone(), ExistingFile::Refuse);
    let made = instance.runtime.block_on(copying).unwrap();
    assert_eq!(made.position, position);
    let (dir, restored) = restore(&file);
    assert_eq!(
        wait_durable(restored.writer.submit(turn_appended("CA1", 0, 0, "alone"))),
        Ok(position + 1)
    );
    assert_eq!(restored.close(WAIT_MAX), 0);
    let anew = NodeIdentity::init_cluster(dir.path()).unwrap();
    let old = instance.replica.as_ref().unwrap().identity();
    assert_ne!(anew.cluster_id(), old.cluster_id());
    Storage::open_replicated(StorageConfig::new(dir.path())).unwrap();
}

#[test]
fn a_copy_of_a_stopped_instance_is_made_from_its_files() {
    let mut fixture = TestStorage::new();
    fixture.write(call_started("CA1", Some(FROM)));
    fixture.close();
    let out = TempDir::new().unwrap();
    let made = backup(
        fixture.dir.path(),
        &out.path().join("copy.db"),
        ExistingFile::Refuse,
    )
    .unwrap();
    assert_eq!((made.calls, made.callers), (1, 1));
}

#[test]
fn a_file_that_is_there_is_left_alone_unless_it_may_be_replaced() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    let out = TempDir::new().unwrap();
    let file = out.path().join("copy.db");
    std::fs::write(&file, "mine").unwrap();
    // What an attempt that was ended has left does not stand in the way.
    std::fs::write(out.path().join("copy.db.partial"), "half").unwrap();
    let refused = backup(fixture.dir.path(), &file, ExistingFile::Refuse);
    assert!(matches!(refused, Err(BackupError::Exists(_))));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    backup(fixture.dir.path(), &file, ExistingFile::Replace).unwrap();
    let copy = Connection::open(&file).unwrap();
    let calls = copy.query_row("SELECT COUNT(*) FROM conversations", [], |row| row.get(0));
    assert_eq!(calls, Ok(1_i64));
}

#[test]
fn a_copy_never_takes_the_place_of_what_is_copied() {
    let fixture = TestStorage::new();
    for name in [
        "calls.db",
        "calls.db-wal",
        "raft.db",
        "outbox.db",
        "reference.key",
    ] {
        let file = fixture.dir.path().join(name);
        let refused = backup(fixture.dir.path(), &file, ExistingFile::Replace);
        assert!(
            matches!(refused, Err(BackupError::DataDirFile(_))),
            "{name}"
        );
    }
    let beside = fixture.dir.path().join("copy.db");
    backup(fixture.dir.path(), &beside, ExistingFile::Refuse).unwrap();
}

#[test]
fn what_is_no_database_of_ours_is_not_copied() {
    let dir = TempDir::new().unwrap();
    let copy = dir.path().join("copy.db");
    let attempt = || backup(dir.path(), &copy, ExistingFile::Refuse);
    assert!(matches!(attempt(), Err(BackupError::NoDatabase(_))));
    std::fs::write(dir.path().join("calls.db"), "a letter ".repeat(1_000)).unwrap();
    assert!(matches!(
        attempt(),
        Err(BackupError::NotCalldexDatabase { .. })
    ));
    std::fs::remove_file(dir.path().join("calls.db")).unwrap();
    let newer = Connection::open(dir.path().join("calls.db")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    let error = attempt().unwrap_err().to_string();
    assert!(error.contains("version 99"), "{error}");
    assert!(!copy.exists());
}

#[test]
fn a_damaged_database_gives_no_copy() {
    let mut fixture = TestStorage::new();
    for seq in 0..200 {
        fixture.write(turn_appended("CA1", 0, seq, &"x".repeat(500)));
    }
    fixture.close();
    let page: i64 = fixture.sql("SELECT rootpage FROM sqlite_schema WHERE name = 'turns'");
    drop(fixture.connection());
    let database = std::fs::OpenOptions::new()
        .write(true)
        .open(fixture.dir.path().join("calls.db"))
        .unwrap();
    let at = (page.cast_unsigned() - 1) * 4_096;
    database.write_all_at(&[0xEE; 64], at).unwrap();
    let out = TempDir::new().unwrap();
    let attempt = backup(
        fixture.dir.path(),
        &out.path().join("copy.db"),
        ExistingFile::Refuse,
    );
    assert!(
        matches!(attempt, Err(BackupError::IntegrityCheckFailed(_))),
        "{attempt:?}"
    );
    assert_eq!(
        std::fs::read_dir(out.path()).unwrap().count(),
        0,
        "it was removed"
    );
}
