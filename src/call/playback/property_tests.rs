//! Whatever is said, reported, interrupted and lost: the transcript is what was heard. Held against
//! a small model of Twilio's queue and of the ear at its end.

use super::{Playback, TurnSeq};
use crate::call::transcript::Transcript;
use calldex_storage::record::{Turn, TurnKind};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// From one step to the next: longer than words may be under way.
const STEP_MS: u64 = 1_000;

#[derive(Debug, Clone)]
enum QueueStep {
    /// We say so many clauses; a filler may be cut off by what follows.
    Say { clauses: usize, filler: bool },
    /// We stream a clause, and its last words are under way when the caller cuts it off.
    CutWhileStreaming,
    /// The clause in play ends.
    Report,
    /// The caller interrupts after so many words of the clause in play.
    Interrupt(usize),
}

fn step() -> impl Strategy<Value = QueueStep> {
    prop_oneof![
        3 => (1_usize..4, any::<bool>()).prop_map(|(clauses, filler)| QueueStep::Say { clauses, filler }),
        1 => Just(QueueStep::CutWhileStreaming),
        4 => Just(QueueStep::Report),
        1 => (1_usize..5).prop_map(QueueStep::Interrupt),
    ]
}

/// One cycle at Twilio.
struct FakeCycle {
    turn: TurnSeq,
    clauses: VecDeque<String>,
    filler: bool,
}

/// Twilio and the ear.
#[derive(Default)]
struct FakeTwilioQueue {
    queue: VecDeque<FakeCycle>,
    /// What was heard of each turn.
    heard: BTreeMap<TurnSeq, String>,
    /// Fillers dropped since the last report, which the server cannot know of yet.
    dropped_fillers: usize,
}

impl FakeTwilioQueue {
    /// A cycle arrives; what was heard of a filler in play that it cuts off.
    fn accept(&mut self, turn: TurnSeq, clauses: &[String], filler: bool) -> Option<String> {
        let in_play = self.queue.front().filter(|cycle| cycle.filler);
        let cut = in_play.map(|cycle| {
            let words = cycle.clauses[0].split_whitespace().take(2);
            (cycle.turn, words.collect::<Vec<_>>().join(" "))
        });
        if let Some((turn, words)) = &cut {
            self.hear(*turn, words);
        }
        let before = self.queue.len();
        self.queue.retain(|cycle| !cycle.filler);
        self.dropped_fillers += before - self.queue.len();
        self.heard.insert(turn, String::new());
        let clauses = clauses.iter().cloned().collect();
        self.queue.push_back(FakeCycle {
            turn,
            clauses,
            filler,
        });
        cut.map(|(_, words)| words)
    }

    /// The clause in play is heard to its end.
    fn play_clause(&mut self) -> Option<String> {
        let front = self.queue.front_mut()?;
        let (turn, clause) = (front.turn, front.clauses.pop_front()?);
        if front.clauses.is_empty() {
            self.queue.pop_front();
        }
        self.dropped_fillers = 0;
        self.hear(turn, &clause);
        Some(clause)
    }

    /// So many words of it are heard, and the rest of the queue is gone.
    fn interrupt(&mut self, words: usize) -> Option<String> {
        let front = self.queue.front()?;
        let clause = front.clauses.front()?;
        let words: Vec<&str> = clause.split_whitespace().take(words).collect();
        let (turn, fragment) = (front.turn, words.join(" "));
        self.hear(turn, &fragment);
        self.queue.clear();
        self.dropped_fillers = 0;
        Some(fragment)
    }

    fn hear(&mut self, turn: TurnSeq, text: &str) {
        let heard = self.heard.entry(turn).or_default();
        if !heard.is_empty() && !text.starts_with(' ') {
            heard.push(' ');
        }
        heard.push_str(text);
    }

    /// How much the server may believe to be queued.
    fn believed_queue_len(&self) -> usize {
        self.queue.len() + self.dropped_fillers
    }
}

/// The server's side.
#[derive(Default)]
struct CallUnderTest {
    playback: Playback,
    transcript: Transcript,
    stored: BTreeMap<TurnSeq, Turn>,
    now: u64,
}

impl CallUnderTest {
    fn begin(&mut self, text: &str) -> TurnSeq {
        let turn = self.transcript.say(text, TurnKind::Speech, 0);
        let seq = turn.seq;
        self.stored.insert(seq, turn);
        seq
    }

    fn amend(&mut self, cuts: &[super::HeardText]) {
        for cut in cuts {
            if let Some(turn) = self.transcript.truncate_to_heard(cut) {
                self.stored.insert(turn.seq, turn);
            }
        }
    }

    fn report_played(&mut self, text: &str) {
        let cuts = self.playback.report_played(text, self.now);
        self.amend(&cuts);
    }

    /// As Twilio does it: the fragment is reported, then the interrupt.
    fn interrupt(&mut self, fragment: &str) {
        self.report_played(fragment);
        let cuts = self.playback.interrupt(fragment, self.now);
        self.amend(&cuts);
    }
}

fn clauses(turn: usize, count: usize) -> Vec<String> {
    let space = |at: usize| if at == 0 { "" } else { " " };
    let clause = |at: usize| format!("{}Turn {turn} has a part {at}.", space(at));
    (0..count).map(clause).collect()
}

proptest! {
    #[test]
    fn the_transcript_is_what_was_heard(steps in prop::collection::vec(step(), 1..40), rest in 0_u64..4_000) {
        let mut ear = FakeTwilioQueue::default();
        let mut server = CallUnderTest::default();
        server.playback.confirm_reports();
        for (number, step) in steps.into_iter().enumerate() {
            server.now += STEP_MS;
            let now = server.now;
            match step {
                QueueStep::Say { clauses: count, filler } => {
                    if ear.believed_queue_len() == super::UTTERANCES_MAX {
                        continue;
                    }
                    prop_assert!(!server.playback.take_in_flight_cycle());
                    let said = clauses(number, count);
                    let turn = server.begin(&said.concat());
                    server.playback.add_utterance(turn, &said.concat(), filler, now);
                    if let Some(fragment) = ear.accept(turn, &said, filler) {
                        server.report_played(&fragment);
                    }
                }
                QueueStep::CutWhileStreaming => {
                    // Only where nothing else is queued: else the cut is of that.
                    if ear.believed_queue_len() > 0 {
                        continue;
                    }
                    let said = clauses(number, 2);
                    let turn = server.begin(&said.concat());
                    server.playback.begin_utterance(turn, false, now - STEP_MS + 1);
                    server.playback.append(&said[0], now - STEP_MS + 1);
                    ear.accept(turn, &said[..1], false);
                    server.playback.append(&said[1], now - 10);
                    let fragment = ear.interrupt(2).unwrap_or_default();
                    server.interrupt(&fragment);
                    // The second clause arrives after the cut: it is spoken once its cycle is closed.
                    prop_assert!(server.playback.take_in_flight_cycle(), "its cycle is to be closed");
                    server.report_played(&said[1]);
                    ear.hear(turn, &said[1]);
                }
                QueueStep::Report => {
                    if let Some(clause) = ear.play_clause() {
                        server.report_played(&clause);
                    }
                }
                QueueStep::Interrupt(words) => {
                    if let Some(fragment) = ear.interrupt(words) {
                        server.interrupt(&fragment);
                    }
                }
            }
        }
        // A hang-up: of the clause in play nothing is told.
        let in_play = ear.queue.front().map(|cycle| (cycle.turn, cycle.clauses[0].clone()));
        server.now += rest;
        let cuts = server.playback.socket_lost(server.now);
        server.amend(&cuts);
        for (turn, heard) in &ear.heard {
            let kept = &server.stored[turn];
            let estimate = in_play.as_ref().filter(|(playing, _)| playing == turn);
            if let Some((_, clause)) = estimate {
                let at_most = format!("{heard}{clause}");
                prop_assert!(kept.content.starts_with(heard.trim()), "{} of {at_most}", kept.content);
                prop_assert!(at_most.trim().starts_with(&kept.content), "{} of {at_most}", kept.content);
                prop_assert_eq!(kept.estimated, kept.content.trim() != heard.trim());
            } else {
                prop_assert_eq!(kept.content.trim(), heard.trim());
                prop_assert!(!kept.estimated);
            }
        }
    }
}
