//! Interruptions, silence, keys, the goodbye, and what is counted of them.

use super::*;
use crate::agent::Finish;

fn asked_for_mew() -> Desk {
    let mut desk = Desk::known_as("Ana");
    desk.played(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    desk.hears("Tell me about Mew.");
    desk
}

/// The kept turns of the agent, in order.
fn agent_turns(desk: &Desk) -> Vec<Turn> {
    let mut turns = desk.turns();
    turns.retain(|turn| turn.role == Role::Agent);
    turns
}

#[test]
fn a_false_interruption_does_not_abort_a_request_that_has_not_spoken() {
    let mut desk = asked_for_mew();
    desk.later(1_600);
    assert_eq!(desk.said.len(), 1, "a bridge");
    desk.on(Event::AgentSpeaking(true))
        .on(Event::Interrupted("One"))
        .on(Event::AgentSpeaking(false));
    desk.later(500).reply(&["Mew is rare."]);
    assert_eq!((desk.asked, desk.aborted), (1, 0));
    assert_eq!(desk.said.len(), 1, "the caller may go on");
    desk.later(1_500);
    assert_eq!((desk.asked, desk.aborted), (1, 0));
    assert_eq!(desk.last_said(), "Mew is rare.");
    assert!(!desk.open);
}

#[test]
fn an_interruption_that_goes_on_replaces_the_request() {
    let mut desk = asked_for_mew();
    desk.on(Event::Interrupted("")).later(300);
    desk.on(Event::CallerSpeaking(true))
        .on(Event::Token("Mew is"));
    desk.later(2_500);
    assert!(desk.said.is_empty(), "the caller is speaking");
    desk.on(Event::CallerSpeaking(false)).hears("And Mewtwo.");
    assert_eq!((desk.asked, desk.aborted), (2, 1));
    desk.reply(&["Both are rare."]);
    assert_eq!(desk.said, ["Both are rare."]);
}

#[test]
fn a_slow_request_is_bridged_after_a_false_interruption() {
    let mut desk = asked_for_mew();
    desk.on(Event::Interrupted("")).later(2_000);
    assert_eq!((desk.said.len(), desk.asked), (1, 1));
    desk.reply(&["Mew is rare."]);
    assert_eq!(desk.last_said(), "Mew is rare.");
}

#[test]
fn a_reply_after_a_cut_one_is_a_cycle_of_its_own() {
    let mut desk = asked_for_mew();
    desk.on(Event::Token("Mew is"))
        .on(Event::AgentSpeaking(true));
    desk.later(500).on(Event::Token(" very"));
    desk.on(Event::Played("Mew"))
        .on(Event::Interrupted("Mew"))
        .on(Event::AgentSpeaking(false));
    // The word under way has opened a cycle at Twilio: Desk::open stands for it.
    desk.hears("And Mewtwo?").reply(&["Mewtwo is strong."]);
    assert_eq!(desk.said, ["Mew is very", "Mewtwo is strong."]);
    desk.on(Event::Played(" very"));
    assert_eq!(agent_turns(&desk)[1].content, "Mew very");
}

#[test]
fn a_sentence_of_ours_after_a_cut_reply_is_a_cycle_of_its_own_too() {
    let mut desk = Desk::new_caller();
    desk.played(&["Hello!"]);
    desk.hears("What is Mew?").on(Event::Token("Mew is"));
    desk.on(Event::AgentSpeaking(true))
        .on(Event::Interrupted("Mew"));
    // Desk itself refuses a sentence inside an open cycle.
    desk.hears("My name is Misty.");
    assert!(desk.last_said().starts_with("Nice to meet you, Misty!"));
}

#[test]
fn a_hang_up_in_mid_clause_is_estimated_and_marked() {
    let mut desk = asked_for_mew();
    desk.reply(&["You said: My very long and quite unbroken sentence that goes on."]);
    desk.later(300).on(Event::AgentSpeaking(true));
    desk.later(700).on(Event::Played("You said:"));
    desk.later(1_900);
    let mut actions = Vec::new();
    desk.state.finish(Outcome::HungUp, desk.now, &mut actions);
    desk.note(actions, "");
    let last = desk.turns().pop().unwrap();
    assert_eq!(
        last.content,
        "You said: My very long and quite unbroken sentence"
    );
    assert!(last.interrupted && last.estimated);
}

#[test]
fn a_hang_up_in_a_reply_that_streams_is_estimated_too() {
    let mut desk = asked_for_mew();
    desk.on(Event::Token("Mew is rare. It is pink"));
    desk.later(300).on(Event::AgentSpeaking(true)).later(400);
    let mut actions = Vec::new();
    desk.state.finish(Outcome::HungUp, desk.now, &mut actions);
    desk.note(actions, "");
    let last = desk.turns().pop().unwrap();
    assert_eq!(last.content, "Mew is");
    assert!(last.interrupted && last.estimated);
}

#[test]
fn a_greeting_that_nothing_was_reported_of_is_cut_at_a_hang_up() {
    let mut desk = Desk::known_as("Ana");
    desk.later(2_000);
    let mut actions = Vec::new();
    desk.state.finish(Outcome::HungUp, desk.now, &mut actions);
    desk.note(actions, "");
    let greeting = desk.turns().remove(0);
    assert_eq!(
        greeting.content,
        "Welcome back, Ana! What Pokémon information"
    );
    assert!(greeting.interrupted && greeting.estimated);
}

#[test]
fn a_filler_is_kept_as_it_was_heard() {
    let mut desk = asked_for_mew();
    desk.later(1_600);
    let filler = desk.last_said().to_owned();
    let first = filler.split(' ').next().unwrap();
    desk.on(Event::AgentSpeaking(true));
    desk.reply(&["Mew is rare."]);
    desk.on(Event::Played(first))
        .on(Event::Played("Mew is rare."));
    let turns = agent_turns(&desk);
    assert_eq!(
        (turns[1].kind, turns[1].content.as_str()),
        (TurnKind::Bridge, first)
    );
    assert!(turns[1].interrupted && !turns[2].interrupted);
    // One that was not audible at all.
    desk.hears("And Mewtwo?").later(1_600);
    desk.reply(&["It is strong."]).played(&["It is strong."]);
    let turns = agent_turns(&desk);
    assert_eq!(
        (turns[3].kind, turns[3].content.as_str()),
        (TurnKind::Bridge, "")
    );
}

#[test]
fn silence_is_no_matter_while_an_answer_or_keys_are_pending() {
    let mut desk = asked_for_mew();
    desk.later(30_000);
    assert!(!desk.said.iter().any(|said| said.contains("still there")));
    desk.reply(&["Mew is rare."]).played(&["Mew is rare."]);
    desk.later(9_000).on(Event::Keyed('1'));
    desk.later(599);
    assert_eq!(desk.asked, 1);
    desk.later(9_000);
    assert_eq!(desk.asked, 2);
    assert!(!desk.said.iter().any(|said| said.contains("still there")));
}

#[test]
fn silence_is_measured_from_the_last_word_that_was_played() {
    let mut desk = asked_for_mew();
    desk.reply(&["Mew is rare."]);
    desk.on(Event::AgentSpeaking(true)).later(7_000);
    desk.on(Event::Played("Mew is rare."))
        .on(Event::AgentSpeaking(false));
    desk.later(9_900);
    assert_eq!(desk.said.len(), 1);
    desk.later(100);
    assert_eq!(desk.last_said(), "Are you still there?");
    // Without reports: from when it must have been said.
    let unreported = Setting {
        call_sid: "v2:T02".into(),
        ..setting(Some(known("Ana")))
    };
    let caller = known("Ana");
    let mut desk = Desk::with(unreported, Recalled::Known(&caller));
    desk.hears("Tell me about Mew.").reply(&[
        "It is so rare that hardly anybody has ever seen one; some say that it is a story.",
    ]);
    desk.later(12_000);
    assert_eq!(desk.said.len(), 1);
    desk.later(3_000);
    assert_eq!(desk.last_said(), "Are you still there?");
}

#[test]
fn a_line_has_its_own_waits() {
    let mut config = Config::default();
    config.line.push(crate::config::LineSection {
        number: "+14155550199".into(),
        silence_prompt_ms: Some(3_000),
        silence_end_ms: Some(1_000),
        keys_wait_ms: Some(2_000),
        ..crate::config::LineSection::default()
    });
    let caller = known("Ana");
    let own = Setting {
        line: Arc::clone(Lines::new(&config).of("+14155550199")),
        ..setting(Some(caller.clone()))
    };
    let mut desk = Desk::with(own, Recalled::Known(&caller));
    desk.played(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    desk.later(3_000);
    assert_eq!(desk.last_said(), "Are you still there?");
    desk.played(&["Are you still there?"]).later(1_000);
    assert_eq!(desk.said.len(), 2);
    desk.on(Event::Keyed('1')).later(1_900);
    assert_eq!(desk.asked, 0);
    desk.later(100);
    assert_eq!(desk.asked, 1);
}

#[test]
fn the_key_that_ends_an_answer_is_not_waited_for() {
    let mut desk = Desk::known_as("Ana");
    desk.played(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    desk.on(Event::Keyed('1')).on(Event::Keyed('#'));
    desk.later(0);
    assert_eq!(desk.asked, 1);
    assert_eq!(desk.turns().last().unwrap().content, "[pressed 1 #]");
    desk.reply(&["One."]).played(&["One."]);
    // Alone it is a key.
    desk.on(Event::Keyed('#')).later(0);
    assert_eq!(desk.asked, 1);
    desk.later(600);
    assert_eq!(desk.turns().last().unwrap().content, "[pressed #]");
}

#[test]
fn the_interrupt_of_the_key_that_ends_an_answer_passes_first() {
    let mut desk = Desk::known_as("Ana");
    desk.on(Event::AgentSpeaking(true));
    desk.on(Event::Keyed('1')).on(Event::Played("Welcome"));
    desk.on(Event::Interrupted("Welcome"))
        .on(Event::AgentSpeaking(false));
    desk.later(400)
        .on(Event::AgentSpeaking(true))
        .on(Event::Keyed('#'));
    desk.later(2).on(Event::Interrupted("back"));
    assert_eq!(desk.asked, 0);
    desk.later(50);
    assert_eq!((desk.asked, desk.aborted), (1, 0));
}

#[test]
fn a_goodbye_lost_with_the_socket_is_said_again_before_the_end() {
    let call = ToolCall {
        id: "1".into(),
        tool: Tool::EndCall {
            farewell: Some("Bye, Ana!".into()),
        },
    };
    let bye = || {
        let mut desk = asked_for_mew();
        desk.hears("Bye.")
            .on(Event::Tool(&call))
            .on(Event::Replied(&Finish::default()));
        desk.later(300).on(Event::AgentSpeaking(true));
        desk.later(20).on(Event::Closed);
        desk
    };
    let mut desk = bye();
    assert_eq!(desk.state.goodbye(), Some("Bye, Ana!"));
    let again = Event::Resumed {
        session_id: "VX2",
        greeted: Some("Bye, Ana!"),
        counted: false,
        lost: true,
    };
    desk.later(1_500).on(again).later(300);
    assert_eq!((desk.said.len(), desk.ends.len()), (1, 0));
    desk.played(&["Bye, Ana!"]);
    assert_eq!(desk.ends, [None]);
    let turns = agent_turns(&desk);
    assert_eq!(turns.last().unwrap().content, "Bye, Ana!");
    // Where Twilio did not say it, or said something else, we do.
    let redialled = Event::Resumed {
        session_id: "VX2",
        greeted: None,
        counted: false,
        lost: true,
    };
    for event in [BACK, redialled] {
        let mut desk = bye();
        desk.later(1_500).on(event);
        assert_eq!(desk.said, ["Bye, Ana!", "Bye, Ana!"]);
        assert!(desk.ends.is_empty());
        desk.played(&["Sorry about that, I'm back.", "Bye, Ana!"]);
        assert_eq!(desk.ends, [None]);
    }
}

#[test]
fn what_is_counted_is_what_happened() {
    let mut desk = Desk::new_caller();
    desk.hears("What type is Mew?")
        .reply(&["Psychic."])
        .hears("My name is Misty.");
    let count = |desk: &Desk, wanted: Count| desk.counts.iter().filter(|c| **c == wanted).count();
    assert_eq!(count(&desk, Count::Name("asked")), 1, "once a call");
    let firsts = |desk: &Desk| {
        let counts = desk.counts.iter();
        counts.filter(|c| matches!(c, Count::FirstToken(_))).count()
    };
    assert_eq!(firsts(&desk), 1, "a sentence of ours is no first token");
    let before = count(&desk, Count::Turn("caller"));
    desk.on(Event::Keyed('1')).hears("I mean one.");
    assert_eq!(count(&desk, Count::Turn("caller")), before + 2);
}
