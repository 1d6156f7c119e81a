//! A call and its instances.

use super::harness::{ClusterHarness, FakeCaller, RecordedTwiml, TestInstance, eventually};
use crate::call::manager::ReconnectTrigger;
use crate::call::peers::CatchUpStatus;
use calldex_storage::record::CallOutcome;

const SID: &str = "CA00000000000000000000000000000c01";
const MOVED: Option<u16> = Some(1012);

/// A call that rang and connected there, whose caller has given a name.
async fn first_call_of_brock(instance: &TestInstance) -> (RecordedTwiml, FakeCaller) {
    let twiml = instance.call_rings(SID).await;
    let mut test_caller = instance.first_session(SID, &twiml);
    test_caller.says("My name is Brock");
    test_caller.hears("Nice to meet you, Brock!").await;
    (twiml, test_caller)
}

#[tokio::test]
async fn a_first_session_may_come_to_another_instance_than_its_webhook() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let twiml = one.call_rings(SID).await;
    assert_eq!(one.manager.admission.permits_in_use(), 1);
    let mut test_caller = two.first_session(SID, &twiml);
    test_caller.says("My name is Brock");
    test_caller.hears("Nice to meet you, Brock!").await;
    eventually("the place to be free", || {
        one.manager.admission.permits_in_use() == 0
    })
    .await;
    assert!(!one.manager.has_call(SID));
    // Whatever the webhook's instance still has to say of it is void.
    one.manager
        .end_stored(SID, i64::MAX / 2, CallOutcome::Abandoned, Some(0));
    cluster.owned_by(SID, "two").await;
    let row = cluster.row(SID).await;
    assert!(row.is_live());
    assert_eq!(
        row.conversation.resumes, 0,
        "it did not come back from anything"
    );
    assert_eq!(row.turns[0].content, twiml.greeting);
    test_caller.hang_up().await;
    cluster.owned_by(SID, "two").await;
    let row = cluster.row(SID).await.conversation;
    assert_eq!(row.outcome, Some(CallOutcome::HungUp));
}

/// A task's death is told to a second `one`, which holds nothing of the call, as after the death.
#[tokio::test]
async fn a_call_whose_task_died_is_closed_only_where_nobody_has_taken_it_up() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let dead = cluster.instance_with_resume_limit("one", 1, 1);
    let (_, test_caller) = first_call_of_brock(&one).await;
    cluster.owned_by(SID, "one").await;
    test_caller.drop_connection().await;
    let closing = tokio::spawn(async move {
        dead.manager.end_after_panic(SID).await;
        dead
    });
    let twiml = two
        .action_requested(SID, ReconnectTrigger::Action)
        .await
        .expect("it goes on");
    let mut test_caller = two.session_by_action(SID, &twiml);
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    let dead = closing.await.unwrap();
    cluster.owned_by(SID, "two").await;
    let row = cluster.row(SID).await.conversation;
    println!("ended_at {:?}, outcome {:?}", row.ended_at, row.outcome);
    assert_eq!((row.ended_at, row.outcome), (None, None), "two has it");
    // What is another's is not closed, however long nobody here has it.
    dead.manager.end_after_panic(SID).await;
    cluster.owned_by(SID, "two").await;
    assert!(cluster.row(SID).await.is_live());
    let two_is_dead = cluster.instance_with_resume_limit("two", 2, 0);
    two_is_dead.manager.end_after_panic(SID).await;
    cluster.flush().await;
    let row = cluster.row(SID).await.conversation;
    assert_eq!(row.outcome, Some(CallOutcome::Failed), "nobody came for it");
}

#[tokio::test]
async fn an_action_at_any_instance_takes_the_call_with_its_history_and_its_open_question() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let three = cluster.instance("three", 3);
    let (_, test_caller) = first_call_of_brock(&one).await;
    test_caller.says("What type is Onix?");
    test_caller.drop_connection().await;
    assert!(one.manager.has_call(SID));
    let twiml = two
        .action_requested(SID, ReconnectTrigger::Action)
        .await
        .expect("it goes on");
    cluster.owned_by(SID, "two").await;
    eventually("the state to be dropped", || !one.manager.has_call(SID)).await;
    assert_eq!(one.manager.admission.permits_in_use(), 0);
    assert!(cluster.row(SID).await.is_live(), "dropped without a word");

    let mut test_caller = three.session_by_action(SID, &twiml);
    let answer = test_caller.hears("rock").await;
    assert!(!answer.contains("name"), "{answer}");
    cluster.owned_by(SID, "three").await;
    eventually("the claim to be forgotten", || !two.manager.has_call(SID)).await;
    let row = cluster.row(SID).await.conversation;
    assert_eq!(row.resumes, 1, "one return, though two instances claimed");
    test_caller.hang_up().await;
    cluster.owned_by(SID, "three").await;
    assert_eq!(
        cluster.said(SID).await,
        ["My name is Brock", "What type is Onix?"]
    );
}

#[tokio::test]
async fn a_reconnect_elsewhere_ends_the_session_that_does_not_know_it_is_dead() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let (twiml, dead) = first_call_of_brock(&one).await;
    cluster.owned_by(SID, "one").await;
    let mut test_caller = two.session_by_twilio_reconnect(SID, &twiml);
    assert_eq!(dead.close_code().await, MOVED);
    cluster.owned_by(SID, "two").await;
    assert!(cluster.row(SID).await.is_live() && !one.manager.has_call(SID));
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    test_caller.hang_up().await;
    cluster.owned_by(SID, "two").await;
    assert_eq!(
        cluster.row(SID).await.conversation.outcome,
        Some(CallOutcome::HungUp)
    );
}

#[tokio::test]
async fn of_two_sessions_that_claim_at_once_one_is_left() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let twiml = one.call_rings(SID).await;
    let phones = [
        one.first_session(SID, &twiml),
        two.first_session(SID, &twiml),
    ];
    eventually("one to give way", || {
        phones
            .iter()
            .filter(|test_caller| test_caller.is_open())
            .count()
            == 1
    })
    .await;
    let [first, second] = phones;
    let (open, owner, closed) = if first.is_open() {
        (first, "one", second)
    } else {
        (second, "two", first)
    };
    assert_eq!(closed.close_code().await, MOVED);
    cluster.owned_by(SID, owner).await;
    assert!(open.is_open() && cluster.row(SID).await.is_live());
}

#[tokio::test]
async fn a_call_that_comes_back_to_where_it_was_is_not_taken_up_from_there() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let (_, test_caller) = first_call_of_brock(&one).await;
    test_caller.drop_connection().await;
    let twiml = two
        .action_requested(SID, ReconnectTrigger::Action)
        .await
        .unwrap();
    let mut test_caller = two.session_by_action(SID, &twiml);
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    test_caller.drop_connection().await;
    let twiml = one
        .action_requested(SID, ReconnectTrigger::Action)
        .await
        .unwrap();
    let mut test_caller = one.session_by_action(SID, &twiml);
    test_caller.says("And what type is Squirtle?");
    test_caller.hears("water").await;
    test_caller.hang_up().await;
    cluster.owned_by(SID, "one").await;
    let said = cluster.said(SID).await;
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(cluster.row(SID).await.conversation.resumes, 2);
}

#[tokio::test]
async fn a_redirect_takes_up_a_call_whose_owner_closed_it() {
    let cluster = ClusterHarness::new();
    let (one, two) = (cluster.instance("one", 1), cluster.instance("two", 2));
    let (_, test_caller) = first_call_of_brock(&one).await;
    // As Twilio closes a session whose call is redirected.
    test_caller.hang_up().await;
    cluster.owned_by(SID, "one").await;
    assert!(!cluster.row(SID).await.is_live());
    let twiml = two
        .action_requested(SID, ReconnectTrigger::Redirect)
        .await
        .expect("it goes on");
    let mut test_caller = two.session_by_action(SID, &twiml);
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    cluster.owned_by(SID, "two").await;
    assert!(cluster.row(SID).await.is_live());
}

#[tokio::test]
async fn a_call_that_is_lost_again_and_again_is_said_goodbye_to_by_whichever_instance() {
    let cluster = ClusterHarness::new();
    let all = [1, 2, 3].map(|slot| cluster.instance(&slot.to_string(), slot));
    let mut twiml = all[0].call_rings(SID).await;
    let mut test_caller = all[0].first_session(SID, &twiml);
    for lost in 1..=3 {
        test_caller.says("What type is Onix?");
        test_caller.hears("rock").await;
        test_caller.drop_connection().await;
        // On a slow disk the claims may not be there yet that count the losses.
        cluster.flush().await;
        let next = &all[lost % 3];
        twiml = next
            .action_requested(SID, ReconnectTrigger::Action)
            .await
            .expect("it goes on");
        test_caller = next.session_by_action(SID, &twiml);
    }
    test_caller.says("What type is Onix?");
    test_caller.hears("rock").await;
    test_caller.drop_connection().await;
    cluster.flush().await;
    assert_eq!(
        all[1].action_requested(SID, ReconnectTrigger::Action).await,
        None
    );
}

#[tokio::test]
async fn an_unknown_call_is_not_taken_for_a_lost_one() {
    let cluster = ClusterHarness::new();
    let one = cluster.instance("one", 1);
    assert!(!one.redirect_of_unproven_call(SID).await);
}

#[tokio::test]
async fn a_call_in_progress_that_nobody_has_heard_of_asks_no_other_instance() {
    let cluster = ClusterHarness::new();
    let one = cluster.instance("one", 1);
    assert!(
        !one.redirect_of_unproven_call(SID).await,
        "such as one that we placed"
    );
    assert_eq!(one.primary_queries(), 0, "its greeting waits for nobody");
    let two = cluster.instance("two", 2);
    let _document = two.call_rings(SID).await;
    cluster.flush().await;
    assert!(
        one.redirect_of_unproven_call(SID).await,
        "a fallback after a failure"
    );
    assert!(one.primary_queries() > 0);
}

#[tokio::test]
async fn without_a_primary_an_action_asks_once_and_goes_by_what_is_known_here() {
    let cluster = ClusterHarness::new();
    for (slot, caught_up, asks) in [
        (2, CatchUpStatus::UpToDate, 1),
        (3, CatchUpStatus::NoPrimary, 1),
        (4, CatchUpStatus::Behind, 2),
    ] {
        let call_sid = format!("CA{slot:032}");
        let one = cluster.instance("one", 1);
        let _document = one.call_rings(&call_sid).await;
        cluster.flush().await;
        let other = cluster.instance_with_catch_up("other", slot, caught_up);
        assert!(
            other
                .action_requested(&call_sid, ReconnectTrigger::Action)
                .await
                .is_some()
        );
        assert_eq!(other.primary_queries(), asks, "{caught_up:?}");
    }
}
