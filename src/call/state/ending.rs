//! How a call ends: our goodbye, a hand-over, a limit, the server's drain, the socket.

use super::{Action, CallState, Now};
use calldex_storage::record::{Outcome, TurnKind};
use calldex_storage::write::{CallEnded, NameGiven, Write};

/// Speech takes about this long a character (19-22 a second, protocol 9.3), in milliseconds; how
/// long a goodbye lasts where Twilio does not report speech.
const CHARACTER_MS: u64 = 60;
/// And this long to become audible.
const SPEECH_LEAD_MS: u64 = 1_500;
/// How long a caller who speaks into the goodbye may take until their words are understood, in
/// milliseconds.
const OBJECTION_MS: u64 = 5_000;

/// A goodbye that is spoken into, or takes long to play, ends the call after this at the latest.
const ENDING_MS_MAX: u64 = 30_000;

/// A goodbye of up to so many characters is said again where it was lost with the socket; in place of a
/// longer one the line's own sentence is.
const GOODBYE_CHARS_MAX: usize = 200;

/// The end that was decided.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    /// What was said before it.
    words: String,
    handoff: Option<String>,
    /// The caller can still ask us to stay.
    can_be_called_off: bool,
    /// `end` goes out then, unless speech or an objection moves it.
    pub(super) due: u64,
    /// And then whatever happens.
    latest: u64,
    /// It went out.
    pub(super) sent: bool,
}

impl CallState {
    /// `end` is sent when what was said is heard, or after a bounded wait.
    pub(super) fn end_after_speech(
        &mut self,
        outcome: Outcome,
        handoff: Option<String>,
        can_be_called_off: bool,
        now: Now,
    ) {
        let characters = self.transcript.last_said().chars().count() as u64;
        let wait =
            (SPEECH_LEAD_MS + characters * CHARACTER_MS).min(self.setting.bounds.end_wait_ms_max);
        self.ending = Some(Ending {
            outcome,
            words: self.transcript.last_said().to_owned(),
            handoff,
            can_be_called_off,
            due: now.ms + wait.max(1),
            latest: now.ms + wait + ENDING_MS_MAX,
            sent: false,
        });
        self.silence_due = None;
    }

    /// A caller who speaks into the goodbye asks us to stay; whether we do.
    pub(super) fn call_off_end(&mut self) -> bool {
        match &self.ending {
            None => true,
            Some(ending) if ending.can_be_called_off && !ending.sent => {
                self.ending = None;
                true
            }
            Some(_) => false,
        }
    }

    pub(super) fn end_when_said(&mut self, actions: &mut Vec<Action>) {
        // A caller who speaks or presses keys into the goodbye is about to call it off.
        let objects = self.caller_speaking || self.keys_due.is_some();
        let stands = |ending: &Ending| !(ending.can_be_called_off && objects);
        if self.ending.as_ref().is_some_and(stands) && !self.playback.is_pending() {
            self.send_end(actions);
        }
    }

    /// The caller speaks into the goodbye: what they say is waited for, within a bound.
    pub(super) fn hold_end(&mut self, now: Now) {
        if let Some(ending) = &mut self.ending
            && ending.can_be_called_off
        {
            ending.due = ending.due.max(now.ms + OBJECTION_MS).min(ending.latest);
        }
    }

    /// A clause of the goodbye was played: the next one is waited for too.
    pub(super) fn goodbye_goes_on(&mut self, now: Now) {
        if self.playback.is_pending()
            && let Some(ending) = &mut self.ending
        {
            ending.due = ending.due.max(now.ms + OBJECTION_MS).min(ending.latest);
        }
    }

    pub(super) fn send_end(&mut self, actions: &mut Vec<Action>) {
        let Some(ending) = self.ending.as_mut().filter(|ending| !ending.sent) else {
            return;
        };
        ending.sent = true;
        let end = Action::End(ending.handoff.clone());
        self.close_stray_cycle(actions);
        actions.push(end);
    }

    /// The words that the call ends with, where its end was decided: said again where they were lost
    /// with the socket.
    pub fn goodbye(&self) -> Option<&str> {
        let ending = self.ending.as_ref()?;
        if ending.words.trim().is_empty() {
            return Some(&self.phrases().goodbye);
        }
        if ending.words.chars().count() <= GOODBYE_CHARS_MAX {
            return Some(&ending.words);
        }
        Some(match ending.outcome {
            Outcome::HandedOver => &self.phrases().handing_over,
            _ => &self.phrases().goodbye,
        })
    }

    /// The goodbye was lost with the socket: it is said again, unless Twilio has (`greeted`), and
    /// the call ends after it.
    pub(super) fn end_again(&mut self, greeted: Option<&str>, now: Now, actions: &mut Vec<Action>) {
        let words = self.goodbye().unwrap_or_default().to_owned();
        let Some(ending) = self.ending.take() else {
            return;
        };
        if greeted == Some(words.as_str()) {
            let turn = self.transcript.say(&words, TurnKind::Speech, now.unix_ms);
            self.playback.greet(turn.seq, &words, now.ms);
            self.record_turn(turn, actions);
        } else {
            if greeted.is_some() {
                self.say_resumed(greeted, TurnKind::Note, now, actions);
            }
            let must_be_heard = !ending.can_be_called_off;
            self.say_as(&words, TurnKind::Speech, must_be_heard, now, actions);
        }
        let stands = ending.can_be_called_off;
        self.end_after_speech(ending.outcome, ending.handoff, stands, now);
    }

    pub(super) fn end_at_limit(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.part(Outcome::Limit, now, actions);
    }

    pub(super) fn on_drain(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.ending.is_none() && !self.moves_at_once(now) {
            self.stop_reply(actions);
            self.part(Outcome::Drained, now, actions);
        }
    }

    fn part(&mut self, outcome: Outcome, now: Now, actions: &mut Vec<Action>) {
        let closing = self.phrases().closing.clone();
        self.say_as(&closing, TurnKind::Speech, true, now, actions);
        self.end_after_speech(outcome, None, false, now);
    }

    /// The caller stayed silent: a goodbye they can still answer.
    pub(super) fn end_for_silence(&mut self, now: Now, actions: &mut Vec<Action>) {
        let goodbye = self.phrases().goodbye.clone();
        self.say(&goodbye, TurnKind::Speech, now, actions);
        self.end_after_speech(Outcome::Idle, None, true, now);
    }

    /// The socket is gone: what was queued at Twilio was not heard.
    pub(super) fn on_closed(&mut self, now: Now, actions: &mut Vec<Action>) {
        let in_play = self.abandon_reply(actions);
        self.leave_tools(actions);
        let cuts = self.playback.lost(now.ms);
        self.cut_to_heard(cuts, in_play, actions);
        self.agent_speaking = false;
        self.caller_speaking = false;
        self.silence_due = None;
        self.reopen_due = None;
        if !self.keys.is_empty() {
            self.keys_due = None;
        }
    }

    /// The call is over: closes the conversation, once. A name heard and never contradicted is
    /// settled.
    pub fn finish(&mut self, outcome: Outcome, now: Now, actions: &mut Vec<Action>) {
        if self.over {
            return;
        }
        self.on_closed(now, actions);
        self.keep_keys(now, actions);
        if let (Some(name), Some(number)) =
            (self.naming.settled().cloned(), self.setting.number.clone())
            && self.may_name()
        {
            let stamp = self.stamp(now);
            actions.push(Action::Record(Write::NameSettled(NameGiven {
                number,
                name,
                stamp,
            })));
        }
        actions.push(Action::Record(Write::CallEnded(CallEnded {
            call_sid: self.setting.call_sid.clone(),
            epoch: Some(self.epoch()),
            at_ms: now.unix_ms,
            outcome,
        })));
        let lasted = now.ms.saturating_sub(self.started_ms);
        #[cfg(feature = "next-version")]
        actions.push(Action::Record(Write::CallNoted {
            call_sid: self.setting.call_sid.clone(),
            note: format!("{} s", lasted / 1_000).into(),
        }));
        actions.push(Action::Over(outcome, lasted));
        self.over = true;
    }
}
