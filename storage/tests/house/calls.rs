//! Calls and their turns, from start to end.

use crate::fixtures::*;
use calldex_storage::record::Outcome;
use calldex_storage::write::{CallEnded, CallStarted, Write};

#[test]
fn a_call_is_a_row_with_its_messages_once_it_has_ended() {
    let house = House::new();
    house.write(started("CA1", Some("+14155550100")));
    house.write(said("CA1", 0, 0, "hello"));
    house.write(said("CA1", 0, 1, "my name is Misty"));
    assert_eq!(house.sql::<i64>("SELECT COUNT(*) FROM turns"), 2);
    house.write(ended("CA1", Some(0), 60));
    assert_eq!(house.messages("CA1"), ["hello", "my name is Misty"]);
    assert_eq!(house.sql::<i64>("SELECT COUNT(*) FROM turns"), 0);
    assert_eq!(
        house.sql::<i64>("SELECT started_at FROM conversations"),
        AT_MS / 1000
    );
    assert_eq!(
        house.sql::<i64>("SELECT ended_at FROM conversations"),
        AT_MS / 1000 + 60
    );
    assert_eq!(
        house.sql::<String>("SELECT phone_number FROM conversations"),
        "+14155550100"
    );
    assert_eq!(
        house.sql::<String>("SELECT json_extract(messages, '$[0].role') FROM conversations"),
        "user"
    );
}

#[test]
fn a_withheld_number_is_a_conversation_and_never_a_caller() {
    let house = House::new();
    house.write(started("CA1", None));
    house.write(said("CA1", 0, 0, "hello"));
    house.write(ended("CA1", None, 1));
    assert_eq!(house.sql::<i64>("SELECT COUNT(*) FROM callers"), 0);
    assert_eq!(
        house.sql::<Option<String>>("SELECT phone_number FROM conversations"),
        None
    );
}

#[test]
fn applying_everything_twice_changes_nothing() {
    let house = House::new();
    let writes = || {
        vec![
            started("CA1", Some("+14155550100")),
            said("CA1", 0, 0, "hello"),
            amended("CA1", 0, 1, "hel"),
            Write::NameHeard(given("+14155550100", "Misty", 1)),
            Write::NameCorrected(given("+14155550100", "Mystie", 2)),
            Write::PersonAdded(given("+14155550100", "Brock", 3)),
            Write::PreferenceNoted {
                number: number("+14155550100"),
                text: "water types".into(),
                person: None,
                stamp: stamp(4),
            },
            resumed("CA1", 1),
            said("CA1", 1, 0, "again"),
            ended("CA1", Some(1), 9),
        ]
    };
    writes().into_iter().for_each(|write| house.write(write));
    let dump = || {
        let rows: String = house.sql("SELECT json_group_array(json_array(phone_number, name, name_state, calls, preferences, rev, people)) FROM callers");
        let calls: String = house.sql("SELECT json_group_array(json_array(call_sid, messages, started_at, ended_at, epoch, resumes, outcome)) FROM conversations");
        let people: String = house.sql("SELECT json_group_array(json_array(phone_number, name, first_at_ms, last_at_ms)) FROM people");
        (
            rows,
            calls,
            people,
            house.sql::<i64>("SELECT COUNT(*) FROM turns"),
        )
    };
    let once = dump();
    writes().into_iter().for_each(|write| house.write(write));
    assert_eq!(dump(), once);
    writes()
        .into_iter()
        .rev()
        .for_each(|write| house.write(write));
    assert_eq!(dump(), once);
}

#[test]
fn the_first_end_counts_however_many_come() {
    let house = House::new();
    house.write(started("CA1", None));
    house.write(ended("CA1", Some(0), 10));
    house.write(ended("CA1", None, 20));
    assert_eq!(
        house.sql::<i64>("SELECT ended_at FROM conversations"),
        AT_MS / 1000 + 10
    );
}

#[test]
fn a_turn_after_the_end_is_merged_and_not_lost() {
    let house = House::new();
    house.write(started("CA1", None));
    house.write(said("CA1", 0, 0, "one"));
    house.write(said("CA1", 0, 2, "three"));
    house.write(ended("CA1", Some(0), 10));
    house.write(said("CA1", 0, 1, "two"));
    house.write(said("CA1", 0, 1, "two"));
    assert_eq!(house.messages("CA1"), ["one", "two", "three"]);
    assert_eq!(house.sql::<i64>("SELECT COUNT(*) FROM turns"), 0);
}

#[test]
fn only_what_was_heard_is_kept_of_an_interrupted_turn() {
    let house = House::new();
    house.write(said("CA1", 0, 0, "Pikachu is an Electric type that"));
    house.write(amended("CA1", 0, 2, "Pikachu is"));
    house.write(amended("CA1", 0, 1, "Pikachu is an"));
    house.write(ended("CA1", Some(0), 10));
    assert_eq!(house.messages("CA1"), ["Pikachu is"]);
    house.write(amended("CA1", 0, 3, "Pikachu"));
    assert_eq!(house.messages("CA1"), ["Pikachu"]);
}

#[test]
fn an_owner_that_was_replaced_cannot_end_the_call() {
    let house = House::new();
    house.write(started("CA1", None));
    house.write(resumed("CA1", 1));
    house.write(ended("CA1", Some(0), 10));
    assert_eq!(
        house.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        None
    );
    house.write(ended("CA1", Some(1), 20));
    assert_eq!(
        house.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        Some(AT_MS / 1000 + 20)
    );
}

#[test]
fn a_late_batch_of_an_earlier_owner_lands_before_the_later_ones() {
    let house = House::new();
    house.write(started("CA1", None));
    house.write(said("CA1", 0, 0, "first owner"));
    house.write(resumed("CA1", 1));
    house.write(said("CA1", 1, 0, "second owner"));
    house.write(said("CA1", 0, 1, "late"));
    house.write(ended("CA1", Some(1), 20));
    assert_eq!(
        house.messages("CA1"),
        ["first owner", "late", "second owner"]
    );
}

#[test]
fn a_call_that_comes_back_after_its_end_goes_on_in_the_same_conversation() {
    let mut house = House::new();
    house.write(said("CA1", 0, 0, "before"));
    house.write(ended("CA1", Some(0), 10));
    house.write(resumed("CA1", 1));
    house.write(said("CA1", 0, 0, "before"));
    house.reopen();
    house.write(said("CA1", 0, 0, "before"));
    house.write(said("CA1", 1, 0, "after"));
    house.write(ended("CA1", Some(1), 30));
    assert_eq!(house.messages("CA1"), ["before", "after"]);
    assert_eq!(
        house.sql::<i64>("SELECT ended_at FROM conversations"),
        AT_MS / 1000 + 30
    );
}

#[test]
fn the_view_shows_living_and_ended_calls_alike() {
    let house = House::new();
    house.write(said("CA1", 0, 0, "over"));
    house.write(ended("CA1", Some(0), 1));
    house.write(said("CA2", 0, 0, "alive"));
    let seen: String = house.sql(
        "SELECT group_concat(content, ' ') FROM (SELECT content FROM conversation_messages ORDER BY call_sid)",
    );
    assert_eq!(seen, "over alive");
}

#[tokio::test]
async fn a_turn_is_read_back_at_once_and_after_a_restart() {
    let mut house = House::new();
    let writer = &house.storage().writer;
    drop(writer.submit(started("CA1", Some("+14155550100"))));
    drop(writer.submit(said("CA1", 0, 0, "hello")));
    let call = house
        .storage()
        .conversations
        .live("CA1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(call.turns[0].content, "hello");
    assert_eq!(call.conversation.number, Some(number("+14155550100")));
    assert_eq!(call.next_seq(0), 1);
    house.reopen();
    let unfinished = house.storage().conversations.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].last_at_ms, AT_MS);
    let again = house
        .storage()
        .conversations
        .live("CA1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again, call);
    house.write(ended("CA1", Some(0), 3));
    assert!(
        house
            .storage()
            .conversations
            .live("CA1")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        house
            .storage()
            .conversations
            .read("CA1")
            .await
            .unwrap()
            .unwrap()
            .turns,
        call.turns
    );
}

#[tokio::test]
async fn what_is_erased_cannot_come_back_by_replay() {
    let house = House::new();
    let from = "+14155550100";
    let past = || {
        vec![
            started("CA1", Some(from)),
            said("CA1", 0, 0, "hello"),
            Write::NameHeard(given(from, "Misty", 1)),
            Write::PersonAdded(given(from, "Brock", 2)),
            ended("CA1", Some(0), 1),
            amended("CA1", 0, 1, "hel"),
            resumed("CA1", 1),
        ]
    };
    past().into_iter().for_each(|write| house.write(write));
    let erased = || Write::CallerErased {
        number: number(from),
        at_ms: AT_MS + 10_000,
    };
    house.write(erased());
    past().into_iter().for_each(|write| house.write(write));
    for table in ["callers", "conversations", "people", "turns"] {
        assert_eq!(
            house.sql::<i64>(&format!("SELECT COUNT(*) FROM {table}")),
            0,
            "{table}"
        );
    }
    let recall = house
        .storage()
        .directory
        .recall(&number(from), PATIENCE)
        .await;
    assert_eq!(recall, calldex_storage::Recall::Unknown);
    house.write(Write::NameHeard(given(from, "Misty", 20_000)));
    assert_eq!(
        house.sql::<i64>("SELECT COUNT(*) FROM callers"),
        0,
        "a name of an erased call"
    );
}

#[tokio::test]
async fn an_erasure_of_a_caller_with_a_future_mark_lets_later_calls_be_kept() {
    let house = House::with(|config| config.warm = false);
    let from = "+14155550100";
    let started_at = |call_sid: &str, at_ms: i64| {
        Write::CallStarted(CallStarted {
            call_sid: call_sid.into(),
            number: Some(number(from)),
            line: "+14155550999".into(),
            caller_kind: calldex_storage::record::CallerKind::Number,
            identity: None,
            language: None,
            at_ms,
            instance: "one".into(),
        })
    };
    const DAY_MS: i64 = 86_400_000;
    // An instance whose clock was a day ahead.
    house.write(started_at("CA1", AT_MS + DAY_MS));
    house.write(Write::NameHeard(given(from, "Misty", DAY_MS)));
    house.write(Write::CallerErased {
        number: number(from),
        at_ms: AT_MS + 1_000,
    });
    house.write(started_at("CA2", AT_MS + 60_000));
    house.write(started_at("CA1", AT_MS + DAY_MS));
    let calls: String = house.sql("SELECT json_group_array(call_sid) FROM conversations");
    println!("{calls}");
    assert_eq!(calls, r#"["CA2"]"#);
    assert_eq!(house.caller(from).await.name, None);
}

#[test]
fn an_end_by_a_replaced_owner_does_not_hold_up_the_true_one() {
    let house = House::new();
    house.write(started("CA1", None));
    house.write(resumed("CA1", 1));
    // The first owner's clock is ahead.
    house.write(ended("CA1", Some(0), 900));
    house.write(ended("CA1", Some(1), 20));
    assert_eq!(
        house.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        Some(AT_MS / 1000 + 20)
    );
}

#[test]
fn an_owners_second_end_does_not_hold_up_the_next_ones() {
    let house = House::new();
    house.write(started("CA1", None));
    house.write(ended("CA1", Some(0), 10));
    house.write(ended("CA1", Some(0), 900));
    house.write(resumed("CA1", 1));
    house.write(ended("CA1", Some(1), 20));
    assert_eq!(
        house.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        Some(AT_MS / 1000 + 20)
    );
}

#[tokio::test]
async fn whatever_came_before_an_unfinished_call_can_be_closed() {
    let mut house = House::new();
    house.write(started("CA1", None));
    house.write(said("CA1", 0, 7, "hello"));
    house.write(ended("CA1", Some(0), 10));
    // A session only: the call may come back.
    house.write(Write::CallEnded(CallEnded {
        call_sid: "CA1".into(),
        epoch: None,
        at_ms: AT_MS + 900_000,
        outcome: Outcome::HandedOver,
    }));
    house.write(resumed("CA1", 1));
    house.write(said("CA2", 0, 9, "hello"));
    house.write(Write::CallResumed(calldex_storage::write::CallResumed {
        call_sid: "CA2".into(),
        session_id: "VX".into(),
        epoch: 1,
        at_ms: AT_MS,
        instance: "two".into(),
        expected: None,
        returned: true,
    }));
    house.reopen();
    let reads = &house.storage().conversations;
    let unfinished = reads.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 2);
    for call in unfinished {
        let is_first = call.conversation.call_sid == "CA1";
        let last = AT_MS + if is_first { 900_001 } else { 9 };
        assert_eq!((call.last_at_ms, call.turns), (last, 1));
        house.write(Write::CallEnded(calldex_storage::write::CallEnded {
            call_sid: call.conversation.call_sid.clone(),
            epoch: Some(call.conversation.epoch),
            at_ms: call.last_at_ms,
            outcome: calldex_storage::record::Outcome::Abandoned,
        }));
    }
    assert!(reads.unfinished().await.unwrap().is_empty());
}
