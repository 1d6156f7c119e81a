//! The agent speaks: replies as they stream, sentences of our own, bridges and apologies.

use super::open_tools::{OpenCall, Step};
use super::tooling::handoff_data;
use super::{Action, CallState, Count, Now, Sentence};
use crate::agent::{Brief, Ending, Finish, Message, NameAsking, ToolCall, ToolKind, ToolSet};
use crate::call::language_tagger::{LanguageTagger, Tagged};
use crate::call::naming::asks_for_name;
use crate::call::playback::TurnSeq;
use crate::config::Line;
use calldex_storage::record::{Outcome, TurnKind, TurnUsage};
use compact_str::CompactString;
use std::sync::Arc;

/// One reply may have this many bytes of speech (about ten minutes); then it is closed.
const REPLY_BYTES_MAX: usize = 8_000;

/// A reply that was asked for and is not complete.
pub(super) struct Reply {
    /// Its turn, once it has begun to speak.
    pub(super) seq: Option<TurnSeq>,
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) round: u8,
    asked_ms: u64,
    /// When a bridge is said, if nothing has come.
    pub(super) bridge_due: Option<u64>,
    /// The caller's name is asked for at its end.
    pub(super) ask_name_after: bool,
    /// It was begun on this partial prompt, before the caller had finished, and may not be heard yet.
    pub(super) eager: Option<String>,
    /// The caller interrupted before it spoke, and may go on: it may not be heard yet.
    waits: bool,
    /// Its words that may not be heard yet.
    pub(super) held: String,
    /// How it was completed, where it may not be heard yet.
    pub(super) done: Option<Finish>,
    /// What it took of a model.
    pub(super) usage: Option<TurnUsage>,
    /// It has called tools that have not all returned: nothing more is said until they have.
    pub(super) open: Option<Vec<OpenCall>>,
    /// It answers what tools returned: silence is no answer.
    pub(super) after_data: bool,
    /// Words were said before it in the same turn.
    pub(super) after_words: bool,
    /// It was asked for without tools, as the last of its turn.
    pub(super) is_last: bool,
    /// Tells its languages apart, where the line has several.
    tagger: Option<LanguageTagger>,
}

impl Reply {
    pub(super) fn asked(round: u8, now: Now) -> Self {
        Self {
            seq: None,
            text: String::new(),
            calls: Vec::new(),
            round,
            asked_ms: now.ms,
            bridge_due: None,
            ask_name_after: false,
            eager: None,
            waits: false,
            held: String::new(),
            done: None,
            usage: None,
            open: None,
            after_data: false,
            after_words: false,
            is_last: false,
            tagger: None,
        }
    }

    /// The language of the last words that were spoken of it, where the line has several.
    pub(super) fn spoken_in(&self) -> Option<&CompactString> {
        self.tagger.as_ref()?.spoken()
    }

    /// Where in the turn it stands.
    pub(super) fn step_of_turn(&self) -> Step {
        Step {
            round: self.round,
            is_last: self.is_last,
            ask_name_after: self.ask_name_after,
            bridge_due: self.bridge_due,
            after_words: self.after_words,
        }
    }

    /// Whether what comes of it is kept back.
    pub(super) fn is_held(&self) -> bool {
        self.eager.is_some() || self.waits
    }

    /// Whether it ends in half a sentence, by the model's own word that it did not finish.
    fn breaks_off(&self, ending: Ending) -> bool {
        let is_cut = matches!(ending, Ending::Length | Ending::Filtered);
        let is_half = || ending == Ending::Filtered || !is_ended(&self.text);
        is_cut && self.seq.is_some() && self.calls.is_empty() && is_half()
    }

    /// The caller waits from now on.
    pub(super) fn begin_waiting(&mut self, now: Now, bridge_ms: u64) {
        self.asked_ms = now.ms;
        self.bridge_due = Some(now.ms + bridge_ms);
    }
}

impl CallState {
    /// Asks the agent to answer the conversation as it stands.
    pub(super) fn ask(
        &mut self,
        nudge: Option<String>,
        ask_name_after: bool,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        self.ask_round(nudge, ask_name_after, 0, now, actions);
    }

    pub(super) fn ask_round(
        &mut self,
        nudge: Option<String>,
        ask_name_after: bool,
        round: u8,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        self.reopen_due = None;
        self.silence_due = None;
        let mut brief = self.brief(self.transcript.history(), actions);
        let is_last = round > 0 && self.is_last_round(round);
        if is_last {
            brief.tools = ToolSet::NONE;
        }
        brief.nudge = nudge;
        brief.round = round;
        let mut reply = Reply::asked(round, now);
        reply.is_last = is_last;
        reply.tagger = LanguageTagger::new(&self.setting.line.languages, &self.language);
        reply.begin_waiting(now, self.setting.bounds.bridge_ms);
        if let Some(since) = self.asked_since.filter(|_| round > 0) {
            // The caller waits since the first request.
            reply.asked_ms = since;
        }
        self.asked_since = Some(reply.asked_ms);
        reply.ask_name_after = ask_name_after;
        self.reply = Some(reply);
        actions.push(Action::Ask(Box::new(brief)));
    }

    /// What the model is told of this turn.
    fn brief(&self, history: Vec<Arc<Message>>, actions: &mut Vec<Action>) -> Brief {
        let mut brief = Brief::on(&self.setting.line.prompts, self.facts(), history);
        brief.models = Arc::clone(&self.setting.line.models);
        brief.tools = self.tools();
        brief.languages = self.languages();
        let failed = brief.failed_texts.iter();
        actions.extend(failed.map(|text| Action::Count(Count::PromptFailed(text))));
        brief
    }

    fn tools(&self) -> ToolSet {
        let can_be_known = self.setting.number.is_some();
        tools_of(&self.setting.line, self.setting.can_hand_over, can_be_known)
    }

    fn languages(&self) -> Vec<CompactString> {
        let languages = self.setting.line.languages.iter();
        languages.map(|tag| tag.as_str().into()).collect()
    }

    /// Asks for an answer to what the caller seems to have said; nothing of it is said yet.
    pub(super) fn ask_eagerly(&mut self, text: &str, now: Now, actions: &mut Vec<Action>) {
        let mut history = self.transcript.history();
        history.push(Message::caller(text));
        let brief = self.brief(history, actions);
        self.reply = Some(Reply {
            eager: Some(text.to_owned()),
            tagger: LanguageTagger::new(&self.setting.line.languages, &self.language),
            ..Reply::asked(0, now)
        });
        actions.push(Action::Count(Count::EagerStart));
        actions.push(Action::Ask(Box::new(brief)));
    }

    /// Says a whole sentence of ours.
    pub(super) fn say(&mut self, text: &str, kind: TurnKind, now: Now, actions: &mut Vec<Action>) {
        self.say_as(text, kind, false, now, actions);
    }

    /// The same, perhaps so that the caller cannot cut it off.
    pub(super) fn say_as(
        &mut self,
        text: &str,
        kind: TurnKind,
        must_be_heard: bool,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let turn = self.transcript.say(text, kind, now.unix_ms);
        let preemptible = kind == TurnKind::Bridge;
        self.close_stray_cycle(actions);
        self.playback.say(turn.seq, text, preemptible, now.ms);
        self.record_turn(turn, actions);
        actions.push(Action::Say(Sentence {
            text: text.to_owned(),
            preemptible,
            must_be_heard,
        }));
        if !self.reply.as_ref().is_some_and(|reply| reply.waits) {
            self.reopen_due = None;
        }
        self.wait_for_caller(now);
    }

    /// Words that were under way when the caller cut us off have begun a cycle at Twilio: it is
    /// closed before the next begins, which would else be joined to it (protocol 5.2).
    pub(super) fn close_stray_cycle(&mut self, actions: &mut Vec<Action>) {
        if self.playback.take_stray_cycle() {
            actions.push(Action::CloseReply);
        }
    }

    /// The caller interrupted what was said before: a reply that has not begun to speak is kept back
    /// until it is clear whether they go on. Whether there is one.
    pub(super) fn hold_reply(&mut self) -> bool {
        let unheard = |reply: &&mut Reply| reply.seq.is_none() && reply.eager.is_none();
        let Some(reply) = self.reply.as_mut().filter(unheard) else {
            return false;
        };
        reply.waits = true;
        reply.bridge_due = None;
        true
    }

    /// The interruption was none: what was kept back is said. Whether there was such a reply.
    pub(super) fn release_reply(&mut self, now: Now, actions: &mut Vec<Action>) -> bool {
        let Some(reply) = self.reply.as_mut().filter(|reply| reply.waits) else {
            return false;
        };
        reply.waits = false;
        reply.bridge_due = Some(now.ms);
        self.speak_held(now, actions);
        self.go_on_if_returned(now, actions);
        true
    }

    pub(super) fn on_token(&mut self, text: &str, now: Now, actions: &mut Vec<Action>) {
        let Some(reply) = &mut self.reply else {
            return;
        };
        if reply.is_held() {
            if reply.held.len() < REPLY_BYTES_MAX {
                reply.held.push_str(text);
            }
            return;
        }
        if reply.tagger.is_some() {
            self.speak_tagged(text, now, actions);
        } else if self.take_words(text, now, actions) {
            actions.push(Action::PassToken);
        } else {
            return;
        }
        let long = |reply: &Reply| reply.text.len() > REPLY_BYTES_MAX;
        if self.reply.as_ref().is_some_and(long) {
            actions.push(Action::Abort);
            self.on_replied(&Finish::default(), now, actions);
        }
    }

    /// What a reply held back, once it may be heard.
    pub(super) fn speak_held(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(reply) = &mut self.reply else {
            return;
        };
        let held = std::mem::take(&mut reply.held);
        let done = std::mem::take(&mut reply.done);
        if !held.is_empty() {
            self.speak_tagged(&held, now, actions);
        }
        if let Some(finish) = done {
            self.on_replied(&finish, now, actions);
        }
    }

    /// Says words of the reply in play, in the language that they are in.
    fn speak_tagged(&mut self, text: &str, now: Now, actions: &mut Vec<Action>) {
        let tagger = self.reply.as_mut().and_then(|reply| reply.tagger.as_mut());
        let pieces = match tagger {
            Some(tagger) => tagger.take(text),
            None => vec![(text.to_owned(), None)],
        };
        self.speak_pieces(pieces, now, actions);
    }

    /// The reply in play is complete: says what was held back until its language was clear.
    fn speak_rest(&mut self, now: Now, actions: &mut Vec<Action>) {
        let tagger = self.reply.as_mut().and_then(|reply| reply.tagger.as_mut());
        let pieces = tagger.map(LanguageTagger::finish).unwrap_or_default();
        self.speak_pieces(pieces, now, actions);
    }

    fn speak_pieces(&mut self, pieces: Vec<Tagged>, now: Now, actions: &mut Vec<Action>) {
        for (words, language) in pieces {
            if self.take_words(&words, now, actions) {
                actions.push(match language {
                    Some(language) => Action::AppendIn(words, language),
                    None => Action::Append(words),
                });
            }
        }
    }

    /// Notes words of the reply in play as said; its turn begins with the first. `false` if there
    /// is nothing to be said yet.
    fn take_words(&mut self, text: &str, now: Now, actions: &mut Vec<Action>) -> bool {
        let Some(reply) = &mut self.reply else {
            return false;
        };
        if reply.seq.is_none() {
            if text.trim().is_empty() {
                return false;
            }
            let seq = self.transcript.begin(now.unix_ms);
            reply.seq = Some(seq);
            reply.bridge_due = None;
            if self.playback.take_stray_cycle() {
                actions.push(Action::CloseReply);
            }
            self.playback.begin(seq, false, now.ms);
            if !reply.after_words {
                let waited = now.ms.saturating_sub(reply.asked_ms);
                actions.push(Action::Count(Count::FirstToken(waited)));
            }
        }
        reply.text.push_str(text);
        self.playback.sent(text, now.ms);
        true
    }

    pub(super) fn on_tool(&mut self, call: &ToolCall) {
        if let Some(reply) = &mut self.reply {
            reply.calls.push(ToolCall {
                id: self.call_ids.next().into(),
                tool: call.tool.clone(),
            });
        }
    }

    pub(super) fn on_replied(&mut self, finish: &Finish, now: Now, actions: &mut Vec<Action>) {
        if let Some(reply) = self.reply.as_mut().filter(|reply| reply.is_held()) {
            reply.done = Some(finish.clone());
            return;
        }
        self.speak_rest(now, actions);
        let Some(mut reply) = self.reply.take() else {
            return;
        };
        self.model_failures = 0;
        reply.usage = usage_of(finish);
        if reply.breaks_off(finish.ending) {
            self.apologise_within(reply, now, actions);
            return;
        }
        let calls = std::mem::take(&mut reply.calls);
        if !calls.is_empty() {
            self.carry_out(reply, calls, now, actions);
        } else if reply.seq.is_some() {
            self.complete(reply, Vec::new(), now, actions);
        } else if self.transcript.has_answered() && !reply.after_data {
            self.wait_for_caller(now);
        } else {
            self.model_failed(now, actions);
        }
    }

    /// The reply has said what it had to say: closes it and keeps it.
    pub(super) fn complete(
        &mut self,
        mut reply: Reply,
        calls: Vec<ToolCall>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(seq) = reply.seq else {
            return;
        };
        if self.asked_for_name(&reply.text) {
            reply.ask_name_after = false;
            self.naming_asked(true, actions);
        }
        if reply.ask_name_after && self.naming.name().is_none() {
            let question = after(&reply.text, &self.phrases().ask_name);
            self.playback.sent(&question, now.ms);
            reply.text.push_str(&question);
            actions.push(Action::Append(question));
            self.naming_asked(true, actions);
        }
        actions.push(Action::CloseReply);
        self.playback.close();
        self.transcript.spend(seq, reply.usage.take());
        if let Some(turn) = self.transcript.finish(seq, reply.text.trim(), false, calls) {
            self.record_turn(turn, actions);
        }
        self.wait_for_caller(now);
    }

    /// Whether the model has asked for the caller's name by itself, as it is told to once.
    fn asked_for_name(&self, text: &str) -> bool {
        let told = self.naming.asking() == NameAsking::Open;
        self.naming.name().is_none() && asks_for_name(text, &self.language, told)
    }

    pub(super) fn on_reply_failed(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.release_reply(now, actions);
        if self
            .reply
            .as_ref()
            .is_some_and(|reply| reply.eager.is_none())
        {
            self.speak_rest(now, actions);
        }
        let Some(reply) = self.reply.take() else {
            return;
        };
        if reply.eager.is_some() {
            // Nobody waits for it: the final prompt will ask again.
            return;
        }
        if reply.seq.is_none() {
            self.model_failed(now, actions);
            return;
        }
        self.model_failures += 1;
        self.apologise_within(reply, now, actions);
    }

    /// The reply broke off in the middle: an apology follows in the same breath.
    fn apologise_within(&mut self, mut reply: Reply, now: Now, actions: &mut Vec<Action>) {
        actions.push(Action::Count(Count::Apology));
        if let Some(seq) = reply.seq {
            // A model that reads its own apologies goes on apologising.
            self.transcript.tell_only(seq, reply.text.trim().len());
        }
        let apology = after(&reply.text, &self.phrases().apology);
        self.playback.sent(&apology, now.ms);
        reply.text.push_str(&apology);
        reply.ask_name_after = false;
        actions.push(Action::Append(apology));
        self.complete(reply, Vec::new(), now, actions);
    }

    /// No model answered: an apology the first time, other words the second, and then somebody else or a
    /// goodbye: a model that is down is not apologised for at every turn.
    fn model_failed(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.model_failures += 1;
        let failures_max = self.setting.bounds.model_failures_max;
        if failures_max == 0 || self.model_failures < failures_max {
            let again = self.model_failures > 1;
            self.apologise_as(again, now, actions);
        } else if self.setting.can_hand_over {
            actions.push(Action::Count(Count::Apology));
            let moment = self.phrases().handing_over.clone();
            self.say_as(&moment, TurnKind::Apology, true, now, actions);
            let data = handoff_data("the agent cannot answer", "");
            self.end_after_speech(Outcome::HandedOver, Some(data), true, now);
        } else {
            actions.push(Action::Count(Count::Apology));
            let goodbye = self.phrases().closing.clone();
            self.say_as(&goodbye, TurnKind::Apology, true, now, actions);
            self.end_after_speech(Outcome::Failed, None, false, now);
        }
    }

    pub(super) fn apologise(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.apologise_as(false, now, actions);
    }

    fn apologise_as(&mut self, again: bool, now: Now, actions: &mut Vec<Action>) {
        actions.push(Action::Count(Count::Apology));
        let phrases = self.phrases();
        let apology = match again {
            false => phrases.apology.clone(),
            true => phrases.apology_again.clone(),
        };
        self.say(&apology, TurnKind::Apology, now, actions);
    }

    /// Says a sentence that fills the time until the first token; never the same twice in a row.
    pub(super) fn bridge(&mut self, now: Now, actions: &mut Vec<Action>) {
        let bridges = &self.phrases().bridges;
        let next = self.last_bridge.wrapping_add(1) % bridges.len().max(1);
        let Some(bridge) = bridges.get(next).cloned() else {
            return;
        };
        self.last_bridge = next;
        actions.push(Action::Count(Count::Bridge));
        self.say(&bridge, TurnKind::Bridge, now, actions);
        self.silence_due = None;
    }

    /// The caller's next words make the reply in play pointless: it stops where it is. What went
    /// out without being interrupted will be heard, so it is closed and kept.
    pub(super) fn stop_reply(&mut self, actions: &mut Vec<Action>) {
        let Some(reply) = self.abandon_reply(actions) else {
            return;
        };
        let Some(seq) = reply.seq else {
            if !reply.after_words {
                self.naming.reconsider();
            }
            return;
        };
        actions.push(Action::CloseReply);
        self.playback.close();
        self.finish_turn(seq, reply.text.trim(), actions);
        if !self.agent_speaking {
            self.transcript.overtake(seq);
            self.naming.reconsider();
        }
    }

    /// Aborts the reply in play without closing it: after a barge-in Twilio has dropped the cycle.
    /// Tools that it waits for are let go of.
    pub(super) fn abandon_reply(&mut self, actions: &mut Vec<Action>) -> Option<Reply> {
        let mut reply = self.reply.take()?;
        match reply.open.take() {
            Some(open) => self.let_go(open, actions),
            None => actions.push(Action::Abort),
        }
        Some(reply)
    }

    /// The turn begun at `seq` was cut off after `heard`.
    pub(super) fn finish_turn(&mut self, seq: TurnSeq, heard: &str, actions: &mut Vec<Action>) {
        if let Some(turn) = self.transcript.finish(seq, heard, true, Vec::new()) {
            self.record_turn(turn, actions);
        }
    }
}

/// What the agent may do besides talking: only what can work in a call on `line`.
pub fn tools_of(line: &Line, can_hand_over: bool, can_be_known: bool) -> ToolSet {
    let cannot = [
        (ToolKind::HandOver, !can_hand_over),
        (ToolKind::SwitchLanguage, line.languages.len() < 2),
        (ToolKind::NotePreference, !can_be_known),
    ];
    let without = |tools: ToolSet, (kind, cannot): (ToolKind, bool)| match cannot {
        true => tools.without(kind),
        false => tools,
    };
    cannot.into_iter().fold(ToolSet::ALL, without)
}

/// `sentence` as it follows `text` in one breath: a sentence that broke off is ended first.
fn after(text: &str, sentence: &str) -> String {
    let ended = is_ended(text) || text.trim_end().ends_with(':');
    let stop = if ended { "" } else { "." };
    let space = if text.ends_with(char::is_whitespace) && ended {
        ""
    } else {
        " "
    };
    format!("{stop}{space}{sentence}")
}

/// Whether `text` ends with the end of a sentence.
fn is_ended(text: &str) -> bool {
    text.trim_end()
        .trim_end_matches(['"', '\'', '”', '’', '»', ')', '」'])
        .ends_with(['.', '?', '!', '…', '。', '？', '！', '।'])
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
