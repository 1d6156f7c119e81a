//! A call that is to go on at another instance.

use super::*;

fn desk() -> Desk {
    let mut desk = Desk::known_as("Ana");
    let greeting = desk.turns()[0].content.clone();
    desk.played(&[&greeting]);
    desk
}

impl Desk {
    fn is_told_to_move(&mut self, within_ms: u64) -> &mut Self {
        let now_ms = self.now.ms;
        self.on(Event::Move {
            from_ms: now_ms,
            by_ms: now_ms + within_ms,
        })
    }
}

#[test]
fn a_call_where_nobody_speaks_leaves_at_once() {
    let mut desk = desk();
    desk.is_told_to_move(10_000);
    assert_eq!(desk.leaves, [Parting::Moved]);
    assert_eq!(desk.wrote("call_ended"), 0, "it goes on elsewhere");
    let Some(Write::CallResumed(release)) = desk.writes.last() else {
        panic!("it is given up: {:?}", desk.writes);
    };
    assert_eq!((release.instance.as_str(), release.returned), ("", false));
}

#[test]
fn what_is_being_said_is_said_first() {
    let mut desk = desk();
    desk.hears("What type is Onix?").is_told_to_move(10_000);
    desk.reply(&["Rock and ground."]);
    assert!(
        desk.leaves.is_empty(),
        "the words are out and not yet audible"
    );
    desk.on(Event::AgentSpeaking(true))
        .on(Event::Played("Rock and ground."));
    assert!(desk.leaves.is_empty());
    desk.on(Event::AgentSpeaking(false));
    assert_eq!(desk.leaves, [Parting::Moved]);
    let turns = desk.turns();
    assert!(!turns.last().unwrap().interrupted);
}

#[test]
fn a_caller_in_the_middle_of_a_sentence_is_heard_and_answered_first() {
    let mut desk = desk();
    desk.on(Event::CallerSpeaking(true)).is_told_to_move(10_000);
    desk.hears("What type is Onix?");
    assert!(desk.leaves.is_empty() && desk.asked == 1);
    desk.reply(&["Rock."]).played(&["Rock."]);
    assert_eq!(desk.leaves, [Parting::Moved]);
}

#[test]
fn at_the_deadline_a_reply_is_cut_to_what_was_heard_and_is_still_owed() {
    let mut desk = desk();
    desk.hears("Tell me about Onix.").is_told_to_move(3_000);
    desk.on(Event::Token("It is a rock snake. It"))
        .on(Event::Token(" digs"));
    desk.on(Event::AgentSpeaking(true))
        .on(Event::Played("It is a rock snake."));
    desk.later(3_000);
    assert_eq!((&desk.leaves[..], desk.aborted), (&[Parting::Moved][..], 1));
    let turn = desk.turns().pop().unwrap();
    assert_eq!(
        (turn.content.as_str(), turn.interrupted),
        ("It is a rock snake.", true)
    );
    assert!(desk.state.transcript.is_unanswered());
}

#[test]
fn keys_not_yet_answered_go_with_the_call() {
    let mut desk = desk();
    desk.on(Event::CallerSpeaking(true)).is_told_to_move(500);
    desk.on(Event::Keyed('4'));
    desk.later(500);
    assert_eq!(desk.leaves, [Parting::Moved]);
    assert_eq!(desk.turns().pop().unwrap().content, "[pressed 4]");
}

#[test]
fn what_is_said_into_the_move_is_kept_for_whoever_takes_the_call_up() {
    let mut desk = desk();
    desk.is_told_to_move(10_000).hears("My name is Brock.");
    let said = desk.said.len();
    assert_eq!(desk.turns().pop().unwrap().content, "My name is Brock.");
    assert_eq!(
        (
            desk.wrote("person_added") + desk.wrote("name_corrected"),
            desk.asked,
            said
        ),
        (1, 0, 0),
        "kept, and answered elsewhere"
    );
    desk.later(120_000);
    assert_eq!((desk.leaves.len(), desk.said.len()), (1, 0));
}

#[test]
fn a_call_that_is_ending_ends_here() {
    let mut desk = desk();
    desk.on(Event::Drain).is_told_to_move(1_000);
    desk.later(60_000);
    assert!(desk.leaves.is_empty());
    assert_eq!(desk.ends.len(), 1);
}

#[test]
fn a_server_that_cannot_wait_ends_no_call_that_can_go_on_elsewhere() {
    let mut desk = desk();
    desk.hears("Tell me about Onix.").is_told_to_move(60_000);
    desk.on(Event::Token("It is")).on(Event::Drain);
    assert_eq!(desk.leaves, [Parting::Moved]);
    desk.on(Event::Drain).later(60_000);
    assert_eq!((desk.leaves.len(), desk.ends.len()), (1, 0));
}

#[test]
fn a_call_that_just_came_stays_for_a_while() {
    let mut desk = desk();
    let now_ms = desk.now.ms;
    desk.on(Event::Move {
        from_ms: now_ms + 3_000,
        by_ms: now_ms + 9_000,
    });
    desk.later(2_999);
    assert!(desk.leaves.is_empty());
    desk.later(1);
    assert_eq!(desk.leaves, [Parting::Moved]);
}

#[test]
fn keys_that_come_while_a_call_leaves_go_with_it_and_nothing_is_said_any_more() {
    let mut desk = desk();
    desk.is_told_to_move(10_000);
    assert_eq!(desk.leaves, [Parting::Moved]);
    let (said, asked) = (desk.said.len(), desk.asked);
    desk.on(Event::Keyed('5')).later(400_000);
    assert_eq!((desk.said.len(), desk.asked), (said, asked));
    assert_eq!(desk.turns().last().unwrap().content, "[pressed 5]");
    assert_eq!(desk.state.deadline(), None);
}

#[test]
fn a_call_that_is_to_stay_after_all_stays_unless_it_has_left() {
    let mut desk = desk();
    desk.hears("What type is Onix?").is_told_to_move(10_000);
    desk.on(Event::Stay);
    desk.reply(&["Rock and ground."])
        .played(&["Rock and ground."]);
    desk.later(20_000);
    assert!(desk.leaves.is_empty());
    desk.is_told_to_move(0);
    assert_eq!(desk.leaves, [Parting::Moved]);
    let said = desk.said.len();
    desk.on(Event::Stay).hears("What type is Mew?");
    assert_eq!(desk.said.len(), said, "it was given up");
}
