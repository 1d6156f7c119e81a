//! What the model wants done besides talking. Each is bounded and recorded. The operator's tools, which
//! take their time, are in `open_tools`.

use super::open_tools::OpenCall;
use super::replying::Reply;
use super::{Action, CallState, Now};
use crate::agent::tools::CALLS_MAX;
use crate::agent::{Tool, ToolCall};
use calldex_storage::record::{Outcome, TurnKind};
use compact_str::CompactString;

/// So many calls a second can be told apart over the lives of a call's processes: ids are counted from
/// the second in which this process took the call up.
const CALLS_A_SECOND_MAX: u64 = 64;
/// Digits of a call's id after `call`.
const ID_DIGITS: usize = 5;
/// This share of a farewell's words was just said, in tenths: then it is not said again.
const REPEATED_TENTHS: usize = 7;

/// The counter of the tool calls' own ids: `call00001` and so on. Servers differ in what they take as
/// an id (Mistral exactly 9 letters and digits, OpenAI at most 40 characters), and models repeat theirs.
pub(super) struct CallIds {
    next: u64,
}

impl CallIds {
    /// For a call that began so long ago. What a process before this one counted lies below.
    pub(super) fn since(lasted_ms: u64) -> Self {
        Self {
            next: lasted_ms / 1_000 * CALLS_A_SECOND_MAX,
        }
    }

    pub(super) fn next(&mut self) -> CompactString {
        self.next += 1;
        let mut digits = [b'0'; ID_DIGITS];
        let mut rest = self.next;
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
        }
        let digits = std::str::from_utf8(&digits).unwrap_or_default();
        compact_str::format_compact!("call{digits}")
    }
}

/// What was said beside the tool calls of a reply.
struct Beside {
    /// The words; empty if there were none.
    words: String,
    /// Whether the call ends with one of these tools.
    leaving: bool,
}

impl CallState {
    pub(super) fn carry_out(
        &mut self,
        mut reply: Reply,
        calls: Vec<ToolCall>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let step = reply.step_of_turn();
        let spoken_in = reply.spoken_in().cloned();
        let language = self.language.clone();
        let spoke = reply.seq.is_some();
        let wants_data = calls.iter().any(|call| call.tool.returns_data());
        let beside = Beside {
            words: reply.text.clone(),
            leaving: calls.iter().any(|call| self.leaves(&call.tool)),
        };
        if spoke {
            let named = |call: &ToolCall| matches!(call.tool, Tool::SetName { .. });
            reply.ask_name_after &= !beside.leaving && !wants_data && !calls.iter().any(named);
            self.complete(reply, calls.clone(), now, actions);
        } else {
            let seq = self.transcript.begin(now.unix_ms);
            self.transcript.spend_on_tool(reply.usage.take());
            self.transcript.finish(seq, "", false, calls.clone());
        }
        let mut open = Vec::new();
        for (at, call) in calls.iter().enumerate() {
            let cannot = self.cannot(at, call, &beside, step.is_last);
            match (&call.tool, cannot) {
                (_, Some(why)) => self.record_tool(call, why, now, actions),
                (Tool::Configured { .. }, None) => open.push(self.start(call, now, actions)),
                (_, None) => {
                    let result = self.carry_out_one(call, &beside, now, actions);
                    self.record_tool(call, &result, now, actions);
                }
            }
        }
        if self.ending.is_some() {
            // The call ends: what was begun is finished, and nobody waits for it.
            self.let_go(open, actions);
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
        self.ask_again(step, spoke, wants_data, now, actions);
    }

    /// Why a call is not carried out at all, for the model.
    fn cannot(
        &self,
        at: usize,
        call: &ToolCall,
        beside: &Beside,
        is_last: bool,
    ) -> Option<&'static str> {
        let Tool::Configured { spec, .. } = &call.tool else {
            return (at >= CALLS_MAX).then_some(TOO_MANY);
        };
        if at >= CALLS_MAX {
            Some(TOO_MANY)
        } else if is_last {
            Some("not carried out: no more tools can be called before the caller is answered")
        } else if beside.leaving && !spec.side_effects {
            Some("not carried out: the call ends")
        } else {
            None
        }
    }

    /// Whether the call ends with this.
    fn leaves(&self, tool: &Tool) -> bool {
        match tool {
            Tool::EndCall { .. } => true,
            Tool::HandOver { .. } => self.setting.can_hand_over,
            _ => false,
        }
    }

    /// Keeps what came of a call, at once.
    fn record_tool(&mut self, call: &ToolCall, result: &str, now: Now, actions: &mut Vec<Action>) {
        let stored = stored(&call.tool, result);
        let data = call.tool.returns_data();
        let turn = self
            .transcript
            .tool(&call.id, result, stored, data, now.unix_ms);
        self.record_turn(turn, actions);
    }

    /// Begins a call of an operator's tool; its turn says so until it returns.
    fn start(&mut self, call: &ToolCall, now: Now, actions: &mut Vec<Action>) -> OpenCall {
        let Tool::Configured { spec, arguments } = &call.tool else {
            unreachable!("only the operator's tools take their time");
        };
        self.record_tool(call, RUNNING, now, actions);
        let by_ms = now.ms + spec.timeout_ms;
        actions.push(Action::CallTool {
            spec: std::sync::Arc::clone(spec),
            id: call.id.as_str().into(),
            arguments: arguments.clone(),
            by_ms,
        });
        OpenCall::new(call, spec, by_ms)
    }

    /// Does it; the result is for the model.
    fn carry_out_one(
        &mut self,
        call: &ToolCall,
        beside: &Beside,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> String {
        match &call.tool {
            Tool::EndCall { farewell } => {
                self.say_farewell(farewell.as_deref(), beside, now, actions);
                self.end_after_speech(Outcome::Ended, None, true, now);
                "the call ends".into()
            }
            Tool::HandOver { reason, summary } => {
                self.hand_over(reason, summary, beside, now, actions).into()
            }
            Tool::SetName { name } => {
                let taken = self.suggest_name(name, now, actions);
                taken.map_or_else(|reason| reason, |()| "noted").into()
            }
            Tool::SwitchLanguage { code } => self.switch_language(code, now, actions).into(),
            Tool::NotePreference { note } => self.note_preference(note, now, actions).into(),
            Tool::Misused { complaint, .. } => {
                format!("not carried out, the arguments do not fit: {complaint}")
            }
            Tool::Configured { .. } | Tool::Unknown { .. } => "there is no such tool".into(),
        }
    }

    /// The goodbye: the model's own, unless it was just said in other words; ours where it said nothing.
    fn say_farewell(
        &mut self,
        farewell: Option<&str>,
        beside: &Beside,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let farewell = farewell.map(str::trim).filter(|words| !words.is_empty());
        let words = match farewell {
            Some(words) if repeats(words, &beside.words) => return,
            Some(words) => words.to_owned(),
            None if beside.words.trim().is_empty() => self.phrases().goodbye.clone(),
            None => return,
        };
        self.say(&words, TurnKind::Speech, now, actions);
    }

    fn hand_over(
        &mut self,
        reason: &str,
        summary: &str,
        beside: &Beside,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> &'static str {
        if !self.setting.can_hand_over {
            // Said in any case: what the model said beside promised a person.
            let nobody = self.phrases().nobody_there.clone();
            self.say(&nobody, TurnKind::Speech, now, actions);
            return "nobody is there to take the call, and the caller has been told so";
        }
        if beside.words.trim().is_empty() {
            let moment = self.phrases().handing_over.clone();
            self.say_as(&moment, TurnKind::Speech, true, now, actions);
        }
        let data = handoff_data(reason, summary);
        self.end_after_speech(Outcome::HandedOver, Some(data), true, now);
        "the call is handed over"
    }
}

/// What the person is told who takes the call (`handoffData`).
pub(super) fn handoff_data(reason: &str, summary: &str) -> String {
    serde_json::json!({
        "reasonCode": "live-agent-handoff",
        "reason": reason,
        "summary": summary,
    })
    .to_string()
}

/// Told of a call that has not returned.
pub(super) const RUNNING: &str = "still running: its result will follow";
const TOO_MANY: &str = "not carried out: too many tools were called at once";

/// Whether `sentence` says again what `said` has just said: most of its words stand there.
fn repeats(sentence: &str, said: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let spoken = text.split(|c: char| !c.is_alphanumeric());
        spoken
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let (sentence, said) = (words(sentence), words(said));
    let repeated = sentence.iter().filter(|word| said.contains(word)).count();
    repeated * 10 >= sentence.len() * REPEATED_TENTHS
}

/// A tool call and what came of it, as storage keeps it.
fn stored(tool: &Tool, result: &str) -> String {
    stored_call(tool.name(), &tool.arguments(), result)
}

/// The same of a call whose tool and arguments are texts.
pub(super) fn stored_call(tool: &str, arguments: &str, result: &str) -> String {
    let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap_or_default();
    serde_json::json!({ "tool": tool, "arguments": arguments, "result": result }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_nine_letters_and_digits_and_never_come_twice() {
        let mut ids = CallIds::since(0);
        assert_eq!(
            (ids.next(), ids.next()),
            ("call00001".into(), "call00002".into())
        );
        // Half a minute later, in another process.
        let mut later = CallIds::since(30_000);
        let mut seen = std::collections::HashSet::new();
        for id in (0..2_000)
            .map(|_| later.next())
            .chain((0..1_900).map(|_| ids.next()))
        {
            assert!(
                id.len() == 9 && id.bytes().all(|c| c.is_ascii_alphanumeric()),
                "{id}"
            );
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn a_goodbye_is_known_again_in_other_words() {
        assert!(repeats("Goodbye, Misty!", "Happy to help. Goodbye, Misty."));
        assert!(repeats("Bye!", "All right, bye!"));
        assert!(!repeats("Goodbye and take care!", "Happy to help!"));
        assert!(!repeats("さようなら", "はい"));
        assert!(!repeats("Bye!", ""));
    }
}
