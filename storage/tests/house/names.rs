//! Names: what replaces what.

use crate::fixtures::*;
use calldex_storage::record::NameState;
use calldex_storage::write::Write;

const FROM: &str = "+14155550100";

async fn name_after(writes: Vec<Write>) -> (Option<String>, NameState) {
    let house = House::new();
    writes.into_iter().for_each(|write| house.write(write));
    let caller = house.caller(FROM).await;
    (
        caller.name.as_ref().map(ToString::to_string),
        caller.name_state,
    )
}

#[tokio::test]
async fn a_heard_name_never_replaces_a_confirmed_one() {
    let writes = vec![
        Write::NameConfirmed(given(FROM, "Misty", 1)),
        Write::NameHeard(given(FROM, "Mr", 2)),
    ];
    assert_eq!(
        name_after(writes).await,
        (Some("Misty".into()), NameState::Confirmed)
    );
}

#[tokio::test]
async fn a_corrected_name_is_kept() {
    let writes = vec![
        Write::NameHeard(given(FROM, "Mark", 1)),
        Write::NameCorrected(given(FROM, "Marc", 2)),
        Write::NameHeard(given(FROM, "Mark", 3)),
        Write::NameSettled(given(FROM, "Mark", 4)),
    ];
    assert_eq!(
        name_after(writes).await,
        (Some("Marc".into()), NameState::Corrected)
    );
}

#[tokio::test]
async fn a_heard_name_counts_as_confirmed_once_its_call_ended_without_correction() {
    let writes = vec![
        Write::NameHeard(given(FROM, "Misty", 1)),
        Write::NameSettled(given(FROM, "Misty", 2)),
    ];
    assert_eq!(
        name_after(writes).await,
        (Some("Misty".into()), NameState::Confirmed)
    );
}

#[tokio::test]
async fn a_refusal_is_remembered_and_does_not_take_a_known_name_away() {
    let refused = vec![Write::NameDeclined(stamped(FROM, 1))];
    assert_eq!(name_after(refused).await, (None, NameState::Declined));
    let known = vec![
        Write::NameConfirmed(given(FROM, "Misty", 1)),
        Write::NameDeclined(stamped(FROM, 2)),
    ];
    assert_eq!(
        name_after(known).await,
        (Some("Misty".into()), NameState::Confirmed)
    );
}

#[tokio::test]
async fn a_forgotten_name_is_gone() {
    let writes = vec![
        Write::NameConfirmed(given(FROM, "Misty", 1)),
        Write::NameForgotten(stamped(FROM, 2)),
    ];
    assert_eq!(name_after(writes).await, (None, NameState::Declined));
}

#[tokio::test]
async fn two_people_on_one_number_are_remembered_and_greeted_without_a_name() {
    let mut house = House::new();
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    assert_eq!(house.caller(FROM).await.greeting_name(), Some("Misty"));
    house.write(Write::PersonAdded(given(FROM, "Brock", 2)));
    house.reopen();
    let caller = house.caller(FROM).await;
    assert!(caller.is_ambiguous());
    assert_eq!(caller.greeting_name(), None);
    assert_eq!(caller.name.as_deref(), Some("Misty"));
    assert_eq!(house.sql::<i64>("SELECT COUNT(*) FROM people"), 2);
}

#[tokio::test]
async fn a_corrected_name_on_a_shared_number_is_not_a_third_person() {
    let house = House::new();
    house.write(Write::NameConfirmed(given(FROM, "Mark", 1)));
    house.write(Write::PersonAdded(given(FROM, "Brock", 2)));
    house.write(Write::NameCorrected(given(FROM, "Marc", 3)));
    let names: String =
        house.sql("SELECT group_concat(name) FROM (SELECT name FROM people ORDER BY name)");
    assert_eq!(names, "Brock,Marc");
}

#[tokio::test]
async fn one_of_several_people_is_forgotten_and_no_other() {
    let mut house = House::new();
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    house.write(Write::PersonAdded(given(FROM, "Ana", 2)));
    house.write(Write::PersonForgotten(given(FROM, "Ana", 3)));
    house.write(Write::PersonAdded(given(FROM, "Anna", 4)));
    house.write(Write::PersonForgotten(given(FROM, "Misty", 5)));
    house.reopen();
    let caller = house.caller(FROM).await;
    assert_eq!(caller.name.as_deref(), Some("Anna"));
    assert_eq!(caller.greeting_name(), Some("Anna"));
}

#[tokio::test]
async fn preferences_and_language_come_back_and_are_bounded() {
    let mut house = House::new();
    for at in 0..30 {
        let text = format!("preference {at} {}", "x".repeat(500)).into();
        house.write(Write::PreferenceNoted {
            number: number(FROM),
            text,
            person: None,
            stamp: stamp(at),
        });
    }
    house.write(Write::LanguageChosen {
        number: Some(number(FROM)),
        language: "de-DE".into(),
        stamp: stamp(1),
    });
    house.reopen();
    let caller = house.caller(FROM).await;
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

fn noted(text: &str, person: Option<&str>, at: i64) -> Write {
    Write::PreferenceNoted {
        number: number(FROM),
        text: text.into(),
        person: person.map(Into::into),
        stamp: stamp(at),
    }
}

/// What the next call may say to a person of that name.
async fn told(house: &House, name: &str) -> Vec<String> {
    let caller = house.caller(FROM).await;
    let told = caller.preferences_of(name);
    told.map(|preference| preference.text.to_string()).collect()
}

#[tokio::test]
async fn what_one_person_wants_remembered_is_not_told_to_another() {
    let mut house = House::new();
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    house.write(noted("likes water", None, 2));
    assert_eq!(told(&house, "Misty").await, ["likes water"]);
    house.write(Write::PersonAdded(given(FROM, "Brock", 3)));
    house.write(noted("likes rocks", Some("Brock"), 4));
    house.write(noted("of whom?", None, 5));
    house.reopen();
    assert_eq!(told(&house, "Misty").await, ["likes water"]);
    assert_eq!(told(&house, "Brock").await, ["likes rocks"]);
}

#[tokio::test]
async fn a_renamed_person_keeps_what_is_theirs_and_a_forgotten_one_leaves_nothing() {
    let mut house = House::new();
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    house.write(Write::PersonAdded(given(FROM, "Brok", 2)));
    house.write(noted("likes rocks", Some("Brok"), 3));
    house.write(Write::PersonRenamed {
        number: number(FROM),
        from: "Brok".into(),
        to: "Brock".into(),
        stamp: stamp(4),
    });
    house.reopen();
    assert_eq!(told(&house, "Brock").await, ["likes rocks"]);
    let names: String =
        house.sql("SELECT group_concat(name) FROM (SELECT name FROM people ORDER BY name)");
    assert_eq!(names, "Brock,Misty");
    house.write(Write::PersonForgotten(given(FROM, "Brock", 5)));
    // A repetition brings nothing back.
    house.write(noted("likes rocks", Some("Brok"), 3));
    assert!(told(&house, "Brock").await.is_empty());
    let kept: String = house.sql("SELECT preferences FROM callers");
    assert!(!kept.contains("rocks") && !kept.contains("Bro"), "{kept}");
}

#[tokio::test]
async fn a_forgotten_name_takes_its_preferences_along() {
    let house = House::new();
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    house.write(noted("likes water", Some("Misty"), 2));
    house.write(Write::NameForgotten(stamped(FROM, 3)));
    house.write(Write::NameConfirmed(given(FROM, "Misty", 4)));
    assert!(told(&house, "Misty").await.is_empty());
}

#[tokio::test]
async fn who_replaces_the_only_name_does_not_take_its_preferences() {
    let house = House::new();
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    house.write(noted("likes water", None, 2));
    house.write(Write::NameCorrected(given(FROM, "Gary", 3)));
    assert!(told(&house, "Gary").await.is_empty());
}

#[tokio::test]
async fn a_shared_number_is_greeted_by_name_again_once_one_person_calls() {
    let mut house = House::new();
    house.write(started("CA1", Some(FROM)));
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    house.write(started("CA2", Some(FROM)));
    house.write(Write::PersonAdded(given(FROM, "Iris", 2)));
    for (call, at) in [("CA3", 3), ("CA4", 4), ("CA5", 5)] {
        assert_eq!(house.caller(FROM).await.greeting_name(), None, "{call}");
        house.write(started(call, Some(FROM)));
        house.write(Write::PersonAdded(given(FROM, "Misty", at * 10)));
        // Twice in one call is one call.
        house.write(Write::PersonAdded(given(FROM, "Misty", at * 10 + 1)));
    }
    house.reopen();
    let caller = house.caller(FROM).await;
    assert_eq!(caller.greeting_name(), Some("Misty"));
    assert!(caller.is_shared() && caller.knows("Iris"));
    house.write(started("CA6", Some(FROM)));
    house.write(Write::PersonAdded(given(FROM, "Iris", 60)));
    assert_eq!(house.caller(FROM).await.greeting_name(), None);
}

#[tokio::test]
async fn who_is_not_heard_for_long_does_not_make_a_number_ambiguous() {
    let house = House::new();
    house.write(started("CA1", Some(FROM)));
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    house.write(Write::PersonAdded(given(FROM, "Iris", 2)));
    house.write(started("CA2", Some(FROM)));
    house.write(Write::PersonAdded(given(FROM, "Misty", 3)));
    for call in ["CA3", "CA4", "CA5"] {
        house.write(started(call, Some(FROM)));
        assert_eq!(house.caller(FROM).await.greeting_name(), None, "{call}");
    }
    house.write(started("CA6", Some(FROM)));
    assert_eq!(house.caller(FROM).await.greeting_name(), Some("Misty"));
}
