//! What was heard, by what Twilio reports and by the clock.

use super::*;

fn heard_text(turn: TurnSeq, heard: &str) -> HeardText {
    HeardText {
        turn,
        text: heard.to_owned(),
        estimated: false,
        complete: false,
    }
}

fn playback_of_reply(turn: TurnSeq, tokens: &[&str]) -> Playback {
    let mut playback = Playback::default();
    playback.begin_utterance(turn, false, 0);
    for token in tokens {
        playback.append(token, 0);
    }
    playback.close_utterance();
    playback
}

#[test]
fn an_interruption_leaves_the_clauses_played_and_the_fragment() {
    let mut playback = playback_of_reply(
        3,
        &[
            "Here is our policy:",
            " you can cancel free.",
            " Later than that",
            " we charge half.",
        ],
    );
    playback.report_played("Here is our policy:", 1_000);
    playback.report_played(" you can cancel free.", 1_000);
    playback.report_played("Later than that we", 1_000);
    let heard_texts = playback.interrupt("Later than that we", 5_000);
    let heard = "Here is our policy: you can cancel free. Later than that we";
    assert_eq!(heard_texts, [heard_text(3, heard)]);
    assert!(!playback.is_pending());
}

#[test]
fn without_reports_the_fragment_alone_tells_what_was_heard() {
    let mut playback = playback_of_reply(
        1,
        &["Charizard is fire and flying. Charizard learns", " Fly."],
    );
    let heard_texts = playback.interrupt("Charizard learns", 5_000);
    assert_eq!(
        heard_texts[0].text,
        "Charizard is fire and flying. Charizard learns"
    );
}

#[test]
fn an_empty_fragment_means_nothing_was_heard() {
    let mut playback = playback_of_reply(1, &["Hello there."]);
    let heard_texts = playback.interrupt("", 5_000);
    assert_eq!(heard_texts, [heard_text(1, "")]);
}

#[test]
fn everything_queued_behind_the_clause_in_play_was_not_heard() {
    let mut playback = playback_of_reply(1, &["One moment, please."]);
    playback.add_utterance(2, "Pikachu is electric.", false, 0);
    let heard_texts = playback.interrupt("One", 5_000);
    assert_eq!(heard_texts[0].text, "One");
    assert_eq!(heard_texts[1], heard_text(2, ""));
}

#[test]
fn speech_that_differs_from_the_text_is_taken_as_reported() {
    let mut playback = playback_of_reply(1, &["It weighs 6 kg. It is small."]);
    playback.report_played("It weighs six kilograms.", 1_000);
    playback.report_played(" It is", 1_000);
    let heard_texts = playback.interrupt("It is", 5_000);
    assert_eq!(heard_texts[0].text, "It weighs six kilograms. It is");
    let mut playback = playback_of_reply(1, &["It weighs 6 kg."]);
    playback.report_played("It weighs six kilograms.", 1_000);
    playback.audio_stopped();
    assert!(!playback.is_pending());
}

#[test]
fn a_missed_report_does_not_hold_up_the_next_utterance() {
    let mut playback = playback_of_reply(1, &["Ten. Twenty."]);
    playback.add_utterance(2, "Thirty. Forty.", false, 0);
    playback.report_played(" Thirty.", 1_000);
    let heard_texts = playback.interrupt("Forty", 5_000);
    assert_eq!(heard_texts.len(), 1);
    assert_eq!(heard_texts[0].text, "Thirty. Forty");
}

#[test]
fn the_queue_is_bounded() {
    let mut playback = Playback::default();
    for turn in 0..100 {
        playback.add_utterance(turn, "word", false, 0);
    }
    assert_eq!(playback.socket_lost(5_000).len(), UTTERANCES_MAX);
}

#[test]
fn without_reports_nothing_is_taken_for_unheard() {
    let mut playback = playback_of_reply(1, &["Ten."]);
    assert_eq!(playback.socket_lost(5_000)[0].text, "Ten.");
    let mut playback = playback_of_reply(1, &["Ten."]);
    playback.caller_answered();
    playback.add_utterance(2, "Twenty. Thirty.", false, 0);
    playback.add_utterance(3, "Forty.", false, 0);
    let heard_texts = playback.interrupt("Twenty", 5_000);
    assert_eq!(heard_texts.len(), 2);
    assert_eq!(
        (heard_texts[0].turn, heard_texts[0].text.as_str()),
        (2, "Twenty")
    );
    assert_eq!(heard_texts[1].text, "");
}

/// A reply said whole at 0 ms, audible from 300 ms on.
fn playback_with_audio(text: &str) -> Playback {
    let mut playback = Playback::default();
    playback.confirm_reports();
    playback.add_utterance(1, text, false, 0);
    playback.audio_started(300);
    playback
}

#[test]
fn the_clause_in_play_at_a_hang_up_is_estimated_and_marked() {
    let mut playback =
        playback_with_audio("You said: My very long and quite unbroken sentence that goes on.");
    playback.report_played("You said:", 1_000);
    let heard_texts = playback.socket_lost(2_900);
    assert_eq!(
        heard_texts,
        [HeardText {
            estimated: true,
            ..heard_text(1, "You said: My very long and quite unbroken sentence")
        }]
    );
}

#[test]
fn an_estimate_ends_with_its_clause_and_may_be_the_whole() {
    let mut playback = playback_with_audio("Yes. And then more.");
    assert_eq!(playback.socket_lost(60_000)[0].text, "Yes.");
    let mut playback = playback_with_audio("Yes.");
    let heard_texts = playback.socket_lost(60_000);
    assert!(heard_texts[0].complete && heard_texts[0].estimated);
}

#[test]
fn nothing_is_estimated_of_what_was_not_audible_yet() {
    let mut playback = Playback::default();
    playback.confirm_reports();
    playback.add_utterance(1, "Hello there, caller.", false, 0);
    assert_eq!(playback.socket_lost(200), [heard_text(1, "")]);
    let mut playback = playback_with_audio("Yes.");
    playback.report_played("Yes.", 1_000);
    playback.begin_utterance(2, false, 5_000);
    playback.append("And then more", 5_000);
    playback.audio_started(5_300);
    assert_eq!(
        playback.socket_lost(9_000),
        [heard_text(2, "")],
        "its tail was never spoken"
    );
}

#[test]
fn a_clause_that_came_late_is_estimated_from_when_it_came() {
    let mut playback = Playback::default();
    playback.confirm_reports();
    playback.begin_utterance(1, false, 0);
    playback.append("One.", 0);
    playback.audio_started(300);
    playback.report_played("One.", 900);
    playback.append(" Two and three and four.", 4_000);
    playback.close_utterance();
    assert_eq!(playback.socket_lost(4_450)[0].text, "One. Two");
}

#[test]
fn a_greeting_that_was_never_reported_is_cut_as_heard() {
    let text = "Hello and welcome to the Pokédex. May I have your name?";
    let mut playback = Playback::default();
    playback.expect_reports();
    playback.add_greeting(0, text, 0);
    let heard_texts = playback.socket_lost(2_000);
    assert_eq!(
        heard_texts[0].text,
        "Hello and welcome to the Pokédex. May I have"
    );
    assert!(heard_texts[0].estimated);
    // One that our voice has not begun yet.
    let mut playback = Playback::default();
    playback.expect_reports();
    playback.add_greeting(0, text, 0);
    assert_eq!(playback.socket_lost(500), [heard_text(0, "")]);
    // A provider that asks for no reports, or has none.
    for expected in [true, false] {
        let mut playback = Playback::default();
        if expected {
            playback.expect_reports();
        }
        playback.add_greeting(0, text, 0);
        playback.caller_answered();
        playback.add_utterance(1, "Hello.", false, 5_000);
        assert_eq!(playback.socket_lost(5_100)[0].text, "Hello.");
    }
}

#[test]
fn a_filler_that_the_answer_cut_is_as_long_as_it_was_heard() {
    let filled = || {
        let mut playback = Playback::default();
        playback.confirm_reports();
        playback.add_utterance(1, "One moment, please.", true, 0);
        playback.audio_started(300);
        playback.add_utterance(2, "It is blue. It swims.", false, 700);
        playback
    };
    let mut playback = filled();
    assert_eq!(playback.report_played("One moment,", 800), []);
    assert_eq!(
        playback.report_played("It is blue.", 2_000),
        [heard_text(1, "One moment,")]
    );
    // None of it was audible.
    let mut playback = filled();
    assert_eq!(
        playback.report_played("It is blue.", 2_000),
        [heard_text(1, "")]
    );
    // The report differs from the text: it is the answer's all the same.
    let mut playback = filled();
    assert_eq!(
        playback.report_played("It is navy.", 2_000),
        [heard_text(1, "")]
    );
    assert_eq!(playback.socket_lost(2_000)[0].text, "It is navy.");
    // The answer is interrupted in its first clause.
    let mut playback = filled();
    let heard_texts = playback.interrupt("It is", 2_000);
    assert_eq!(heard_texts, [heard_text(1, ""), heard_text(2, "It is")]);
}

#[test]
fn a_filler_that_was_heard_in_full_is_left_as_it_was_said() {
    let mut playback = Playback::default();
    playback.confirm_reports();
    playback.add_utterance(1, "One moment, please.", true, 0);
    playback.audio_started(300);
    assert_eq!(playback.report_played("One moment, please.", 1_500), []);
    playback.add_utterance(2, "It is blue.", false, 1_600);
    assert_eq!(playback.report_played("It is blue.", 3_000), []);
    assert!(!playback.is_pending());
}

#[test]
fn words_in_flight_at_an_interruption_are_a_cycle_of_their_own() {
    let mut playback = Playback::default();
    playback.confirm_reports();
    playback.begin_utterance(1, false, 0);
    playback.append("You said: My", 0);
    playback.audio_started(300);
    playback.append(" very", 1_400);
    playback.append(" a", 1_490);
    let heard_texts = playback.interrupt("You said: My", 1_500);
    assert_eq!(heard_texts, [heard_text(1, "You said: My")]);
    assert!(playback.take_in_flight_cycle());
    assert!(!playback.take_in_flight_cycle(), "it is closed once");
    playback.add_utterance(2, "All right.", false, 3_000);
    assert_eq!(
        playback.report_played(" a", 3_300),
        [heard_text(1, "You said: My a")]
    );
    assert_eq!(playback.report_played("All right.", 4_000), []);
    assert!(!playback.is_pending());
}

#[test]
fn nothing_is_in_flight_long_after_the_last_word_or_in_a_closed_reply() {
    let mut playback = Playback::default();
    playback.confirm_reports();
    playback.begin_utterance(1, false, 0);
    playback.append("You said: My", 0);
    playback.audio_started(300);
    playback.interrupt("You said:", 1_500);
    assert!(!playback.take_in_flight_cycle());
    let mut playback = playback_with_audio("Yes.");
    playback.interrupt("", 310);
    assert!(!playback.take_in_flight_cycle(), "it closed itself");
}

#[test]
fn a_whole_reply_that_reached_twilio_after_the_cut_is_heard_in_full() {
    let mut playback = playback_with_audio("A long greeting.");
    playback.add_utterance(2, "Got one.", false, 1_000);
    playback.interrupt("A long", 1_002);
    let heard_texts = playback.report_played("Got one.", 2_000);
    assert_eq!(
        heard_texts,
        [HeardText {
            complete: true,
            ..heard_text(2, "Got one.")
        }]
    );
}

#[test]
fn speech_ends_once_all_was_said() {
    let mut playback = playback_with_audio("Yes. No.");
    assert_eq!(playback.speech_ends_at(500), 300 + 2 * 350 + 173 + 130);
    playback.report_played("Yes.", 800);
    playback.report_played("No.", 1_300);
    assert_eq!(playback.speech_ends_at(1_400), 1_400);
}
