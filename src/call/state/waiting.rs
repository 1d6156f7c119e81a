//! Deadlines: the caller never hears silence longer than a bound (design G5).

use super::{Action, CallState, Now};
use calldex_storage::record::TurnKind;

/// With a question open after a barge-in, the agent goes on by itself and says so to the model.
const GO_ON: &str = "You were interrupted, but the caller said nothing more. Go on briefly.";

/// From one bridge to the next, beyond the wait for the first, in milliseconds.
const BRIDGE_AGAIN_MS: u64 = 4_000;

impl CallState {
    /// When [`super::Event::Tick`] is due, on the clock of [`Now::ms`].
    pub fn deadline(&self) -> Option<u64> {
        if self.over {
            return None;
        }
        if self.has_left() {
            return self.keys_due;
        }
        let bridge = self.reply.as_ref().and_then(|reply| reply.bridge_due);
        let end = self
            .ending
            .as_ref()
            .filter(|ending| !ending.sent)
            .map(|ending| ending.due);
        let length = self.ending.is_none().then(|| self.length_due());
        [
            bridge,
            end,
            length,
            self.keys_due,
            self.reopen_due,
            self.silence_due,
            self.moving_due(),
            self.tools_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn length_due(&self) -> u64 {
        self.started_ms + self.setting.bounds.length_s_max * 1_000
    }

    pub(super) fn on_tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now.ms);
        if self.has_left() {
            // Answered by whoever takes the call up.
            if due(self.keys_due) {
                self.keep_keys(now, actions);
            }
            return;
        }
        if self
            .ending
            .as_ref()
            .is_some_and(|ending| !ending.sent && ending.due <= now.ms)
        {
            self.send_end(actions);
        }
        if self.ending.is_none() && self.length_due() <= now.ms {
            self.stop_reply(actions);
            self.end_at_limit(now, actions);
        }
        if due(self.keys_due) {
            self.answer_keys(now, actions);
        }
        if due(self.reopen_due) {
            self.reopen(now, actions);
        }
        if let Some(reply) = self.reply.as_mut().filter(|reply| due(reply.bridge_due)) {
            reply.bridge_due = Some(now.ms + self.setting.bounds.bridge_ms + BRIDGE_AGAIN_MS);
            self.bridge(now, actions);
        }
        if due(self.tools_due()) {
            self.time_tools_out(now, actions);
        }
        if due(self.silence_due) {
            self.silence(now, actions);
        }
    }

    fn reopen(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.reopen_due = None;
        if self.caller_speaking {
            // They are still talking: their own prompt will come.
            self.reopen_due = Some(now.ms + 1_000);
        } else if self.release_reply(now, actions) {
            // It goes on as if nothing had been.
        } else if self.reply.is_none() && self.ending.is_none() && self.transcript.is_unanswered() {
            self.ask(Some(GO_ON.to_owned()), false, now, actions);
        }
    }

    /// Nothing was heard of the caller: two questions, then the goodbye.
    fn silence(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.silence_due = None;
        let heard = self.caller_speaking || self.agent_speaking;
        if heard || self.playback.silent_from(now.ms) > now.ms {
            self.wait_for_caller(now);
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

    /// The caller gave a sign: the wait for one begins anew.
    pub(super) fn caller_is_there(&mut self, now: Now) {
        self.silence_asks = 0;
        self.wait_for_caller(now);
    }

    /// It is the caller's turn: their silence is measured from when our last word was played. While
    /// an answer, a hand-over or an entry of keys is pending it is not theirs.
    pub(super) fn wait_for_caller(&mut self, now: Now) {
        let busy = self.reply.is_some() || self.ending.is_some() || self.keys_due.is_some();
        let first_ms = self.silence_prompt_ms();
        let wait = match self.silence_asks {
            0 => first_ms,
            _ => self.silence_end_ms(),
        };
        let due = || self.playback.silent_from(now.ms) + wait;
        self.silence_due = (first_ms > 0 && !busy).then(due);
    }

    fn silence_prompt_ms(&self) -> u64 {
        let own = self.setting.line.waits.silence_prompt_ms;
        own.unwrap_or(self.setting.bounds.silence_prompt_ms)
    }

    fn silence_end_ms(&self) -> u64 {
        let own = self.setting.line.waits.silence_end_ms;
        own.unwrap_or(self.setting.bounds.silence_end_ms)
    }

    /// Keys pressed within this time of each other are one answer, in milliseconds. The wait also lets
    /// the interrupt that a key causes pass first (protocol 4.4).
    pub(super) fn keys_wait_ms(&self) -> u64 {
        let own = self.setting.line.waits.keys_wait_ms;
        own.unwrap_or(self.setting.bounds.keys_wait_ms)
    }
}
