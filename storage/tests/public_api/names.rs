//! Names: what replaces what.

use crate::fixtures::*;
use calldex_storage::record::NameState;
use calldex_storage::write::Write;

const FROM: &str = "+14155550100";

async fn name_after(writes: Vec<Write>) -> (Option<String>, NameState) {
    let fixture = TestStorage::new();
    writes.into_iter().for_each(|write| fixture.write(write));
    let caller = fixture.caller(FROM).await;
    (
        caller.name.as_ref().map(ToString::to_string),
        caller.name_state,
    )
}

#[tokio::test]
async fn a_heard_name_never_replaces_a_confirmed_one() {
    let writes = vec![
        Write::NameConfirmed(stamped_name(FROM, "Misty", 1)),
        Write::NameHeard(stamped_name(FROM, "Mr", 2)),
    ];
    assert_eq!(
        name_after(writes).await,
        (Some("Misty".into()), NameState::Confirmed)
    );
}

#[tokio::test]
async fn a_corrected_name_is_kept() {
    let writes = vec![
        Write::NameHeard(stamped_name(FROM, "Mark", 1)),
        Write::NameCorrected(stamped_name(FROM, "Marc", 2)),
        Write::NameHeard(stamped_name(FROM, "Mark", 3)),
        Write::NameSettled(stamped_name(FROM, "Mark", 4)),
    ];
    assert_eq!(
        name_after(writes).await,
        (Some("Marc".into()), NameState::Corrected)
    );
}

#[tokio::test]
async fn a_heard_name_counts_as_confirmed_once_its_call_ended_without_correction() {
    let writes = vec![
        Write::NameHeard(stamped_name(FROM, "Misty", 1)),
        Write::NameSettled(stamped_name(FROM, "Misty", 2)),
    ];
    assert_eq!(
        name_after(writes).await,
        (Some("Misty".into()), NameState::Confirmed)
    );
}

#[tokio::test]
async fn a_refusal_is_remembered_and_does_not_take_a_known_name_away() {
    let refused = vec![Write::NameDeclined(stamped_number(FROM, 1))];
    assert_eq!(name_after(refused).await, (None, NameState::Declined));
    let known = vec![
        Write::NameConfirmed(stamped_name(FROM, "Misty", 1)),
        Write::NameDeclined(stamped_number(FROM, 2)),
    ];
    assert_eq!(
        name_after(known).await,
        (Some("Misty".into()), NameState::Confirmed)
    );
}

#[tokio::test]
async fn a_forgotten_name_is_gone() {
    let writes = vec![
        Write::NameConfirmed(stamped_name(FROM, "Misty", 1)),
        Write::NameForgotten(stamped_number(FROM, 2)),
    ];
    assert_eq!(name_after(writes).await, (None, NameState::Declined));
}

#[tokio::test]
async fn two_people_on_one_number_are_remembered_and_greeted_without_a_name() {
    let mut fixture = TestStorage::new();
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    assert_eq!(fixture.caller(FROM).await.greeting_name(), Some("Misty"));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Brock", 2)));
    fixture.reopen();
    let caller = fixture.caller(FROM).await;
    assert!(caller.is_ambiguous());
    assert_eq!(caller.greeting_name(), None);
    assert_eq!(caller.name.as_deref(), Some("Misty"));
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM people"), 2);
}

#[tokio::test]
async fn a_corrected_name_on_a_shared_number_is_not_a_third_person() {
    let fixture = TestStorage::new();
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Mark", 1)));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Brock", 2)));
    fixture.write(Write::NameCorrected(stamped_name(FROM, "Marc", 3)));
    let names: String =
        fixture.sql("SELECT group_concat(name) FROM (SELECT name FROM people ORDER BY name)");
    assert_eq!(names, "Brock,Marc");
}

#[tokio::test]
async fn one_of_several_people_is_forgotten_and_no_other() {
    let mut fixture = TestStorage::new();
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Ana", 2)));
    fixture.write(Write::PersonForgotten(stamped_name(FROM, "Ana", 3)));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Anna", 4)));
    fixture.write(Write::PersonForgotten(stamped_name(FROM, "Misty", 5)));
    fixture.reopen();
    let caller = fixture.caller(FROM).await;
    assert_eq!(caller.name.as_deref(), Some("Anna"));
    assert_eq!(caller.greeting_name(), Some("Anna"));
}

#[tokio::test]
async fn preferences_and_language_come_back_and_are_bounded() {
    let mut fixture = TestStorage::new();
    for at in 0..30 {
        let text = format!("preference {at} {}", "x".repeat(500)).into();
        fixture.write(Write::PreferenceNoted {
            number: number(FROM),
            text,
            person: None,
            stamp: stamp(at),
        });
    }
    fixture.write(Write::LanguageChosen {
        number: Some(number(FROM)),
        language: "de-DE".into(),
        stamp: stamp(1),
    });
    fixture.reopen();
    let caller = fixture.caller(FROM).await;
    assert_eq!(caller.preferences.len(), 16);
    assert!(caller.preferences[15].text.starts_with("preference 29"));
    assert!(
        caller
            .preferences
            .iter()
            .all(|preference| preference.text.chars().count() <= 200)
    );
    assert_eq!(caller.language.as_deref(), Some("de-DE"));
}

fn preference_noted(text: &str, person: Option<&str>, at: i64) -> Write {
    Write::PreferenceNoted {
        number: number(FROM),
        text: text.into(),
        person: person.map(Into::into),
        stamp: stamp(at),
    }
}

/// What the next call may say to a person of that name.
async fn preferences_of(fixture: &TestStorage, name: &str) -> Vec<String> {
    let caller = fixture.caller(FROM).await;
    let told = caller.preferences_of(name);
    told.map(|preference| preference.text.to_string()).collect()
}

#[tokio::test]
async fn what_one_person_wants_remembered_is_not_told_to_another() {
    let mut fixture = TestStorage::new();
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    fixture.write(preference_noted("likes water", None, 2));
    assert_eq!(preferences_of(&fixture, "Misty").await, ["likes water"]);
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Brock", 3)));
    fixture.write(preference_noted("likes rocks", Some("Brock"), 4));
    fixture.write(preference_noted("of whom?", None, 5));
    fixture.reopen();
    assert_eq!(preferences_of(&fixture, "Misty").await, ["likes water"]);
    assert_eq!(preferences_of(&fixture, "Brock").await, ["likes rocks"]);
}

#[tokio::test]
async fn a_renamed_person_keeps_what_is_theirs_and_a_forgotten_one_leaves_nothing() {
    let mut fixture = TestStorage::new();
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Brok", 2)));
    fixture.write(preference_noted("likes rocks", Some("Brok"), 3));
    fixture.write(Write::PersonRenamed {
        number: number(FROM),
        from: "Brok".into(),
        to: "Brock".into(),
        stamp: stamp(4),
    });
    fixture.reopen();
    assert_eq!(preferences_of(&fixture, "Brock").await, ["likes rocks"]);
    let names: String =
        fixture.sql("SELECT group_concat(name) FROM (SELECT name FROM people ORDER BY name)");
    assert_eq!(names, "Brock,Misty");
    fixture.write(Write::PersonForgotten(stamped_name(FROM, "Brock", 5)));
    // A repetition brings nothing back.
    fixture.write(preference_noted("likes rocks", Some("Brok"), 3));
    assert!(preferences_of(&fixture, "Brock").await.is_empty());
    let kept: String = fixture.sql("SELECT preferences FROM callers");
    assert!(!kept.contains("rocks") && !kept.contains("Bro"), "{kept}");
}

#[tokio::test]
async fn a_forgotten_name_takes_its_preferences_along() {
    let fixture = TestStorage::new();
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    fixture.write(preference_noted("likes water", Some("Misty"), 2));
    fixture.write(Write::NameForgotten(stamped_number(FROM, 3)));
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 4)));
    assert!(preferences_of(&fixture, "Misty").await.is_empty());
}

#[tokio::test]
async fn who_replaces_the_only_name_does_not_take_its_preferences() {
    let fixture = TestStorage::new();
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    fixture.write(preference_noted("likes water", None, 2));
    fixture.write(Write::NameCorrected(stamped_name(FROM, "Gary", 3)));
    assert!(preferences_of(&fixture, "Gary").await.is_empty());
}

#[tokio::test]
async fn a_shared_number_is_greeted_by_name_again_once_one_person_calls() {
    let mut fixture = TestStorage::new();
    fixture.write(call_started("CA1", Some(FROM)));
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    fixture.write(call_started("CA2", Some(FROM)));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Iris", 2)));
    for (call, at) in [("CA3", 3), ("CA4", 4), ("CA5", 5)] {
        assert_eq!(fixture.caller(FROM).await.greeting_name(), None, "{call}");
        fixture.write(call_started(call, Some(FROM)));
        fixture.write(Write::PersonAdded(stamped_name(FROM, "Misty", at * 10)));
        // Twice in one call is one call.
        fixture.write(Write::PersonAdded(stamped_name(FROM, "Misty", at * 10 + 1)));
    }
    fixture.reopen();
    let caller = fixture.caller(FROM).await;
    assert_eq!(caller.greeting_name(), Some("Misty"));
    assert!(caller.is_shared() && caller.has_person_named("Iris"));
    fixture.write(call_started("CA6", Some(FROM)));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Iris", 60)));
    assert_eq!(fixture.caller(FROM).await.greeting_name(), None);
}

#[tokio::test]
async fn who_is_not_heard_for_long_does_not_make_a_number_ambiguous() {
    let fixture = TestStorage::new();
    fixture.write(call_started("CA1", Some(FROM)));
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Iris", 2)));
    fixture.write(call_started("CA2", Some(FROM)));
    fixture.write(Write::PersonAdded(stamped_name(FROM, "Misty", 3)));
    for call in ["CA3", "CA4", "CA5"] {
        fixture.write(call_started(call, Some(FROM)));
        assert_eq!(fixture.caller(FROM).await.greeting_name(), None, "{call}");
    }
    fixture.write(call_started("CA6", Some(FROM)));
    assert_eq!(fixture.caller(FROM).await.greeting_name(), Some("Misty"));
}
