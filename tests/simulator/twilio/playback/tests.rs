//! Held against the recorded time lines of docs/protocol.md 9.3: their order exactly, their times
//! within the spread measured.

use super::*;

const PLAIN: PieceFlags = PieceFlags {
    interruptible: Interruptible::ANY,
    preemptible: false,
};
const FILLER: PieceFlags = PieceFlags {
    interruptible: Interruptible::ANY,
    preemptible: true,
};
const FIRM: PieceFlags = PieceFlags {
    interruptible: Interruptible::NONE,
    preemptible: false,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn played(cycle: u64, text: &str) -> PlaybackEvent {
    PlaybackEvent::Played {
        cycle,
        text: text.to_owned(),
    }
}

/// Everything that sounds until nothing more is due, with its time.
fn run_out(playback: &mut Playback) -> Vec<(u64, PlaybackEvent)> {
    let mut all = Vec::new();
    while let Some(at) = playback.next_deadline() {
        all.extend(
            playback
                .advance(at)
                .into_iter()
                .map(|sound| (at.as_millis() as u64, sound)),
        );
    }
    all
}

fn sounds(timed: &[(u64, PlaybackEvent)]) -> Vec<PlaybackEvent> {
    timed.iter().map(|(_, sound)| sound.clone()).collect()
}

fn reply(
    playback: &mut Playback,
    cycle: u64,
    tokens: &[&str],
    marks: PieceFlags,
    now: Duration,
) -> Vec<PlaybackEvent> {
    let mut all = Vec::new();
    for token in tokens {
        all.extend(playback.text(cycle, token, marks, now));
    }
    playback.close(now);
    all
}

#[test]
fn a_greeting_is_reported_as_a_whole() {
    let mut playback = Playback::new(Pace::default());
    let text = "Good evening. This is a greeting of some length, is it not?";
    playback.greet(text, Interruptible::ANY, ms(0));
    let timed = run_out(&mut playback);
    assert_eq!(
        sounds(&timed),
        [
            PlaybackEvent::Speaking(true),
            played(0, text),
            PlaybackEvent::Speaking(false)
        ]
    );
    assert!((250..=750).contains(&timed[0].0), "{timed:?}");
    let rate = text.chars().count() as f64 / ((timed[1].0 - timed[0].0) as f64 / 1000.0);
    assert!((19.0..=22.0).contains(&rate), "{rate}");
    // Two sentences and more, yet one clause.
    assert_eq!(timed.len(), 3);
}

#[test]
fn an_ordinary_turn_is_played_clause_by_clause() {
    let mut playback = Playback::new(Pace::default());
    reply(
        &mut playback,
        1,
        &["I he", "ard:", " Four seven", " fifty two."],
        PLAIN,
        ms(8318),
    );
    let timed = run_out(&mut playback);
    assert_eq!(
        sounds(&timed),
        [
            PlaybackEvent::Speaking(true),
            played(1, "I heard:"),
            played(1, " Four seven fifty two."),
            PlaybackEvent::Speaking(false)
        ]
    );
    assert!(
        (250..=480).contains(&(timed[0].0 - 8318)),
        "first audio after {} ms",
        timed[0].0 - 8318
    );
}

#[test]
fn a_barge_in_reports_the_clause_in_play_and_drops_the_rest() {
    let mut playback = Playback::new(Pace::default());
    let text = "Sentence 1 of twelve: the quick brown fox jumps over it. Sentence 2 of twelve: the slow one. Sentence 3.";
    reply(&mut playback, 1, &[text], PLAIN, ms(0));
    let second = loop {
        let at = playback.next_deadline().expect("more to play");
        if playback
            .advance(at)
            .contains(&played(1, " the quick brown fox jumps over it."))
        {
            break at;
        }
    };
    let cut = playback
        .interrupt(InterruptCause::Speech, second + ms(684))
        .expect("speech interrupts");
    assert_eq!(
        cut,
        PlaybackInterrupt {
            cycle: 1,
            fragment: "Sentence 2 of".into(),
            duration_ms: 684
        }
    );
    assert!(!playback.is_speaking());
    assert_eq!(
        playback.next_deadline(),
        None,
        "nothing of the rest is ever played"
    );
}

#[test]
fn a_key_just_after_the_start_reports_the_first_word() {
    let mut playback = Playback::new(Pace::default());
    playback.greet("This call may be long.", Interruptible::ANY, ms(0));
    let start = playback.next_deadline().expect("the greeting starts");
    playback.advance(start);
    let cut = playback
        .interrupt(InterruptCause::Key, start + ms(15))
        .expect("a key interrupts");
    assert_eq!((cut.fragment.as_str(), cut.duration_ms), ("This", 15));
}

#[test]
fn what_comes_after_an_interrupt_is_heard_in_full() {
    let mut playback = Playback::new(Pace::default());
    reply(
        &mut playback,
        1,
        &["A long sentence that is cut."],
        PLAIN,
        ms(0),
    );
    playback.advance(ms(900));
    assert!(playback.interrupt(InterruptCause::Key, ms(900)).is_some());
    reply(&mut playback, 2, &["Key one."], PLAIN, ms(900));
    assert_eq!(
        sounds(&run_out(&mut playback)),
        [
            PlaybackEvent::Speaking(true),
            played(2, "Key one."),
            PlaybackEvent::Speaking(false)
        ]
    );
}

#[test]
fn a_firm_reply_is_not_interrupted() {
    let mut playback = Playback::new(Pace::default());
    reply(&mut playback, 1, &["This must be heard."], FIRM, ms(0));
    playback.advance(ms(600));
    assert_eq!(playback.interrupt(InterruptCause::Speech, ms(600)), None);
    assert!(sounds(&run_out(&mut playback)).contains(&played(1, "This must be heard.")));
}

#[test]
fn a_plain_message_cuts_a_preemptible_one_without_silence_between() {
    let mut playback = Playback::new(Pace::default());
    reply(
        &mut playback,
        1,
        &["Let me look that up for you, one moment please."],
        FILLER,
        ms(0),
    );
    playback.advance(ms(1000));
    let now = reply(&mut playback, 2, &["Here it is."], PLAIN, ms(1000));
    assert_eq!(
        now,
        [
            played(1, "Let me look that"),
            PlaybackEvent::CutShort { cycle: 1 }
        ]
    );
    assert_eq!(
        sounds(&run_out(&mut playback)),
        [played(2, "Here it is."), PlaybackEvent::Speaking(false)]
    );
}

#[test]
fn a_preemptible_message_queues_behind_a_plain_one() {
    let mut playback = Playback::new(Pace::default());
    reply(&mut playback, 1, &["The answer is this."], PLAIN, ms(0));
    playback.advance(ms(500));
    let now = reply(&mut playback, 2, &["Wait a little."], FILLER, ms(500));
    assert!(now.is_empty());
    let all = sounds(&run_out(&mut playback));
    assert_eq!(
        all,
        [
            played(1, "The answer is this."),
            played(2, "Wait a little."),
            PlaybackEvent::Speaking(false)
        ]
    );
}

#[test]
fn the_tail_of_an_unclosed_reply_is_never_spoken() {
    let mut playback = Playback::new(Pace::default());
    playback.text(1, "All said. But this", PLAIN, ms(0));
    let all = sounds(&run_out(&mut playback));
    assert_eq!(
        all,
        [
            PlaybackEvent::Speaking(true),
            played(1, "All said."),
            PlaybackEvent::Speaking(false)
        ]
    );
    assert!(playback.is_drained());
}

#[test]
fn a_clause_is_spoken_before_its_reply_is_closed() {
    let mut playback = Playback::new(Pace::default());
    playback.text(1, "Yes.", PLAIN, ms(0));
    assert!(!playback.is_drained());
    assert!(sounds(&run_out(&mut playback)).contains(&played(1, "Yes.")));
}

#[test]
fn digits_and_media_wait_their_turn() {
    let mut playback = Playback::new(Pace::default());
    reply(&mut playback, 1, &["Dialling."], PLAIN, ms(0));
    playback.digits(2, "12w#", ms(0));
    playback.media(3, ms(2000), PLAIN, ms(0));
    let timed = run_out(&mut playback);
    assert_eq!(
        sounds(&timed),
        [
            PlaybackEvent::Speaking(true),
            played(1, "Dialling."),
            PlaybackEvent::Speaking(false),
            played(2, "12w#")
        ]
    );
    assert!(playback.is_drained());
}

#[test]
fn slow_tokens_do_not_make_the_voice_stutter() {
    let mut playback = Playback::new(Pace::default());
    let mut all = Vec::new();
    for (at, token) in ["One", " is", " said.", " Two", " is", " said."]
        .iter()
        .enumerate()
    {
        all.extend(playback.text(1, token, PLAIN, ms(at as u64 * 400)));
    }
    playback.close(ms(2400));
    all.extend(sounds(&run_out(&mut playback)));
    let turned_on = all
        .iter()
        .filter(|sound| **sound == PlaybackEvent::Speaking(true))
        .count();
    assert_eq!(turned_on, 1, "{all:?}");
    assert_eq!(all.last(), Some(&PlaybackEvent::Speaking(false)));
}

#[test]
fn clauses_last_as_they_were_recorded() {
    let pace = Pace::default();
    for (characters, from, to) in [
        (3, 430, 630),
        (6, 560, 700),
        (13, 850, 1_150),
        (21, 1_150, 1_350),
        (49, 2_400, 2_700),
        (69, 3_250, 3_500),
        (99, 4_400, 4_900),
    ] {
        let lasts = pace.speaking(characters).as_millis();
        assert!((from..=to).contains(&lasts), "{characters}: {lasts} ms");
    }
}

#[test]
fn a_greeting_that_began_before_the_socket_is_never_said_to_begin() {
    let mut playback = Playback::new(Pace {
        greeting_before: ms(150),
        ..Pace::default()
    });
    let text = "Hello there, caller.";
    playback.greet(text, Interruptible::ANY, ms(0));
    assert!(playback.is_speaking());
    let timed = run_out(&mut playback);
    assert_eq!(
        sounds(&timed),
        [played(0, text), PlaybackEvent::Speaking(false)]
    );
    assert_eq!(timed[0].0, 350 + 869 - 150);
}

#[test]
fn digits_take_as_long_as_recorded_and_no_voice_is_reported() {
    let mut playback = Playback::new(Pace::default());
    playback.digits(1, "12345", ms(0));
    let timed = run_out(&mut playback);
    assert_eq!(sounds(&timed), [played(1, "12345")]);
    assert!((1_900..=2_200).contains(&timed[0].0), "{timed:?}");
}
