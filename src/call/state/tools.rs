//! Runs the model's tool calls. Each is bounded and recorded. The operator's tools, which
//! take their time, are in `pending_tools`.

use super::pending_reply::PendingReply;
use super::tool_records::{
    PendingToolCall, RUNNING_RESULT, TOO_MANY_RESULT, handoff_data, stored_tool,
};
use super::{CallAction, CallState, EventTime};
use crate::agent::tools::invocation::TOOL_CALLS_RUN_MAX;
use crate::agent::{ToolCall, ToolInvocation};
use calldex_storage::record::{CallOutcome, TurnKind};

/// This share of a farewell's words was just said, in tenths: then it is not said again.
const REPEATED_TENTHS_MIN: usize = 7;

/// What was said beside the tool calls of a reply.
struct SpokenBeforeTools {
    /// The words; empty if there were none.
    words: String,
    /// Whether the call ends with one of these tools.
    ends_call: bool,
}

impl CallState {
    pub(super) fn run_tool_calls(
        &mut self,
        mut reply: PendingReply,
        calls: Vec<ToolCall>,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let step = reply.turn_progress();
        let spoken_in = reply.last_language().cloned();
        let language = self.language.clone();
        let spoke = reply.seq.is_some();
        let wants_data = calls.iter().any(|call| call.invocation.returns_data());
        let beside = SpokenBeforeTools {
            words: reply.text.clone(),
            ends_call: calls.iter().any(|call| self.ends_call(&call.invocation)),
        };
        if spoke {
            let named = |call: &ToolCall| matches!(call.invocation, ToolInvocation::SetName { .. });
            reply.ask_name_after &= !beside.ends_call && !wants_data && !calls.iter().any(named);
            self.complete_reply(reply, calls.clone(), now, actions);
        } else {
            let seq = self.transcript.begin_turn(now.unix_ms);
            self.transcript.defer_usage(reply.usage.take());
            self.transcript.finish_turn(seq, "", false, calls.clone());
        }
        let mut open = Vec::new();
        for (at, call) in calls.iter().enumerate() {
            let cannot = self.tool_rejection(at, call, &beside, step.is_last_tool_step);
            match (&call.invocation, cannot) {
                (_, Some(why)) => self.record_tool(call, why, now, actions),
                (ToolInvocation::Configured { .. }, None) => {
                    open.push(self.start_configured_tool(call, now, actions))
                }
                (_, None) => {
                    let result = self.run_built_in_tool(call, &beside, now, actions);
                    self.record_tool(call, &result, now, actions);
                }
            }
        }
        if self.pending_end.is_some() {
            // The call ends: what was begun is finished, and nobody waits for it.
            self.stop_waiting_for_tools(open, actions);
            return;
        }
        if !open.is_empty() {
            self.wait_for_tools(open, step, spoke, now, actions);
            return;
        }
        // A tool that spoke for itself (a goodbye, nobody there) has answered the caller.
        // After a switch something is said in the new language.
        let is_switched = self.language != language && spoken_in.as_ref() != Some(&self.language);
        let is_open = is_switched || wants_data;
        if !is_open && (spoke || self.transcript.has_answered()) {
            return;
        }
        self.request_next_tool_step(step, spoke, wants_data, now, actions);
    }

    /// Why a call is not carried out at all, for the model.
    fn tool_rejection(
        &self,
        at: usize,
        call: &ToolCall,
        beside: &SpokenBeforeTools,
        is_last: bool,
    ) -> Option<&'static str> {
        let ToolInvocation::Configured { spec, .. } = &call.invocation else {
            return (at >= TOOL_CALLS_RUN_MAX).then_some(TOO_MANY_RESULT);
        };
        if at >= TOOL_CALLS_RUN_MAX {
            Some(TOO_MANY_RESULT)
        } else if is_last {
            Some("not carried out: no more tools can be called before the caller is answered")
        } else if beside.ends_call && !spec.side_effects {
            Some("not carried out: the call ends")
        } else {
            None
        }
    }

    /// Whether the call ends with this.
    fn ends_call(&self, tool: &ToolInvocation) -> bool {
        match tool {
            ToolInvocation::EndCall { .. } => true,
            ToolInvocation::Handoff { .. } => self.context.can_hand_off,
            _ => false,
        }
    }

    /// Keeps what came of a call, at once.
    fn record_tool(
        &mut self,
        call: &ToolCall,
        result: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let stored = stored_tool(&call.invocation, result);
        let data = call.invocation.returns_data();
        let turn = self
            .transcript
            .add_tool_turn(&call.id, result, stored, data, now.unix_ms);
        self.record_turn(turn, actions);
    }

    /// Begins a call of an operator's tool; its turn says so until it returns.
    fn start_configured_tool(
        &mut self,
        call: &ToolCall,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) -> PendingToolCall {
        let ToolInvocation::Configured { spec, arguments } = &call.invocation else {
            unreachable!("only the operator's tools take their time");
        };
        self.record_tool(call, RUNNING_RESULT, now, actions);
        let by_ms = now.ms + spec.timeout_ms;
        actions.push(CallAction::StartTool {
            spec: std::sync::Arc::clone(spec),
            id: call.id.as_str().into(),
            arguments: arguments.clone(),
            by_ms,
        });
        PendingToolCall::new(call, spec, by_ms)
    }

    /// Does it; the result is for the model.
    fn run_built_in_tool(
        &mut self,
        call: &ToolCall,
        beside: &SpokenBeforeTools,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) -> String {
        match &call.invocation {
            ToolInvocation::EndCall { farewell } => {
                self.say_farewell(farewell.as_deref(), beside, now, actions);
                self.end_after_speech(CallOutcome::Ended, None, true, now);
                "the call ends".into()
            }
            ToolInvocation::Handoff { reason, summary } => {
                self.hand_off(reason, summary, beside, now, actions).into()
            }
            ToolInvocation::SetName { name } => {
                let taken = self.suggest_name(name, now, actions);
                taken.map_or_else(|reason| reason, |()| "noted").into()
            }
            ToolInvocation::SwitchLanguage { code } => {
                self.switch_language(code, now, actions).into()
            }
            ToolInvocation::NotePreference { note } => {
                self.note_preference(note, now, actions).into()
            }
            ToolInvocation::InvalidArguments {
                error: complaint, ..
            } => {
                format!("not carried out, the arguments do not fit: {complaint}")
            }
            ToolInvocation::Configured { .. } | ToolInvocation::Unknown { .. } => {
                "there is no such tool".into()
            }
        }
    }

    /// The goodbye: the model's own, unless it was just said in other words; ours where it said nothing.
    fn say_farewell(
        &mut self,
        farewell: Option<&str>,
        beside: &SpokenBeforeTools,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let farewell = farewell.map(str::trim).filter(|words| !words.is_empty());
        let words = match farewell {
            Some(words) if repeats_most_words(words, &beside.words) => return,
            Some(words) => words.to_owned(),
            None if beside.words.trim().is_empty() => self.phrases().goodbye.clone(),
            None => return,
        };
        self.say(&words, TurnKind::Speech, now, actions);
    }

    fn hand_off(
        &mut self,
        reason: &str,
        summary: &str,
        beside: &SpokenBeforeTools,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) -> &'static str {
        if !self.context.can_hand_off {
            // Said in any case: what the model said beside promised a person.
            let nobody = self.phrases().handoff_unavailable.clone();
            self.say(&nobody, TurnKind::Speech, now, actions);
            return "nobody is there to take the call, and the caller has been told so";
        }
        if beside.words.trim().is_empty() {
            let moment = self.phrases().handoff.clone();
            self.say_sentence(&moment, TurnKind::Speech, true, now, actions);
        }
        let data = handoff_data(reason, summary);
        self.end_after_speech(CallOutcome::HandedOff, Some(data), true, now);
        "the call is handed over"
    }
}

/// Whether `sentence` says again what `said` has just said: most of its words stand there.
fn repeats_most_words(sentence: &str, said: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let spoken = text.split(|c: char| !c.is_alphanumeric());
        spoken
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let (sentence, said) = (words(sentence), words(said));
    let repeated = sentence.iter().filter(|word| said.contains(word)).count();
    repeated * 10 >= sentence.len() * REPEATED_TENTHS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goodbye_is_known_again_in_other_words() {
        assert!(repeats_most_words(
            "Goodbye, Misty!",
            "Happy to help. Goodbye, Misty."
        ));
        assert!(repeats_most_words("Bye!", "All right, bye!"));
        assert!(!repeats_most_words(
            "Goodbye and take care!",
            "Happy to help!"
        ));
        assert!(!repeats_most_words("さようなら", "はい"));
        assert!(!repeats_most_words("Bye!", ""));
    }
}
