//! The agent speaks: replies as they stream, sentences of our own, bridges and apologies.

use super::eager::Eager;
use super::{Action, CallState, Count, Now, Sentence};
use crate::agent::{Brief, Message, ToolCall, ToolKind, ToolSet};
use crate::call::playback::TurnSeq;
use calldex_storage::record::TurnKind;

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
    /// It was begun before the caller had finished, and may not be heard yet.
    pub(super) eager: Option<Eager>,
}

impl Reply {
    fn asked(round: u8, now: Now) -> Self {
        Self {
            seq: None,
            text: String::new(),
            calls: Vec::new(),
            round,
            asked_ms: now.ms,
            bridge_due: None,
            ask_name_after: false,
            eager: None,
        }
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
        let caller = self.facts();
        let mut brief = Brief::new(
            &self.setting.line.persona,
            caller,
            self.transcript.history(),
        );
        brief.tools = self.tools();
        brief.nudge = nudge;
        brief.round = round;
        let mut reply = Reply::asked(round, now);
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

    /// What the agent may do besides talking: nobody is promised whom nobody would answer.
    fn tools(&self) -> ToolSet {
        if self.setting.can_hand_over {
            ToolSet::ALL
        } else {
            ToolSet::ALL.without(ToolKind::HandOver)
        }
    }

    /// Asks for an answer to what the caller seems to have said; nothing of it is said yet.
    pub(super) fn ask_eagerly(
        &mut self,
        text: &str,
        eager: Eager,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let mut history = self.transcript.history();
        history.push(Message::caller(text));
        let mut brief = Brief::new(&self.setting.line.persona, self.facts(), history);
        brief.tools = self.tools();
        self.reply = Some(Reply {
            eager: Some(eager),
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
        self.playback.say(turn.seq, text);
        self.record_turn(turn, actions);
        actions.push(Action::Say(Sentence {
            text: text.to_owned(),
            preemptible: kind == TurnKind::Bridge,
            must_be_heard,
        }));
        self.reopen_due = None;
        self.wait_for_caller(now);
    }

    pub(super) fn on_token(&mut self, text: &str, now: Now, actions: &mut Vec<Action>) {
        let Some(reply) = &mut self.reply else {
            return;
        };
        if let Some(eager) = &mut reply.eager {
            if eager.held.len() < REPLY_BYTES_MAX {
                eager.held.push_str(text);
            }
            return;
        }
        if !self.take_words(text, now, actions) {
            return;
        }
        actions.push(Action::PassToken);
        let long = |reply: &Reply| reply.text.len() > REPLY_BYTES_MAX;
        if self.reply.as_ref().is_some_and(long) {
            actions.push(Action::Abort);
            self.on_replied(now, actions);
        }
    }

    /// What an eager reply held back, once it may be heard.
    pub(super) fn speak_held(&mut self, held: &str, now: Now, actions: &mut Vec<Action>) {
        if self.take_words(held, now, actions) {
            actions.push(Action::Append(held.to_owned()));
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
            self.playback.begin(seq);
            let waited = now.ms.saturating_sub(reply.asked_ms);
            actions.push(Action::Count(Count::FirstToken(waited)));
        }
        reply.text.push_str(text);
        self.playback.sent(text);
        true
    }

    pub(super) fn on_tool(&mut self, call: &ToolCall) {
        if let Some(reply) = &mut self.reply {
            reply.calls.push(call.clone());
        }
    }

    pub(super) fn on_replied(&mut self, now: Now, actions: &mut Vec<Action>) {
        if let Some(eager) = self.reply.as_mut().and_then(|reply| reply.eager.as_mut()) {
            eager.done = true;
            return;
        }
        let Some(mut reply) = self.reply.take() else {
            return;
        };
        let calls = std::mem::take(&mut reply.calls);
        if !calls.is_empty() {
            self.carry_out(reply, calls, now, actions);
        } else if reply.seq.is_some() {
            self.complete(reply, Vec::new(), now, actions);
        } else if self.transcript.has_answered() {
            self.wait_for_caller(now);
        } else {
            self.apologise(now, actions);
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
        if reply.ask_name_after && self.naming.name().is_none() {
            let question = after(&reply.text, &self.phrases().ask_name);
            self.playback.sent(&question);
            reply.text.push_str(&question);
            actions.push(Action::Append(question));
            self.naming_asked(true, actions);
        }
        actions.push(Action::CloseReply);
        self.playback.close();
        if let Some(turn) = self.transcript.finish(seq, reply.text.trim(), false, calls) {
            self.record_turn(turn, actions);
        }
        self.wait_for_caller(now);
    }

    pub(super) fn on_reply_failed(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(mut reply) = self.reply.take() else {
            return;
        };
        if reply.eager.is_some() {
            // Nobody waits for it: the final prompt will ask again.
            return;
        }
        if reply.seq.is_none() {
            self.apologise(now, actions);
            return;
        }
        actions.push(Action::Count(Count::Apology));
        let apology = after(&reply.text, &self.phrases().apology);
        self.playback.sent(&apology);
        reply.text.push_str(&apology);
        reply.ask_name_after = false;
        actions.push(Action::Append(apology));
        self.complete(reply, Vec::new(), now, actions);
    }

    pub(super) fn apologise(&mut self, now: Now, actions: &mut Vec<Action>) {
        actions.push(Action::Count(Count::Apology));
        let apology = self.phrases().apology.clone();
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
            self.naming.reconsider();
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
    pub(super) fn abandon_reply(&mut self, actions: &mut Vec<Action>) -> Option<Reply> {
        let reply = self.reply.take()?;
        actions.push(Action::Abort);
        Some(reply)
    }

    /// The turn begun at `seq` was cut off after `heard`.
    pub(super) fn finish_turn(&mut self, seq: TurnSeq, heard: &str, actions: &mut Vec<Action>) {
        if let Some(turn) = self.transcript.finish(seq, heard, true, Vec::new()) {
            self.record_turn(turn, actions);
        }
    }
}

/// `sentence` as it follows `text` in one breath: a sentence that broke off is ended first.
fn after(text: &str, sentence: &str) -> String {
    let ended = text
        .trim_end()
        .ends_with(['.', '?', '!', ':', '…', '。', '？', '！']);
    let stop = if ended { "" } else { "." };
    let space = if text.ends_with(char::is_whitespace) && ended {
        ""
    } else {
        " "
    };
    format!("{stop}{space}{sentence}")
}
