//! What the model wants done besides talking. Each is bounded and recorded.

use super::replying::Reply;
use super::{Action, CallState, Count, Now};
use crate::agent::{Tool, ToolCall};
use calldex_storage::record::{Caller, Outcome, TurnKind};
use calldex_storage::write::Write;
use compact_str::CompactString;

impl CallState {
    pub(super) fn carry_out(
        &mut self,
        mut reply: Reply,
        calls: Vec<ToolCall>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let round = reply.round;
        let ask_name_after = reply.ask_name_after;
        let spoke = reply.seq.is_some();
        if spoke {
            let leaving = calls.iter().any(|call| self.leaves(&call.tool));
            reply.ask_name_after &= !leaving;
            self.complete(reply, calls.clone(), now, actions);
        } else {
            let seq = self.transcript.begin(now.unix_ms);
            self.transcript.finish(seq, "", false, calls.clone());
        }
        for call in &calls {
            let result = self.carry_out_one(call, spoke, now, actions);
            let stored = stored(&call.tool, result);
            let turn = self.transcript.tool(&call.id, result, stored, now.unix_ms);
            self.record_turn(turn, actions);
        }
        // A tool that spoke for itself (a goodbye, nobody there) has answered the caller.
        if self.ending.is_some() || spoke || self.transcript.has_answered() {
            return;
        }
        if round + 1 < self.setting.bounds.tool_rounds_max {
            self.ask_round(None, ask_name_after, round + 1, now, actions);
        } else {
            self.apologise(now, actions);
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

    /// Does it; the result is for the model.
    fn carry_out_one(
        &mut self,
        call: &ToolCall,
        spoke: bool,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> &'static str {
        match &call.tool {
            Tool::EndCall { farewell } => {
                let farewell = farewell.clone().filter(|words| !words.trim().is_empty());
                let words = farewell.unwrap_or_else(|| self.phrases().goodbye.clone());
                if !spoke {
                    self.say(&words, TurnKind::Speech, now, actions);
                }
                self.end_after_speech(Outcome::Ended, None, true, now);
                "the call ends"
            }
            Tool::HandOver { reason, summary } => {
                self.hand_over(reason, summary, spoke, now, actions)
            }
            Tool::SetName { name } => {
                let words = self.transcript.caller_words();
                let Some(change) = self.naming.suggest(name, &words) else {
                    return "not taken: the caller did not say that name, or it is known already";
                };
                self.keep_name(change, now, actions);
                actions.push(Action::Count(Count::Name("model_applied")));
                "noted"
            }
            Tool::SwitchLanguage { code } => self.switch_language(code, now, actions),
            Tool::NotePreference { note } => self.note_preference(note, now, actions),
            Tool::Unknown { .. } => "there is no such tool",
        }
    }

    fn hand_over(
        &mut self,
        reason: &str,
        summary: &str,
        spoke: bool,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> &'static str {
        if !self.setting.can_hand_over {
            if !spoke {
                let nobody = self.phrases().nobody_there.clone();
                self.say(&nobody, TurnKind::Speech, now, actions);
            }
            return "nobody is there to take the call, and the caller has been told so";
        }
        if !spoke {
            let moment = self.phrases().handing_over.clone();
            self.say_as(&moment, TurnKind::Speech, true, now, actions);
        }
        let data = serde_json::json!({
            "reasonCode": "live-agent-handoff",
            "reason": reason,
            "summary": summary,
        });
        self.end_after_speech(Outcome::HandedOver, Some(data.to_string()), true, now);
        "the call is handed over"
    }

    fn switch_language(&mut self, code: &str, now: Now, actions: &mut Vec<Action>) -> &'static str {
        let Some(offered) = self.offered_language(code) else {
            return "that language is not set up on this line";
        };
        self.language = offered.clone();
        let stamp = self.stamp(now);
        let number = self.setting.number.clone();
        actions.push(Action::Record(Write::LanguageChosen {
            number,
            language: offered.clone(),
            stamp,
        }));
        actions.push(Action::SetLanguage(offered.to_string()));
        "switched"
    }

    /// The line's own spelling of a language it has: the whole tag, else the first part.
    fn offered_language(&self, code: &str) -> Option<CompactString> {
        let line = &self.setting.line;
        let primary = |tag: &str| {
            tag.split(['-', '_'])
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
        };
        let mut close = None;
        for tag in &line.languages {
            if tag.eq_ignore_ascii_case(code) {
                return Some(tag.as_str().into());
            }
            if close.is_none() && primary(tag) == primary(code) {
                close = Some(tag.as_str().into());
            }
        }
        close
    }

    fn note_preference(&mut self, note: &str, now: Now, actions: &mut Vec<Action>) -> &'static str {
        let Some(number) = self.setting.number.clone() else {
            return "not kept: the caller's number is withheld";
        };
        if self.preferences.len() >= Caller::PREFERENCES_MAX {
            return "not kept: there are enough notes from this call";
        }
        let text = CompactString::from(note);
        self.preferences.push(text.clone());
        let stamp = self.stamp(now);
        actions.push(Action::Record(Write::PreferenceNoted {
            number,
            text,
            stamp,
        }));
        "noted"
    }
}

/// A tool call and what came of it, as storage keeps it.
fn stored(tool: &Tool, result: &str) -> String {
    let arguments: serde_json::Value = serde_json::from_str(&tool.arguments()).unwrap_or_default();
    serde_json::json!({ "tool": tool.name(), "arguments": arguments, "result": result }).to_string()
}
