//! The caller's name: asked for, heard, corrected, refused; several people on one number.

use super::*;

#[test]
fn a_name_alone_is_answered_at_once_without_the_model() {
    let mut harness = CallHarness::new_caller();
    harness.hears("My name is Misty.");
    assert_eq!(
        harness.last_said(),
        "Nice to meet you, Misty! What Pokémon would you like to know about?"
    );
    assert_eq!(
        (
            harness.replies_requested,
            harness.writes_of_kind("name_heard")
        ),
        (0, 1)
    );
}

#[test]
fn a_name_with_a_question_is_kept_and_the_question_answered() {
    let mut harness = CallHarness::new_caller();
    harness.hears("My name is Misty. What type is Pikachu?");
    assert_eq!(
        (
            harness.replies_requested,
            harness.writes_of_kind("name_heard")
        ),
        (1, 1)
    );
    assert!(harness.said.is_empty());
}

#[test]
fn a_name_in_two_finals_is_heard_as_one() {
    let mut harness = CallHarness::new_caller();
    harness.hears("My name is").hears("Misty.");
    assert_eq!(harness.writes_of_kind("name_heard"), 1);
    assert!(harness.last_said().contains("Misty"));
}

#[test]
fn a_question_instead_of_a_name_is_answered_first_and_the_name_asked_for_after() {
    let mut harness = CallHarness::new_caller();
    harness
        .hears("What type is Pikachu?")
        .reply(&["Pikachu is", " electric."]);
    assert_eq!(
        harness.said,
        ["Pikachu is electric. By the way, may I have your name?"]
    );
    harness.hears("My name is Misty.");
    assert!(harness.last_said().contains("Misty"));
}

#[test]
fn a_known_caller_is_not_asked_and_a_correction_is_kept() {
    let mut harness = CallHarness::known_as("Ana");
    harness.hears("No, it's Anna.");
    assert_eq!(harness.writes_of_kind("name_corrected"), 1);
    assert!(harness.last_said().contains("Anna"));
}

#[test]
fn a_withheld_caller_is_talked_to_and_nothing_is_kept_of_their_name() {
    let withheld = CallContext {
        number: None,
        caller_kind: CallerKind::Withheld,
        ..context(None)
    };
    let mut harness = CallHarness::with(withheld, CallerLookup::NoNumber);
    harness.hears("My name is Misty.");
    assert!(harness.last_said().contains("Misty"));
    assert_eq!(harness.writes_of_kind("name_heard"), 0);
}

#[test]
fn a_second_person_on_a_known_number_is_no_correction() {
    let mut harness = CallHarness::known_as("Misty");
    harness.hears("No, this is Peter.");
    assert_eq!(
        (
            harness.writes_of_kind("person_added"),
            harness.writes_of_kind("name_corrected")
        ),
        (1, 0)
    );
    assert!(harness.last_said().contains("Peter"));
}

#[test]
fn a_refusal_that_is_also_a_goodbye_is_answered_as_one() {
    let mut harness = CallHarness::new_caller();
    harness.hears("No thanks, bye.");
    assert_eq!(
        (
            harness.replies_requested,
            harness.writes_of_kind("name_declined")
        ),
        (1, 1)
    );
    assert!(harness.said.is_empty());
}

#[test]
fn a_hesitation_does_not_use_the_question_up() {
    let mut harness = CallHarness::new_caller();
    harness.hears("Um,").hears("Misty.");
    assert_eq!(
        harness.writes_of_kind("name_heard")
            + harness
                .state
                .name_dialogue
                .pending_confirmation()
                .map_or(0, |_| 1),
        1
    );
}

#[test]
fn several_people_on_one_number_are_put_right_and_forgotten_one_by_one() {
    let mut harness = CallHarness::known_as("Misty");
    harness.hears("No, this is Ana.").hears("No, it's Anna.");
    let kinds: Vec<&str> = harness
        .writes
        .iter()
        .map(Write::kind)
        .filter(|kind| kind.contains("person") || kind.contains("name"))
        .collect();
    assert_eq!(kinds, ["person_added", "person_renamed"]);
    harness.hears("Stop calling me Anna.");
    assert_eq!(
        (
            harness.writes_of_kind("person_forgotten"),
            harness.writes_of_kind("name_forgotten")
        ),
        (1, 0)
    );
}
