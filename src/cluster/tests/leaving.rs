//! Replacing, removing, refusing.

use super::house::*;
use crate::cluster::{Operator, OperatorError, Role, State};
use calldex_storage::replication::{Identity, IdentityError, LOG_FILE};

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

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_disk_at_the_same_address_takes_the_old_place() {
    let [one, two, mut three] = three().await;
    let old = three.standing().node_id;
    three.stop().await;
    std::fs::remove_dir_all(three.data()).unwrap();
    one.write("CA1").await;
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
