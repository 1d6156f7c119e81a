//! The operator's tools that were called and have not returned. Fillers cover the wait for them, as they
//! cover the wait for the model. When no reply waits for a tool any more, it is cancelled if it has no side
//! effects. Otherwise it completes, and the model gets its result in the next turn.

use super::pending_reply::{PendingReply, TurnProgress};
use super::tool_records::{
    CANCELLED_RESULT, DISCONNECTED_RESULT, DetachedToolCall, OVERLOADED_RESULT, PendingToolCall,
    RUNNING_RESULT, stored_tool_text, tool_result_text,
};
use super::{CallAction, CallState, EventTime};
use crate::agent::ToolSpec;
use crate::call::tool_runner::{ToolFailure, ToolOutcome};
use calldex_storage::record::{Turn, TurnKind};
use compact_str::CompactString;

/// Background calls with side effects whose result the model gets. Further calls complete without.
const BACKGROUND_TOOLS_MAX: usize = 16;
impl CallState {
    /// Whether `round` is the last request of the turn. It offers no tools, so that the model answers.
    pub(super) fn is_last_tool_step(&self, round: u8) -> bool {
        // At least two: a result needs an answer.
        round + 1 >= self.context.limits.tool_steps_max.max(2)
    }

    /// Requests the next reply of the turn, with the results of the tools.
    pub(super) fn request_next_tool_step(
        &mut self,
        step: TurnProgress,
        spoke: bool,
        after_data: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        if step.is_last_tool_step {
            self.apologise(now, actions);
            return;
        }
        self.request_tool_step(None, step.ask_name_after, step.tool_step + 1, now, actions);
        if let Some(reply) = &mut self.reply {
            reply.answers_tool_results = after_data;
            reply.has_spoken_before = step.has_spoken_before || spoke;
        }
    }

    /// Waits for the started tools. If the model said nothing, says the filler of the first tool that has one.
    pub(super) fn wait_for_tools(
        &mut self,
        open: Vec<PendingToolCall>,
        step: TurnProgress,
        spoke: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let sentence = open.iter().find_map(|call| self.tool_filler(&call.spec));
        let sentence = sentence.filter(|_| !spoke && !step.has_spoken_before);
        let is_said = sentence.is_some();
        if let Some(sentence) = sentence {
            self.say(&sentence, TurnKind::Filler, now, actions);
        }
        let filler_after_ms = self.context.limits.filler_after_ms;
        let mut reply = PendingReply::requested(step.tool_step, now);
        reply.ask_name_after = step.ask_name_after;
        reply.has_spoken_before = step.has_spoken_before || spoke;
        reply.filler_due_ms = match step.filler_due_ms {
            Some(due) if !spoke && !is_said => Some(due.max(now.ms)),
            _ => Some(self.playback.speech_ends_at(now.ms) + filler_after_ms),
        };
        reply.pending_tools = Some(open);
        self.reply = Some(reply);
        self.silence_due_ms = None;
        self.false_interruption_due_ms = None;
    }

    /// The filler of a tool in the language of the call. A single text counts as the line's language.
    fn tool_filler(&self, spec: &ToolSpec) -> Option<String> {
        use crate::agent::localized_text::LocalizedText;
        let said = match spec.filler.as_ref()? {
            LocalizedText::Same(text) => {
                (self.language == self.context.line.language).then_some(text.as_str())
            }
            each => each.exact_text(&self.language),
        };
        said.filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
    }

    pub(super) fn on_tool_returned(
        &mut self,
        id: &str,
        outcome: &ToolOutcome,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let Some(call) = self.take_pending_tool(id) else {
            // Cancelled before, or timed out.
            return;
        };
        self.set_tool_result(&call, &tool_result_text(&call.spec, outcome), actions);
        self.continue_if_all_returned(now, actions);
    }

    fn take_pending_tool(&mut self, id: &str) -> Option<PendingToolCall> {
        let waited = self
            .reply
            .as_mut()
            .and_then(|reply| reply.pending_tools.as_mut());
        let waited = waited.into_iter();
        let mut lists = waited.chain(std::iter::once(&mut self.background_tools));
        lists.find_map(|list| {
            let at = list.iter().position(|call| call.id == id)?;
            Some(list.remove(at))
        })
    }

    /// Requests the next reply if all tools have returned, unless the reply is withheld.
    pub(super) fn continue_if_all_returned(
        &mut self,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let is_there = |reply: &&mut PendingReply| {
            reply.pending_tools.as_ref().is_some_and(Vec::is_empty) && !reply.is_withheld()
        };
        if self.reply.as_mut().filter(is_there).is_none() {
            return;
        }
        if let Some(reply) = self.reply.take() {
            self.request_next_tool_step(reply.turn_progress(), false, true, now, actions);
        }
    }

    /// No reply waits for these calls any more: cancels them or lets them complete in the background.
    pub(super) fn stop_waiting_for_tools(
        &mut self,
        open: Vec<PendingToolCall>,
        actions: &mut Vec<CallAction>,
    ) {
        for call in open {
            if !call.spec.side_effects {
                actions.push(CallAction::CancelTool(call.id.clone()));
                self.set_tool_result(&call, CANCELLED_RESULT, actions);
            } else if self.background_tools.len() < BACKGROUND_TOOLS_MAX {
                self.background_tools.push(call);
            } else {
                self.set_tool_result(&call, OVERLOADED_RESULT, actions);
            }
        }
    }

    /// The socket closed: background tools complete by themselves. Their results are recorded, but the model
    /// does not get them.
    pub(super) fn detach_tools(&mut self, actions: &mut Vec<CallAction>) {
        for call in std::mem::take(&mut self.background_tools) {
            let Some(turn) = self.set_tool_result(&call, DISCONNECTED_RESULT, actions) else {
                continue;
            };
            actions.push(CallAction::DetachTool(Box::new(DetachedToolCall {
                id: call.id,
                call_sid: self.context.call_sid.clone(),
                spec: call.spec,
                arguments: call.arguments,
                turn,
            })));
        }
    }

    /// When the first pending call counts as timed out.
    pub(super) fn tools_due(&self) -> Option<u64> {
        let waited = self
            .reply
            .iter()
            .flat_map(|reply| reply.pending_tools.iter());
        let open = waited.flatten().chain(&self.background_tools);
        open.map(PendingToolCall::expires_ms).min()
    }

    /// Times out the calls that the session returned no result for.
    pub(super) fn expire_tools(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let waited = self
            .reply
            .iter()
            .flat_map(|reply| reply.pending_tools.iter());
        let open = waited.flatten().chain(&self.background_tools);
        let late = open.filter(|call| call.expires_ms() <= now.ms);
        let late: Vec<CompactString> = late.map(|call| call.id.clone()).collect();
        for id in late {
            actions.push(CallAction::CancelTool(id.clone()));
            let outcome = ToolOutcome::Failed(ToolFailure::TimedOut, None);
            self.on_tool_returned(&id, &outcome, now, actions);
        }
    }

    /// Records `result` in the turn of `call`. Returns the amended turn, if the call has one.
    fn set_tool_result(
        &mut self,
        call: &PendingToolCall,
        result: &str,
        actions: &mut Vec<CallAction>,
    ) -> Option<Turn> {
        debug_assert!(result != RUNNING_RESULT);
        let stored = stored_tool_text(&call.spec.name, &call.arguments, result);
        let turn = self.transcript.set_tool_result(&call.id, result, stored)?;
        self.amend_turn(turn.clone(), actions);
        Some(turn)
    }
}
