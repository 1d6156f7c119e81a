//! Who is told what: names, preferences, and the order of decisions.

use super::*;
use crate::agent::Finish;
use calldex_storage::record::{DecisionMark, Person, Preference};
use calldex_storage::write::apply_to_caller;

const DIVORCE: &str = "Misty is getting divorced";

fn preference(text: &str, person: Option<&str>) -> Preference {
    Preference {
        mark: DecisionMark { at_ms: 5, step: 1 },
        text: text.into(),
        person: person.map(Into::into),
    }
}

/// Misty, who is known, confirmed, and wants something remembered.
fn misty() -> Caller {
    Caller {
        name_state: NameState::Confirmed,
        preferences: [preference(DIVORCE, Some("Misty"))].into(),
        ..known("Misty")
    }
}

/// The same on a number that Brock uses too.
fn shared() -> Caller {
    let person = |name: &str| Person {
        name: name.into(),
        first_at_ms: 1,
        last_at_ms: 1,
        heard_in_call: 1,
        consecutive_calls: 0,
    };
    Caller {
        people: [person("Brock"), person("Misty")].into(),
        ..misty()
    }
}

fn call_of(caller: &Caller, number_trusted: bool) -> CallHarness {
    let context = CallContext {
        number_trusted,
        ..context(Some(caller.clone()))
    };
    CallHarness::with(context, CallerLookup::Known(caller))
}

fn note(text: &str) -> ToolCall {
    ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::NotePreference { note: text.into() },
    }
}

impl CallHarness {
    /// The system prompt for an answer to `text`.
    fn prompt_for(&mut self, text: &str) -> String {
        self.hears(text);
        let prompt = self.prompts.last().expect("the model was asked").clone();
        self.reply(&["Yes."]);
        prompt
    }

    fn notes(&mut self, text: &str) {
        self.hears("Remember that.");
        self.feed(CallEvent::ToolCalled(&note(text)))
            .feed(CallEvent::ReplyCompleted(&Finish::default()));
        self.reply(&["I will."]);
    }

    /// The caller's record once this call's decisions are applied to `before`.
    fn record_after(&self, before: Option<Caller>) -> Option<Caller> {
        self.writes.iter().fold(before, apply_to_caller)
    }
}

#[test]
fn a_person_greeted_by_name_is_told_what_is_theirs_and_the_next_one_is_not() {
    let mut harness = call_of(&misty(), true);
    assert!(harness.prompt_for("What type is Mew?").contains(DIVORCE));
    harness.hears("No, this is Brock.");
    let prompt = harness.prompt_for("What type is Mew?");
    assert!(
        !prompt.contains(DIVORCE) && prompt.contains("Brock"),
        "{prompt}"
    );
    let after = harness.record_after(Some(misty())).unwrap();
    assert_eq!(after.preferences_of("Brock").count(), 0);
    assert_eq!(after.preferences_of("Misty").count(), 1);
}

#[test]
fn on_a_shared_number_nothing_is_told_before_its_person_has_said_their_name() {
    let mut harness = call_of(&shared(), true);
    assert!(!harness.prompt_for("What type is Mew?").contains(DIVORCE));
    harness.hears("My name is Brock.");
    assert!(!harness.prompt_for("What type is Mew?").contains(DIVORCE));
    let mut harness = self::call_of(&shared(), true);
    harness.hears("It's Misty.");
    assert!(harness.prompt_for("What type is Mew?").contains(DIVORCE));
}

#[test]
fn an_unvouched_caller_is_told_nothing_and_changes_nothing() {
    let mut harness = call_of(&misty(), false);
    let greeting = harness.turns()[0].content.clone();
    assert!(
        !greeting.contains("back") && !greeting.contains("Misty"),
        "{greeting}"
    );
    let prompt = harness.prompt_for("What type is Mew?");
    assert!(
        !prompt.contains(DIVORCE) && !prompt.contains("Misty") && !prompt.contains("called before")
    );
    harness.hears("My name is Misty.");
    let prompt = harness.prompt_for("What do you know of me?");
    assert!(
        !prompt.contains(DIVORCE) && !prompt.contains("called before"),
        "{prompt}"
    );
    harness.notes("likes rocks");
    harness.hears("Stop calling me Misty.");
    assert_eq!(harness.record_after(Some(misty())), Some(misty()));
}

#[test]
fn a_name_merely_heard_or_denied_identifies_nobody() {
    let heard = Caller {
        name_state: NameState::Heard,
        ..misty()
    };
    assert!(
        !call_of(&heard, true)
            .prompt_for("What type is Mew?")
            .contains(DIVORCE)
    );
    for denial in ["No.", "I'm not Misty.", "No, that's not me."] {
        let mut harness = call_of(&misty(), true);
        harness.hears(denial).reply(&["Oh."]);
        assert!(
            !harness.prompt_for("What type is Mew?").contains(DIVORCE),
            "{denial}"
        );
    }
}

#[test]
fn a_preference_goes_to_whoever_speaks_and_waits_for_their_name() {
    let mut harness = CallHarness::new_caller();
    harness.notes("likes water");
    assert_eq!(harness.writes_of_kind("preference_noted"), 0);
    assert!(
        harness
            .prompt_for("What type is Mew?")
            .contains("likes water")
    );
    harness.hears("My name is Misty.");
    let after = harness.record_after(None).unwrap();
    let told: Vec<_> = after.preferences_of("Misty").collect();
    assert_eq!((told.len(), told[0].text.as_str()), (1, "likes water"));
}

#[test]
fn what_nobody_is_known_to_have_said_is_not_the_next_ones() {
    let mut harness = call_of(&misty(), true);
    harness.hears("No.").reply(&["Oh."]);
    harness.notes("likes water");
    harness.hears("This is Brock.");
    assert!(
        !harness
            .prompt_for("What type is Mew?")
            .contains("likes water")
    );
    assert_eq!(harness.writes_of_kind("preference_noted"), 0);
}

#[test]
fn who_puts_their_name_right_keeps_what_is_theirs() {
    let jon = Caller {
        name: Some("Jon".into()),
        preferences: [preference("likes water", Some("Jon"))].into(),
        ..misty()
    };
    let mut harness = call_of(&jon, true);
    harness.hears("No, it's John.");
    assert!(
        harness
            .prompt_for("What type is Mew?")
            .contains("likes water")
    );
    let after = harness.record_after(Some(jon)).unwrap();
    assert_eq!(after.name.as_deref(), Some("John"));
    assert_eq!(after.preferences_of("John").count(), 1);
}

#[test]
fn another_persons_language_is_left_when_they_speak_the_lines() {
    let caller = misty();
    let spanish = CallContext {
        language: "es-MX".into(),
        ..context(Some(caller.clone()))
    };
    let mut harness = CallHarness::with(spanish, CallerLookup::Known(&caller));
    assert!(harness.prompt_for("What type is Mew?").contains("es-MX"));
    harness.hears("This is Brock.");
    assert!(!harness.prompt_for("What type is Mew?").contains("es-MX"));
}

#[test]
fn the_prompt_says_whether_the_caller_was_greeted_by_name() {
    let mut harness = call_of(&misty(), true);
    assert!(
        harness
            .prompt_for("What type is Mew?")
            .contains("greeted by name")
    );
    // Their name was there too late for the greeting.
    let caller = misty();
    let line = Arc::clone(lines().for_number(""));
    let mut greeting = Greeting::choose(&line, CallerLookup::TooSlow, true);
    greeting.set_known_caller(&caller);
    let now = harness.now;
    let mut actions = Vec::new();
    let state = CallState::new(context(Some(caller)), "VX1", &greeting, now, &mut actions);
    let mut late = CallHarness { state, ..harness };
    let prompt = late.prompt_for("What type is Mew?");
    assert!(
        prompt.contains("Misty") && !prompt.contains("greeted by name"),
        "{prompt}"
    );
    assert!(!prompt.contains(DIVORCE), "nobody said who they are");
}

#[test]
fn a_name_that_the_model_asked_for_is_taken_from_a_bare_answer() {
    let mut harness = CallHarness::with(context(None), CallerLookup::TooSlow);
    harness
        .hears("What type is Pikachu?")
        .reply(&["It is electric. By the way, what should I call you?"]);
    harness.hears("Misty.");
    assert_eq!(harness.writes_of_kind("name_heard"), 1);
    assert!(harness.last_said().contains("Misty"));
}

#[test]
fn the_model_is_told_that_the_name_was_just_asked_for_only_when_it_was() {
    let mut harness = CallHarness::new_caller();
    let first = harness.prompt_for("What type is Pikachu?");
    // Our own question at the end of that answer was the second.
    let second = harness.prompt_for("And Onix?");
    let third = harness.prompt_for("And Gengar?");
    assert!(first.contains("just asked") && second.contains("just asked"));
    assert!(
        !third.contains("just asked") && third.contains("Do not ask for it"),
        "{third}"
    );
}

#[test]
fn a_question_that_the_model_has_asked_is_not_asked_again_by_us() {
    let mut harness = CallHarness::new_caller();
    harness
        .hears("What type is Pikachu?")
        .reply(&["It is electric. May I have your name?"]);
    assert_eq!(harness.last_said(), "It is electric. May I have your name?");
}

#[test]
fn a_clock_set_back_undoes_no_decision() {
    for back_ms in [5_000, 120_000] {
        let mut harness = CallHarness::new_caller();
        harness.hears("My name is Jon.");
        harness.now.unix_ms -= back_ms;
        harness.hears("No, it's John.");
        let after = harness.record_after(None).unwrap();
        assert_eq!(after.name.as_deref(), Some("John"), "in mid-call");

        // The next call begins with the clock still behind, here or on another instance.
        let mut next = self::call_of(&after, true);
        next.now.unix_ms = harness.now.unix_ms - back_ms;
        next.hears("Forget my name.");
        let forgotten = next.record_after(Some(after)).unwrap();
        assert_eq!(
            (forgotten.name, forgotten.name_state),
            (None, NameState::Declined)
        );
    }
}

#[test]
fn a_decision_comes_after_what_another_call_has_decided_meanwhile() {
    let mut harness = call_of(&misty(), true);
    let mark = DecisionMark {
        at_ms: harness.now.unix_ms + 60_000,
        step: 9,
    };
    harness.state.observe_decision(mark);
    harness.hears("Forget my name.");
    let stamps = harness.writes.iter().filter_map(Write::stamp);
    assert!(stamps.clone().count() > 0);
    assert!(stamps.into_iter().all(|stamp| stamp.mark() > mark));
}
