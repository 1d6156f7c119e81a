//! The timers of a call. Each wait of the caller is limited.

use super::{CallAction, CallState, EventTime};
use calldex_storage::record::TurnKind;

/// With a question open after an interruption, the agent goes on by itself and says so to the model.
const CONTINUE_INSTRUCTION: &str =
    "You were interrupted, but the caller said nothing more. Go on briefly.";

/// From one filler to the next, beyond the wait for the first, in milliseconds.
const FILLER_REPEAT_MS: u64 = 4_000;

impl CallState {
    /// When [`super::CallEvent::DeadlineReached`] is due, on the clock of [`EventTime::ms`].
    pub fn deadline(&self) -> Option<u64> {
        if self.is_over {
            return None;
        }
        if self.has_left_instance() {
            return self.keys_due_ms;
        }
        let filler = self.reply.as_ref().and_then(|reply| reply.filler_due_ms);
        let end = self
            .pending_end
            .as_ref()
            .filter(|ending| !ending.is_sent)
            .map(|ending| ending.due_ms);
        let length = self.pending_end.is_none().then(|| self.max_length_due());
        [
            filler,
            end,
            length,
            self.keys_due_ms,
            self.false_interruption_due_ms,
            self.silence_due_ms,
            self.relocation_due(),
            self.tools_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn max_length_due(&self) -> u64 {
        self.started_ms + self.context.limits.duration_s_max * 1_000
    }

    pub(super) fn on_tick(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now.ms);
        if self.has_left_instance() {
            // The next session answers.
            if due(self.keys_due_ms) {
                self.record_keys(now, actions);
            }
            return;
        }
        if self
            .pending_end
            .as_ref()
            .is_some_and(|ending| !ending.is_sent && ending.due_ms <= now.ms)
        {
            self.send_end(actions);
        }
        if self.pending_end.is_none() && self.max_length_due() <= now.ms {
            self.stop_and_close_reply(actions);
            self.end_at_limit(now, actions);
        }
        if due(self.keys_due_ms) {
            self.answer_keys(now, actions);
        }
        if due(self.false_interruption_due_ms) {
            self.after_false_interruption(now, actions);
        }
        if let Some(reply) = self.reply.as_mut().filter(|reply| due(reply.filler_due_ms)) {
            reply.filler_due_ms =
                Some(now.ms + self.context.limits.filler_after_ms + FILLER_REPEAT_MS);
            self.say_filler(now, actions);
        }
        if due(self.tools_due()) {
            self.expire_tools(now, actions);
        }
        if due(self.silence_due_ms) {
            self.on_silence(now, actions);
        }
    }

    fn after_false_interruption(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        self.false_interruption_due_ms = None;
        if self.caller_speaking {
            // They are still talking: their own prompt will come.
            self.false_interruption_due_ms = Some(now.ms + 1_000);
        } else if self.release_withheld_reply(now, actions) {
            // It goes on as if nothing had been.
        } else if self.reply.is_none()
            && self.pending_end.is_none()
            && self.transcript.is_unanswered()
        {
            self.request_reply(Some(CONTINUE_INSTRUCTION.to_owned()), false, now, actions);
        }
    }

    /// The caller was silent: the agent asks twice, then says goodbye.
    fn on_silence(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        self.silence_due_ms = None;
        let heard = self.caller_speaking || self.agent_speaking;
        if heard || self.playback.speech_ends_at(now.ms) > now.ms {
            self.start_silence_timer(now);
            return;
        }
        let phrases = self.phrases();
        let question = match self.silence_asks {
            0 => phrases.still_there.clone(),
            1 => phrases.still_there_again.clone(),
            _ => return self.end_for_silence(now, actions),
        };
        self.silence_asks += 1;
        self.say(&question, TurnKind::Speech, now, actions);
    }

    /// Input of the caller: the wait for the caller starts again.
    pub(super) fn caller_active(&mut self, now: EventTime) {
        self.silence_asks = 0;
        self.start_silence_timer(now);
    }

    /// It is the caller's turn: their silence is measured from when our last word was played. While
    /// an answer, a handoff or an entry of keys is pending it is not theirs.
    pub(super) fn start_silence_timer(&mut self, now: EventTime) {
        let busy = self.reply.is_some() || self.pending_end.is_some() || self.keys_due_ms.is_some();
        let first_ms = self.silence_prompt_ms();
        let wait = match self.silence_asks {
            0 => first_ms,
            _ => self.silence_end_ms(),
        };
        let due = || self.playback.speech_ends_at(now.ms) + wait;
        self.silence_due_ms = (first_ms > 0 && !busy).then(due);
    }

    fn silence_prompt_ms(&self) -> u64 {
        let own = self.context.line.waits.silence_prompt_ms;
        own.unwrap_or(self.context.limits.silence_prompt_ms)
    }

    fn silence_end_ms(&self) -> u64 {
        let own = self.context.line.waits.silence_end_ms;
        own.unwrap_or(self.context.limits.silence_end_ms)
    }

    /// Keys pressed within this time of each other are one answer, in milliseconds. The wait also lets
    /// the interrupt that a key causes pass first (docs/protocol.md 4.4).
    pub(super) fn dtmf_wait_ms(&self) -> u64 {
        let own = self.context.line.waits.dtmf_wait_ms;
        own.unwrap_or(self.context.limits.dtmf_wait_ms)
    }
}
