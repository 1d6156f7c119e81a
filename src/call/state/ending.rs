//! The end of a call: goodbye, handoff, limits, the drain of the server, a closed socket.

use super::pending_end::PendingEnd;
use super::{CallAction, CallState, EventTime};
use calldex_storage::record::{CallOutcome, TurnKind};
use calldex_storage::write::{CallEnded, StampedName, Write};

/// Speech takes about this long a character (19-22 a second, docs/protocol.md 9.2), in milliseconds; how
/// long a goodbye lasts where Twilio does not report speech.
const SPEECH_CHAR_MS: u64 = 60;
/// The delay until speech becomes audible, in milliseconds.
const SPEECH_LEAD_MS: u64 = 1_500;
/// How long a caller who speaks into the goodbye may take until their words are understood, in
/// milliseconds.
const GOODBYE_EXTENSION_MS: u64 = 5_000;

/// The longest extension of a goodbye that the caller speaks into or that plays for long, in milliseconds.
const GOODBYE_MS_MAX: u64 = 30_000;

/// A goodbye of up to so many characters is said again where it was lost with the socket; in place of a
/// longer one the line's own sentence is.
const REPEATED_GOODBYE_CHARS_MAX: usize = 200;

impl CallState {
    /// Decides the end: `end` is sent after the last words are played, or after a limited wait.
    pub(super) fn end_after_speech(
        &mut self,
        outcome: CallOutcome,
        handoff: Option<String>,
        cancellable: bool,
        now: EventTime,
    ) {
        let characters = self.transcript.last_said().chars().count() as u64;
        let wait = (SPEECH_LEAD_MS + characters * SPEECH_CHAR_MS)
            .min(self.context.limits.goodbye_playback_ms_max);
        self.pending_end = Some(PendingEnd {
            outcome,
            goodbye_text: self.transcript.last_said().to_owned(),
            handoff,
            cancellable,
            due_ms: now.ms + wait.max(1),
            latest_ms: now.ms + wait + GOODBYE_MS_MAX,
            is_sent: false,
        });
        self.silence_due_ms = None;
    }

    /// A caller who speaks into the goodbye asks us to stay; whether we do.
    pub(super) fn try_cancel_end(&mut self) -> bool {
        match &self.pending_end {
            None => true,
            Some(ending) if ending.cancellable && !ending.is_sent => {
                self.pending_end = None;
                true
            }
            Some(_) => false,
        }
    }

    pub(super) fn end_if_played(&mut self, actions: &mut Vec<CallAction>) {
        // A caller who speaks or presses keys during the goodbye may cancel the end.
        let objects = self.caller_speaking || self.keys_due_ms.is_some();
        let stands = |ending: &PendingEnd| !(ending.cancellable && objects);
        if self.pending_end.as_ref().is_some_and(stands) && !self.playback.is_pending() {
            self.send_end(actions);
        }
    }

    /// The caller speaks during the goodbye: `end` waits for their words, up to the latest time.
    pub(super) fn extend_goodbye(&mut self, now: EventTime) {
        if let Some(ending) = &mut self.pending_end
            && ending.cancellable
        {
            ending.due_ms = ending
                .due_ms
                .max(now.ms + GOODBYE_EXTENSION_MS)
                .min(ending.latest_ms);
        }
    }

    /// A clause of the goodbye was played: `end` waits for the next one too.
    pub(super) fn extend_goodbye_in_play(&mut self, now: EventTime) {
        if self.playback.is_pending()
            && let Some(ending) = &mut self.pending_end
        {
            ending.due_ms = ending
                .due_ms
                .max(now.ms + GOODBYE_EXTENSION_MS)
                .min(ending.latest_ms);
        }
    }

    pub(super) fn send_end(&mut self, actions: &mut Vec<CallAction>) {
        let Some(ending) = self.pending_end.as_mut().filter(|ending| !ending.is_sent) else {
            return;
        };
        ending.is_sent = true;
        let end = CallAction::EndSession(ending.handoff.clone());
        self.close_in_flight_cycle(actions);
        actions.push(end);
    }

    /// The words that the call ends with, where its end was decided: said again where they were lost
    /// with the socket.
    pub fn goodbye(&self) -> Option<&str> {
        let ending = self.pending_end.as_ref()?;
        if ending.goodbye_text.trim().is_empty() {
            return Some(&self.phrases().goodbye);
        }
        if ending.goodbye_text.chars().count() <= REPEATED_GOODBYE_CHARS_MAX {
            return Some(&ending.goodbye_text);
        }
        Some(match ending.outcome {
            CallOutcome::HandedOff => &self.phrases().handoff,
            _ => &self.phrases().goodbye,
        })
    }

    /// The goodbye was lost with the socket: it is said again, unless Twilio has (`greeted`), and
    /// the call ends after it.
    pub(super) fn repeat_goodbye(
        &mut self,
        greeted: Option<&str>,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let words = self.goodbye().unwrap_or_default().to_owned();
        let Some(ending) = self.pending_end.take() else {
            return;
        };
        if greeted == Some(words.as_str()) {
            let turn = self.transcript.say(&words, TurnKind::Speech, now.unix_ms);
            self.playback.add_greeting(turn.seq, &words, now.ms);
            self.record_turn(turn, actions);
        } else {
            if greeted.is_some() {
                self.say_resumed(greeted, TurnKind::Note, now, actions);
            }
            let uninterruptible = !ending.cancellable;
            self.say_sentence(&words, TurnKind::Speech, uninterruptible, now, actions);
        }
        let stands = ending.cancellable;
        self.end_after_speech(ending.outcome, ending.handoff, stands, now);
    }

    pub(super) fn end_at_limit(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        self.say_closing_and_end(CallOutcome::Limit, now, actions);
    }

    pub(super) fn on_drain(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        if self.pending_end.is_none() && !self.relocate_at_once(now) {
            self.stop_and_close_reply(actions);
            self.say_closing_and_end(CallOutcome::Drained, now, actions);
        }
    }

    fn say_closing_and_end(
        &mut self,
        outcome: CallOutcome,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let closing = self.phrases().closing.clone();
        self.say_sentence(&closing, TurnKind::Speech, true, now, actions);
        self.end_after_speech(outcome, None, false, now);
    }

    /// The caller stayed silent: says goodbye, which the caller can cancel.
    pub(super) fn end_for_silence(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let goodbye = self.phrases().goodbye.clone();
        self.say(&goodbye, TurnKind::Speech, now, actions);
        self.end_after_speech(CallOutcome::Idle, None, true, now);
    }

    /// The socket closed: the caller did not hear the rest of Twilio's queue.
    pub(super) fn on_socket_closed(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let in_play = self.abort_without_closing(actions);
        self.detach_tools(actions);
        let cuts = self.playback.socket_lost(now.ms);
        self.truncate_to_heard(cuts, in_play, actions);
        self.agent_speaking = false;
        self.caller_speaking = false;
        self.silence_due_ms = None;
        self.false_interruption_due_ms = None;
        if !self.dtmf_keys.is_empty() {
            self.keys_due_ms = None;
        }
    }

    /// The call is over: records its end once, and confirms a name that the caller did not contradict.
    pub fn finish(&mut self, outcome: CallOutcome, now: EventTime, actions: &mut Vec<CallAction>) {
        if self.is_over {
            return;
        }
        self.on_socket_closed(now, actions);
        self.record_keys(now, actions);
        if let (Some(name), Some(number)) = (
            self.name_dialogue.name_to_confirm().cloned(),
            self.context.number.clone(),
        ) && self.may_record_name()
        {
            let stamp = self.next_stamp(now);
            actions.push(CallAction::Record(Write::NameSettled(StampedName {
                number,
                name,
                stamp,
            })));
        }
        actions.push(CallAction::Record(Write::CallEnded(CallEnded {
            call_sid: self.context.call_sid.clone(),
            epoch: Some(self.epoch()),
            at_ms: now.unix_ms,
            outcome,
        })));
        let lasted = now.ms.saturating_sub(self.started_ms);
        #[cfg(feature = "next-version")]
        actions.push(CallAction::Record(Write::CallNoted {
            call_sid: self.context.call_sid.clone(),
            note: format!("{} s", lasted / 1_000).into(),
        }));
        actions.push(CallAction::EndCall(outcome, lasted));
        self.is_over = true;
    }
}
