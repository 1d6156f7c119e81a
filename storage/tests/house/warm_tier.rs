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
async fn a_restarted_house_answers_from_the_warm_tier() {
    let mut house = populated();
    house.reopen();
    house.warm_up();
    assert_eq!(tier_of(&house, &from(3)).await, Some(Tier::Warm));
    assert_eq!(tier_of(&house, &from(3)).await, Some(Tier::Hot));
    assert_eq!(tier_of(&house, "+14155559999").await, Some(Tier::Cold));
}

#[tokio::test]
async fn what_was_written_while_the_tier_was_off_is_caught_up() {
    let mut house = populated();
    house.reopen_with(|config| config.warm = false);
    house.write(Write::NameCorrected(given(&from(3), "Corrected", 9)));
    house.reopen();
    house.warm_up();
    let (recall, tier) = house
        .storage()
        .directory
        .recall_from(&number(&from(3)), PATIENCE)
        .await;
    let Recall::Known(caller) = recall else {
        panic!("{recall:?}")
    };
    assert_eq!(
        (caller.name.as_deref(), tier),
        (Some("Corrected"), Some(Tier::Warm))
    );
}

#[tokio::test]
async fn a_folder_deleted_emptied_or_replaced_by_a_file_is_built_anew() {
    type Ruin = fn(&Path);
    let ruins: [(&str, Ruin); 3] = [
        ("deleted", |folder| fs::remove_dir_all(folder).unwrap()),
        ("emptied", |folder| {
            files_below(folder)
                .iter()
                .for_each(|file| fs::remove_file(file).unwrap())
        }),
        ("a file", |folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::write(folder, "not a folder").unwrap();
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
async fn truncated_and_garbled_files_are_built_anew() {
    let mut house = populated();
    let files = files_below(&house.dir.path().join("warm"));
    assert!(!files.is_empty());
    for file in &files {
        for what in ["halved", "zeroed", "garbled"] {
            house.close();
            let mut bytes = fs::read(file).unwrap_or_default();
            let half = bytes.len() / 2;
            match what {
                "halved" => bytes.truncate(half),
                "zeroed" => bytes.fill(0),
                _ => bytes
                    .iter_mut()
                    .enumerate()
                    .for_each(|(at, byte)| *byte = (at * 31 % 251) as u8),
            }
            fs::write(file, bytes).unwrap();
            house.reopen();
            assert_all_answer(&mut house, &format!("{} {what}", file.display())).await;
        }
    }
}

#[tokio::test]
async fn another_databases_tier_is_not_believed() {
    let mut house = populated();
    let mut other = House::new();
    other.write(Write::NameConfirmed(given(&from(5), "Stranger", 1)));
    other.warm_up();
    other.close();
    let warm = house.dir.path().join("warm");
    fs::remove_dir_all(&warm).unwrap();
    fs::rename(other.dir.path().join("warm"), &warm).unwrap();
    house.reopen();
    assert_all_answer(&mut house, "another database's").await;
}

#[tokio::test]
async fn an_older_database_does_not_believe_a_newer_tier() {
    let mut house = populated();
    let database = house.dir.path().join("calls.db");
    let backup = fs::read(&database).unwrap();
    house.reopen();
    house.write(Write::NameCorrected(given(&from(5), "FromTheFuture", 50)));
    house.warm_up();
    house.close();
    fs::write(&database, backup).unwrap();
    house.reopen();
    assert_all_answer(&mut house, "a restored backup").await;
}

#[tokio::test]
async fn an_opening_that_ended_the_process_is_not_tried_again() {
    let mut house = populated();
    fs::write(house.dir.path().join("warm.opening"), "").unwrap();
    house.reopen();
    assert_all_answer(&mut house, "marked").await;
    assert!(!house.dir.path().join("warm.opening").exists());
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
async fn an_erased_caller_is_in_no_tier() {
    let mut house = populated();
    house.reopen();
    house.warm_up();
    house.write(Write::CallerErased {
        number: number(&from(4)),
        at_ms: AT_MS + 60_000,
    });
    for _ in 0..2 {
        house.warm_up();
        let recall = house
            .storage()
            .directory
            .recall(&number(&from(4)), PATIENCE)
            .await;
        assert_eq!(recall, Recall::Unknown);
        house.reopen();
    }
    house.reopen_with(|config| config.warm = false);
    house.write(Write::CallerErased {
        number: number(&from(5)),
        at_ms: AT_MS + 60_000,
    });
    house.reopen();
    house.warm_up();
    assert_eq!(
        house
            .storage()
            .directory
            .recall(&number(&from(5)), PATIENCE)
            .await,
        Recall::Unknown
    );
}
