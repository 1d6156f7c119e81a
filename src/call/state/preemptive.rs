//! An answer begun before the caller has finished: on a partial prompt that already reads as
//! finished. Off by default: a start that the final prompt contradicts costs tokens for nothing.

use super::pending_reply::PendingReply;
use super::{CallAction, CallState, EventTime};

/// A partial shorter than this says too little to be finished.
const PREEMPTIVE_CHARS_MIN: usize = 8;

impl CallState {
    /// A partial prompt: begins, or gives up what it contradicts. At most
    /// `call.preemptive_attempts_max` begin for one turn of the caller.
    pub(super) fn on_partial(&mut self, text: &str, now: EventTime, actions: &mut Vec<CallAction>) {
        if !self.context.limits.preemptive_generation {
            return;
        }
        if let Some(preemptive) = self
            .reply
            .as_ref()
            .and_then(|reply| reply.preemptive_prompt.as_ref())
        {
            if preemptive == text {
                return;
            }
            self.abort_without_closing(actions);
        }
        let free = self.reply.is_none()
            && self.pending_end.is_none()
            && !self.name_dialogue.awaits_answer();
        if free && self.preemptive_left > 0 && looks_complete(text) {
            self.preemptive_left -= 1;
            self.request_preemptive_reply(text, now, actions);
        }
    }

    /// Takes the preemptive reply if its partial prompt equals the final prompt `text`; otherwise aborts it.
    pub(super) fn take_preemptive(
        &mut self,
        text: &str,
        actions: &mut Vec<CallAction>,
    ) -> Option<PendingReply> {
        self.preemptive_left = self.context.limits.preemptive_attempts_max;
        self.reply.as_ref()?.preemptive_prompt.as_ref()?;
        let reply = self.reply.take()?;
        if reply
            .preemptive_prompt
            .as_ref()
            .is_some_and(|preemptive| preemptive == text)
        {
            return Some(reply);
        }
        actions.push(CallAction::AbortReply);
        None
    }

    /// The preemptive reply becomes the reply, and its withheld words are said.
    pub(super) fn adopt_preemptive(
        &mut self,
        mut reply: PendingReply,
        ask_name_after: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        reply.preemptive_prompt = None;
        reply.ask_name_after = ask_name_after;
        reply.start_wait(now, self.context.limits.filler_after_ms);
        self.reply = Some(reply);
        self.say_withheld(now, actions);
    }
}

/// Whether a partial ends as a sentence ends. The last partial has its final punctuation already,
/// 0.1 to 1.7 s before the final prompt (docs/protocol.md 4.2).
fn looks_complete(text: &str) -> bool {
    let ended = text.ends_with(['.', '?', '!', '。', '？', '！']);
    ended && text.chars().count() >= PREEMPTIVE_CHARS_MIN
}
