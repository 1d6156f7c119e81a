//! One ConversationRelay session at Twilio's side, as a pure machine of (state, event, now).
//!
//! `now` is Twilio's time since the session began. Outputs are taken in order by [`TwilioSession::take_outputs`].

mod caller_input;
mod talk_cycles;

use super::{
    caller::Utterance,
    frame::{self, AppFrame, Malformed},
    log::ViolationKind,
    playback::{Interruptible, Pace, PieceFlags, Playback, PlaybackEvent},
    relay::RelaySettings,
    session_output::{SessionClose, SessionObservation, SessionOutput},
};
use caller_input::CallerInput;
use std::{collections::VecDeque, time::Duration};
use talk_cycles::TalkCycles;

/// Malformed frames in a row that close the socket with 1007 (docs/protocol.md 8).
const MALFORMED_IN_ROW_MAX: u32 = 10;
/// From `end` with nothing playing to the close: Twilio reacts at once, the 90 ms that a server sees are the way there and
/// back (recorded).
const END_CLOSE_AFTER: Duration = Duration::from_millis(3);
/// What is queued at `end` is played for so long at most.
const END_DRAIN_MAX: Duration = Duration::from_secs(120);

/// What the caller does.
#[derive(Clone, Debug)]
pub(crate) enum CallerAction {
    Say(Utterance),
    /// Speaks over the agent once it has been speaking for so long.
    Interrupt(Utterance, Duration),
    Press(char),
    HangUp,
    /// Without playback: this `interrupt` goes out, and the open reply counts as cut.
    CutBlindly(String),
    /// Not the caller: a frame of the test's own.
    Raw(String),
}

struct PendingSessionEnd {
    handoff_data: Option<String>,
    /// Closes then; `None` while something is still queued.
    close_at: Option<Duration>,
    /// Closes then whatever is queued.
    latest: Duration,
}

/// A session from `setup` to its close.
pub(crate) struct TwilioSession {
    settings: RelaySettings,
    pace: Pace,
    playback: Option<Playback>,
    mouth: CallerInput,
    talk: TalkCycles,
    malformed_in_row: u32,
    ending: Option<PendingSessionEnd>,
    lang: String,
    closed: bool,
    outputs: VecDeque<SessionOutput>,
}

impl TwilioSession {
    /// Begins with `setup` and the greeting. Without playback text is only counted: no `info`, no interrupts.
    pub(crate) fn begin(
        settings: RelaySettings,
        setup: String,
        pace: Pace,
        playback: bool,
    ) -> Self {
        let mut session = Self {
            lang: settings.lang.clone(),
            playback: playback.then(|| Playback::new(pace.clone())),
            settings,
            pace,
            mouth: CallerInput::default(),
            talk: TalkCycles::default(),
            malformed_in_row: 0,
            ending: None,
            closed: false,
            outputs: VecDeque::new(),
        };
        for name in std::mem::take(&mut session.settings.unknown) {
            session.violation(ViolationKind::UnknownAttribute, name);
        }
        session.send(setup);
        if let (Some(playback), Some(greeting)) =
            (&mut session.playback, &session.settings.greeting)
        {
            playback.greet(
                greeting,
                session.settings.greeting_interruptible,
                Duration::ZERO,
            );
        }
        session
    }

    /// What is to be done now, in order.
    pub(crate) fn take_outputs(&mut self) -> VecDeque<SessionOutput> {
        std::mem::take(&mut self.outputs)
    }

    /// The TwiML asks for a re-dial after a drop.
    pub(crate) fn reconnects(&self) -> bool {
        self.settings.application_reconnect
    }

    /// The voice can be heard.
    pub(crate) fn is_speaking(&self) -> bool {
        self.playback.as_ref().is_some_and(Playback::is_speaking)
    }

    /// Everything that was queued has been played, and the caller is silent too.
    pub(crate) fn is_silent(&self) -> bool {
        self.playback.as_ref().is_none_or(Playback::is_drained) && self.mouth.is_silent()
    }

    /// When [`TwilioSession::advance`] is due if nothing comes in.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        if self.closed {
            return None;
        }
        let playback = self.playback.as_ref().and_then(Playback::next_deadline);
        let ending = self
            .ending
            .as_ref()
            .map(|ending| ending.close_at.unwrap_or(ending.latest));
        [playback, self.mouth.wake(), ending]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets time pass up to `now`.
    pub(crate) fn advance(&mut self, now: Duration) {
        while let Some(at) = self.next_deadline().filter(|at| *at <= now) {
            let sounds = self
                .playback
                .as_mut()
                .map(|playback| playback.advance(at))
                .unwrap_or_default();
            self.sound(sounds);
            self.caller_input_due(at);
            self.end_due(at);
        }
    }

    /// A text frame of the server.
    pub(crate) fn on_app(&mut self, text: &str, now: Duration) {
        self.advance(now);
        if self.closed {
            return;
        }
        match frame::parse(text) {
            Ok(frame) => {
                self.malformed_in_row = 0;
                self.on_frame(frame, text, now);
            }
            Err(why) => self.on_malformed(text, why),
        }
    }

    fn on_malformed(&mut self, text: &str, why: Malformed) {
        let kind = if why == Malformed::Token {
            ViolationKind::NullToken
        } else {
            ViolationKind::MalformedFrame
        };
        self.violation(kind, text.to_owned());
        self.send(frame::error(text));
        self.malformed_in_row += 1;
        if self.malformed_in_row >= MALFORMED_IN_ROW_MAX {
            self.close(SessionClose::TooManyMalformed);
        }
    }

    fn on_frame(&mut self, frame: AppFrame, text: &str, now: Duration) {
        if self.ending.is_some() {
            self.violation(ViolationKind::AfterEnd, text.to_owned());
            return;
        }
        match frame {
            AppFrame::Text {
                token,
                last,
                lang,
                interruptible,
                preemptible,
            } => {
                let marks = self.marks(interruptible, preemptible);
                self.on_text(token, last, lang, marks, now);
            }
            AppFrame::Play {
                times,
                interruptible,
                preemptible,
            } => {
                let (marks, cycle) = (self.marks(interruptible, preemptible), self.talk.other());
                let lasts = self.pace.media * times;
                let sounds = self
                    .playback
                    .as_mut()
                    .map(|playback| playback.media(cycle, lasts, marks, now));
                self.sound(sounds.unwrap_or_default());
            }
            AppFrame::SendDigits { digits } => {
                let cycle = self.talk.other();
                let sounds = self
                    .playback
                    .as_mut()
                    .map(|playback| playback.digits(cycle, &digits, now));
                self.sound(sounds.unwrap_or_default());
            }
            AppFrame::Language {
                transcription: Some(tag),
            } => self.lang = super::relay::wire_lang(Some(&tag)),
            AppFrame::Language {
                transcription: None,
            }
            | AppFrame::Dynamic => {}
            AppFrame::End { handoff_data } => self.on_end(handoff_data, now),
        }
    }

    fn on_text(
        &mut self,
        token: String,
        last: bool,
        lang: Option<String>,
        marks: PieceFlags,
        now: Duration,
    ) {
        if self.talk.is_stray_close(&token, last) {
            self.violation(
                ViolationKind::SecondLast,
                format!("{token:?} closes a reply where none is open"),
            );
        }
        let cycle = self.talk.token(&token, last, now);
        let mut sounds = Vec::new();
        if let Some(playback) = &mut self.playback {
            sounds = playback.text(cycle, &token, marks, now);
            if last {
                playback.close(now);
            }
        }
        self.outputs
            .push_back(SessionOutput::Seen(SessionObservation::Token {
                cycle,
                text: token,
                last,
                preemptible: marks.preemptible && !self.settings.preemptible,
                lang,
            }));
        self.sound(sounds);
    }

    fn on_end(&mut self, handoff_data: Option<String>, now: Duration) {
        if self.talk.left_open(now) {
            self.violation(
                ViolationKind::UnclosedReply,
                "open when the server sent end".into(),
            );
        }
        let drained = self.playback.as_ref().is_none_or(Playback::is_drained);
        self.ending = Some(PendingSessionEnd {
            handoff_data,
            close_at: drained.then_some(now + END_CLOSE_AFTER),
            latest: now + END_DRAIN_MAX,
        });
    }

    fn end_due(&mut self, at: Duration) {
        let drained = self.playback.as_ref().is_none_or(Playback::is_drained);
        let Some(ending) = &mut self.ending else {
            return;
        };
        match ending.close_at {
            Some(close_at) if close_at <= at => {}
            None if ending.latest <= at => {}
            None if drained => {
                ending.close_at = Some(at + END_CLOSE_AFTER);
                return;
            }
            _ => return,
        }
        let handoff_data = ending.handoff_data.take();
        self.close(SessionClose::EndedByApp { handoff_data });
    }

    fn marks(&self, interruptible: Option<bool>, preemptible: Option<bool>) -> PieceFlags {
        let interruptible = match interruptible {
            None => self.settings.interruptible,
            Some(true) => Interruptible::ANY,
            Some(false) => Interruptible::NONE,
        };
        PieceFlags {
            interruptible,
            preemptible: preemptible.unwrap_or(self.settings.preemptible),
        }
    }

    fn sound(&mut self, sounds: Vec<PlaybackEvent>) {
        for sound in sounds {
            match sound {
                PlaybackEvent::Speaking(on) => {
                    if self.settings.speaker_events {
                        self.send(frame::speaking("agentSpeaking", on));
                    }
                }
                PlaybackEvent::Played { cycle, text } => self.played(cycle, text),
                PlaybackEvent::CutShort { cycle } => self
                    .outputs
                    .push_back(SessionOutput::Seen(SessionObservation::CutShort { cycle })),
            }
        }
    }

    fn played(&mut self, cycle: u64, text: String) {
        if self.settings.tokens_played {
            self.send(frame::info("tokensPlayed", &text));
        }
        self.outputs
            .push_back(SessionOutput::Seen(SessionObservation::Played {
                cycle,
                text,
            }));
    }

    fn close(&mut self, close: SessionClose) {
        self.closed = true;
        self.outputs.push_back(SessionOutput::Close(close));
    }

    fn send(&mut self, frame: String) {
        self.outputs.push_back(SessionOutput::Send(frame));
    }

    fn violation(&mut self, kind: ViolationKind, detail: String) {
        self.outputs
            .push_back(SessionOutput::Seen(SessionObservation::Violation(
                kind, detail,
            )));
    }
}
