//! An instance stops while others go on.

use super::scene::{Scene, soon};
use crate::call::switchboard::Way;
use std::time::Duration;

const SID: &str = "CA00000000000000000000000000000c02";
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_call_moves_between_two_turns_and_goes_on_with_all_that_was_said() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let document = one.rings(SID).await;
    let mut phone = one.connects(SID, &document);
    phone.says("My name is Brock");
    let nice = phone.hears("would you like to know about?").await;
    one.switchboard.drain();
    one.switchboard.move_calls(LONG);
    assert!(phone.is_open(), "it is being spoken");
    phone.all_is_played(&format!("{}{nice}", document.greeting));
    assert_eq!(phone.closed().await, Some(1012));
    assert_eq!(
        (one.switchboard.live(), one.switchboard.limits.taken()),
        (0, 0)
    );
    let kept = scene.row(SID).await;
    assert!(kept.is_live(), "it is another's to end");
    assert_eq!(kept.turns.len(), 3);
    scene.owned_by(SID, "").await;

    // The instance that stops answers the action too.
    let document = one.is_asked(SID, Way::Action).await.expect("it goes on");
    let mut phone = two.connects_again(SID, &document);
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    scene.owned_by(SID, "two").await;
    let resumes = scene.row(SID).await.conversation.resumes;
    assert_eq!(resumes, 0, "nothing was lost");
    phone.hangs_up().await;
    scene.owned_by(SID, "two").await;
    assert!(!scene.row(SID).await.is_live());
}

#[tokio::test]
async fn a_call_outlives_any_number_of_planned_moves_and_what_it_may_lose_besides() {
    let scene = Scene::new();
    let first = scene.instance("0", 1);
    let mut document = first.rings(SID).await;
    let mut phone = first.connects(SID, &document);
    let mut holder = first;
    for round in 1..=6_u16 {
        phone.says("What type is Onix?");
        phone.hears("rock").await;
        holder.switchboard.move_calls(Duration::from_millis(100));
        assert_eq!(phone.closed().await, Some(1012));
        let next = scene.instance(&round.to_string(), round + 1);
        document = next.is_asked(SID, Way::Action).await.expect("it goes on");
        phone = next.connects_again(SID, &document);
        holder = next;
    }
    for round in 7..=9_u16 {
        phone.says("What type is Onix?");
        phone.hears("rock").await;
        phone.breaks().await;
        let next = scene.instance(&round.to_string(), round + 1);
        document = next.is_asked(SID, Way::Action).await.expect("it goes on");
        phone = next.connects_again(SID, &document);
        holder = next;
    }
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    assert_eq!(scene.row(SID).await.conversation.resumes, 3);
    phone.breaks().await;
    assert_eq!(holder.is_asked(SID, Way::Action).await, None);
}

#[tokio::test]
async fn at_the_deadline_a_call_moves_in_the_middle_of_a_word() {
    let scene = Scene::new();
    let one = scene.instance("one", 1);
    let document = one.rings(SID).await;
    let mut phone = one.connects(SID, &document);
    phone.says("My name is Brock");
    phone.hears("Nice to meet you").await;
    one.switchboard.move_calls(Duration::from_millis(300));
    assert_eq!(phone.closed().await, Some(1012));
}

#[tokio::test]
async fn an_instance_alone_has_nowhere_to_move_its_calls_to() {
    let scene = Scene::new();
    let one = scene.instance("one", 0);
    let document = one.rings(SID).await;
    let mut phone = one.connects(SID, &document);
    phone.says("My name is Brock");
    phone.hears("Nice to meet you").await;
    one.switchboard.move_calls(Duration::ZERO);
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    assert!(phone.is_open());
}

#[tokio::test]
async fn a_call_that_comes_to_an_instance_that_stops_is_moved_later() {
    let scene = Scene::new();
    let one = scene.instance("one", 1);
    let document = one.rings(SID).await;
    one.switchboard.move_calls(LONG);
    let mut phone = one.connects(SID, &document);
    phone.says("My name is Brock");
    let nice = phone.hears("would you like to know about?").await;
    phone.all_is_played(&format!("{}{nice}", document.greeting));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        phone.is_open(),
        "whoever sent it here will know better soon"
    );
    soon("it to leave", || !phone.is_open()).await;
}

#[tokio::test]
async fn a_call_stays_where_the_others_are_gone_before_it_has_left() {
    let scene = Scene::new();
    let one = scene.instance("one", 1);
    let document = one.rings(SID).await;
    let mut phone = one.connects(SID, &document);
    phone.says("My name is Brock");
    let nice = phone.hears("would you like to know about?").await;
    one.switchboard.move_calls(Duration::from_millis(400));
    one.switchboard.keep_calls();
    phone.all_is_played(&format!("{}{nice}", document.greeting));
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(phone.is_open(), "there is nowhere to go");
    one.switchboard.move_calls(Duration::ZERO);
    assert_eq!(phone.closed().await, Some(1012), "they are back");
}

#[tokio::test]
async fn a_call_that_comes_at_the_very_end_of_a_stop_leaves_instead_of_being_ended() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let document = one.rings(SID).await;
    one.switchboard.move_calls(Duration::from_millis(50));
    one.switchboard.part();
    let phone = one.connects(SID, &document);
    assert_eq!(phone.closed().await, Some(1012));
    assert!(scene.row(SID).await.is_live());
    let document = two.is_asked(SID, Way::Action).await.expect("it goes on");
    let mut phone = two.connects_again(SID, &document);
    phone.says("What type is Onix?");
    phone.hears("rock").await;
}

#[tokio::test]
async fn planned_moves_do_not_count_even_if_all_their_actions_come_to_one_instance() {
    let scene = Scene::new();
    let desk = scene.instance("desk", 99);
    let mut holder = scene.instance("0", 1);
    let mut document = holder.rings(SID).await;
    let mut phone = holder.connects(SID, &document);
    for round in 1..=5_u16 {
        phone.says("What type is Onix?");
        phone.hears("rock").await;
        holder.switchboard.move_calls(Duration::from_millis(100));
        assert_eq!(phone.closed().await, Some(1012));
        document = desk.is_asked(SID, Way::Action).await.expect("it goes on");
        holder = scene.instance(&round.to_string(), round + 1);
        phone = holder.connects_again(SID, &document);
    }
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    assert_eq!(scene.row(SID).await.conversation.resumes, 0);
}
