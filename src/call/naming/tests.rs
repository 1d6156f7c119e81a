use super::*;

const EN: &str = "en-US";

fn none() -> Excluded {
    Excluded::default()
}

/// A call greeted as `name`, from earlier calls.
fn greeted(name: &str) -> Naming {
    let start = NameStart {
        name: Some(name.into()),
        said: true,
        identifies: true,
        people: Vec::new(),
    };
    Naming::new(start, false, 2)
}

fn new() -> Naming {
    let mut naming = Naming::new(NameStart::default(), false, 2);
    naming.ask();
    naming
}

fn said<'t>(all: &'t str, latest: &'t str) -> Said<'t> {
    Said {
        all,
        latest,
        language: EN,
    }
}

/// What the changes of a step are called.
fn kinds(step: &NameStep) -> Vec<&'static str> {
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
fn a_stray_word_adds_nobody() {
    for text in [
        "No, Iris please",
        "No, Iris please.",
        "No thanks, Jasmine",
        "No, tell me about Jasmine.",
        "No, not today, Brock.",
        "No, it's about Brock.",
    ] {
        let mut naming = greeted("Misty");
        let step = naming.hear(text, EN, &none());
        assert!(kinds(&step).is_empty(), "{text}: {:?}", kinds(&step));
        assert_eq!(
            naming.name().map(|name| name.as_str()),
            Some("Misty"),
            "{text}"
        );
        assert_eq!(naming.identified(), None, "{text}");
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
        let mut naming = greeted("Misty");
        let step = naming.hear(text, EN, &none());
        assert_eq!(kinds(&step), ["added"], "{text}");
        assert!(step.another, "{text}");
        assert_eq!(
            naming.identified().map(|name| name.as_str()),
            Some("Brock"),
            "{text}"
        );
    }
}

#[test]
fn who_takes_over_in_the_middle_of_a_call_is_somebody_else() {
    for text in ["This is Brock now.", "No, this is Brock.", "Hi, I'm Brock."] {
        for known in [true, false] {
            let mut naming = match known {
                true => greeted("Misty"),
                false => new(),
            };
            if !known {
                naming.hear("My name is Misty.", EN, &none());
                naming.read_back();
            }
            naming.hear("What type is Pikachu?", EN, &none());
            let step = naming.hear(text, EN, &none());
            assert_eq!(kinds(&step), ["added"], "{text} {known}");
            assert!(step.another, "{text} {known}");
        }
    }
}

#[test]
fn a_bare_other_name_after_no_is_asked_about_and_kept_on_yes() {
    for text in ["No. Brock.", "No, it's Brock."] {
        let mut naming = greeted("Misty");
        let step = naming.hear(text, EN, &none());
        assert_eq!(step.reply, Some(NameReply::Confirm), "{text}");
        assert!(kinds(&step).is_empty() && naming.identified().is_none());
        let step = naming.hear("Yes.", EN, &none());
        assert_eq!(kinds(&step), ["added"], "{text}");
    }
}

#[test]
fn a_mistake_about_the_callers_own_name_is_put_right_and_adds_nobody() {
    for text in [
        "I said the wrong name, it's Gary I meant",
        "You got my name wrong, it's Gary.",
    ] {
        let mut naming = greeted("Misty");
        let step = naming.hear(text, EN, &none());
        assert_eq!(kinds(&step), ["corrected"], "{text}");
        assert_eq!(
            naming.identified().map(|name| name.as_str()),
            Some("Gary"),
            "{text}"
        );
    }
}

#[test]
fn who_denies_the_name_is_called_so_no_more() {
    let mut naming = greeted("Misty");
    let step = naming.hear("I'm not Misty.", EN, &none());
    assert_eq!(step.reply, Some(NameReply::AskAgain));
    assert!(naming.name().is_none() && naming.identified().is_none());
    naming.ask();
    let step = naming.hear("Brock.", EN, &none());
    assert_eq!(kinds(&step), ["added"], "Misty stays known");
}

#[test]
fn a_plain_no_after_the_greeting_leaves_it_open_who_speaks() {
    let mut naming = greeted("Misty");
    naming.hear("No.", EN, &none());
    assert_eq!(naming.identified(), None);
    let step = naming.hear("My name is Misty.", EN, &none());
    assert_eq!(kinds(&step), ["confirmed"]);
    assert!(naming.identified().is_some());
}

#[test]
fn a_correction_of_a_person_of_this_call_renames_them_and_nobody_known_is_forgotten() {
    let mut naming = greeted("Misty");
    naming.hear("No, this is Ana.", EN, &none());
    naming.read_back();
    let step = naming.hear("No, it's Anna.", EN, &none());
    assert_eq!(kinds(&step), ["renamed"]);
    let shared = NameStart {
        people: vec!["Ana".into(), "Peter".into()],
        ..NameStart::default()
    };
    let mut naming = Naming::new(shared, false, 2);
    naming.ask();
    naming.hear("It's Ana.", EN, &none());
    naming.read_back();
    let step = naming.hear("No, this is Brock.", EN, &none());
    assert_eq!(kinds(&step), ["added"], "Ana was known before this call");
}

#[test]
fn a_refusal_that_says_more_is_answered_and_not_kept() {
    let mut naming = new();
    let step = naming.decline(true);
    assert!(kinds(&step).is_empty() && step.reply.is_none());
    assert!(step.nudge.is_some_and(|nudge| nudge.contains("do not ask")));
    assert_eq!(naming.asking(), NameAsking::Closed);
    let mut naming = new();
    assert_eq!(
        kinds(&naming.hear("I'd rather not say.", EN, &none())),
        ["declined"]
    );
}

#[test]
fn asked_is_just_asked_for_one_turn_and_then_closed() {
    let mut naming = Naming::new(NameStart::default(), false, 2);
    assert_eq!(naming.asking(), NameAsking::Open);
    naming.ask();
    naming.hear("What type is Pikachu?", EN, &none());
    assert_eq!(naming.asking(), NameAsking::JustAsked);
    naming.hear("And what type is Onix?", EN, &none());
    assert_eq!(naming.asking(), NameAsking::Closed);
}

#[test]
fn a_suggestion_of_the_model_needs_the_callers_own_word() {
    let mut naming = Naming::new(NameStart::default(), false, 2);
    assert!(
        naming
            .suggest("Misty", said("what type is Pikachu", ""), &none())
            .is_err()
    );
    let words = "they call me misty";
    assert!(naming.suggest("Misty", said(words, words), &none()).is_ok());
    assert_eq!(naming.name().map(|name| name.as_str()), Some("Misty"));
}

#[test]
fn a_suggestion_passes_the_same_checks_as_what_is_heard() {
    let excluded = Excluded::new(["Dexter"]);
    for (name, words) in [
        ("Dexter", "well hello there dexter"),
        ("Spanish", "spanish please"),
        ("Pikachu", "pikachu is my name"),
    ] {
        let mut naming = Naming::new(NameStart::default(), false, 2);
        let taken = naming.suggest(name, said(words, words), &excluded);
        assert!(
            taken.is_err_and(|reason| reason.starts_with("not taken")),
            "{name}"
        );
    }
}

#[test]
fn a_suggestion_corrects_only_what_the_caller_corrected() {
    let mut naming = new();
    naming.hear("My name is Jon.", EN, &none());
    let words = "it is john with an h";
    let taken = naming.suggest("John", said(words, words), &none());
    assert!(taken.is_ok_and(|changes| changes.len() == 1));
    let mut naming = greeted("Misty");
    let words = "my friend brock says hello";
    assert!(
        naming
            .suggest("Brock", said(words, words), &none())
            .is_err()
    );
    assert_eq!(naming.name().map(|name| name.as_str()), Some("Misty"));
    let mut naming = Naming::new(NameStart::default(), true, 2);
    let words = "well misty is fine";
    assert!(
        naming.suggest("Misty", said(words, words), &none()).is_ok(),
        "declined before"
    );
}
