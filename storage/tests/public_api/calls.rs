//! Calls and their turns, from start to end.

use crate::fixtures::*;
use calldex_storage::record::CallOutcome;
use calldex_storage::write::{CallEnded, CallStarted, Write};

#[test]
fn a_call_is_a_row_with_its_messages_once_it_has_ended() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", Some("+14155550100")));
    fixture.write(turn_appended("CA1", 0, 0, "hello"));
    fixture.write(turn_appended("CA1", 0, 1, "my name is Misty"));
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM turns"), 2);
    fixture.write(call_ended("CA1", Some(0), 60));
    assert_eq!(fixture.messages("CA1"), ["hello", "my name is Misty"]);
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM turns"), 0);
    assert_eq!(
        fixture.sql::<i64>("SELECT started_at FROM conversations"),
        AT_MS / 1000
    );
    assert_eq!(
        fixture.sql::<i64>("SELECT ended_at FROM conversations"),
        AT_MS / 1000 + 60
    );
    assert_eq!(
        fixture.sql::<String>("SELECT phone_number FROM conversations"),
        "+14155550100"
    );
    assert_eq!(
        fixture.sql::<String>("SELECT json_extract(messages, '$[0].role') FROM conversations"),
        "user"
    );
}

#[test]
fn a_withheld_number_is_a_conversation_and_never_a_caller() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    fixture.write(turn_appended("CA1", 0, 0, "hello"));
    fixture.write(call_ended("CA1", None, 1));
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM callers"), 0);
    assert_eq!(
        fixture.sql::<Option<String>>("SELECT phone_number FROM conversations"),
        None
    );
}

#[test]
fn applying_everything_twice_changes_nothing() {
    let fixture = TestStorage::new();
    let writes = || {
        vec![
            call_started("CA1", Some("+14155550100")),
            turn_appended("CA1", 0, 0, "hello"),
            turn_amended("CA1", 0, 1, "hel"),
            Write::NameHeard(stamped_name("+14155550100", "Misty", 1)),
            Write::NameCorrected(stamped_name("+14155550100", "Mystie", 2)),
            Write::PersonAdded(stamped_name("+14155550100", "Brock", 3)),
            Write::PreferenceNoted {
                number: number("+14155550100"),
                text: "water types".into(),
                person: None,
                stamp: stamp(4),
            },
            call_resumed("CA1", 1),
            turn_appended("CA1", 1, 0, "again"),
            call_ended("CA1", Some(1), 9),
        ]
    };
    writes().into_iter().for_each(|write| fixture.write(write));
    let dump = || {
        let rows: String = fixture.sql("SELECT json_group_array(json_array(phone_number, name, name_state, calls, preferences, rev, people)) FROM callers");
        let calls: String = fixture.sql("SELECT json_group_array(json_array(call_sid, messages, started_at, ended_at, epoch, resumes, outcome)) FROM conversations");
        let people: String = fixture.sql("SELECT json_group_array(json_array(phone_number, name, first_at_ms, last_at_ms)) FROM people");
        (
            rows,
            calls,
            people,
            fixture.sql::<i64>("SELECT COUNT(*) FROM turns"),
        )
    };
    let once = dump();
    writes().into_iter().for_each(|write| fixture.write(write));
    assert_eq!(dump(), once);
    writes()
        .into_iter()
        .rev()
        .for_each(|write| fixture.write(write));
    assert_eq!(dump(), once);
}

#[test]
fn the_first_end_counts_however_many_come() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    fixture.write(call_ended("CA1", Some(0), 10));
    fixture.write(call_ended("CA1", None, 20));
    assert_eq!(
        fixture.sql::<i64>("SELECT ended_at FROM conversations"),
        AT_MS / 1000 + 10
    );
}

#[test]
fn a_turn_after_the_end_is_merged_and_not_lost() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    fixture.write(turn_appended("CA1", 0, 0, "one"));
    fixture.write(turn_appended("CA1", 0, 2, "three"));
    fixture.write(call_ended("CA1", Some(0), 10));
    fixture.write(turn_appended("CA1", 0, 1, "two"));
    fixture.write(turn_appended("CA1", 0, 1, "two"));
    assert_eq!(fixture.messages("CA1"), ["one", "two", "three"]);
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM turns"), 0);
}

#[test]
fn only_what_was_heard_is_kept_of_an_interrupted_turn() {
    let fixture = TestStorage::new();
    fixture.write(turn_appended(
        "CA1",
        0,
        0,
        "Pikachu is an Electric type that",
    ));
    fixture.write(turn_amended("CA1", 0, 2, "Pikachu is"));
    fixture.write(turn_amended("CA1", 0, 1, "Pikachu is an"));
    fixture.write(call_ended("CA1", Some(0), 10));
    assert_eq!(fixture.messages("CA1"), ["Pikachu is"]);
    fixture.write(turn_amended("CA1", 0, 3, "Pikachu"));
    assert_eq!(fixture.messages("CA1"), ["Pikachu"]);
}

#[test]
fn an_owner_that_was_replaced_cannot_end_the_call() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    fixture.write(call_resumed("CA1", 1));
    fixture.write(call_ended("CA1", Some(0), 10));
    assert_eq!(
        fixture.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        None
    );
    fixture.write(call_ended("CA1", Some(1), 20));
    assert_eq!(
        fixture.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        Some(AT_MS / 1000 + 20)
    );
}

#[test]
fn a_late_batch_of_an_earlier_owner_lands_before_the_later_ones() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    fixture.write(turn_appended("CA1", 0, 0, "first owner"));
    fixture.write(call_resumed("CA1", 1));
    fixture.write(turn_appended("CA1", 1, 0, "second owner"));
    fixture.write(turn_appended("CA1", 0, 1, "late"));
    fixture.write(call_ended("CA1", Some(1), 20));
    assert_eq!(
        fixture.messages("CA1"),
        ["first owner", "late", "second owner"]
    );
}

#[test]
fn a_call_that_comes_back_after_its_end_goes_on_in_the_same_conversation() {
    let mut fixture = TestStorage::new();
    fixture.write(turn_appended("CA1", 0, 0, "before"));
    fixture.write(call_ended("CA1", Some(0), 10));
    fixture.write(call_resumed("CA1", 1));
    fixture.write(turn_appended("CA1", 0, 0, "before"));
    fixture.reopen();
    fixture.write(turn_appended("CA1", 0, 0, "before"));
    fixture.write(turn_appended("CA1", 1, 0, "after"));
    fixture.write(call_ended("CA1", Some(1), 30));
    assert_eq!(fixture.messages("CA1"), ["before", "after"]);
    assert_eq!(
        fixture.sql::<i64>("SELECT ended_at FROM conversations"),
        AT_MS / 1000 + 30
    );
}

#[test]
fn the_view_shows_living_and_ended_calls_alike() {
    let fixture = TestStorage::new();
    fixture.write(turn_appended("CA1", 0, 0, "over"));
    fixture.write(call_ended("CA1", Some(0), 1));
    fixture.write(turn_appended("CA2", 0, 0, "alive"));
    let seen: String = fixture.sql(
        "SELECT group_concat(content, ' ') FROM (SELECT content FROM conversation_messages ORDER BY call_sid)",
    );
    assert_eq!(seen, "over alive");
}

#[tokio::test]
async fn a_turn_is_read_back_at_once_and_after_a_restart() {
    let mut fixture = TestStorage::new();
    let writer = &fixture.storage().writer;
    drop(writer.submit(call_started("CA1", Some("+14155550100"))));
    drop(writer.submit(turn_appended("CA1", 0, 0, "hello")));
    let call = fixture
        .storage()
        .conversations
        .live("CA1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(call.turns[0].content, "hello");
    assert_eq!(call.conversation.number, Some(number("+14155550100")));
    assert_eq!(call.next_seq(0), 1);
    fixture.reopen();
    let unfinished = fixture.storage().conversations.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].last_activity_ms, AT_MS);
    let again = fixture
        .storage()
        .conversations
        .live("CA1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again, call);
    fixture.write(call_ended("CA1", Some(0), 3));
    assert!(
        fixture
            .storage()
            .conversations
            .live("CA1")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        fixture
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
    let fixture = TestStorage::new();
    let from = "+14155550100";
    let past = || {
        vec![
            call_started("CA1", Some(from)),
            turn_appended("CA1", 0, 0, "hello"),
            Write::NameHeard(stamped_name(from, "Misty", 1)),
            Write::PersonAdded(stamped_name(from, "Brock", 2)),
            call_ended("CA1", Some(0), 1),
            turn_amended("CA1", 0, 1, "hel"),
            call_resumed("CA1", 1),
        ]
    };
    past().into_iter().for_each(|write| fixture.write(write));
    let erased = || Write::CallerErased {
        number: number(from),
        at_ms: AT_MS + 10_000,
    };
    fixture.write(erased());
    past().into_iter().for_each(|write| fixture.write(write));
    for table in ["callers", "conversations", "people", "turns"] {
        assert_eq!(
            fixture.sql::<i64>(&format!("SELECT COUNT(*) FROM {table}")),
            0,
            "{table}"
        );
    }
    let recall = fixture
        .storage()
        .callers
        .look_up(&number(from), WAIT_MAX)
        .await;
    assert_eq!(recall, calldex_storage::LookupResult::Unknown);
    fixture.write(Write::NameHeard(stamped_name(from, "Misty", 20_000)));
    assert_eq!(
        fixture.sql::<i64>("SELECT COUNT(*) FROM callers"),
        0,
        "a name of an erased call"
    );
}

#[tokio::test]
async fn an_erasure_of_a_caller_with_a_future_mark_lets_later_calls_be_kept() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
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
    fixture.write(started_at("CA1", AT_MS + DAY_MS));
    fixture.write(Write::NameHeard(stamped_name(from, "Misty", DAY_MS)));
    fixture.write(Write::CallerErased {
        number: number(from),
        at_ms: AT_MS + 1_000,
    });
    fixture.write(started_at("CA2", AT_MS + 60_000));
    fixture.write(started_at("CA1", AT_MS + DAY_MS));
    let calls: String = fixture.sql("SELECT json_group_array(call_sid) FROM conversations");
    println!("{calls}");
    assert_eq!(calls, r#"["CA2"]"#);
    assert_eq!(fixture.caller(from).await.name, None);
}

#[test]
fn an_end_by_a_replaced_owner_does_not_hold_up_the_true_one() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    fixture.write(call_resumed("CA1", 1));
    // The first owner's clock is ahead.
    fixture.write(call_ended("CA1", Some(0), 900));
    fixture.write(call_ended("CA1", Some(1), 20));
    assert_eq!(
        fixture.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        Some(AT_MS / 1000 + 20)
    );
}

#[test]
fn an_owners_second_end_does_not_hold_up_the_next_ones() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    fixture.write(call_ended("CA1", Some(0), 10));
    fixture.write(call_ended("CA1", Some(0), 900));
    fixture.write(call_resumed("CA1", 1));
    fixture.write(call_ended("CA1", Some(1), 20));
    assert_eq!(
        fixture.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        Some(AT_MS / 1000 + 20)
    );
}

#[tokio::test]
async fn whatever_came_before_an_unfinished_call_can_be_closed() {
    let mut fixture = TestStorage::new();
    fixture.write(call_started("CA1", None));
    fixture.write(turn_appended("CA1", 0, 7, "hello"));
    fixture.write(call_ended("CA1", Some(0), 10));
    // A session only: the call may come back.
    fixture.write(Write::CallEnded(CallEnded {
        call_sid: "CA1".into(),
        epoch: None,
        at_ms: AT_MS + 900_000,
        outcome: CallOutcome::HandedOff,
    }));
    fixture.write(call_resumed("CA1", 1));
    fixture.write(turn_appended("CA2", 0, 9, "hello"));
    fixture.write(Write::CallResumed(calldex_storage::write::CallResumed {
        call_sid: "CA2".into(),
        session_id: "VX".into(),
        epoch: 1,
        at_ms: AT_MS,
        instance: "two".into(),
        expected: None,
        returned: true,
    }));
    fixture.reopen();
    let reads = &fixture.storage().conversations;
    let unfinished = reads.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 2);
    for call in unfinished {
        let is_first = call.conversation.call_sid == "CA1";
        let last = AT_MS + if is_first { 900_001 } else { 9 };
        assert_eq!((call.last_activity_ms, call.turns), (last, 1));
        fixture.write(Write::CallEnded(calldex_storage::write::CallEnded {
            call_sid: call.conversation.call_sid.clone(),
            epoch: Some(call.conversation.epoch),
            at_ms: call.last_activity_ms,
            outcome: calldex_storage::record::CallOutcome::Abandoned,
        }));
    }
    assert!(reads.unfinished().await.unwrap().is_empty());
}
