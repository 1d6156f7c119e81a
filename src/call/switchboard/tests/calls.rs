//! A call and its instances.

use super::scene::{Document, Instance, Phone, Scene, soon};
use crate::call::others::CaughtUp;
use crate::call::switchboard::Way;
use calldex_storage::record::Outcome;

const SID: &str = "CA00000000000000000000000000000c01";
const MOVED: Option<u16> = Some(1012);

/// A call that rang and connected there, whose caller has given a name.
async fn brock_calls(instance: &Instance) -> (Document, Phone) {
    let document = instance.rings(SID).await;
    let mut phone = instance.connects(SID, &document);
    phone.says("My name is Brock");
    phone.hears("Nice to meet you, Brock!").await;
    (document, phone)
}

#[tokio::test]
async fn a_first_session_may_come_to_another_instance_than_its_webhook() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let document = one.rings(SID).await;
    assert_eq!(one.switchboard.limits.taken(), 1);
    let mut phone = two.connects(SID, &document);
    phone.says("My name is Brock");
    phone.hears("Nice to meet you, Brock!").await;
    soon("the place to be free", || {
        one.switchboard.limits.taken() == 0
    })
    .await;
    assert!(!one.switchboard.holds(SID));
    // Whatever the webhook's instance still has to say of it is void.
    one.switchboard
        .end_stored(SID, i64::MAX / 2, Outcome::Abandoned, Some(0));
    scene.owned_by(SID, "two").await;
    let row = scene.row(SID).await;
    assert!(row.is_live());
    assert_eq!(
        row.conversation.resumes, 0,
        "it did not come back from anything"
    );
    assert_eq!(row.turns[0].content, document.greeting);
    phone.hangs_up().await;
    scene.owned_by(SID, "two").await;
    let row = scene.row(SID).await.conversation;
    assert_eq!(row.outcome, Some(Outcome::HungUp));
}

/// A task's death is told to a second `one`, which holds nothing of the call, as after the death.
#[tokio::test]
async fn a_call_whose_task_died_is_closed_only_where_nobody_has_taken_it_up() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let dead = scene.instance_that_waits("one", 1, 1);
    let (_, phone) = brock_calls(&one).await;
    scene.owned_by(SID, "one").await;
    phone.breaks().await;
    let closing = tokio::spawn(async move {
        dead.switchboard.close_if_gone(SID).await;
        dead
    });
    let document = two.is_asked(SID, Way::Action).await.expect("it goes on");
    let mut phone = two.connects_again(SID, &document);
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    let dead = closing.await.unwrap();
    scene.owned_by(SID, "two").await;
    let row = scene.row(SID).await.conversation;
    println!("ended_at {:?}, outcome {:?}", row.ended_at, row.outcome);
    assert_eq!((row.ended_at, row.outcome), (None, None), "two has it");
    // What is another's is not closed, however long nobody here has it.
    dead.switchboard.close_if_gone(SID).await;
    scene.owned_by(SID, "two").await;
    assert!(scene.row(SID).await.is_live());
    let two_is_dead = scene.instance_that_waits("two", 2, 0);
    two_is_dead.switchboard.close_if_gone(SID).await;
    scene.is_written().await;
    let row = scene.row(SID).await.conversation;
    assert_eq!(row.outcome, Some(Outcome::Failed), "nobody came for it");
}

#[tokio::test]
async fn an_action_at_any_instance_takes_the_call_with_its_history_and_its_open_question() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let three = scene.instance("three", 3);
    let (_, phone) = brock_calls(&one).await;
    phone.says("What type is Onix?");
    phone.breaks().await;
    assert!(one.switchboard.holds(SID));
    let document = two.is_asked(SID, Way::Action).await.expect("it goes on");
    scene.owned_by(SID, "two").await;
    soon("the state to be dropped", || !one.switchboard.holds(SID)).await;
    assert_eq!(one.switchboard.limits.taken(), 0);
    assert!(scene.row(SID).await.is_live(), "dropped without a word");

    let mut phone = three.connects_again(SID, &document);
    let answer = phone.hears("rock").await;
    assert!(!answer.contains("name"), "{answer}");
    scene.owned_by(SID, "three").await;
    soon("the claim to be forgotten", || !two.switchboard.holds(SID)).await;
    let row = scene.row(SID).await.conversation;
    assert_eq!(row.resumes, 1, "one return, though two instances claimed");
    phone.hangs_up().await;
    scene.owned_by(SID, "three").await;
    assert_eq!(
        scene.said(SID).await,
        ["My name is Brock", "What type is Onix?"]
    );
}

#[tokio::test]
async fn a_reconnect_elsewhere_ends_the_session_that_does_not_know_it_is_dead() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let (document, dead) = brock_calls(&one).await;
    scene.owned_by(SID, "one").await;
    let mut phone = two.redials(SID, &document);
    assert_eq!(dead.closed().await, MOVED);
    scene.owned_by(SID, "two").await;
    assert!(scene.row(SID).await.is_live() && !one.switchboard.holds(SID));
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    phone.hangs_up().await;
    scene.owned_by(SID, "two").await;
    assert_eq!(
        scene.row(SID).await.conversation.outcome,
        Some(Outcome::HungUp)
    );
}

#[tokio::test]
async fn of_two_sessions_that_claim_at_once_one_is_left() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let document = one.rings(SID).await;
    let phones = [one.connects(SID, &document), two.connects(SID, &document)];
    soon("one to give way", || {
        phones.iter().filter(|phone| phone.is_open()).count() == 1
    })
    .await;
    let [first, second] = phones;
    let (open, owner, closed) = if first.is_open() {
        (first, "one", second)
    } else {
        (second, "two", first)
    };
    assert_eq!(closed.closed().await, MOVED);
    scene.owned_by(SID, owner).await;
    assert!(open.is_open() && scene.row(SID).await.is_live());
}

#[tokio::test]
async fn a_call_that_comes_back_to_where_it_was_is_not_taken_up_from_there() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let (_, phone) = brock_calls(&one).await;
    phone.breaks().await;
    let document = two.is_asked(SID, Way::Action).await.unwrap();
    let mut phone = two.connects_again(SID, &document);
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    phone.breaks().await;
    let document = one.is_asked(SID, Way::Action).await.unwrap();
    let mut phone = one.connects_again(SID, &document);
    phone.says("And what type is Squirtle?");
    phone.hears("water").await;
    phone.hangs_up().await;
    scene.owned_by(SID, "one").await;
    let said = scene.said(SID).await;
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(scene.row(SID).await.conversation.resumes, 2);
}

#[tokio::test]
async fn a_redirect_takes_up_a_call_whose_owner_closed_it() {
    let scene = Scene::new();
    let (one, two) = (scene.instance("one", 1), scene.instance("two", 2));
    let (_, phone) = brock_calls(&one).await;
    // As Twilio closes a session whose call is redirected.
    phone.hangs_up().await;
    scene.owned_by(SID, "one").await;
    assert!(!scene.row(SID).await.is_live());
    let document = two.is_asked(SID, Way::Redirect).await.expect("it goes on");
    let mut phone = two.connects_again(SID, &document);
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    scene.owned_by(SID, "two").await;
    assert!(scene.row(SID).await.is_live());
}

#[tokio::test]
async fn a_call_that_is_lost_again_and_again_is_said_goodbye_to_by_whichever_instance() {
    let scene = Scene::new();
    let all = [1, 2, 3].map(|slot| scene.instance(&slot.to_string(), slot));
    let mut document = all[0].rings(SID).await;
    let mut phone = all[0].connects(SID, &document);
    for lost in 1..=3 {
        phone.says("What type is Onix?");
        phone.hears("rock").await;
        phone.breaks().await;
        // On a slow disk the claims may not be there yet that count the losses.
        scene.is_written().await;
        let next = &all[lost % 3];
        document = next.is_asked(SID, Way::Action).await.expect("it goes on");
        phone = next.connects_again(SID, &document);
    }
    phone.says("What type is Onix?");
    phone.hears("rock").await;
    phone.breaks().await;
    scene.is_written().await;
    assert_eq!(all[1].is_asked(SID, Way::Action).await, None);
}

#[tokio::test]
async fn a_call_that_nobody_knows_is_not_taken_for_one_that_was_lost() {
    let scene = Scene::new();
    let one = scene.instance("one", 1);
    assert!(!one.is_asked_unsurely(SID).await);
}

#[tokio::test]
async fn a_call_in_progress_that_nobody_has_heard_of_asks_no_other_instance() {
    let scene = Scene::new();
    let one = scene.instance("one", 1);
    assert!(
        !one.is_asked_unsurely(SID).await,
        "such as one that we placed"
    );
    assert_eq!(one.asked(), 0, "its greeting waits for nobody");
    let two = scene.instance("two", 2);
    let _document = two.rings(SID).await;
    scene.is_written().await;
    assert!(
        one.is_asked_unsurely(SID).await,
        "a fallback after a failure"
    );
    assert!(one.asked() > 0);
}

#[tokio::test]
async fn without_a_primary_an_action_asks_once_and_goes_by_what_is_known_here() {
    let scene = Scene::new();
    for (slot, caught_up, asks) in [
        (2, CaughtUp::Fully, 1),
        (3, CaughtUp::NoPrimary, 1),
        (4, CaughtUp::Behind, 2),
    ] {
        let call_sid = format!("CA{slot:032}");
        let one = scene.instance("one", 1);
        let _document = one.rings(&call_sid).await;
        scene.is_written().await;
        let other = scene.instance_that("other", slot, caught_up);
        assert!(other.is_asked(&call_sid, Way::Action).await.is_some());
        assert_eq!(other.asked(), asks, "{caught_up:?}");
    }
}
