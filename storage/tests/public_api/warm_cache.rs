//! The warm tier: whatever happens to its folder, the answers are those of SQLite.

use crate::fixtures::*;
use calldex_storage::write::Write;
use calldex_storage::{CacheTier, DiskOperation, FaultInjector, LookupResult};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CALLERS: usize = 60;

fn number_of(index: usize) -> String {
    format!("+1415555{index:04}")
}

/// A storage with callers whose names are in the warm tier, closed in order.
fn populated_storage() -> TestStorage {
    let mut fixture = TestStorage::new();
    for index in 0..CALLERS {
        drop(
            fixture
                .storage()
                .writer
                .submit(Write::NameConfirmed(stamped_name(
                    &number_of(index),
                    &format!("Name{index}"),
                    1,
                ))),
        );
    }
    fixture.write(call_started("CA1", Some(&number_of(0))));
    fixture.wait_warm_cache();
    fixture.close();
    fixture
}

fn populated_open_storage() -> TestStorage {
    let mut fixture = populated_storage();
    fixture.reopen();
    fixture.wait_warm_cache();
    fixture
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

async fn look_up(fixture: &TestStorage, digits: &str) -> LookupResult {
    let directory = &fixture.storage().callers;
    directory.look_up(&number(digits), WAIT_MAX).await
}

async fn tier_of(fixture: &TestStorage, digits: &str) -> Option<CacheTier> {
    fixture
        .storage()
        .callers
        .look_up_with_tier(&number(digits), WAIT_MAX)
        .await
        .1
}

/// All callers answer rightly, from whichever tier, now and once the warm tier is there again.
async fn assert_all_answer(fixture: &mut TestStorage, what: &str) {
    for round in 0..2 {
        for index in 0..CALLERS {
            let caller = fixture.caller(&number_of(index)).await;
            assert_eq!(
                caller.name.as_deref(),
                Some(&*format!("Name{index}")),
                "{what}, round {round}"
            );
        }
        let unknown = fixture
            .storage()
            .callers
            .look_up(&number("+14155559999"), WAIT_MAX)
            .await;
        assert_eq!(unknown, LookupResult::Unknown, "{what}");
        fixture.wait_warm_cache();
        fixture.reopen();
    }
    fixture.wait_warm_cache();
    assert_eq!(
        tier_of(fixture, &number_of(7)).await,
        Some(CacheTier::Warm),
        "{what}: rebuilt and used"
    );
}

/// The names that lie in the files below `folder` as text.
fn names_on_disk(folder: &Path) -> Vec<String> {
    let bytes: Vec<u8> = files_below(folder)
        .iter()
        .flat_map(|file| fs::read(file).unwrap())
        .collect();
    let is_there = |name: &String| {
        bytes
            .windows(name.len())
            .any(|part| part == name.as_bytes())
    };
    let names = (0..CALLERS).map(|index| format!("\"Name{index}\""));
    names.filter(is_there).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path))
        } else {
            files.push(path)
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn a_restarted_storage_answers_from_the_warm_tier_once_that_is_filled_anew() {
    let mut fixture = populated_storage();
    assert!(!fixture.dir.path().join("warm").exists(), "closed in order");
    fixture.reopen();
    fixture.wait_warm_cache();
    assert_eq!(
        tier_of(&fixture, &number_of(3)).await,
        Some(CacheTier::Warm)
    );
    assert_eq!(tier_of(&fixture, &number_of(3)).await, Some(CacheTier::Hot));
    assert_eq!(
        tier_of(&fixture, "+14155559999").await,
        Some(CacheTier::Cold)
    );
}

#[tokio::test]
async fn what_was_changed_while_the_server_was_stopped_is_what_it_answers() {
    let mut fixture = populated_storage();
    fixture.reopen();
    fixture.wait_warm_cache();
    // As a process that was killed leaves it.
    let killed = fixture.dir.path().join("warm");
    wait_until("sled has written it", || {
        names_on_disk(&killed).len() == CALLERS
    });
    let kept = fixture.dir.path().join("kept");
    copy_folder(&killed, &kept);
    fixture.close();
    fs::rename(&kept, &killed).unwrap();
    assert_eq!(names_on_disk(&killed).len(), CALLERS);
    let person = fixture.connection();
    let delete = "DELETE FROM callers WHERE phone_number = ?1";
    person.execute(delete, [number_of(4)]).unwrap();
    let rename = "UPDATE callers SET name = 'Renamed' WHERE phone_number = ?1";
    person.execute(rename, [number_of(5)]).unwrap();
    drop(person);
    fixture.reopen();
    for round in ["at once", "once the tier is filled"] {
        let recall = look_up(&fixture, &number_of(4)).await;
        println!("{round}: {recall:?}");
        assert_eq!(recall, LookupResult::Unknown, "{round}");
        assert_eq!(
            fixture.caller(&number_of(5)).await.name.as_deref(),
            Some("Renamed")
        );
        fixture.wait_warm_cache();
    }
    assert!(!names_on_disk(&killed).contains(&"\"Name4\"".to_owned()));
}

#[tokio::test]
async fn what_is_changed_past_the_server_is_answered_within_a_second() {
    let fixture = populated_open_storage();
    for index in 0..CALLERS {
        fixture.caller(&number_of(index)).await;
    }
    let person = fixture.connection();
    let delete = "DELETE FROM callers WHERE phone_number = ?1";
    person.execute(delete, [number_of(4)]).unwrap();
    wait_until("the deletion is noticed", || {
        fixture
            .storage()
            .callers
            .look_up_cached(&number(&number_of(4)))
            .is_none()
    });
    let recall = look_up(&fixture, &number_of(4)).await;
    println!("{recall:?}");
    assert_eq!(recall, LookupResult::Unknown);
    // While the writer is at work it notices too.
    let rename = "UPDATE callers SET name = 'Renamed' WHERE phone_number = ?1";
    person.execute(rename, [number_of(5)]).unwrap();
    let mut seq = 0;
    wait_until("the change is noticed", || {
        seq += 1;
        fixture.write(turn_appended("CA1", 0, seq, "hello"));
        fixture
            .storage()
            .callers
            .look_up_cached(&number(&number_of(5)))
            .is_none()
    });
    fixture.wait_warm_cache();
    assert_eq!(
        fixture.caller(&number_of(5)).await.name.as_deref(),
        Some("Renamed")
    );
    assert!(!names_on_disk(&fixture.dir.path().join("warm")).contains(&"\"Name4\"".to_owned()));
}

#[tokio::test]
async fn what_the_server_does_itself_is_no_change_past_it() {
    let fixture = populated_open_storage();
    fixture.caller(&number_of(7)).await;
    for seq in 0..40 {
        // Beyond the size from which the log is copied beside the writer.
        fixture.write(turn_appended("CA1", 0, seq, &"x".repeat(256 * 1024)));
        std::thread::sleep(std::time::Duration::from_millis(20));
        let known = fixture
            .storage()
            .callers
            .look_up_cached(&number(&number_of(7)));
        assert!(known.is_some(), "forgotten at turn {seq}");
    }
}

#[tokio::test]
async fn whatever_lies_in_its_place_at_a_start_is_thrown_away() {
    type DamageFolder = fn(&Path);
    let ruins: [(&str, DamageFolder); 3] = [
        ("garbled", |folder| {
            fs::create_dir_all(folder.join("blobs")).unwrap();
            fs::write(folder.join("db"), "no database of sled's").unwrap();
            fs::write(folder.join("conf"), [7; 99]).unwrap();
        }),
        ("emptied", |folder| fs::create_dir(folder).unwrap()),
        ("a file", |folder| {
            fs::write(folder, "not a folder").unwrap()
        }),
    ];
    for (what, ruin) in ruins {
        let mut fixture = populated_storage();
        ruin(&fixture.dir.path().join("warm"));
        fixture.reopen();
        assert_all_answer(&mut fixture, what).await;
    }
}

#[tokio::test]
async fn a_tier_that_fails_or_panics_while_in_use_only_costs_time() {
    for (at, panics) in [
        (DiskOperation::WriteWarm, false),
        (DiskOperation::OpenWarm, false),
    ] {
        let fails = Arc::new(AtomicBool::new(true));
        let switch = Arc::clone(&fails);
        let faults = FaultInjector::new(move |operation| {
            if operation == at && switch.load(Ordering::SeqCst) {
                assert!(!panics, "a panic on purpose");
                return Err(std::io::Error::other("on purpose"));
            }
            Ok(())
        });
        let mut fixture = populated_storage();
        fixture.reopen_with(|config| config.faults = faults);
        fixture.write(call_started("CA2", Some(&number_of(1))));
        let caller = fixture.caller(&number_of(1)).await;
        assert_eq!((caller.calls, caller.name.as_deref()), (1, Some("Name1")));
        assert_eq!(
            tier_of(&fixture, &number_of(2)).await,
            Some(CacheTier::Cold)
        );
        fails.store(false, Ordering::SeqCst);
        assert_all_answer(&mut fixture, &format!("{at:?}")).await;
    }
}

#[tokio::test]
async fn an_erased_caller_is_in_no_tier_and_in_no_file_of_it() {
    let fixture = populated_open_storage();
    let warm = fixture.dir.path().join("warm");
    fixture.write(Write::CallerErased {
        number: number(&number_of(4)),
        at_ms: AT_MS + 60_000,
    });
    assert_eq!(
        look_up(&fixture, &number_of(4)).await,
        LookupResult::Unknown
    );
    fixture.write(turn_appended("CA9", 0, 0, "hello"));
    wait_until("the tier is filled without them", || {
        fixture.storage().callers.is_warm_cache_ready()
            && warm.is_dir()
            && names_on_disk(&warm).len() == CALLERS - 1
    });
    assert!(!names_on_disk(&warm).contains(&"\"Name4\"".to_owned()));
    assert_eq!(
        look_up(&fixture, &number_of(4)).await,
        LookupResult::Unknown
    );
}
