//! An answer begun before the caller has finished: on a partial prompt that already reads as
//! finished. Off by default: a start that the final prompt contradicts was paid for in vain.

use super::replying::Reply;
use super::{Action, CallState, Now};

/// A partial shorter than this says too little to be finished.
const CHARS_MIN: usize = 8;

impl CallState {
    /// A partial prompt: begins, or gives up what it contradicts. At most
    /// `call.eager_starts_max` begin for one turn of the caller.
    pub(super) fn on_partial(&mut self, text: &str, now: Now, actions: &mut Vec<Action>) {
        if !self.setting.bounds.eager_start {
            return;
        }
        if let Some(eager) = self.reply.as_ref().and_then(|reply| reply.eager.as_ref()) {
            if eager == text {
                return;
            }
            self.abandon_reply(actions);
        }
        let free = self.reply.is_none() && self.ending.is_none() && !self.naming.is_waiting();
        if free && self.eager_left > 0 && reads_finished(text) {
            self.eager_left -= 1;
            self.ask_eagerly(text, now, actions);
        }
    }

    /// The final prompt is here: the eager reply, if it answers exactly that.
    pub(super) fn take_eager(&mut self, text: &str, actions: &mut Vec<Action>) -> Option<Reply> {
        self.eager_left = self.setting.bounds.eager_starts_max;
        self.reply.as_ref()?.eager.as_ref()?;
        let reply = self.reply.take()?;
        if reply.eager.as_ref().is_some_and(|eager| eager == text) {
            return Some(reply);
        }
        actions.push(Action::Abort);
        None
    }

    /// The eager reply becomes the reply: what it held back is said.
    pub(super) fn adopt(
        &mut self,
        mut reply: Reply,
        ask_name_after: bool,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        reply.eager = None;
        reply.ask_name_after = ask_name_after;
        reply.begin_waiting(now, self.setting.bounds.bridge_ms);
        self.reply = Some(reply);
        self.speak_held(now, actions);
    }
}

/// Whether a partial ends as a sentence ends. The last partial has its final punctuation already,
/// 350-800 ms before the final prompt (protocol 4.2).
fn reads_finished(text: &str) -> bool {
    let ended = text.ends_with(['.', '?', '!', '。', '？', '！']);
    ended && text.chars().count() >= CHARS_MIN
}
