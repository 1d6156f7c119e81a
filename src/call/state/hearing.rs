//! The caller speaks, presses keys, interrupts.

use super::replying::Reply;
use super::{Action, CallState, Count, Now};
use crate::call::naming::{NameChange, NameReply, NameStep, NameVerdict, Said};
use crate::call::phrases::with_name;
use crate::call::playback::Cut;
use calldex_storage::record::TurnKind;
use compact_str::CompactString;

/// Ends an answer in keys at once; alone it is a key like any other.
const KEYS_END: char = '#';
/// While we speak, the interrupt that a key causes comes within 2 ms of it (protocol 4.4) and passes
/// first: keys are answered after this many milliseconds at the earliest.
const KEY_INTERRUPT_MS: u64 = 50;
/// Keys beyond this many in one answer are dropped.
const KEYS_MAX: usize = 32;
/// An interruption that nothing follows for so long was none: what it left open goes on.
const REOPEN_MS: u64 = 2_000;
/// How many of the caller's last turns a replay may repeat.
const REPLAY_TURNS: usize = 8;

impl CallState {
    pub(super) fn on_prompt(
        &mut self,
        text: &str,
        language: &str,
        last: bool,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        self.caller_is_there(now);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if !last {
            self.on_partial(text, now, actions);
            return;
        }
        self.caller_speaking = false;
        if now.ms < self.replay_until && self.transcript.heard_lately(text, REPLAY_TURNS) {
            actions.push(Action::Count(Count::Replay));
            return;
        }
        // Something new: what is repeated from here on is meant.
        self.replay_until = 0;
        self.keep_keys(now, actions);
        self.hear_turn(text, TurnKind::Speech, language, now, actions);
    }

    pub(super) fn on_key(&mut self, key: char, now: Now) {
        self.caller_is_there(now);
        let ends = key == KEYS_END && !self.keys.is_empty();
        if self.keys.len() < KEYS_MAX {
            self.keys.push(key);
        }
        let wait = match (ends, self.agent_speaking) {
            (false, _) => self.keys_wait_ms(),
            (true, true) => KEY_INTERRUPT_MS,
            (true, false) => 0,
        };
        self.keys_due = Some(now.ms + wait);
        // Keys are no silence.
        self.silence_due = None;
    }

    pub(super) fn answer_keys(&mut self, now: Now, actions: &mut Vec<Action>) {
        if let Some(text) = self.take_keys() {
            self.hear_turn(&text, TurnKind::Dtmf, "", now, actions);
        }
    }

    /// Words, or the end of the call, came while more keys were waited for: these are kept, and what
    /// comes after them is answered.
    pub(super) fn keep_keys(&mut self, now: Now, actions: &mut Vec<Action>) {
        if let Some(text) = self.take_keys() {
            let turn = self.transcript.hear(&text, TurnKind::Dtmf, "", now.unix_ms);
            self.record_turn(turn, actions);
        }
    }

    fn take_keys(&mut self) -> Option<String> {
        self.keys_due = None;
        let keys = std::mem::take(&mut self.keys);
        let spaced: Vec<String> = keys.chars().map(String::from).collect();
        (!spaced.is_empty()).then(|| format!("[pressed {}]", spaced.join(" ")))
    }

    fn hear_turn(
        &mut self,
        text: &str,
        kind: TurnKind,
        language: &str,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        if !self.call_off_end() {
            // The goodbye stands: what is said into it is kept, not answered.
            let turn = self.transcript.hear(text, kind, language, now.unix_ms);
            self.record_turn(turn, actions);
            return;
        }
        let eager = self.take_eager(text, actions);
        self.stop_reply(actions);
        self.playback.answered();
        let turn = self.transcript.hear(text, kind, language, now.unix_ms);
        self.record_turn(turn, actions);
        if self.transcript.len() >= self.setting.bounds.turns_max as usize {
            self.end_at_limit(now, actions);
            return;
        }
        if kind == TurnKind::Speech {
            self.follow_language(text, language, now, actions);
        }
        let mut step = match kind {
            TurnKind::Speech => self.hear_name(language),
            _ => NameStep::default(),
        };
        self.take_changes(&mut step, language, now, actions);
        self.take_name_step(step, eager, now, actions);
    }

    /// The name is looked for in all that was said since we last spoke: "My name is" and "Misty"
    /// may come as two.
    fn hear_name(&mut self, language: &str) -> NameStep {
        let words = self.transcript.open_words();
        let spoken = if language.is_empty() {
            self.language.as_str()
        } else {
            language
        };
        self.naming
            .hear(&words, spoken, &self.setting.line.excluded)
    }

    fn take_name_step(
        &mut self,
        step: NameStep,
        eager: Option<Reply>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        if let Some(event) = step.event {
            actions.push(Action::Count(Count::Name(event)));
        }
        if step.judge && self.setting.bounds.judge_names {
            actions.push(Action::JudgeName {
                question: self.transcript.last_said().to_owned(),
                answer: self.transcript.open_words(),
            });
        }
        if self.has_left() {
            // Answered by whoever takes the call up.
            return;
        }
        if let Some(wanted) = step.language_wanted {
            if eager.is_some() {
                actions.push(Action::Abort);
            }
            self.offer_language(wanted, step.ask_after, now, actions);
            return;
        }
        match (step.reply, eager) {
            (None, Some(reply)) if step.nudge.is_none() => {
                self.adopt(reply, step.ask_after, now, actions);
            }
            (Some(reply), eager) => {
                if eager.is_some() {
                    actions.push(Action::Abort);
                }
                self.say_name_reply(reply, now, actions);
            }
            // Asking again aborts what was begun.
            (None, _) => self.ask(step.nudge, step.ask_after, now, actions),
        }
    }

    fn say_name_reply(&mut self, reply: NameReply, now: Now, actions: &mut Vec<Action>) {
        let phrases = self.phrases();
        let template = match reply {
            NameReply::NiceToMeet => &phrases.nice_to_meet,
            NameReply::HelloAgain => &phrases.hello_again,
            NameReply::Corrected => &phrases.corrected,
            NameReply::Confirm => &phrases.confirm_name,
            NameReply::AskAgain => &phrases.ask_again,
            NameReply::Declined => &phrases.declined,
            NameReply::Forgotten => &phrases.forgotten,
        };
        let name = match reply {
            NameReply::Confirm => self.naming.pending().map(CompactString::from),
            _ => self.naming.name().cloned(),
        };
        let text = with_name(template, name.as_deref().unwrap_or_default());
        match reply {
            NameReply::AskAgain => self.naming.ask(),
            NameReply::NiceToMeet | NameReply::HelloAgain | NameReply::Corrected => {
                self.naming.read_back();
            }
            NameReply::Confirm | NameReply::Declined | NameReply::Forgotten => {}
        }
        self.say(&text, TurnKind::Speech, now, actions);
    }

    pub(super) fn on_interrupt(&mut self, fragment: &str, now: Now, actions: &mut Vec<Action>) {
        let by = if self.keys_due.is_some() {
            "dtmf"
        } else {
            "speech"
        };
        actions.push(Action::Count(Count::BargeIn(by)));
        self.caller_is_there(now);
        self.agent_speaking = false;
        self.hold_end(now);
        let cuts = self.playback.interrupted(fragment, now.ms);
        let held = self.hold_reply();
        let in_play = if held {
            None
        } else {
            self.abandon_reply(actions)
        };
        self.cut_to_heard(cuts, in_play, actions);
        if held || self.transcript.is_unanswered() {
            self.reopen_due = Some(now.ms + REOPEN_MS);
        }
    }

    pub(super) fn on_played(&mut self, text: &str, now: Now, actions: &mut Vec<Action>) {
        let cuts = self.playback.played(text, now.ms);
        self.cut_to_heard(cuts, None, actions);
        self.goodbye_goes_on(now);
        self.wait_for_caller(now);
    }

    /// Turns end where their hearing ended; of the reply in play only now is there a turn to keep.
    pub(super) fn cut_to_heard(
        &mut self,
        cuts: Vec<Cut>,
        in_play: Option<Reply>,
        actions: &mut Vec<Action>,
    ) {
        let unsaid = |reply: &Reply| reply.seq.is_none() && !reply.after_words;
        if in_play.as_ref().is_some_and(unsaid) {
            // Nothing was said since the caller spoke: what was asked of them is still open.
            self.naming.reconsider();
        }
        let speaking = in_play.and_then(|reply| Some((reply.seq?, reply)));
        for cut in &cuts {
            if speaking.as_ref().is_some_and(|(seq, _)| *seq == cut.turn) {
                if cut.estimated {
                    self.transcript.estimate(cut.turn);
                }
                self.finish_turn(cut.turn, &cut.heard, actions);
            } else if let Some(turn) = self.transcript.cut(cut) {
                self.amend_turn(turn, actions);
            }
        }
        if let Some((seq, reply)) = speaking
            && cuts.iter().all(|cut| cut.turn != seq)
        {
            self.finish_turn(seq, reply.text.trim(), actions);
        }
    }

    pub(super) fn on_caller_speaking(&mut self, on: bool, now: Now) {
        self.caller_speaking = on;
        self.playback.informed();
        self.caller_is_there(now);
        self.hold_end(now);
        if self.reopen_due.is_some() {
            self.reopen_due = Some(now.ms + REOPEN_MS);
        }
    }

    pub(super) fn on_agent_speaking(&mut self, on: bool, now: Now, actions: &mut Vec<Action>) {
        self.agent_speaking = on;
        self.playback.informed();
        if on {
            self.playback.sounds(now.ms);
        } else {
            self.playback.fell_silent();
            self.end_when_said(actions);
        }
        self.wait_for_caller(now);
    }

    pub(super) fn on_name_judged(
        &mut self,
        verdict: NameVerdict<'_>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        // The opinion is of a turn that may be long answered: it corrects nothing.
        let is_settled = match verdict {
            NameVerdict::Own(name) if self.naming.name().is_none() => {
                self.suggest_name(name, now, actions).is_ok()
            }
            NameVerdict::Refused => self.naming.refuse(),
            NameVerdict::Own(_) | NameVerdict::Nothing => false,
        };
        if is_settled && let Some(reply) = &mut self.reply {
            reply.ask_name_after = false;
        }
        if is_settled && verdict == NameVerdict::Refused {
            actions.push(Action::Count(Count::Name("declined")));
        }
    }

    /// Takes a name that the model gives, where it may be taken; why not is for the model.
    pub(super) fn suggest_name(
        &mut self,
        name: &str,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), &'static str> {
        let said = Said {
            all: &self.transcript.caller_words(),
            latest: &self.transcript.open_words(),
            language: &self.language,
        };
        let excluded = &self.setting.line.excluded;
        let before = self.naming.name().cloned();
        let changes = self.naming.suggest(name, said, excluded)?;
        if before.is_some() && matches!(changes[..], [NameChange::PersonAdded(_)]) {
            self.part_notes();
        }
        if !changes.is_empty() {
            actions.push(Action::Count(Count::Name("model_applied")));
        }
        for change in changes {
            self.keep_name(change, now, actions);
        }
        self.claim_notes(now, actions);
        Ok(())
    }
}
