//! An instance stops while others go on.

use super::harness::{ClusterHarness, eventually};
use crate::call::manager::ReconnectTrigger;
use std::time::Duration;

const SID: &str = "CA00000000000000000000000000000c02";
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_call_relocates_between_two_turns_with_its_history() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let twiml = one.call_rings(SID).await;
    let mut test_caller = one.first_session(SID, &twiml);
    test_caller.says("My name is Brock");
    let nice = test_caller.hears("would you like to know about?").await;
    one.manager.start_draining();
    one.manager.relocate_calls(LONG);
    assert!(test_caller.is_open(), "it is being spoken");
    test_caller.play_all(&format!("{}{nice}", twiml.greeting));
    assert_eq!(test_caller.close_code().await, Some(1012));
    assert_eq!(
        (
            one.manager.connected(),
            one.manager.admission.permits_in_use()
        ),
        (0, 0)
    );
    let kept = cluster.row(SID).await;
    assert!(kept.is_live(), "it is another's to end");
    assert_eq!(kept.turns.len(), 3);
    cluster.owned_by(SID, "").await;

    // The instance that stops answers the action too.
    let twiml = one
        .action_requested(SID, ReconnectTrigger::Action)
        .await
        .expect("it goes on");
    let mut test_caller = two.session_by_action(SID, &twiml);
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    cluster.owned_by(SID, "two").await;
    let resumes = cluster.row(SID).await.conversation.resumes;
    assert_eq!(resumes, 0, "nothing was lost");
    test_caller.hang_up().await;
    cluster.owned_by(SID, "two").await;
    assert!(!cluster.row(SID).await.is_live());
}

#[tokio::test]
async fn a_call_outlives_any_number_of_planned_moves_and_what_it_may_lose_besides() {
    let cluster = ClusterHarness::new();
    let first = cluster.instance("0", 1);
    let mut twiml = first.call_rings(SID).await;
    let mut test_caller = first.first_session(SID, &twiml);
    let mut holder = first;
    for round in 1..=6_u16 {
        test_caller.says("What type is Onix?");
        test_caller.hears("rock").await;
        holder.manager.relocate_calls(Duration::from_millis(100));
        assert_eq!(test_caller.close_code().await, Some(1012));
        let next = cluster.instance(&round.to_string(), round + 1);
        twiml = next
            .action_requested(SID, ReconnectTrigger::Action)
            .await
            .expect("it goes on");
        test_caller = next.session_by_action(SID, &twiml);
        holder = next;
    }
    for round in 7..=9_u16 {
        test_caller.says("What type is Onix?");
        test_caller.hears("rock").await;
        test_caller.drop_connection().await;
        let next = cluster.instance(&round.to_string(), round + 1);
        twiml = next
            .action_requested(SID, ReconnectTrigger::Action)
            .await
            .expect("it goes on");
        test_caller = next.session_by_action(SID, &twiml);
        holder = next;
    }
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    assert_eq!(cluster.row(SID).await.conversation.resumes, 3);
    test_caller.drop_connection().await;
    assert_eq!(
        holder.action_requested(SID, ReconnectTrigger::Action).await,
        None
    );
}

#[tokio::test]
async fn at_the_deadline_a_call_moves_in_the_middle_of_a_word() {
    let cluster = ClusterHarness::new();
    let one = cluster.instance("one", 1);
    let twiml = one.call_rings(SID).await;
    let mut test_caller = one.first_session(SID, &twiml);
    test_caller.says("My name is Brock");
    test_caller.hears("Nice to meet you").await;
    one.manager.relocate_calls(Duration::from_millis(300));
    assert_eq!(test_caller.close_code().await, Some(1012));
}

#[tokio::test]
async fn a_single_node_relocates_no_calls() {
    let cluster = ClusterHarness::new();
    let one = cluster.instance("one", 0);
    let twiml = one.call_rings(SID).await;
    let mut test_caller = one.first_session(SID, &twiml);
    test_caller.says("My name is Brock");
    test_caller.hears("Nice to meet you").await;
    one.manager.relocate_calls(Duration::ZERO);
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    assert!(test_caller.is_open());
}

#[tokio::test]
async fn a_call_that_comes_to_an_instance_that_stops_is_moved_later() {
    let cluster = ClusterHarness::new();
    let one = cluster.instance("one", 1);
    let twiml = one.call_rings(SID).await;
    one.manager.relocate_calls(LONG);
    let mut test_caller = one.first_session(SID, &twiml);
    test_caller.says("My name is Brock");
    let nice = test_caller.hears("would you like to know about?").await;
    test_caller.play_all(&format!("{}{nice}", twiml.greeting));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        test_caller.is_open(),
        "whoever sent it here will know better soon"
    );
    eventually("it to leave", || !test_caller.is_open()).await;
}

#[tokio::test]
async fn a_call_stays_where_the_others_are_gone_before_it_has_left() {
    let cluster = ClusterHarness::new();
    let one = cluster.instance("one", 1);
    let twiml = one.call_rings(SID).await;
    let mut test_caller = one.first_session(SID, &twiml);
    test_caller.says("My name is Brock");
    let nice = test_caller.hears("would you like to know about?").await;
    one.manager.relocate_calls(Duration::from_millis(400));
    one.manager.cancel_relocation();
    test_caller.play_all(&format!("{}{nice}", twiml.greeting));
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(test_caller.is_open(), "there is nowhere to go");
    one.manager.relocate_calls(Duration::ZERO);
    assert_eq!(test_caller.close_code().await, Some(1012), "they are back");
}

#[tokio::test]
async fn a_call_that_comes_at_the_very_end_of_a_stop_leaves_instead_of_being_ended() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let twiml = one.call_rings(SID).await;
    one.manager.relocate_calls(Duration::from_millis(50));
    one.manager.start_goodbyes();
    let test_caller = one.first_session(SID, &twiml);
    assert_eq!(test_caller.close_code().await, Some(1012));
    assert!(cluster.row(SID).await.is_live());
    let twiml = two
        .action_requested(SID, ReconnectTrigger::Action)
        .await
        .expect("it goes on");
    let mut test_caller = two.session_by_action(SID, &twiml);
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
}

#[tokio::test]
async fn planned_moves_do_not_count_even_if_all_their_actions_come_to_one_instance() {
    let cluster = ClusterHarness::new();
    let desk = cluster.instance("desk", 99);
    let mut holder = cluster.instance("0", 1);
    let mut twiml = holder.call_rings(SID).await;
    let mut test_caller = holder.first_session(SID, &twiml);
    for round in 1..=5_u16 {
        test_caller.says("What type is Onix?");
        test_caller.hears("rock").await;
        holder.manager.relocate_calls(Duration::from_millis(100));
        assert_eq!(test_caller.close_code().await, Some(1012));
        twiml = desk
            .action_requested(SID, ReconnectTrigger::Action)
            .await
            .expect("it goes on");
        holder = cluster.instance(&round.to_string(), round + 1);
        test_caller = holder.session_by_action(SID, &twiml);
    }
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    assert_eq!(cluster.row(SID).await.conversation.resumes, 0);
}
