//! The speech of the agent: streamed replies, canned phrases, fillers and apologies.

use super::pending_reply::{PendingReply, ends_sentence};
use super::tool_records::handoff_data;
use super::{CallAction, CallMetric, CallState, EventTime, SpokenSentence};
use crate::agent::{
    BuiltInTool, BuiltInTools, Finish, Message, NameAskPolicy, PromptContext, ToolCall,
};
use crate::call::caller_name::asks_for_name;
use crate::call::language_tagger::{LanguageTagger, TaggedText};
use crate::call::playback::TurnSeq;
use crate::config::PhoneLine;
use calldex_storage::record::{CallOutcome, TurnKind, TurnUsage};
use compact_str::CompactString;
use std::sync::Arc;

/// The bytes of speech after which a reply is closed (about ten minutes).
const REPLY_BYTES_MAX: usize = 8_000;

impl CallState {
    /// Requests a reply to the conversation so far.
    pub(super) fn request_reply(
        &mut self,
        turn_instruction: Option<String>,
        ask_name_after: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        self.request_tool_step(turn_instruction, ask_name_after, 0, now, actions);
    }

    pub(super) fn request_tool_step(
        &mut self,
        turn_instruction: Option<String>,
        ask_name_after: bool,
        round: u8,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        self.false_interruption_due_ms = None;
        self.silence_due_ms = None;
        let mut prompt = self.prompt_context(self.transcript.model_history(), actions);
        let is_last = round > 0 && self.is_last_tool_step(round);
        if is_last {
            prompt.built_in_tools = BuiltInTools::NONE;
        }
        prompt.turn_instruction = turn_instruction;
        prompt.tool_step = round;
        let mut reply = PendingReply::requested(round, now);
        reply.is_last_tool_step = is_last;
        reply.tagger = LanguageTagger::new(&self.context.line.languages, &self.language);
        reply.start_wait(now, self.context.limits.filler_after_ms);
        if let Some(since) = self.waiting_since_ms.filter(|_| round > 0) {
            // The caller waits since the first request.
            reply.requested_ms = since;
        }
        self.waiting_since_ms = Some(reply.requested_ms);
        reply.ask_name_after = ask_name_after;
        self.reply = Some(reply);
        actions.push(CallAction::RequestReply(Box::new(prompt)));
    }

    /// The prompt of this turn.
    fn prompt_context(
        &self,
        history: Vec<Arc<Message>>,
        actions: &mut Vec<CallAction>,
    ) -> PromptContext {
        let mut prompt =
            PromptContext::for_line(&self.context.line.prompts, self.caller_facts(), history);
        prompt.model_names = Arc::clone(&self.context.line.models);
        prompt.built_in_tools = self.available_tools();
        prompt.line_languages = self.line_languages();
        let failed = prompt.failed_texts.iter();
        actions.extend(failed.map(|text| CallAction::Count(CallMetric::PromptTextFailed(text))));
        prompt
    }

    fn available_tools(&self) -> BuiltInTools {
        let can_be_known = self.context.number.is_some();
        available_tools(&self.context.line, self.context.can_hand_off, can_be_known)
    }

    fn line_languages(&self) -> Vec<CompactString> {
        let languages = self.context.line.languages.iter();
        languages.map(|tag| tag.as_str().into()).collect()
    }

    /// Requests a preemptive reply to a partial prompt. It is withheld until the final prompt.
    pub(super) fn request_preemptive_reply(
        &mut self,
        text: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let mut history = self.transcript.model_history();
        history.push(Message::caller(text));
        let prompt = self.prompt_context(history, actions);
        self.reply = Some(PendingReply {
            preemptive_prompt: Some(text.to_owned()),
            tagger: LanguageTagger::new(&self.context.line.languages, &self.language),
            ..PendingReply::requested(0, now)
        });
        actions.push(CallAction::Count(CallMetric::PreemptiveStart));
        actions.push(CallAction::RequestReply(Box::new(prompt)));
    }

    /// Says a canned phrase.
    pub(super) fn say(
        &mut self,
        text: &str,
        kind: TurnKind,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        self.say_sentence(text, kind, false, now, actions);
    }

    /// Says a canned phrase. If `uninterruptible`, the caller cannot cut it off.
    pub(super) fn say_sentence(
        &mut self,
        text: &str,
        kind: TurnKind,
        uninterruptible: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let turn = self.transcript.say(text, kind, now.unix_ms);
        let preemptible = kind == TurnKind::Filler;
        self.close_in_flight_cycle(actions);
        self.playback
            .add_utterance(turn.seq, text, preemptible, now.ms);
        self.record_turn(turn, actions);
        actions.push(CallAction::Say(SpokenSentence {
            text: text.to_owned(),
            preemptible,
            uninterruptible,
        }));
        if !self
            .reply
            .as_ref()
            .is_some_and(|reply| reply.awaits_interruption)
        {
            self.false_interruption_due_ms = None;
        }
        self.start_silence_timer(now);
    }

    /// Words that were under way when the caller cut us off have begun a cycle at Twilio: it is
    /// closed before the next begins, which would else be joined to it (docs/protocol.md 5.2).
    pub(super) fn close_in_flight_cycle(&mut self, actions: &mut Vec<CallAction>) {
        if self.playback.take_in_flight_cycle() {
            actions.push(CallAction::CloseReply);
        }
    }

    /// The caller interrupted: a reply without a word so far is withheld until it is clear whether they
    /// continue. Returns whether there is such a reply.
    pub(super) fn withhold_reply(&mut self) -> bool {
        let unheard =
            |reply: &&mut PendingReply| reply.seq.is_none() && reply.preemptive_prompt.is_none();
        let Some(reply) = self.reply.as_mut().filter(unheard) else {
            return false;
        };
        reply.awaits_interruption = true;
        reply.filler_due_ms = None;
        true
    }

    /// The interruption was false: says the withheld reply. Returns whether there was one.
    pub(super) fn release_withheld_reply(
        &mut self,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) -> bool {
        let Some(reply) = self
            .reply
            .as_mut()
            .filter(|reply| reply.awaits_interruption)
        else {
            return false;
        };
        reply.awaits_interruption = false;
        reply.filler_due_ms = Some(now.ms);
        self.say_withheld(now, actions);
        self.continue_if_all_returned(now, actions);
        true
    }

    pub(super) fn on_token(&mut self, text: &str, now: EventTime, actions: &mut Vec<CallAction>) {
        let Some(reply) = &mut self.reply else {
            return;
        };
        if reply.is_withheld() {
            if reply.withheld_text.len() < REPLY_BYTES_MAX {
                reply.withheld_text.push_str(text);
            }
            return;
        }
        if reply.tagger.is_some() {
            self.say_tagged(text, now, actions);
        } else if self.append_words(text, now, actions) {
            actions.push(CallAction::SendToken);
        } else {
            return;
        }
        let long = |reply: &PendingReply| reply.text.len() > REPLY_BYTES_MAX;
        if self.reply.as_ref().is_some_and(long) {
            actions.push(CallAction::AbortReply);
            self.on_reply_completed(&Finish::default(), now, actions);
        }
    }

    /// Says the withheld words and completes the reply if it was complete.
    pub(super) fn say_withheld(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let Some(reply) = &mut self.reply else {
            return;
        };
        let held = std::mem::take(&mut reply.withheld_text);
        let done = std::mem::take(&mut reply.withheld_finish);
        if !held.is_empty() {
            self.say_tagged(&held, now, actions);
        }
        if let Some(finish) = done {
            self.on_reply_completed(&finish, now, actions);
        }
    }

    /// Says words of the current reply in their language.
    fn say_tagged(&mut self, text: &str, now: EventTime, actions: &mut Vec<CallAction>) {
        let tagger = self.reply.as_mut().and_then(|reply| reply.tagger.as_mut());
        let pieces = match tagger {
            Some(tagger) => tagger.push(text),
            None => vec![(text.to_owned(), None)],
        };
        self.say_pieces(pieces, now, actions);
    }

    /// The reply in play is complete: says what was held back until its language was clear.
    fn say_rest(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let tagger = self.reply.as_mut().and_then(|reply| reply.tagger.as_mut());
        let pieces = tagger.map(LanguageTagger::finish).unwrap_or_default();
        self.say_pieces(pieces, now, actions);
    }

    fn say_pieces(
        &mut self,
        pieces: Vec<TaggedText>,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        for (words, language) in pieces {
            if self.append_words(&words, now, actions) {
                actions.push(match language {
                    Some(language) => CallAction::AppendTextInLanguage(words, language),
                    None => CallAction::AppendText(words),
                });
            }
        }
    }

    /// Notes words of the reply in play as said; its turn begins with the first. `false` if there
    /// is nothing to be said yet.
    fn append_words(&mut self, text: &str, now: EventTime, actions: &mut Vec<CallAction>) -> bool {
        let Some(reply) = &mut self.reply else {
            return false;
        };
        if reply.seq.is_none() {
            if text.trim().is_empty() {
                return false;
            }
            let seq = self.transcript.begin_turn(now.unix_ms);
            reply.seq = Some(seq);
            reply.filler_due_ms = None;
            if self.playback.take_in_flight_cycle() {
                actions.push(CallAction::CloseReply);
            }
            self.playback.begin_utterance(seq, false, now.ms);
            if !reply.has_spoken_before {
                let waited = now.ms.saturating_sub(reply.requested_ms);
                actions.push(CallAction::Count(CallMetric::FirstToken(waited)));
            }
        }
        reply.text.push_str(text);
        self.playback.append(text, now.ms);
        true
    }

    pub(super) fn on_tool_called(&mut self, call: &ToolCall) {
        if let Some(reply) = &mut self.reply {
            reply.tool_calls.push(ToolCall {
                id: self.tool_call_ids.next().into(),
                invocation: call.invocation.clone(),
            });
        }
    }

    pub(super) fn on_reply_completed(
        &mut self,
        finish: &Finish,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        if let Some(reply) = self.reply.as_mut().filter(|reply| reply.is_withheld()) {
            reply.withheld_finish = Some(finish.clone());
            return;
        }
        self.say_rest(now, actions);
        let Some(mut reply) = self.reply.take() else {
            return;
        };
        self.model_failures = 0;
        reply.usage = usage_of(finish);
        if reply.ends_mid_sentence(finish.finish_reason) {
            self.apologise_in_reply(reply, now, actions);
            return;
        }
        let calls = std::mem::take(&mut reply.tool_calls);
        if !calls.is_empty() {
            self.run_tool_calls(reply, calls, now, actions);
        } else if reply.seq.is_some() {
            self.complete_reply(reply, Vec::new(), now, actions);
        } else if self.transcript.has_answered() && !reply.answers_tool_results {
            self.start_silence_timer(now);
        } else {
            self.on_model_failure(now, actions);
        }
    }

    /// The reply is complete: closes and records it.
    pub(super) fn complete_reply(
        &mut self,
        mut reply: PendingReply,
        calls: Vec<ToolCall>,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let Some(seq) = reply.seq else {
            return;
        };
        if self.model_asked_for_name(&reply.text) {
            reply.ask_name_after = false;
            self.record_name_asked(true, actions);
        }
        if reply.ask_name_after && self.name_dialogue.name().is_none() {
            let question = joined_sentence(&reply.text, &self.phrases().ask_name);
            self.playback.append(&question, now.ms);
            reply.text.push_str(&question);
            actions.push(CallAction::AppendText(question));
            self.record_name_asked(true, actions);
        }
        actions.push(CallAction::CloseReply);
        self.playback.close_utterance();
        self.transcript.set_usage(seq, reply.usage.take());
        if let Some(turn) = self
            .transcript
            .finish_turn(seq, reply.text.trim(), false, calls)
        {
            self.record_turn(turn, actions);
        }
        self.start_silence_timer(now);
    }

    /// Whether the model has asked for the caller's name by itself, as it is told to once.
    fn model_asked_for_name(&self, text: &str) -> bool {
        let told = self.name_dialogue.ask_policy() == NameAskPolicy::MayAsk;
        self.name_dialogue.name().is_none() && asks_for_name(text, &self.language, told)
    }

    pub(super) fn on_reply_failed(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        self.release_withheld_reply(now, actions);
        if self
            .reply
            .as_ref()
            .is_some_and(|reply| reply.preemptive_prompt.is_none())
        {
            self.say_rest(now, actions);
        }
        let Some(reply) = self.reply.take() else {
            return;
        };
        if reply.preemptive_prompt.is_some() {
            // Nobody waits for it: the final prompt will ask again.
            return;
        }
        if reply.seq.is_none() {
            self.on_model_failure(now, actions);
            return;
        }
        self.model_failures += 1;
        self.apologise_in_reply(reply, now, actions);
    }

    /// The reply broke off in the middle: an apology follows in the same breath.
    fn apologise_in_reply(
        &mut self,
        mut reply: PendingReply,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        actions.push(CallAction::Count(CallMetric::Apology));
        if let Some(seq) = reply.seq {
            // A model that reads its own apologies continues to apologise.
            self.transcript
                .limit_model_text(seq, reply.text.trim().len());
        }
        let apology = joined_sentence(&reply.text, &self.phrases().apology);
        self.playback.append(&apology, now.ms);
        reply.text.push_str(&apology);
        reply.ask_name_after = false;
        actions.push(CallAction::AppendText(apology));
        self.complete_reply(reply, Vec::new(), now, actions);
    }

    /// No model answered: an apology the first time, another the second time, then a handoff or a goodbye.
    fn on_model_failure(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        self.model_failures += 1;
        let failures_max = self.context.limits.model_failures_max;
        if failures_max == 0 || self.model_failures < failures_max {
            let again = self.model_failures > 1;
            self.apologise_with(again, now, actions);
        } else if self.context.can_hand_off {
            actions.push(CallAction::Count(CallMetric::Apology));
            let moment = self.phrases().handoff.clone();
            self.say_sentence(&moment, TurnKind::Apology, true, now, actions);
            let data = handoff_data("the agent cannot answer", "");
            self.end_after_speech(CallOutcome::HandedOff, Some(data), true, now);
        } else {
            actions.push(CallAction::Count(CallMetric::Apology));
            let goodbye = self.phrases().closing.clone();
            self.say_sentence(&goodbye, TurnKind::Apology, true, now, actions);
            self.end_after_speech(CallOutcome::Failed, None, false, now);
        }
    }

    pub(super) fn apologise(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        self.apologise_with(false, now, actions);
    }

    fn apologise_with(&mut self, again: bool, now: EventTime, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::Count(CallMetric::Apology));
        let phrases = self.phrases();
        let apology = match again {
            false => phrases.apology.clone(),
            true => phrases.apology_again.clone(),
        };
        self.say(&apology, TurnKind::Apology, now, actions);
    }

    /// Says a filler until the first token, never the same twice in a row.
    pub(super) fn say_filler(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let fillers = &self.phrases().fillers;
        let next = self.last_filler.wrapping_add(1) % fillers.len().max(1);
        let Some(filler) = fillers.get(next).cloned() else {
            return;
        };
        self.last_filler = next;
        actions.push(CallAction::Count(CallMetric::Filler));
        self.say(&filler, TurnKind::Filler, now, actions);
        self.silence_due_ms = None;
    }

    /// The caller's next words make the reply in play pointless: it stops where it is. What went
    /// out without being interrupted will be heard, so it is closed and kept.
    pub(super) fn stop_and_close_reply(&mut self, actions: &mut Vec<CallAction>) {
        let Some(reply) = self.abort_without_closing(actions) else {
            return;
        };
        let Some(seq) = reply.seq else {
            if !reply.has_spoken_before {
                self.name_dialogue.restore_question();
            }
            return;
        };
        actions.push(CallAction::CloseReply);
        self.playback.close_utterance();
        self.record_cut_turn(seq, reply.text.trim(), actions);
        if !self.agent_speaking {
            self.transcript.mark_overtaken(seq);
            self.name_dialogue.restore_question();
        }
    }

    /// Aborts the reply in play without closing it: after an interruption Twilio has dropped the cycle.
    /// It no longer waits for its tools.
    pub(super) fn abort_without_closing(
        &mut self,
        actions: &mut Vec<CallAction>,
    ) -> Option<PendingReply> {
        let mut reply = self.reply.take()?;
        match reply.pending_tools.take() {
            Some(open) => self.stop_waiting_for_tools(open, actions),
            None => actions.push(CallAction::AbortReply),
        }
        Some(reply)
    }

    /// The turn begun at `seq` was cut off after `heard`.
    pub(super) fn record_cut_turn(
        &mut self,
        seq: TurnSeq,
        heard: &str,
        actions: &mut Vec<CallAction>,
    ) {
        if let Some(turn) = self.transcript.finish_turn(seq, heard, true, Vec::new()) {
            self.record_turn(turn, actions);
        }
    }
}

/// The built-in tools that can work in a call on `line`.
pub fn available_tools(line: &PhoneLine, can_hand_off: bool, can_be_known: bool) -> BuiltInTools {
    let cannot = [
        (BuiltInTool::Handoff, !can_hand_off),
        (BuiltInTool::SwitchLanguage, line.languages.len() < 2),
        (BuiltInTool::NotePreference, !can_be_known),
    ];
    let without = |tools: BuiltInTools, (kind, cannot): (BuiltInTool, bool)| match cannot {
        true => tools.without(kind),
        false => tools,
    };
    cannot.into_iter().fold(BuiltInTools::ALL, without)
}

/// `sentence` as it follows `text` in one breath: a sentence that broke off is ended first.
fn joined_sentence(text: &str, sentence: &str) -> String {
    let ended = ends_sentence(text) || text.trim_end().ends_with(':');
    let stop = if ended { "" } else { "." };
    let space = if text.ends_with(char::is_whitespace) && ended {
        ""
    } else {
        " "
    };
    format!("{stop}{space}{sentence}")
}

fn usage_of(finish: &Finish) -> Option<TurnUsage> {
    finish.usage.map(|usage| TurnUsage {
        model: finish.model.clone(),
        input: usage.prompt_tokens,
        cached: usage.cached_tokens,
        output: usage.completion_tokens,
        cost_micros: finish.cost_micros,
    })
}
