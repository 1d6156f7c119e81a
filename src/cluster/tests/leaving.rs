//! Replacing, removing, refusing.

use super::house::*;
use crate::cluster::{Operator, OperatorError, Role, State, await_identity};
use calldex_storage::NotDurable;
use calldex_storage::record::PhoneNumber;
use calldex_storage::replication::{Identity, IdentityError, LOG_FILE, OUTBOX_FILE};
use calldex_storage::write::{NameGiven, Stamp, Write};
use std::sync::Mutex;

fn trouble(house: &House) -> String {
    match house.cluster().state() {
        State::Failed(why) => why,
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_a_member_is_not_let_in() {
    let [one, two, mut three] = three().await;
    three.stop().await;
    let older = three.dir.path().join("older");
    copy(&three.data(), &older);
    three.start().await;
    three.ready().await;
    three.stop().await;
    // As if the disk had been put back from a backup.
    std::fs::remove_dir_all(three.data()).unwrap();
    copy(&older, &three.data());
    three.start().await;
    until("it is refused", || trouble(&three).contains("not let into")).await;
    assert!(trouble(&three).contains("join anew"), "{}", trouble(&three));
    assert_eq!(three.standing().role, Role::None);
    // The others go on without it.
    one.write("CA1").await;
    two.knows_soon("CA1").await;

    three.stop().await;
    std::fs::remove_file(three.data().join(LOG_FILE)).unwrap();
    let refused = Identity::read(&three.data());
    assert!(matches!(refused, Err(IdentityError::LogGone { .. })));
}

/// Asks to join until it is told why it cannot, in these words.
async fn is_kept_waiting(house: &House, words: &str) {
    let told = Mutex::new(String::new());
    let data = house.data();
    let tell = |why: &str| *told.lock().unwrap() = why.to_owned();
    let joining = await_identity(&house.section, &house.name, true, &data, tell);
    let waiting = until(words, || told.lock().unwrap().contains(words));
    tokio::select! {
        joined = joining => panic!("it is not kept waiting: {joined:?}"),
        () = waiting => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_away_keeps_its_place_for_minutes_or_until_an_operator_gives_it_away() {
    let [one, two, mut three] = three().await;
    let old = three.standing().node_id;
    three.stop().await;
    // A second machine with its name, or its own after its disk was lost.
    std::fs::remove_dir_all(three.data()).unwrap();
    one.write("CA1").await;
    is_kept_waiting(&three, &format!("`calldex cluster remove {old}`")).await;
    assert!(
        one.standing()
            .members
            .iter()
            .any(|member| member.node_id == old)
    );
    let operator = Operator::new(&one.section).unwrap();
    operator.remove("three", false).await.unwrap();
    three.start().await;
    three.ready().await;
    three.knows_soon("CA1").await;
    for house in [&one, &two, &three] {
        until("three vote, and not the old one", || {
            let members = house.standing().members;
            has_voters(house, 3) && members.iter().all(|member| member.node_id != old)
        })
        .await;
    }
    assert_ne!(three.standing().node_id, old);
    three.write("CA2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_member_still_had_to_write_goes_on_with_who_joins_with_its_outbox() {
    let [mut one, mut two, mut three] = three().await;
    one.stop().await;
    two.stop().await;
    let receipt = three.storage().writer.submit(started("CA7", "three"));
    three.stop().await;
    assert_eq!(receipt.await, Err(NotDurable::Kept));
    tokio::join!(one.start(), two.start());
    one.ready().await;
    let operator = Operator::new(&one.section).unwrap();
    operator.remove("three", false).await.unwrap();

    let outbox = three.data().join(OUTBOX_FILE);
    let kept = std::fs::read(&outbox).unwrap();
    std::fs::remove_dir_all(three.data()).unwrap();
    std::fs::create_dir_all(three.data()).unwrap();
    std::fs::write(&outbox, kept).unwrap();
    three.start().await;
    three.ready().await;
    one.knows_soon("CA7").await;
    two.knows_soon("CA7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_calls_stand_still_has_lost_them_and_still_votes() {
    let houses = three().await;
    let primary = primary_of(&houses.each_ref()).await;
    let stuck = (primary + 1) % 3;
    // The runtime of its calls moved once, and does no more.
    houses[stuck].cluster().beat();
    until("its calls count as lost", || {
        let watched = houses[primary].cluster().watched().unwrap_or_default();
        watched
            .iter()
            .any(|member| member.instance == houses[stuck].name && member.gone_since.is_some())
    })
    .await;
    let standing = houses[primary].standing();
    let name = &houses[stuck].name;
    let member = standing
        .members
        .iter()
        .find(|member| &member.instance == name);
    assert!(member.is_some_and(|member| member.reachable && member.voter));
    houses[stuck].write("CA1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_changed_behind_everybodys_back_is_seen_to_differ() {
    let [one, two, mut three] = three().await;
    let name = || {
        let given = NameGiven {
            number: PhoneNumber::parse("+14155550100").unwrap(),
            name: "Misty".into(),
            stamp: Stamp {
                call_sid: "CA1".into(),
                step: 1,
                at_ms: 1_700_000_000_001,
            },
        };
        one.storage().writer.submit(Write::NameConfirmed(given))
    };
    let position = name().await.unwrap();
    assert!(three.storage().wait_applied(position, PATIENCE).await);
    let node_id = three.standing().node_id;
    three.stop().await;
    let calls = rusqlite::Connection::open(three.data().join("calls.db")).unwrap();
    assert_eq!(calls.execute("DELETE FROM callers", []).unwrap(), 1);
    drop(calls);
    three.start().await;
    three.ready().await;
    // The same once more: no news but to one.
    name().await.unwrap();
    let differs = |house: &House, whom: u64| {
        let members = house.standing().members;
        members
            .iter()
            .any(|member| member.node_id == whom && member.differs_at.is_some())
    };
    for house in [&one, &two] {
        until("it is seen to differ", || differs(house, node_id)).await;
    }
    let own = one.standing().node_id;
    until("it sees so itself", || differs(&three, own)).await;
    assert!(!differs(&one, two.standing().node_id));
    assert!(
        matches!(one.cluster().state(), State::Degraded(why) if why.contains("DatabasesDiffer"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_stays_one_and_a_removed_member_notices() {
    let mut one = House::new("one", &[]);
    one.found();
    one.start().await;
    one.ready().await;
    let mut two = House::new("two", &[&one]);
    two.section.voter = false;
    two.start().await;
    two.ready().await;
    let position = two.write("CA1").await;
    assert!(one.storage().wait_applied(position, PATIENCE).await);
    // Longer than a promotion takes.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(two.standing().role, Role::Learner);
    assert!(has_voters(&one, 1));

    let operator = Operator::new(&two.section).unwrap();
    let last = operator.remove("one", true).await;
    assert!(matches!(last, Err(OperatorError::Refused(why)) if why.contains("last voter")));
    let removed = operator.remove("two", false).await.unwrap();
    assert_eq!(removed.instance, "two");
    until("it notices", || {
        trouble(&two).contains("removed from the cluster")
    })
    .await;
    assert_eq!(one.standing().members.len(), 1);
    one.write("CA2").await;
}
