//! Data directories that are not what they were: wiped, or of an earlier time. A voter that has
//! forgotten what it acknowledged must not vote.

use crate::events::{Beginning, Event, Order};
use crate::exchange::{Exchange, ORDINARY, PATIENCE, Plan};
use crate::node::Member;
use crate::random::Random;
use crate::rounds::befall;
use std::time::Duration;

/// How long one that was refused is watched still.
const WATCHED: Duration = Duration::from_millis(500);
/// Entries applied after a copy was made, which it has not.
const FORGOTTEN_MIN: u64 = 20;
/// How often one that was refused is started again.
const STARTS: usize = 3;

#[test]
fn who_has_forgotten_is_refused_and_begins_anew() {
    befall(
        "who_has_forgotten_is_refused_and_begins_anew",
        Plan::three(),
        ORDINARY,
        5,
        &[
            ("the log is gone, the identity is not", lose_log),
            (
                "log and database are gone, the identity is not",
                lose_log_and_database,
            ),
            ("the disk is new", lose_everything),
            ("a backup is restored into one instance", restore_backup),
            (
                "a whole directory of an earlier time is put back",
                restore_directory,
            ),
            (
                "a whole directory of the same life is put back",
                restore_moment,
            ),
            (
                "the primary's whole directory of the same life is put back",
                restore_moment_of_primary,
            ),
        ],
    );
}

/// What the operator does: an empty directory, a new identity. The old one goes.
pub fn begin_anew(exchange: &mut Exchange, index: usize) {
    let old = exchange.nodes[index].standing().identity;
    exchange.nodes[index].kill();
    exchange.nodes[index].wipe();
    exchange.nodes[index].start(Beginning::Join);
    exchange.wait_serving(index, "beginning anew");
    let new = exchange.nodes[index].standing().identity;
    assert_ne!(old, new, "a new disk is a new member");
    let (_, node_id, _) = new.expect("it is open");
    exchange.soon("the new member in the old one's place", |exchange| {
        let primary = exchange.find_primary()?;
        let members = exchange.nodes[primary].view()?.members;
        let votes = |member: &Member| member.voter && member.node_id == node_id;
        (members.len() == 3 && members.iter().any(votes)).then_some(())
    });
}

/// Starts it and sees it refused: it says what is wrong and what to do, and ends or takes no part.
fn is_refused(exchange: &mut Exchange, random: &mut Random, index: usize, what: &str) {
    exchange.restart(index);
    let said = exchange.soon(what, |exchange| {
        exchange.work(random, Duration::from_millis(100));
        let view = exchange.nodes[index].view();
        let trouble = view.and_then(|view| view.trouble);
        let said = exchange.nodes[index].standing().refusal.or(trouble)?;
        said.contains("join anew").then_some(said)
    });
    println!("{what}: {said}");
    exchange.work(random, WATCHED);
    let standing = exchange.nodes[index].standing();
    assert!(!standing.is_serving, "{what}: it serves: {standing:?}");
}

fn lose_log(exchange: &mut Exchange, random: &mut Random) {
    let index = random.within(0, 2) as usize;
    exchange.nodes[index].kill();
    exchange.nodes[index].remove("raft.db");
    is_refused(exchange, random, index, "a log that is gone");
    begin_anew(exchange, index);
}

fn lose_log_and_database(exchange: &mut Exchange, random: &mut Random) {
    let index = random.within(0, 2) as usize;
    exchange.nodes[index].kill();
    exchange.nodes[index].remove("raft.db");
    exchange.nodes[index].remove("calls.db");
    is_refused(
        exchange,
        random,
        index,
        "a wiped voter with its old identity",
    );
    begin_anew(exchange, index);
}

fn lose_everything(exchange: &mut Exchange, random: &mut Random) {
    let index = random.within(0, 2) as usize;
    begin_anew(exchange, index);
    exchange.work(random, Duration::from_millis(300));
}

fn restore_backup(exchange: &mut Exchange, random: &mut Random) {
    let index = random.within(0, 2) as usize;
    let backup = exchange.nodes[index].beside("backup.db");
    let file = backup.display().to_string();
    let answer = exchange.nodes[index].ask(|asked| Order::Backup { asked, file }, PATIENCE);
    assert!(
        matches!(answer, Some(Event::BackedUp { failure: None, .. })),
        "{answer:?}"
    );
    exchange.work(random, Duration::from_millis(400));
    exchange.nodes[index].kill();
    exchange.nodes[index].remove("calls.db");
    let database = exchange.nodes[index].data().join("calls.db");
    std::fs::rename(&backup, database).expect("a file of ours");
    is_refused(exchange, random, index, "a restored backup");
    begin_anew(exchange, index);
}

fn restore_directory(exchange: &mut Exchange, random: &mut Random) {
    let index = random.within(0, 2) as usize;
    let earlier = exchange.nodes[index].beside("earlier");
    exchange.nodes[index].kill();
    exchange.nodes[index].copy_data(&earlier);
    exchange.restart(index);
    exchange.wait_serving(index, "after the copy was made");
    exchange.work(random, Duration::from_millis(400));
    exchange.nodes[index].kill();
    exchange.nodes[index].replace_data(&earlier);
    std::fs::remove_dir_all(&earlier).expect("a folder of ours");
    // Whoever looks after processes starts it again and again.
    for start in 0..STARTS {
        let what = format!("a directory of an earlier time, start {start}");
        is_refused(exchange, random, index, &what);
        exchange.nodes[index].kill();
    }
    begin_anew(exchange, index);
}

/// As a machine's snapshot does: a copy of one moment, while the process runs.
fn put_back_moment(exchange: &mut Exchange, random: &mut Random, index: usize) {
    let earlier = exchange.nodes[index].beside("earlier");
    exchange.nodes[index].pause();
    exchange.nodes[index].copy_data(&earlier);
    exchange.nodes[index].go_on();
    exchange.work_until_applied(random, index, FORGOTTEN_MIN);
    exchange.work(random, Duration::from_millis(300));
    exchange.nodes[index].kill();
    exchange.nodes[index].replace_data(&earlier);
    std::fs::remove_dir_all(&earlier).expect("a folder of ours");
}

fn restore_moment(exchange: &mut Exchange, random: &mut Random) {
    let index = exchange.replica(random);
    put_back_moment(exchange, random, index);
    is_refused(exchange, random, index, "a directory of the same life");
    begin_anew(exchange, index);
}

/// What a primary has, its followers have noted, but for the last moment.
fn restore_moment_of_primary(exchange: &mut Exchange, random: &mut Random) {
    let index = exchange.primary();
    put_back_moment(exchange, random, index);
    is_refused(
        exchange,
        random,
        index,
        "a primary's directory of the same life",
    );
    begin_anew(exchange, index);
}
