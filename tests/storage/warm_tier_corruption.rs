//! The warm tier's folder vandalised between two lives of the process, and under load.

use crate::crash_run::CrashScenario;
use crate::random::{SeededRandom, rounds};
use crate::verification::verify;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[test]
fn whatever_is_done_to_sled_the_answers_are_right() {
    let mut random = SeededRandom::for_test("whatever_is_done_to_sled");
    let mut stranger = CrashScenario::new();
    let orders = stranger.workload_config(&mut random);
    stranger.run(&orders, &[], |witness| {
        witness.kill_after(Duration::from_millis(300))
    });
    // Not opened again: that would end in order, and leave no folder.

    let mut scene = CrashScenario::new();
    let ruins = [
        "deleted",
        "truncated",
        "bit flipped",
        "garbage",
        "another database's",
    ];
    let repeats = rounds(5).div_ceil(ruins.len());
    for what in ruins
        .iter()
        .flat_map(|what| std::iter::repeat_n(what, repeats))
    {
        let orders = scene.workload_config(&mut random);
        scene.run(&orders, &[], |witness| {
            witness.kill_after(Duration::from_millis(150))
        });
        corrupt(
            what,
            &scene.data_dir().join("warm"),
            &stranger.data_dir().join("warm"),
            &mut random,
        );
        verify(&scene, what);
    }
    println!(
        "{} ruins, {repeats} times each, {} names asked for",
        ruins.len(),
        scene.journal.names.len()
    );
}

fn corrupt(what: &str, warm: &Path, strangers: &Path, random: &mut SeededRandom) {
    // A process that was killed very early has made none.
    fs::create_dir_all(warm).unwrap();
    match what {
        "deleted" => fs::remove_dir_all(warm).unwrap(),
        "another database's" => {
            fs::remove_dir_all(warm).unwrap();
            copy(strangers, warm);
        }
        _ => files_below(warm)
            .iter()
            .for_each(|file| damage(what, file, random)),
    }
}

fn damage(what: &str, file: &Path, random: &mut SeededRandom) {
    let mut bytes = fs::read(file).unwrap();
    if bytes.is_empty() {
        return;
    }
    let end = bytes.len() as u64 - 1;
    match what {
        "truncated" => bytes.truncate(random.within(0, end) as usize),
        "bit flipped" => {
            for _ in 0..16 {
                bytes[random.within(0, end) as usize] ^= 1 << random.within(0, 7);
            }
        }
        _ => bytes
            .iter_mut()
            .for_each(|byte| *byte = random.next() as u8),
    }
    fs::write(file, bytes).unwrap();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}
