//! What was heard, by what Twilio reports and by the clock.

use super::*;

fn cut(turn: TurnSeq, heard: &str) -> Cut {
    Cut {
        turn,
        heard: heard.to_owned(),
        estimated: false,
        whole: false,
    }
}

fn replied(turn: TurnSeq, tokens: &[&str]) -> Playback {
    let mut playback = Playback::default();
    playback.begin(turn, false, 0);
    for token in tokens {
        playback.sent(token, 0);
    }
    playback.close();
    playback
}

#[test]
fn a_barge_in_leaves_the_clauses_played_and_the_fragment() {
    let mut playback = replied(
        3,
        &[
            "Here is our policy:",
            " you can cancel free.",
            " Later than that",
            " we charge half.",
        ],
    );
    playback.played("Here is our policy:", 1_000);
    playback.played(" you can cancel free.", 1_000);
    playback.played("Later than that we", 1_000);
    let cuts = playback.interrupted("Later than that we", 5_000);
    let heard = "Here is our policy: you can cancel free. Later than that we";
    assert_eq!(cuts, [cut(3, heard)]);
    assert!(!playback.is_pending());
}

#[test]
fn without_reports_the_fragment_alone_tells_what_was_heard() {
    let mut playback = replied(
        1,
        &["Charizard is fire and flying. Charizard learns", " Fly."],
    );
    let cuts = playback.interrupted("Charizard learns", 5_000);
    assert_eq!(
        cuts[0].heard,
        "Charizard is fire and flying. Charizard learns"
    );
}

#[test]
fn an_empty_fragment_means_nothing_was_heard() {
    let mut playback = replied(1, &["Hello there."]);
    let cuts = playback.interrupted("", 5_000);
    assert_eq!(cuts, [cut(1, "")]);
}

#[test]
fn everything_queued_behind_the_clause_in_play_was_not_heard() {
    let mut playback = replied(1, &["One moment, please."]);
    playback.say(2, "Pikachu is electric.", false, 0);
    let cuts = playback.interrupted("One", 5_000);
    assert_eq!(cuts[0].heard, "One");
    assert_eq!(cuts[1], cut(2, ""));
}

#[test]
fn speech_that_differs_from_the_text_is_taken_as_reported() {
    let mut playback = replied(1, &["It weighs 6 kg. It is small."]);
    playback.played("It weighs six kilograms.", 1_000);
    playback.played(" It is", 1_000);
    let cuts = playback.interrupted("It is", 5_000);
    assert_eq!(cuts[0].heard, "It weighs six kilograms. It is");
    let mut playback = replied(1, &["It weighs 6 kg."]);
    playback.played("It weighs six kilograms.", 1_000);
    playback.fell_silent();
    assert!(!playback.is_pending());
}

#[test]
fn a_missed_report_does_not_hold_up_the_next_utterance() {
    let mut playback = replied(1, &["Ten. Twenty."]);
    playback.say(2, "Thirty. Forty.", false, 0);
    playback.played(" Thirty.", 1_000);
    let cuts = playback.interrupted("Forty", 5_000);
    assert_eq!(cuts.len(), 1);
    assert_eq!(cuts[0].heard, "Thirty. Forty");
}

#[test]
fn the_queue_is_bounded() {
    let mut playback = Playback::default();
    for turn in 0..100 {
        playback.say(turn, "word", false, 0);
    }
    assert_eq!(playback.lost(5_000).len(), UTTERANCES_MAX);
}

#[test]
fn without_reports_nothing_is_taken_for_unheard() {
    let mut playback = replied(1, &["Ten."]);
    assert_eq!(playback.lost(5_000)[0].heard, "Ten.");
    let mut playback = replied(1, &["Ten."]);
    playback.answered();
    playback.say(2, "Twenty. Thirty.", false, 0);
    playback.say(3, "Forty.", false, 0);
    let cuts = playback.interrupted("Twenty", 5_000);
    assert_eq!(cuts.len(), 2);
    assert_eq!((cuts[0].turn, cuts[0].heard.as_str()), (2, "Twenty"));
    assert_eq!(cuts[1].heard, "");
}

/// A reply said whole at 0 ms, audible from 300 ms on.
fn audible(text: &str) -> Playback {
    let mut playback = Playback::default();
    playback.informed();
    playback.say(1, text, false, 0);
    playback.sounds(300);
    playback
}

#[test]
fn the_clause_in_play_at_a_hang_up_is_estimated_and_marked() {
    let mut playback = audible("You said: My very long and quite unbroken sentence that goes on.");
    playback.played("You said:", 1_000);
    let cuts = playback.lost(2_900);
    assert_eq!(
        cuts,
        [Cut {
            estimated: true,
            ..cut(1, "You said: My very long and quite unbroken sentence")
        }]
    );
}

#[test]
fn an_estimate_ends_with_its_clause_and_may_be_the_whole() {
    let mut playback = audible("Yes. And then more.");
    assert_eq!(playback.lost(60_000)[0].heard, "Yes.");
    let mut playback = audible("Yes.");
    let cuts = playback.lost(60_000);
    assert!(cuts[0].whole && cuts[0].estimated);
}

#[test]
fn nothing_is_estimated_of_what_was_not_audible_yet() {
    let mut playback = Playback::default();
    playback.informed();
    playback.say(1, "Hello there, caller.", false, 0);
    assert_eq!(playback.lost(200), [cut(1, "")]);
    let mut playback = audible("Yes.");
    playback.played("Yes.", 1_000);
    playback.begin(2, false, 5_000);
    playback.sent("And then more", 5_000);
    playback.sounds(5_300);
    assert_eq!(
        playback.lost(9_000),
        [cut(2, "")],
        "its tail was never spoken"
    );
}

#[test]
fn a_clause_that_came_late_is_estimated_from_when_it_came() {
    let mut playback = Playback::default();
    playback.informed();
    playback.begin(1, false, 0);
    playback.sent("One.", 0);
    playback.sounds(300);
    playback.played("One.", 900);
    playback.sent(" Two and three and four.", 4_000);
    playback.close();
    assert_eq!(playback.lost(4_450)[0].heard, "One. Two");
}

#[test]
fn a_greeting_that_was_never_reported_is_cut_as_heard() {
    let text = "Hello and welcome to the Pokédex. May I have your name?";
    let mut playback = Playback::default();
    playback.expect_reports();
    playback.greet(0, text, 0);
    let cuts = playback.lost(2_000);
    assert_eq!(
        cuts[0].heard,
        "Hello and welcome to the Pokédex. May I have"
    );
    assert!(cuts[0].estimated);
    // One that our voice has not begun yet.
    let mut playback = Playback::default();
    playback.expect_reports();
    playback.greet(0, text, 0);
    assert_eq!(playback.lost(500), [cut(0, "")]);
    // A provider that asks for no reports, or has none.
    for expected in [true, false] {
        let mut playback = Playback::default();
        if expected {
            playback.expect_reports();
        }
        playback.greet(0, text, 0);
        playback.answered();
        playback.say(1, "Hello.", false, 5_000);
        assert_eq!(playback.lost(5_100)[0].heard, "Hello.");
    }
}

#[test]
fn a_filler_that_the_answer_cut_is_as_long_as_it_was_heard() {
    let filled = || {
        let mut playback = Playback::default();
        playback.informed();
        playback.say(1, "One moment, please.", true, 0);
        playback.sounds(300);
        playback.say(2, "It is blue. It swims.", false, 700);
        playback
    };
    let mut playback = filled();
    assert_eq!(playback.played("One moment,", 800), []);
    assert_eq!(
        playback.played("It is blue.", 2_000),
        [cut(1, "One moment,")]
    );
    // None of it was audible.
    let mut playback = filled();
    assert_eq!(playback.played("It is blue.", 2_000), [cut(1, "")]);
    // The report differs from the text: it is the answer's all the same.
    let mut playback = filled();
    assert_eq!(playback.played("It is navy.", 2_000), [cut(1, "")]);
    assert_eq!(playback.lost(2_000)[0].heard, "It is navy.");
    // The answer is interrupted in its first clause.
    let mut playback = filled();
    let cuts = playback.interrupted("It is", 2_000);
    assert_eq!(cuts, [cut(1, ""), cut(2, "It is")]);
}

#[test]
fn a_filler_that_was_heard_in_full_is_left_as_it_was_said() {
    let mut playback = Playback::default();
    playback.informed();
    playback.say(1, "One moment, please.", true, 0);
    playback.sounds(300);
    assert_eq!(playback.played("One moment, please.", 1_500), []);
    playback.say(2, "It is blue.", false, 1_600);
    assert_eq!(playback.played("It is blue.", 3_000), []);
    assert!(!playback.is_pending());
}

#[test]
fn words_under_way_at_a_barge_in_are_a_cycle_of_their_own() {
    let mut playback = Playback::default();
    playback.informed();
    playback.begin(1, false, 0);
    playback.sent("You said: My", 0);
    playback.sounds(300);
    playback.sent(" very", 1_400);
    playback.sent(" a", 1_490);
    let cuts = playback.interrupted("You said: My", 1_500);
    assert_eq!(cuts, [cut(1, "You said: My")]);
    assert!(playback.take_stray_cycle());
    assert!(!playback.take_stray_cycle(), "it is closed once");
    playback.say(2, "All right.", false, 3_000);
    assert_eq!(playback.played(" a", 3_300), [cut(1, "You said: My a")]);
    assert_eq!(playback.played("All right.", 4_000), []);
    assert!(!playback.is_pending());
}

#[test]
fn nothing_is_under_way_long_after_the_last_word_or_in_a_closed_reply() {
    let mut playback = Playback::default();
    playback.informed();
    playback.begin(1, false, 0);
    playback.sent("You said: My", 0);
    playback.sounds(300);
    playback.interrupted("You said:", 1_500);
    assert!(!playback.take_stray_cycle());
    let mut playback = audible("Yes.");
    playback.interrupted("", 310);
    assert!(!playback.take_stray_cycle(), "it closed itself");
}

#[test]
fn a_whole_reply_that_reached_twilio_after_the_cut_is_heard_in_full() {
    let mut playback = audible("A long greeting.");
    playback.say(2, "Got one.", false, 1_000);
    playback.interrupted("A long", 1_002);
    let cuts = playback.played("Got one.", 2_000);
    assert_eq!(
        cuts,
        [Cut {
            whole: true,
            ..cut(2, "Got one.")
        }]
    );
}

#[test]
fn our_voice_is_silent_once_all_was_said() {
    let mut playback = audible("Yes. No.");
    assert_eq!(playback.silent_from(500), 300 + 2 * 350 + 173 + 130);
    playback.played("Yes.", 800);
    playback.played("No.", 1_300);
    assert_eq!(playback.silent_from(1_400), 1_400);
}
