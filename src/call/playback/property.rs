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
enum Step {
    /// We say so many clauses; a filler may be cut off by what follows.
    Say { clauses: usize, filler: bool },
    /// We stream a clause, and its last words are under way when the caller cuts it off.
    CutWhileStreaming,
    /// The clause in play ends.
    Report,
    /// The caller interrupts after so many words of the clause in play.
    Interrupt(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_usize..4, any::<bool>()).prop_map(|(clauses, filler)| Step::Say { clauses, filler }),
        1 => Just(Step::CutWhileStreaming),
        4 => Just(Step::Report),
        1 => (1_usize..5).prop_map(Step::Interrupt),
    ]
}

/// One cycle at Twilio.
struct Cycle {
    turn: TurnSeq,
    clauses: VecDeque<String>,
    filler: bool,
}

/// Twilio and the ear.
#[derive(Default)]
struct Ear {
    queue: VecDeque<Cycle>,
    /// What was heard of each turn.
    heard: BTreeMap<TurnSeq, String>,
    /// Fillers dropped since the last report, which the server cannot know of yet.
    dropped: usize,
}

impl Ear {
    /// A cycle arrives; what was heard of a filler in play that it cuts off.
    fn take(&mut self, turn: TurnSeq, clauses: &[String], filler: bool) -> Option<String> {
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
        self.dropped += before - self.queue.len();
        self.heard.insert(turn, String::new());
        let clauses = clauses.iter().cloned().collect();
        self.queue.push_back(Cycle {
            turn,
            clauses,
            filler,
        });
        cut.map(|(_, words)| words)
    }

    /// The clause in play is heard to its end.
    fn play(&mut self) -> Option<String> {
        let front = self.queue.front_mut()?;
        let (turn, clause) = (front.turn, front.clauses.pop_front()?);
        if front.clauses.is_empty() {
            self.queue.pop_front();
        }
        self.dropped = 0;
        self.hear(turn, &clause);
        Some(clause)
    }

    /// So many words of it are heard, and the rest of the queue is gone.
    fn cut(&mut self, words: usize) -> Option<String> {
        let front = self.queue.front()?;
        let clause = front.clauses.front()?;
        let words: Vec<&str> = clause.split_whitespace().take(words).collect();
        let (turn, fragment) = (front.turn, words.join(" "));
        self.hear(turn, &fragment);
        self.queue.clear();
        self.dropped = 0;
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
    fn believed(&self) -> usize {
        self.queue.len() + self.dropped
    }
}

/// The server's side.
#[derive(Default)]
struct Server {
    playback: Playback,
    transcript: Transcript,
    stored: BTreeMap<TurnSeq, Turn>,
    now: u64,
}

impl Server {
    fn begin(&mut self, text: &str) -> TurnSeq {
        let turn = self.transcript.say(text, TurnKind::Speech, 0);
        let seq = turn.seq;
        self.stored.insert(seq, turn);
        seq
    }

    fn amend(&mut self, cuts: &[super::Cut]) {
        for cut in cuts {
            if let Some(turn) = self.transcript.cut(cut) {
                self.stored.insert(turn.seq, turn);
            }
        }
    }

    fn played(&mut self, text: &str) {
        let cuts = self.playback.played(text, self.now);
        self.amend(&cuts);
    }

    /// As Twilio does it: the fragment is reported, then the interrupt.
    fn interrupted(&mut self, fragment: &str) {
        self.played(fragment);
        let cuts = self.playback.interrupted(fragment, self.now);
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
        let mut ear = Ear::default();
        let mut server = Server::default();
        server.playback.informed();
        for (number, step) in steps.into_iter().enumerate() {
            server.now += STEP_MS;
            let now = server.now;
            match step {
                Step::Say { clauses: count, filler } => {
                    if ear.believed() == super::UTTERANCES_MAX {
                        continue;
                    }
                    prop_assert!(!server.playback.take_stray_cycle());
                    let said = clauses(number, count);
                    let turn = server.begin(&said.concat());
                    server.playback.say(turn, &said.concat(), filler, now);
                    if let Some(fragment) = ear.take(turn, &said, filler) {
                        server.played(&fragment);
                    }
                }
                Step::CutWhileStreaming => {
                    // Only where nothing else is queued: else the cut is of that.
                    if ear.believed() > 0 {
                        continue;
                    }
                    let said = clauses(number, 2);
                    let turn = server.begin(&said.concat());
                    server.playback.begin(turn, false, now - STEP_MS + 1);
                    server.playback.sent(&said[0], now - STEP_MS + 1);
                    ear.take(turn, &said[..1], false);
                    server.playback.sent(&said[1], now - 10);
                    let fragment = ear.cut(2).unwrap_or_default();
                    server.interrupted(&fragment);
                    // The second clause arrives after the cut: it is spoken once its cycle is closed.
                    prop_assert!(server.playback.take_stray_cycle(), "its cycle is to be closed");
                    server.played(&said[1]);
                    ear.hear(turn, &said[1]);
                }
                Step::Report => {
                    if let Some(clause) = ear.play() {
                        server.played(&clause);
                    }
                }
                Step::Interrupt(words) => {
                    if let Some(fragment) = ear.cut(words) {
                        server.interrupted(&fragment);
                    }
                }
            }
        }
        // A hang-up: of the clause in play nothing is told.
        let in_play = ear.queue.front().map(|cycle| (cycle.turn, cycle.clauses[0].clone()));
        server.now += rest;
        let cuts = server.playback.lost(server.now);
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
