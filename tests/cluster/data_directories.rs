//! Data directories that are not what they were: wiped, or of an earlier time. A voter that has
//! forgotten what it acknowledged must not vote.

use crate::events::{IdentitySource, InstanceEvent, TestCommand};
use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY, WAIT_MAX};
use crate::fault_rounds::run_fault;
use crate::node::MemberView;
use crate::random::SeededRandom;
use std::time::Duration;

/// How long one that was refused is watched still.
const WATCHED: Duration = Duration::from_millis(500);
/// Entries applied after a copy was made, which it has not.
const FORGOTTEN_MIN: u64 = 20;
/// How often one that was refused is started again.
const STARTS: usize = 3;

#[test]
fn who_has_forgotten_is_refused_and_begins_anew() {
    run_fault(
        "who_has_forgotten_is_refused_and_begins_anew",
        FaultTestPlan::three(),
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
pub fn begin_anew(cluster: &mut FaultTestCluster, index: usize) {
    let old = cluster.nodes[index].life_status().identity;
    cluster.nodes[index].kill();
    cluster.nodes[index].wipe();
    cluster.nodes[index].start(IdentitySource::Join);
    cluster.wait_serving(index, "beginning anew");
    let new = cluster.nodes[index].life_status().identity;
    assert_ne!(old, new, "a new disk is a new member");
    let (_, node_id, _) = new.expect("it is open");
    cluster.wait_for("the new member in the old one's place", |cluster| {
        let primary = cluster.find_primary()?;
        let members = cluster.nodes[primary].view()?.members;
        let votes = |member: &MemberView| member.voter && member.node_id == node_id;
        (members.len() == 3 && members.iter().any(votes)).then_some(())
    });
}

/// Starts it and sees it refused: it says what is wrong and what to do, and ends or takes no part.
fn is_refused(cluster: &mut FaultTestCluster, random: &mut SeededRandom, index: usize, what: &str) {
    cluster.restart(index);
    let said = cluster.wait_for(what, |cluster| {
        cluster.work(random, Duration::from_millis(100));
        let view = cluster.nodes[index].view();
        let trouble = view.and_then(|view| view.trouble);
        let said = cluster.nodes[index].life_status().refusal.or(trouble)?;
        said.contains("join anew").then_some(said)
    });
    println!("{what}: {said}");
    cluster.work(random, WATCHED);
    let standing = cluster.nodes[index].life_status();
    assert!(!standing.is_serving, "{what}: it serves: {standing:?}");
}

fn lose_log(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = random.within(0, 2) as usize;
    cluster.nodes[index].kill();
    cluster.nodes[index].remove("raft.db");
    is_refused(cluster, random, index, "a log that is gone");
    begin_anew(cluster, index);
}

fn lose_log_and_database(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = random.within(0, 2) as usize;
    cluster.nodes[index].kill();
    cluster.nodes[index].remove("raft.db");
    cluster.nodes[index].remove("calls.db");
    is_refused(
        cluster,
        random,
        index,
        "a wiped voter with its old identity",
    );
    begin_anew(cluster, index);
}

fn lose_everything(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = random.within(0, 2) as usize;
    begin_anew(cluster, index);
    cluster.work(random, Duration::from_millis(300));
}

fn restore_backup(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = random.within(0, 2) as usize;
    let backup = cluster.nodes[index].path_beside("backup.db");
    let file = backup.display().to_string();
    let answer = cluster.nodes[index].ask(|asked| TestCommand::Backup { asked, file }, WAIT_MAX);
    assert!(
        matches!(answer, Some(InstanceEvent::BackedUp { failure: None, .. })),
        "{answer:?}"
    );
    cluster.work(random, Duration::from_millis(400));
    cluster.nodes[index].kill();
    cluster.nodes[index].remove("calls.db");
    let database = cluster.nodes[index].data().join("calls.db");
    std::fs::rename(&backup, database).expect("a file of ours");
    is_refused(cluster, random, index, "a restored backup");
    begin_anew(cluster, index);
}

fn restore_directory(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = random.within(0, 2) as usize;
    let earlier = cluster.nodes[index].path_beside("earlier");
    cluster.nodes[index].kill();
    cluster.nodes[index].copy_data(&earlier);
    cluster.restart(index);
    cluster.wait_serving(index, "after the copy was made");
    cluster.work(random, Duration::from_millis(400));
    cluster.nodes[index].kill();
    cluster.nodes[index].replace_data(&earlier);
    std::fs::remove_dir_all(&earlier).expect("a folder of ours");
    // Whoever looks after processes starts it again and again.
    for start in 0..STARTS {
        let what = format!("a directory of an earlier time, start {start}");
        is_refused(cluster, random, index, &what);
        cluster.nodes[index].kill();
    }
    begin_anew(cluster, index);
}

/// As a machine's snapshot does: a copy of one moment, while the process runs.
fn put_back_moment(cluster: &mut FaultTestCluster, random: &mut SeededRandom, index: usize) {
    let earlier = cluster.nodes[index].path_beside("earlier");
    cluster.nodes[index].pause();
    cluster.nodes[index].copy_data(&earlier);
    cluster.nodes[index].resume();
    cluster.work_until_applied(random, index, FORGOTTEN_MIN);
    cluster.work(random, Duration::from_millis(300));
    cluster.nodes[index].kill();
    cluster.nodes[index].replace_data(&earlier);
    std::fs::remove_dir_all(&earlier).expect("a folder of ours");
}

fn restore_moment(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = cluster.replica(random);
    put_back_moment(cluster, random, index);
    is_refused(cluster, random, index, "a directory of the same life");
    begin_anew(cluster, index);
}

/// What a primary has, its followers have noted, but for the last moment.
fn restore_moment_of_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = cluster.primary();
    put_back_moment(cluster, random, index);
    is_refused(
        cluster,
        random,
        index,
        "a primary's directory of the same life",
    );
    begin_anew(cluster, index);
}
