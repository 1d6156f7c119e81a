//! A snapshot takes the database's place.

use super::fixtures::*;
use calldex_storage::replication::{SnapshotFile, StateMachine};
use calldex_storage::{DiskOperation, LookupResult};
use openraft::RaftLogReader;
use openraft::storage::RaftStateMachine;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

type TestSnapshotMeta = openraft::SnapshotMeta<u64, calldex_storage::replication::Member>;

/// Gives a file to a machine as it would be received.
fn install(
    machine: &mut StateMachine,
    meta: &TestSnapshotMeta,
    from: &SnapshotFile,
) -> Result<(), RaftStorageError> {
    let received = run(machine.begin_receiving_snapshot()).unwrap();
    std::fs::copy(from.path(), received.path()).unwrap();
    run(machine.install_snapshot(meta, received)).map_err(Box::new)
}

fn primary(calls: u64) -> TestReplica {
    let instance = TestReplica::first_of_cluster();
    instance.apply(vec![members(0, &[1, 2, 3])]);
    for call in 0..calls {
        let from = format!("+1415555{:04}", call);
        instance.apply(whole_call(1 + call * 8, &format!("CA{call}"), &from, 5));
    }
    instance
}

#[test]
fn after_installing_the_database_is_the_primarys() {
    let primary = primary(60);
    primary.apply(vec![entry(
        481,
        &[
            call_started("CA-live", "+14155550001"),
            turn_appended("CA-live", 0, "and"),
        ],
    )]);
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    assert_eq!(meta.last_log_id, Some(log_id(1, 481)));
    let joined = TestReplica::joined(&primary.cluster_id());
    joined.apply(vec![blank(1, 0)]);
    install(&mut joined.state_machine(), &meta, &file).unwrap();
    assert_eq!(joined.dump(), primary.dump());
    assert_eq!(joined.storage().applied(), 481);
    assert_eq!(joined.replica().durable_index(), Some(481));
    // Both go on alike: the live-turn index of the live call came with it.
    let next = vec![
        entry(
            482,
            &[
                turn_appended("CA-live", 0, "and"),
                turn_appended("CA-live", 1, "so on"),
            ],
        ),
        entry(483, &[call_ended("CA-live")]),
    ];
    primary.apply(next.clone());
    joined.apply(next);
    assert_eq!(joined.dump(), primary.dump());
    let survivor = joined.after_a_power_cut();
    assert!(survivor.storage().applied() >= 481);
}

#[test]
fn a_snapshot_is_of_one_moment_while_writes_go_on() {
    let primary = primary(20);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut index = 161;
            while !stop.load(Ordering::SeqCst) {
                primary.apply(vec![entry(
                    index,
                    &[turn_appended("CA-live", index as u32, "more")],
                )]);
                index += 1;
            }
        });
        for _ in 0..5 {
            let (meta, file) = primary.replica().snapshot_file().unwrap();
            let copy = Connection::open(file.path()).unwrap();
            let (position, turns): (i64, i64) = copy
                .query_row(
                    "SELECT position, (SELECT COUNT(*) FROM turns) FROM meta",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            assert_eq!(meta.last_log_id.unwrap().index as i64, position);
            assert_eq!(turns, position - 160);
        }
        stop.store(true, Ordering::SeqCst);
        writing.join().unwrap();
    });
}

#[test]
fn a_snapshots_file_goes_with_its_last_handle_and_leftovers_at_the_next_start() {
    let mut primary = primary(2);
    let (_, file) = primary.replica().snapshot_file().unwrap();
    let path = file.path().to_owned();
    assert!(path.exists());
    drop(file);
    assert!(!path.exists());
    std::fs::write(&path, b"left of a process that was killed").unwrap();
    primary.reopen();
    assert!(!path.exists());
    let described = run(primary.state_machine().get_current_snapshot())
        .unwrap()
        .unwrap();
    assert!(
        !described.snapshot.path().exists(),
        "made only when it is needed"
    );
}

#[test]
fn a_snapshot_that_is_not_what_it_is_said_to_be_is_not_taken() {
    let primary = primary(10);
    let joined = TestReplica::joined(&primary.cluster_id());
    let before = joined.dump();
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    let refused = |meta: &TestSnapshotMeta, change: &str| {
        let changed = SnapshotFile::existing(joined.dir.path().join("changed.db"));
        std::fs::copy(file.path(), changed.path()).unwrap();
        let connection = Connection::open(changed.path()).unwrap();
        connection.execute_batch(change).unwrap();
        connection
            .query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
            .unwrap();
        drop(connection);
        let error = install(&mut joined.state_machine(), meta, &changed).unwrap_err();
        error.to_string()
    };
    let elsewhere = refused(&meta, "UPDATE meta SET cluster_id = 'other'");
    assert!(elsewhere.contains("another cluster"), "{elsewhere}");
    let ahead = TestSnapshotMeta {
        last_log_id: Some(log_id(1, 999)),
        ..meta.clone()
    };
    let ahead = refused(&ahead, "");
    assert!(ahead.contains("not at the position"), "{ahead}");
    let foreign = refused(&meta, "PRAGMA application_id = 1");
    assert!(foreign.contains("no calldex database"), "{foreign}");
    let newer = refused(&meta, "UPDATE meta SET level = 99");
    assert!(newer.contains("level 99"), "{newer}");
    let torn = SnapshotFile::existing(joined.dir.path().join("torn.db"));
    let bytes = std::fs::read(file.path()).unwrap();
    std::fs::write(torn.path(), &bytes[..bytes.len() / 2]).unwrap();
    install(&mut joined.state_machine(), &meta, &torn).unwrap_err();
    assert_eq!(joined.dump(), before);
    install(&mut joined.state_machine(), &meta, &file).unwrap();
    assert_eq!(joined.dump(), primary.dump());
}

#[test]
fn a_disk_that_fails_while_installing_is_waited_for() {
    for operation in [
        DiskOperation::InstallSnapshot,
        DiskOperation::CopySnapshot,
        DiskOperation::Verify,
    ] {
        let primary = primary(40);
        let (meta, file) = primary.replica().snapshot_file().unwrap();
        let (left, faults) = fail_at(operation);
        let joined = TestReplica::joined_with(&primary.cluster_id(), faults);
        left.store(
            if operation == DiskOperation::Verify {
                0
            } else {
                2
            },
            Ordering::SeqCst,
        );
        install(&mut joined.state_machine(), &meta, &file).unwrap();
        assert_eq!(joined.dump(), primary.dump(), "{operation:?}");
        let latest = |instance: &TestReplica| instance.replica().digests().latest();
        assert!(latest(&joined).is_some());
        assert_eq!(latest(&joined), latest(&primary));
    }
}

#[test]
fn a_kill_in_the_middle_of_installing_leaves_the_old_database() {
    let primary = primary(400);
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    let steps = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (reached, go_on) = (Arc::clone(&steps), Arc::new(AtomicBool::new(false)));
    let released = Arc::clone(&go_on);
    let faults = calldex_storage::FaultInjector::new(move |operation| {
        if operation == DiskOperation::CopySnapshot {
            reached.fetch_add(1, Ordering::SeqCst);
            wait_until("released", || released.load(Ordering::SeqCst));
        }
        Ok(())
    });
    let joined = TestReplica::joined_with(&primary.cluster_id(), faults);
    joined.apply(vec![entry(0, &[call_started("CA-old", "+14155559999")])]);
    let before = joined.dump();
    std::thread::scope(|scope| {
        let installing = scope.spawn(|| install(&mut joined.state_machine(), &meta, &file));
        wait_until("installing", || steps.load(Ordering::SeqCst) > 0);
        let survivor = joined.after_a_kill();
        assert_eq!(survivor.dump(), before);
        go_on.store(true, Ordering::SeqCst);
        installing.join().unwrap().unwrap();
    });
    assert_eq!(joined.dump(), primary.dump());
}

#[test]
fn no_tier_shows_old_callers_after_installing() {
    let primary = primary(5);
    primary.apply(vec![entry(41, &[name_heard("+14155550001", "Grace", 900)])]);
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    let joined = TestReplica::joined(&primary.cluster_id());
    let old = [("+14155550001", "Old One"), ("+14155558888", "Nobody")];
    let writes: Vec<_> = old
        .iter()
        .map(|(from, name)| name_heard(from, name, 5))
        .collect();
    joined.apply(vec![entry(0, &writes)]);
    wait_until("the warm tier answers", || {
        joined.storage().callers.is_warm_cache_ready()
    });
    let recall = |from: &str| run(joined.storage().callers.look_up(&number(from), WAIT_MAX));
    assert!(
        matches!(recall("+14155550001"), LookupResult::Known(caller) if caller.name.as_deref() == Some("Old One"))
    );
    install(&mut joined.state_machine(), &meta, &file).unwrap();
    for _ in 0..2 {
        let LookupResult::Known(caller) = recall("+14155550001") else {
            panic!("the caller is known");
        };
        assert_eq!(caller.name.as_deref(), Some("Grace"));
        assert_eq!(recall("+14155558888"), LookupResult::Unknown);
        wait_until("the warm tier answers again", || {
            joined.storage().callers.is_warm_cache_ready()
        });
    }
}

#[test]
fn a_read_that_began_before_installing_brings_nothing_old_back() {
    let primary = primary(5);
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    let (held, release) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let armed = Arc::new(AtomicBool::new(false));
    let faults = {
        let (held, release, armed) = (Arc::clone(&held), Arc::clone(&release), Arc::clone(&armed));
        calldex_storage::FaultInjector::new(move |operation| {
            if operation == DiskOperation::ReadCold && armed.swap(false, Ordering::SeqCst) {
                held.store(true, Ordering::SeqCst);
                wait_until("released", || release.load(Ordering::SeqCst));
            }
            Ok(())
        })
    };
    let joined = TestReplica::joined_with(&primary.cluster_id(), faults);
    let from = number("+14155550001");
    armed.store(true, Ordering::SeqCst);
    joined.storage().callers.prefetch(&from).unwrap();
    wait_until("reading", || held.load(Ordering::SeqCst));
    install(&mut joined.state_machine(), &meta, &file).unwrap();
    release.store(true, Ordering::SeqCst);
    wait_until("in memory", || {
        joined.storage().callers.look_up_cached(&from).is_some()
    });
    assert!(matches!(
        joined.storage().callers.look_up_cached(&from),
        Some(LookupResult::Known(_))
    ));
}

#[test]
fn the_entry_after_a_snapshot_waits_until_that_is_installed_for_good() {
    use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
    let primary = primary(5);
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    let joined = TestReplica::joined(&primary.cluster_id());
    joined.append(vec![blank(1, 0), blank(1, 1)]);
    // As openraft does: the log is purged while the snapshot is still being installed.
    let mut log = joined.log();
    run(log.purge(log_id(1, 40))).unwrap();
    assert_eq!(
        run(log.get_log_state()).unwrap().last_log_id,
        Some(log_id(1, 40))
    );
    let killed = joined.after_a_kill();
    let last = run(killed.log().get_log_state()).unwrap().last_log_id;
    assert_eq!(last, Some(log_id(1, 1)), "nothing is gone yet");
    let flushed = Arc::new(AtomicBool::new(false));
    let (noted, mut appender) = (Arc::clone(&flushed), log.clone());
    let append = std::thread::spawn(move || {
        run(appender.blocking_append([blank(1, 41)])).unwrap();
        noted.store(true, Ordering::SeqCst);
    });
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert!(
        !flushed.load(Ordering::SeqCst),
        "acknowledged without what comes before"
    );
    install(&mut joined.state_machine(), &meta, &file).unwrap();
    append.join().unwrap();
    let killed = joined.after_a_kill();
    let mut survivor = killed.log();
    assert_eq!(
        run(survivor.try_get_log_entries(..)).unwrap(),
        [blank(1, 41)]
    );
    let state = run(survivor.get_log_state()).unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 40)));
}

#[test]
fn a_log_that_begins_behind_a_snapshot_is_whole_after_a_kill() {
    use openraft::storage::RaftLogStorage;
    let primary = primary(5);
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    let joined = TestReplica::joined(&primary.cluster_id());
    let mut log = joined.log();
    run(log.purge(log_id(1, 40))).unwrap();
    install(&mut joined.state_machine(), &meta, &file).unwrap();
    joined.append(vec![blank(1, 41), blank(1, 42)]);
    let killed = joined.after_a_kill();
    let state = run(killed.log().get_log_state()).unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 40)));
    assert_eq!(state.last_log_id, Some(log_id(1, 42)));
}

#[test]
fn who_is_killed_after_installing_has_forgotten_nothing_of_what_it_acknowledged() {
    use openraft::storage::RaftLogStorage;
    let primary = primary(5);
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    let joined = TestReplica::joined(&primary.cluster_id());
    joined.append(vec![blank(1, 0), blank(1, 1)]);
    let mut log = joined.log();
    run(log.purge(log_id(1, 40))).unwrap();
    install(&mut joined.state_machine(), &meta, &file).unwrap();
    // The primary notes that this instance has everything up to here, and asks for it at its next start.
    let killed = joined.after_a_kill();
    let state = run(killed.log().get_log_state()).unwrap();
    assert_eq!(state.last_log_id, Some(log_id(1, 40)));
}

#[test]
fn a_log_opens_again_whenever_it_is_killed_while_a_snapshot_and_what_follows_it_come() {
    use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
    let primary = primary(5);
    let (meta, file) = primary.replica().snapshot_file().unwrap();
    let (shut, commits) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (is_shut, counted) = (Arc::clone(&shut), Arc::clone(&commits));
    let faults = calldex_storage::FaultInjector::new(move |operation| {
        if operation == DiskOperation::RaftCommit {
            counted.fetch_add(1, Ordering::SeqCst);
            wait_until("the disk is back", || !is_shut.load(Ordering::SeqCst));
        }
        Ok(())
    });
    let joined = TestReplica::joined_with(&primary.cluster_id(), faults);
    joined.append(vec![blank(1, 0)]);
    let append = |index: u64| {
        let mut log = joined.log();
        std::thread::spawn(move || run(log.blocking_append([blank(1, index)])).unwrap())
    };
    // One is in the slow disk; meanwhile a snapshot comes, and an entry behind it.
    shut.store(true, Ordering::SeqCst);
    let before = commits.load(Ordering::SeqCst);
    let first = append(1);
    wait_until("in the disk", || commits.load(Ordering::SeqCst) > before);
    run(joined.log().purge(log_id(1, 40))).unwrap();
    let behind = append(41);
    std::thread::scope(|scope| {
        let installing = scope.spawn(|| install(&mut joined.state_machine(), &meta, &file));
        shut.store(false, Ordering::SeqCst);
        for _ in 0..5 {
            let killed = joined.copied(|_| true);
            drop(TestReplica::open(
                killed,
                calldex_storage::FaultInjector::default(),
            ));
        }
        installing.join().unwrap().unwrap();
    });
    first.join().unwrap();
    behind.join().unwrap();
    let killed = joined.after_a_kill();
    let mut survivor = killed.log();
    assert_eq!(
        run(survivor.try_get_log_entries(..)).unwrap(),
        [blank(1, 41)]
    );
}
