use super::*;

const EN: &str = "en-US";

fn none() -> ExcludedWords {
    ExcludedWords::default()
}

/// A call greeted as `name`, from earlier calls.
fn greeted_by_name(name: &str) -> CallerNameDialogue {
    let start = InitialCallerName {
        name: Some(name.into()),
        greeted_by_name: true,
        identifies_caller: true,
        other_people: Vec::new(),
    };
    CallerNameDialogue::new(start, false, 2)
}

fn just_asked() -> CallerNameDialogue {
    let mut dialogue = CallerNameDialogue::new(InitialCallerName::default(), false, 2);
    dialogue.mark_asked();
    dialogue
}

fn caller_words<'t>(all: &'t str, latest: &'t str) -> CallerWords<'t> {
    CallerWords {
        whole_call: all,
        since_agent_spoke: latest,
        language: EN,
    }
}

/// What the changes of a step are called.
fn change_labels(step: &NameStep) -> Vec<&'static str> {
    let kind = |change: &NameChange| match change {
        NameChange::Heard(_) => "heard",
        NameChange::Confirmed(_) => "confirmed",
        NameChange::Corrected { .. } => "corrected",
        NameChange::PersonAdded(_) => "added",
        NameChange::PersonRenamed { .. } => "renamed",
        NameChange::PersonForgotten(_) => "person forgotten",
        NameChange::Declined => "declined",
        NameChange::Forgotten => "forgotten",
    };
    step.changes.iter().map(kind).collect()
}

#[test]
fn a_word_without_a_cue_adds_nobody() {
    for text in [
        "No, Iris please",
        "No, Iris please.",
        "No thanks, Jasmine",
        "No, tell me about Jasmine.",
        "No, not today, Brock.",
        "No, it's about Brock.",
    ] {
        let mut dialogue = greeted_by_name("Misty");
        let step = dialogue.hear(text, EN, &none());
        assert!(
            change_labels(&step).is_empty(),
            "{text}: {:?}",
            change_labels(&step)
        );
        assert_eq!(
            dialogue.name().map(|name| name.as_str()),
            Some("Misty"),
            "{text}"
        );
        assert_eq!(dialogue.identified(), None, "{text}");
    }
}

#[test]
fn who_says_that_they_are_somebody_else_is_added() {
    for text in [
        "No, this is Brock.",
        "This is Brock.",
        "My name is Brock.",
        "No, my name is Brock.",
        "I'm not Misty, I'm Brock.",
        "That's not my name, I'm Brock.",
    ] {
        let mut dialogue = greeted_by_name("Misty");
        let step = dialogue.hear(text, EN, &none());
        assert_eq!(change_labels(&step), ["added"], "{text}");
        assert!(step.speaker_changed, "{text}");
        assert_eq!(
            dialogue.identified().map(|name| name.as_str()),
            Some("Brock"),
            "{text}"
        );
    }
}

#[test]
fn who_takes_over_in_the_middle_of_a_call_is_somebody_else() {
    for text in ["This is Brock now.", "No, this is Brock.", "Hi, I'm Brock."] {
        for known in [true, false] {
            let mut dialogue = match known {
                true => greeted_by_name("Misty"),
                false => just_asked(),
            };
            if !known {
                dialogue.hear("My name is Misty.", EN, &none());
                dialogue.mark_read_back();
            }
            dialogue.hear("What type is Pikachu?", EN, &none());
            let step = dialogue.hear(text, EN, &none());
            assert_eq!(change_labels(&step), ["added"], "{text} {known}");
            assert!(step.speaker_changed, "{text} {known}");
        }
    }
}

#[test]
fn a_bare_other_name_after_no_is_asked_about_and_kept_on_yes() {
    for text in ["No. Brock.", "No, it's Brock."] {
        let mut dialogue = greeted_by_name("Misty");
        let step = dialogue.hear(text, EN, &none());
        assert_eq!(step.reply, Some(NameReply::Confirm), "{text}");
        assert!(change_labels(&step).is_empty() && dialogue.identified().is_none());
        let step = dialogue.hear("Yes.", EN, &none());
        assert_eq!(change_labels(&step), ["added"], "{text}");
    }
}

#[test]
fn a_mistake_about_the_callers_own_name_is_put_right_and_adds_nobody() {
    for text in [
        "I said the wrong name, it's Gary I meant",
        "You got my name wrong, it's Gary.",
    ] {
        let mut dialogue = greeted_by_name("Misty");
        let step = dialogue.hear(text, EN, &none());
        assert_eq!(change_labels(&step), ["corrected"], "{text}");
        assert_eq!(
            dialogue.identified().map(|name| name.as_str()),
            Some("Gary"),
            "{text}"
        );
    }
}

#[test]
fn a_caller_who_denies_the_name_is_not_called_by_it_again() {
    let mut dialogue = greeted_by_name("Misty");
    let step = dialogue.hear("I'm not Misty.", EN, &none());
    assert_eq!(step.reply, Some(NameReply::AskAgain));
    assert!(dialogue.name().is_none() && dialogue.identified().is_none());
    dialogue.mark_asked();
    let step = dialogue.hear("Brock.", EN, &none());
    assert_eq!(change_labels(&step), ["added"], "Misty stays known");
}

#[test]
fn a_plain_no_after_the_greeting_leaves_it_open_who_speaks() {
    let mut dialogue = greeted_by_name("Misty");
    dialogue.hear("No.", EN, &none());
    assert_eq!(dialogue.identified(), None);
    let step = dialogue.hear("My name is Misty.", EN, &none());
    assert_eq!(change_labels(&step), ["confirmed"]);
    assert!(dialogue.identified().is_some());
}

#[test]
fn a_correction_of_a_person_of_this_call_renames_them_and_nobody_known_is_forgotten() {
    let mut dialogue = greeted_by_name("Misty");
    dialogue.hear("No, this is Ana.", EN, &none());
    dialogue.mark_read_back();
    let step = dialogue.hear("No, it's Anna.", EN, &none());
    assert_eq!(change_labels(&step), ["renamed"]);
    let shared = InitialCallerName {
        other_people: vec!["Ana".into(), "Peter".into()],
        ..InitialCallerName::default()
    };
    let mut dialogue = CallerNameDialogue::new(shared, false, 2);
    dialogue.mark_asked();
    dialogue.hear("It's Ana.", EN, &none());
    dialogue.mark_read_back();
    let step = dialogue.hear("No, this is Brock.", EN, &none());
    assert_eq!(
        change_labels(&step),
        ["added"],
        "Ana was known before this call"
    );
}

#[test]
fn a_refusal_that_says_more_is_answered_and_not_kept() {
    let mut dialogue = just_asked();
    let step = dialogue.decline(true);
    assert!(change_labels(&step).is_empty() && step.reply.is_none());
    assert!(
        step.turn_instruction
            .is_some_and(|turn_instruction| turn_instruction.contains("do not ask"))
    );
    assert_eq!(dialogue.ask_policy(), NameAskPolicy::DoNotAsk);
    let mut dialogue = just_asked();
    assert_eq!(
        change_labels(&dialogue.hear("I'd rather not say.", EN, &none())),
        ["declined"]
    );
}

#[test]
fn asked_is_just_asked_for_one_turn_and_then_closed() {
    let mut dialogue = CallerNameDialogue::new(InitialCallerName::default(), false, 2);
    assert_eq!(dialogue.ask_policy(), NameAskPolicy::MayAsk);
    dialogue.mark_asked();
    dialogue.hear("What type is Pikachu?", EN, &none());
    assert_eq!(dialogue.ask_policy(), NameAskPolicy::JustAsked);
    dialogue.hear("And what type is Onix?", EN, &none());
    assert_eq!(dialogue.ask_policy(), NameAskPolicy::DoNotAsk);
}

#[test]
fn a_suggestion_of_the_model_needs_the_callers_own_word() {
    let mut dialogue = CallerNameDialogue::new(InitialCallerName::default(), false, 2);
    assert!(
        dialogue
            .apply_suggestion("Misty", caller_words("what type is Pikachu", ""), &none())
            .is_err()
    );
    let words = "they call me misty";
    assert!(
        dialogue
            .apply_suggestion("Misty", caller_words(words, words), &none())
            .is_ok()
    );
    assert_eq!(dialogue.name().map(|name| name.as_str()), Some("Misty"));
}

#[test]
fn a_suggestion_passes_the_same_checks_as_what_is_heard() {
    let excluded = ExcludedWords::new(["Dexter"]);
    for (name, words) in [
        ("Dexter", "well hello there dexter"),
        ("Spanish", "spanish please"),
        ("Pikachu", "pikachu is my name"),
    ] {
        let mut dialogue = CallerNameDialogue::new(InitialCallerName::default(), false, 2);
        let taken = dialogue.apply_suggestion(name, caller_words(words, words), &excluded);
        assert!(
            taken.is_err_and(|reason| reason.starts_with("not taken")),
            "{name}"
        );
    }
}

#[test]
fn a_suggestion_corrects_only_what_the_caller_corrected() {
    let mut dialogue = just_asked();
    dialogue.hear("My name is Jon.", EN, &none());
    let words = "it is john with an h";
    let taken = dialogue.apply_suggestion("John", caller_words(words, words), &none());
    assert!(taken.is_ok_and(|changes| changes.len() == 1));
    let mut dialogue = greeted_by_name("Misty");
    let words = "my friend brock says hello";
    assert!(
        dialogue
            .apply_suggestion("Brock", caller_words(words, words), &none())
            .is_err()
    );
    assert_eq!(dialogue.name().map(|name| name.as_str()), Some("Misty"));
    let mut dialogue = CallerNameDialogue::new(InitialCallerName::default(), true, 2);
    let words = "well misty is fine";
    assert!(
        dialogue
            .apply_suggestion("Misty", caller_words(words, words), &none())
            .is_ok(),
        "declined before"
    );
}
