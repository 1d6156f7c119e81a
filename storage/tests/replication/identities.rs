//! Who a data directory is, and when it must not go on as that.

use super::fixtures::*;
use calldex_storage::replication::{
    DataDirState, IdentityError, NodeIdentity, StartupCheck, StartupCheckError,
};
use calldex_storage::{FaultInjector, Storage, StorageConfig};
use rusqlite::Connection;
use tempfile::TempDir;

#[test]
fn a_founder_is_somebody_new_each_time() {
    let (one, two) = (
        TestReplica::first_of_cluster(),
        TestReplica::first_of_cluster(),
    );
    let (one, two) = (one.replica().identity(), two.replica().identity());
    assert_eq!(one.cluster_id().len(), 32);
    assert_ne!(one.cluster_id(), two.cluster_id());
    assert_ne!(one.node_id(), two.node_id());
    assert_ne!(one.slot(), 0);
    assert_eq!(one.starts(), 1);
}

#[test]
fn every_start_is_counted_with_a_nonce_of_its_own() {
    let mut instance = TestReplica::first_of_cluster();
    let before = instance.replica().identity().clone();
    instance.reopen();
    let after = instance.replica().identity();
    assert_eq!((after.node_id(), after.starts()), (before.node_id(), 2));
    assert_ne!(after.nonce(), before.nonce());
}

#[test]
fn a_single_instances_database_is_adopted_with_its_calls() {
    let dir = TempDir::new().unwrap();
    let storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    for seq in 0..5 {
        storage
            .writer
            .submit(turn_appended("CA1", seq, "kept"))
            .wait()
            .unwrap();
    }
    storage.close(WAIT_MAX);
    NodeIdentity::init_cluster(dir.path()).unwrap();
    let instance = TestReplica::open(dir, FaultInjector::default());
    assert_eq!(
        instance.storage().applied(),
        0,
        "positions are the log's from now on"
    );
    instance.apply(vec![
        blank(1, 0),
        entry(1, &[turn_appended("CA1", 5, "new")]),
    ]);
    let turns = instance
        .dump()
        .iter()
        .filter(|row| row.starts_with("turns"))
        .count();
    assert_eq!(turns, 6);
}

#[test]
fn a_database_with_pages_of_another_size_is_adopted_so_that_the_others_can_take_it() {
    let dir = TempDir::new().unwrap();
    let old = Connection::open(dir.path().join("calls.db")).unwrap();
    old.execute_batch(
        "PRAGMA page_size = 1024;
         CREATE TABLE callers (phone_number TEXT PRIMARY KEY, name TEXT,
           created_at INTEGER DEFAULT (unixepoch()), updated_at INTEGER DEFAULT (unixepoch()));
         CREATE TABLE conversations (call_sid TEXT PRIMARY KEY, phone_number TEXT, messages TEXT,
           started_at INTEGER DEFAULT (unixepoch()), ended_at INTEGER);
         INSERT INTO callers (phone_number, name) VALUES ('+14155550100', 'Ada');",
    )
    .unwrap();
    drop(old);
    NodeIdentity::init_cluster(dir.path()).unwrap();
    let founder = TestReplica::open(dir, FaultInjector::default());
    founder.apply(vec![blank(1, 0)]);
    let joined = TestReplica::joined(&founder.cluster_id());
    let (meta, file) = founder.replica().snapshot_file().unwrap();
    let mut machine = joined.state_machine();
    run(openraft::storage::RaftStateMachine::install_snapshot(
        &mut machine,
        &meta,
        Box::new(file),
    ))
    .unwrap();
    assert_eq!(joined.dump(), founder.dump());
}

#[test]
fn a_directory_that_is_somebody_is_not_made_another() {
    let mut instance = TestReplica::first_of_cluster();
    let running = NodeIdentity::init_cluster(instance.dir.path()).unwrap_err();
    assert!(running.to_string().contains("stop it first"), "{running}");
    instance.close();
    let dir = instance.dir.path();
    let again = NodeIdentity::init_cluster(dir).unwrap_err();
    assert!(again.to_string().contains("`calldex serve`"), "{again}");
    let join = NodeIdentity::join(dir, "c0ffee", 1).unwrap_err();
    assert!(
        matches!(join, IdentityError::AlreadyMember { .. }),
        "{join}"
    );
    let later = NodeIdentity::set_join_addresses(dir, &["host:7946".to_owned()]).unwrap_err();
    assert!(
        matches!(later, IdentityError::AlreadyMember { .. }),
        "{later}"
    );
}

#[test]
fn joining_is_noted_until_the_cluster_has_agreed() {
    let dir = TempDir::new().unwrap();
    assert_eq!(NodeIdentity::read(dir.path()).unwrap(), None);
    let addresses = ["one:7946".to_owned(), "two:7946".to_owned()];
    NodeIdentity::set_join_addresses(dir.path(), &addresses).unwrap();
    let standing = NodeIdentity::read(dir.path()).unwrap();
    assert_eq!(standing, Some(DataDirState::Joining(addresses.to_vec())));
    let founding = NodeIdentity::init_cluster(dir.path()).unwrap_err();
    assert!(
        founding.to_string().contains("one:7946, two:7946"),
        "{founding}"
    );
    NodeIdentity::join(dir.path(), "c0ffee", 0x1_0007).unwrap();
    let Some(DataDirState::Member(identity)) = NodeIdentity::read(dir.path()).unwrap() else {
        panic!("it is a member");
    };
    assert_eq!((identity.cluster_id(), identity.slot()), ("c0ffee", 7));
}

#[test]
fn a_directory_with_calls_of_its_own_does_not_join() {
    let dir = TempDir::new().unwrap();
    let storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    storage
        .writer
        .submit(turn_appended("CA1", 0, "kept"))
        .wait()
        .unwrap();
    storage.close(WAIT_MAX);
    for refused in [
        NodeIdentity::join(dir.path(), "c0ffee", 1).map(|_| ()),
        NodeIdentity::set_join_addresses(dir.path(), &["one:7946".to_owned()]),
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("`calldex cluster init`"), "{refused}");
    }
}

/// What opening says after `change` was made to a member's directory.
fn open_error_after(change: impl FnOnce(&std::path::Path)) -> String {
    let mut instance = TestReplica::first_of_cluster();
    instance.append((0..10).map(|index| blank(1, index)).collect());
    instance.apply((0..10).map(|index| blank(1, index)).collect());
    instance.close();
    change(instance.dir.path());
    let read = NodeIdentity::read(instance.dir.path())
        .unwrap_err()
        .to_string();
    let config = StorageConfig::new(instance.dir.path());
    let open = Storage::open_replicated(config).err().unwrap().to_string();
    assert!(open.ends_with(&read), "{open} / {read}");
    let config = StorageConfig::new(instance.dir.path());
    let alone = Storage::open(config).err().unwrap().to_string();
    assert!(alone.contains("one of several instances"), "{alone}");
    read
}

fn remove(dir: &std::path::Path, file: &str) {
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.join(format!("{file}{ending}")));
    }
}

#[test]
fn a_directory_that_lost_a_part_of_itself_does_not_go_on() {
    let wiped = open_error_after(|dir| remove(dir, "raft.db"));
    assert!(wiped.contains("its log (raft.db) is gone"), "{wiped}");
    assert!(wiped.contains("join anew"), "{wiped}");
    let nameless = open_error_after(|dir| remove(dir, "node.json"));
    assert!(nameless.contains("no node.json"), "{nameless}");
    let empty = open_error_after(|dir| remove(dir, "calls.db"));
    assert!(empty.contains("calls.db of node"), "{empty}");
    let garbled = open_error_after(|dir| std::fs::write(dir.join("node.json"), b"{").unwrap());
    assert!(garbled.contains("node.json cannot be read"), "{garbled}");
}

#[test]
fn files_of_two_instances_are_not_one() {
    let mut other = TestReplica::first_of_cluster();
    other.close();
    let mixed = open_error_after(|dir| {
        remove(dir, "raft.db");
        std::fs::copy(other.dir.path().join("raft.db"), dir.join("raft.db")).unwrap();
    });
    assert!(
        mixed.contains("files of two instances were mixed"),
        "{mixed}"
    );
}

#[test]
fn a_restored_backup_is_refused_in_an_old_cluster() {
    let unmarked = open_error_after(|dir| {
        let database = Connection::open(dir.join("calls.db")).unwrap();
        database
            .execute("UPDATE meta SET cluster_id = NULL", [])
            .unwrap();
    });
    assert!(
        unmarked.contains("a restored backup makes a cluster of its own"),
        "{unmarked}"
    );
    let other = open_error_after(|dir| {
        let database = Connection::open(dir.join("calls.db")).unwrap();
        database
            .execute("UPDATE meta SET cluster_id = 'other'", [])
            .unwrap();
    });
    assert!(other.contains("but of other"), "{other}");
}

#[test]
fn an_older_database_beside_a_log_that_has_let_go_is_refused() {
    use openraft::storage::RaftLogStorage;
    let mut instance = TestReplica::first_of_cluster();
    instance.append((0..10).map(|index| blank(1, index)).collect());
    let older = instance.copied(|file| file == "calls.db");
    instance.apply((0..10).map(|index| blank(1, index)).collect());
    let mut builder = run(openraft::storage::RaftStateMachine::get_snapshot_builder(
        &mut instance.state_machine(),
    ));
    run(openraft::RaftSnapshotBuilder::build_snapshot(&mut builder)).unwrap();
    run(instance.log().purge(log_id(1, 7))).unwrap();
    wait_until("purged", || {
        let file = Connection::open(instance.dir.path().join("raft.db")).unwrap();
        file.query_row("SELECT MIN(log_index) FROM entries", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap()
            == 8
    });
    instance.close();
    std::fs::copy(
        older.path().join("calls.db"),
        instance.dir.path().join("calls.db"),
    )
    .unwrap();
    let refused = NodeIdentity::read(instance.dir.path())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("put back from an older copy"), "{refused}");
}

#[test]
fn founding_and_joining_that_were_cut_short_can_be_done_again() {
    let dir = TempDir::new().unwrap();
    let first = NodeIdentity::join(dir.path(), "c0ffee", 5).unwrap();
    std::fs::remove_file(dir.path().join("node.json")).unwrap();
    let second = NodeIdentity::join(dir.path(), "c0ffee", 6).unwrap();
    assert_ne!(first.node_id(), second.node_id());
    TestReplica::open(dir, FaultInjector::default());
    let dir = TempDir::new().unwrap();
    NodeIdentity::init_cluster(dir.path()).unwrap();
    std::fs::remove_file(dir.path().join("node.json")).unwrap();
    NodeIdentity::init_cluster(dir.path()).unwrap();
    TestReplica::open(dir, FaultInjector::default());
}

#[test]
fn files_that_a_kill_left_before_anything_was_in_them_stand_in_nobodys_way() {
    let begin_log = |dir: &std::path::Path| {
        let log = Connection::open(dir.join("raft.db")).unwrap();
        log.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")
            .unwrap();
        log.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .unwrap();
    };
    let begin_calls = |dir: &std::path::Path| {
        let calls = Connection::open(dir.join("calls.db")).unwrap();
        calls
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .unwrap();
    };
    let dir = TempDir::new().unwrap();
    begin_log(dir.path());
    assert!(std::fs::metadata(dir.path().join("raft.db")).unwrap().len() > 0);
    assert_eq!(NodeIdentity::read(dir.path()).unwrap(), None);
    NodeIdentity::init_cluster(dir.path()).unwrap();
    let dir = TempDir::new().unwrap();
    begin_calls(dir.path());
    begin_log(dir.path());
    assert!(!NodeIdentity::has_calls(dir.path()).unwrap());
    NodeIdentity::join(dir.path(), "c0ffee", 5).unwrap();
    TestReplica::open(dir, FaultInjector::default());
    // Another program's file is not calldex's to remove.
    let dir = TempDir::new().unwrap();
    let foreign = Connection::open(dir.path().join("calls.db")).unwrap();
    foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(NodeIdentity::has_calls(dir.path()).unwrap());
    NodeIdentity::join(dir.path(), "c0ffee", 5).unwrap_err();
}

#[test]
fn a_directory_that_is_to_join_is_not_opened_alone() {
    let dir = TempDir::new().unwrap();
    NodeIdentity::set_join_addresses(dir.path(), &["one:7946".to_owned()]).unwrap();
    let config = StorageConfig::new(dir.path());
    let alone = Storage::open(config).err().unwrap().to_string();
    assert!(alone.contains("[cluster] listen and secret"), "{alone}");
    assert!(!dir.path().join("calls.db").exists());
}

fn startup_check(starts: u64, nonce: u64, last: Option<u64>) -> StartupCheck {
    StartupCheck {
        node_id: 42,
        starts,
        nonce,
        earlier_nonces: Vec::new(),
        last_log_index: last,
    }
}

#[test]
fn what_a_peer_was_seen_to_have_outlives_this_instance() {
    let mut instance = TestReplica::first_of_cluster();
    let peers = instance.replica().peer_records();
    peers.check(startup_check(2, 7, None)).unwrap();
    peers.check(startup_check(2, 7, Some(3))).unwrap();
    peers.note_acknowledged(42, 100);
    let killed = instance.after_a_kill();
    let twin = killed
        .replica()
        .peer_records()
        .check(startup_check(2, 8, Some(100)));
    assert_eq!(
        twin,
        Err(StartupCheckError::DuplicateProcess { node_id: 42 })
    );
    instance.reopen();
    let peers = instance.replica().peer_records();
    assert!(matches!(
        peers.check(startup_check(1, 7, Some(100))),
        Err(StartupCheckError::OlderCopy { .. })
    ));
    assert!(matches!(
        peers.check(startup_check(3, 9, Some(99))),
        Err(StartupCheckError::LostEntries { .. })
    ));
    assert!(matches!(
        peers.check(startup_check(3, 9, None)),
        Err(StartupCheckError::LostEntries { .. })
    ));
    peers.check(startup_check(3, 9, Some(100))).unwrap();
    assert!(matches!(
        peers.check(startup_check(2, 7, Some(100))),
        Err(StartupCheckError::OlderCopy { .. })
    ));
}
