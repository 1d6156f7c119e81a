//! Preemptive generation.

use super::*;

fn preemptive_call() -> CallHarness {
    let caller = known("Ana");
    let limits = CallSection {
        preemptive_generation: true,
        ..CallSection::default()
    };
    let context = CallContext {
        limits: Arc::new(limits),
        ..context(Some(caller.clone()))
    };
    CallHarness::with(context, CallerLookup::Known(&caller))
}

fn partial(text: &str) -> CallEvent<'_> {
    CallEvent::Prompt {
        text,
        language: "en",
        last: false,
    }
}

#[test]
fn a_preemptive_reply_is_withheld_until_the_final_prompt_agrees() {
    let mut harness = preemptive_call();
    harness
        .feed(partial("What type is"))
        .feed(partial("What type is Mew?"));
    assert_eq!(harness.replies_requested, 1);
    harness
        .feed(CallEvent::ReplyToken("Mew is"))
        .feed(CallEvent::ReplyToken(" psychic."));
    assert!(harness.said.is_empty());
    harness.hears("What type is Mew?");
    assert_eq!(
        (harness.replies_requested, harness.last_said()),
        (1, "Mew is psychic.")
    );
    harness.reply(&[" Rare, too."]);
    assert_eq!(harness.last_said(), "Mew is psychic. Rare, too.");
    let roles: Vec<&str> = harness
        .turns()
        .iter()
        .map(|turn| turn.role.as_str())
        .collect();
    assert_eq!(roles, ["assistant", "user", "assistant"]);
}

#[test]
fn a_preemptive_reply_is_dropped_when_the_final_prompt_differs_and_its_cost_is_bounded() {
    let mut harness = preemptive_call();
    harness
        .feed(partial("What type is Mew?"))
        .feed(CallEvent::ReplyToken("Mew"))
        .feed(partial("What type is Mewtwo?"));
    assert_eq!(
        (harness.replies_requested, harness.replies_aborted),
        (1, 1),
        "one early start a turn"
    );
    harness.hears("What type is Mewtwo?");
    assert_eq!(harness.replies_requested, 2);
    assert!(harness.said.is_empty());
    harness.reply(&["Psychic."]);
    assert_eq!(harness.said, ["Psychic."]);
    harness
        .feed(partial("And Ditto, what is that?"))
        .feed(CallEvent::ReplyToken("Normal."))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    harness.hears("And Ditto, what is that?");
    assert_eq!(
        (harness.last_said(), harness.cycle_open),
        ("Normal.", false)
    );
}
