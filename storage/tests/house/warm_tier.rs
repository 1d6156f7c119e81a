//! The warm tier: whatever happens to its folder, the answers are those of SQLite.

use crate::fixtures::*;
use calldex_storage::write::Write;
use calldex_storage::{Faults, Operation, Recall, Tier};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CALLERS: usize = 60;

fn from(index: usize) -> String {
    format!("+1415555{index:04}")
}

/// A house with callers whose names are in the warm tier, closed in order.
fn populated() -> House {
    let mut house = House::new();
    for index in 0..CALLERS {
        drop(house.storage().writer.submit(Write::NameConfirmed(given(
            &from(index),
            &format!("Name{index}"),
            1,
        ))));
    }
    house.write(started("CA1", Some(&from(0))));
    house.warm_up();
    house.close();
    house
}

fn populated_and_open() -> House {
    let mut house = populated();
    house.reopen();
    house.warm_up();
    house
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

async fn recall(house: &House, digits: &str) -> Recall {
    let directory = &house.storage().directory;
    directory.recall(&number(digits), PATIENCE).await
}

async fn tier_of(house: &House, digits: &str) -> Option<Tier> {
    house
        .storage()
        .directory
        .recall_from(&number(digits), PATIENCE)
        .await
        .1
}

/// All callers answer rightly, from whichever tier, now and once the warm tier is there again.
async fn assert_all_answer(house: &mut House, what: &str) {
    for round in 0..2 {
        for index in 0..CALLERS {
            let caller = house.caller(&from(index)).await;
            assert_eq!(
                caller.name.as_deref(),
                Some(&*format!("Name{index}")),
                "{what}, round {round}"
            );
        }
        let unknown = house
            .storage()
            .directory
            .recall(&number("+14155559999"), PATIENCE)
            .await;
        assert_eq!(unknown, Recall::Unknown, "{what}");
        house.warm_up();
        house.reopen();
    }
    house.warm_up();
    assert_eq!(
        tier_of(house, &from(7)).await,
        Some(Tier::Warm),
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
async fn a_restarted_house_answers_from_the_warm_tier_once_that_is_filled_anew() {
    let mut house = populated();
    assert!(!house.dir.path().join("warm").exists(), "closed in order");
    house.reopen();
    house.warm_up();
    assert_eq!(tier_of(&house, &from(3)).await, Some(Tier::Warm));
    assert_eq!(tier_of(&house, &from(3)).await, Some(Tier::Hot));
    assert_eq!(tier_of(&house, "+14155559999").await, Some(Tier::Cold));
}

#[tokio::test]
async fn what_was_changed_while_the_server_was_stopped_is_what_it_answers() {
    let mut house = populated();
    house.reopen();
    house.warm_up();
    // As a process that was killed leaves it.
    let killed = house.dir.path().join("warm");
    wait_until("sled has written it", || {
        names_on_disk(&killed).len() == CALLERS
    });
    let kept = house.dir.path().join("kept");
    copy_folder(&killed, &kept);
    house.close();
    fs::rename(&kept, &killed).unwrap();
    assert_eq!(names_on_disk(&killed).len(), CALLERS);
    let person = house.connection();
    let delete = "DELETE FROM callers WHERE phone_number = ?1";
    person.execute(delete, [from(4)]).unwrap();
    let rename = "UPDATE callers SET name = 'Renamed' WHERE phone_number = ?1";
    person.execute(rename, [from(5)]).unwrap();
    drop(person);
    house.reopen();
    for round in ["at once", "once the tier is filled"] {
        let recall = recall(&house, &from(4)).await;
        println!("{round}: {recall:?}");
        assert_eq!(recall, Recall::Unknown, "{round}");
        assert_eq!(
            house.caller(&from(5)).await.name.as_deref(),
            Some("Renamed")
        );
        house.warm_up();
    }
    assert!(!names_on_disk(&killed).contains(&"\"Name4\"".to_owned()));
}

#[tokio::test]
async fn what_is_changed_past_the_server_is_answered_within_a_second() {
    let house = populated_and_open();
    for index in 0..CALLERS {
        house.caller(&from(index)).await;
    }
    let person = house.connection();
    let delete = "DELETE FROM callers WHERE phone_number = ?1";
    person.execute(delete, [from(4)]).unwrap();
    wait_until("the deletion is noticed", || {
        house.storage().directory.peek(&number(&from(4))).is_none()
    });
    let recall = recall(&house, &from(4)).await;
    println!("{recall:?}");
    assert_eq!(recall, Recall::Unknown);
    // While the writer is at work it notices too.
    let rename = "UPDATE callers SET name = 'Renamed' WHERE phone_number = ?1";
    person.execute(rename, [from(5)]).unwrap();
    let mut seq = 0;
    wait_until("the change is noticed", || {
        seq += 1;
        house.write(said("CA1", 0, seq, "hello"));
        house.storage().directory.peek(&number(&from(5))).is_none()
    });
    house.warm_up();
    assert_eq!(
        house.caller(&from(5)).await.name.as_deref(),
        Some("Renamed")
    );
    assert!(!names_on_disk(&house.dir.path().join("warm")).contains(&"\"Name4\"".to_owned()));
}

#[tokio::test]
async fn what_the_server_does_itself_is_no_change_past_it() {
    let house = populated_and_open();
    house.caller(&from(7)).await;
    for seq in 0..40 {
        // Beyond the size from which the log is copied beside the writer.
        house.write(said("CA1", 0, seq, &"x".repeat(256 * 1024)));
        std::thread::sleep(std::time::Duration::from_millis(20));
        let known = house.storage().directory.peek(&number(&from(7)));
        assert!(known.is_some(), "forgotten at turn {seq}");
    }
}

#[tokio::test]
async fn whatever_lies_in_its_place_at_a_start_is_thrown_away() {
    type Ruin = fn(&Path);
    let ruins: [(&str, Ruin); 3] = [
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
        let mut house = populated();
        ruin(&house.dir.path().join("warm"));
        house.reopen();
        assert_all_answer(&mut house, what).await;
    }
}

#[tokio::test]
async fn a_tier_that_fails_or_panics_while_in_use_only_costs_time() {
    for (at, panics) in [(Operation::WriteWarm, false), (Operation::OpenWarm, false)] {
        let fails = Arc::new(AtomicBool::new(true));
        let switch = Arc::clone(&fails);
        let faults = Faults::new(move |operation| {
            if operation == at && switch.load(Ordering::SeqCst) {
                assert!(!panics, "a panic on purpose");
                return Err(std::io::Error::other("on purpose"));
            }
            Ok(())
        });
        let mut house = populated();
        house.reopen_with(|config| config.faults = faults);
        house.write(started("CA2", Some(&from(1))));
        let caller = house.caller(&from(1)).await;
        assert_eq!((caller.calls, caller.name.as_deref()), (1, Some("Name1")));
        assert_eq!(tier_of(&house, &from(2)).await, Some(Tier::Cold));
        fails.store(false, Ordering::SeqCst);
        assert_all_answer(&mut house, &format!("{at:?}")).await;
    }
}

#[tokio::test]
async fn an_erased_caller_is_in_no_tier_and_in_no_file_of_it() {
    let house = populated_and_open();
    let warm = house.dir.path().join("warm");
    house.write(Write::CallerErased {
        number: number(&from(4)),
        at_ms: AT_MS + 60_000,
    });
    assert_eq!(recall(&house, &from(4)).await, Recall::Unknown);
    house.write(said("CA9", 0, 0, "hello"));
    wait_until("the tier is filled without them", || {
        house.storage().directory.is_warm()
            && warm.is_dir()
            && names_on_disk(&warm).len() == CALLERS - 1
    });
    assert!(!names_on_disk(&warm).contains(&"\"Name4\"".to_owned()));
    assert_eq!(recall(&house, &from(4)).await, Recall::Unknown);
}
