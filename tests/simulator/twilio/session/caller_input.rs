//! The caller's side of a session: speech with its partials, barge-ins, keys (docs/protocol.md 4.2, 4.3, 4.4).

use super::{CallerAction, SessionClose, SessionObservation, SessionOutput, TwilioSession};
use crate::twilio::{
    caller::{PARTIAL_EVERY_MS, Utterance},
    frame,
    log::ViolationKind,
    playback::{InterruptCause, PlaybackInterrupt},
};
use std::{collections::VecDeque, time::Duration};

/// Shortest utterance that interrupts, in characters (docs/protocol.md 3.1: "at least 3 characters").
const INTERRUPT_CHARACTERS_MIN: usize = 3;
/// What `ignoreBackchannel` ignores.
const BACKCHANNEL: &[&str] = &[
    "yeah", "uh-huh", "uh huh", "mhm", "mm-hmm", "hmm", "ok", "okay", "right",
];

#[derive(Clone, Debug)]
enum InputStep {
    Start {
        first_partial: Option<String>,
        interrupts: bool,
    },
    Partial(String),
    Final {
        text: String,
        reported: bool,
    },
}

struct PendingInterruption {
    utterance: Utterance,
    after: Duration,
    /// When the agent was first heard since this was wanted.
    speaking_since: Option<Duration>,
}

#[derive(Default)]
pub(super) struct CallerInput {
    steps: VecDeque<(Duration, InputStep, Option<String>)>,
    interruption: Option<PendingInterruption>,
}

impl CallerInput {
    pub(super) fn is_silent(&self) -> bool {
        self.steps.is_empty() && self.interruption.is_none()
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        let step = self.steps.front().map(|(at, ..)| *at);
        let barge_in = self
            .interruption
            .as_ref()
            .and_then(|wanted| Some(wanted.speaking_since? + wanted.after));
        step.into_iter().chain(barge_in).min()
    }

    /// Lays an utterance out in time, after what is being said already.
    fn plan(&mut self, utterance: &Utterance, ignored: bool, now: Duration) {
        let from = self.steps.back().map_or(now, |(at, ..)| (*at).max(now));
        let lasts = utterance.duration();
        let talking = lasts.saturating_sub(utterance.final_after());
        let texts = if ignored {
            Vec::new()
        } else {
            thin_out(utterance.partial_texts(), talking)
        };
        let steps = texts.len().saturating_sub(1).max(1) as u32;
        let mut partials = texts
            .into_iter()
            .enumerate()
            .map(|(at, text)| (from + talking * at as u32 / steps, text));
        let interrupts =
            !ignored && utterance.text.trim().chars().count() >= INTERRUPT_CHARACTERS_MIN;
        let start = InputStep::Start {
            first_partial: partials.next().map(|(_, text)| text),
            interrupts,
        };
        self.steps.push_back((from, start, utterance.lang.clone()));
        for (at, text) in partials {
            self.steps
                .push_back((at, InputStep::Partial(text), utterance.lang.clone()));
        }
        let last = InputStep::Final {
            text: utterance.text.clone(),
            reported: !ignored,
        };
        self.steps
            .push_back((from + lasts, last, utterance.lang.clone()));
    }
}

/// As many partials as fit at their usual distance; the last one always stays.
fn thin_out(texts: Vec<String>, talking: Duration) -> Vec<String> {
    let fit = talking.as_millis() as usize / PARTIAL_EVERY_MS as usize + 1;
    let count = texts.len();
    if count <= fit {
        return texts;
    }
    let kept = |at: usize| (at * fit / count) != ((at + 1) * fit / count);
    texts
        .into_iter()
        .enumerate()
        .filter(|(at, _)| kept(*at))
        .map(|(_, text)| text)
        .collect()
}

fn is_backchannel(text: &str) -> bool {
    let bare = text.trim().trim_end_matches(['.', '!', ',']).to_lowercase();
    BACKCHANNEL.contains(&bare.as_str())
}

impl TwilioSession {
    /// The caller does something.
    pub(crate) fn on_caller(&mut self, what: CallerAction, now: Duration) {
        self.advance(now);
        if self.closed {
            return;
        }
        match what {
            CallerAction::Say(utterance) => self.speak(&utterance, now),
            CallerAction::Interrupt(utterance, after) => {
                let speaking_since = self.is_speaking().then_some(now);
                self.mouth.interruption = Some(PendingInterruption {
                    utterance,
                    after,
                    speaking_since,
                });
            }
            CallerAction::Press(digit) => self.press(digit, now),
            CallerAction::CutBlindly(frame) => {
                self.talk.cut();
                self.send(frame);
            }
            CallerAction::Raw(text) => self.send(text),
            CallerAction::HangUp => {
                if self.talk.left_open(now) {
                    self.violation(
                        ViolationKind::UnclosedReply,
                        "open when the caller hung up".into(),
                    );
                }
                self.close(SessionClose::HungUp);
            }
        }
        self.advance(now);
        // A key may have thrown away what `end` was waiting for.
        self.end_due(now);
    }

    fn speak(&mut self, utterance: &Utterance, now: Duration) {
        let ignored = self.settings.ignore_backchannel
            && self.is_speaking()
            && is_backchannel(&utterance.text);
        self.mouth.plan(utterance, ignored, now);
    }

    /// What is due of the caller's speech. A step first notices whether the agent has begun or stopped to speak.
    pub(super) fn caller_input_due(&mut self, at: Duration) {
        let speaking = self.is_speaking();
        if let Some(wanted) = &mut self.mouth.interruption {
            match wanted.speaking_since {
                None if speaking => wanted.speaking_since = Some(at),
                Some(since) if since + wanted.after <= at && speaking => {
                    let wanted = self.mouth.interruption.take();
                    if let Some(wanted) = wanted {
                        self.speak(&wanted.utterance, at);
                    }
                }
                Some(_) if !speaking => {
                    self.mouth.interruption = None;
                    self.outputs
                        .push_back(SessionOutput::Seen(SessionObservation::NotSpeaking));
                }
                _ => {}
            }
        }
        while self.mouth.steps.front().is_some_and(|(due, ..)| *due <= at) {
            if let Some((_, step, lang)) = self.mouth.steps.pop_front() {
                self.step(step, lang, at);
            }
        }
    }

    fn step(&mut self, step: InputStep, lang: Option<String>, now: Duration) {
        match step {
            InputStep::Start {
                first_partial,
                interrupts,
            } => {
                self.client_speaking(true);
                let cut = if interrupts {
                    self.cut(InterruptCause::Speech, now)
                } else {
                    None
                };
                if let Some(text) = first_partial {
                    self.prompt(&text, lang, false);
                }
                self.interrupt_done(cut);
            }
            InputStep::Partial(text) => {
                self.prompt(&text, lang, false);
            }
            InputStep::Final { text, reported } => {
                self.client_speaking(false);
                if reported && self.prompt(&text, lang, true) {
                    self.outputs
                        .push_back(SessionOutput::Seen(SessionObservation::Asked));
                }
                self.outputs
                    .push_back(SessionOutput::Seen(SessionObservation::Said));
            }
        }
    }

    /// A prompt, unless the agent is speaking and speech is not reported meanwhile. Whether it went out.
    fn prompt(&mut self, text: &str, lang: Option<String>, last: bool) -> bool {
        let suppressed = self.is_speaking() && !self.settings.report_input.speech;
        if suppressed || (!last && !self.settings.partial_prompts) {
            return false;
        }
        let lang = lang.unwrap_or_else(|| self.lang.clone());
        self.send(frame::prompt(text, &lang, last));
        true
    }

    fn press(&mut self, digit: char, now: Duration) {
        let reported = !self.is_speaking() || self.settings.report_input.key;
        if self.settings.dtmf_detection && reported {
            self.send(frame::dtmf(digit));
            self.outputs
                .push_back(SessionOutput::Seen(SessionObservation::Asked));
        }
        let cut = self.cut(InterruptCause::Key, now);
        self.interrupt_done(cut);
    }

    /// Stops the voice if this input may: `tokensPlayed` of the fragment, then `interrupt`. Whether it was audible.
    fn cut(&mut self, by: InterruptCause, now: Duration) -> Option<bool> {
        let audible = self.is_speaking();
        let PlaybackInterrupt {
            cycle,
            fragment,
            duration_ms,
        } = self.playback.as_mut()?.interrupt(by, now)?;
        self.talk.cut();
        if !fragment.is_empty() {
            self.played(cycle, fragment.clone());
        }
        self.send(frame::interrupt(&fragment, duration_ms));
        self.outputs
            .push_back(SessionOutput::Seen(SessionObservation::Interrupted {
                fragment,
                duration_ms,
            }));
        Some(audible)
    }

    fn interrupt_done(&mut self, cut: Option<bool>) {
        if cut == Some(true) && self.settings.speaker_events {
            self.send(frame::speaking("agentSpeaking", false));
        }
    }

    fn client_speaking(&mut self, on: bool) {
        if self.settings.speaker_events {
            self.send(frame::speaking("clientSpeaking", on));
        }
    }
}
