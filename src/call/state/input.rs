//! Input of the caller: speech, DTMF keys, interruptions.

use super::pending_reply::PendingReply;
use super::{CallAction, CallMetric, CallState, EventTime};
use crate::call::caller_name::{CallerWords, NameChange, NameReply, NameStep, NameSuggestion};
use crate::call::phrases::fill_name;
use crate::call::playback::HeardText;
use calldex_storage::record::TurnKind;
use compact_str::CompactString;

/// Ends an answer in keys at once; alone it is a key like any other.
const KEYS_END_KEY: char = '#';
/// While we speak, the interrupt that a key causes comes within 2 ms of it (docs/protocol.md 4.4) and passes
/// first: keys are answered after this many milliseconds at the earliest.
const KEY_INTERRUPT_MS: u64 = 50;
/// Keys beyond this many in one answer are dropped.
const KEYS_MAX: usize = 32;
/// An interruption that nothing follows for so long was none: what it left open goes on.
const FALSE_INTERRUPTION_MS: u64 = 2_000;
/// How many of the caller's last turns a replay may repeat.
const REPEATED_PROMPT_TURNS: usize = 8;

impl CallState {
    pub(super) fn on_prompt(
        &mut self,
        text: &str,
        language: &str,
        last: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        self.caller_active(now);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if !last {
            self.on_partial(text, now, actions);
            return;
        }
        self.caller_speaking = false;
        if now.ms < self.repeats_until_ms
            && self.transcript.heard_recently(text, REPEATED_PROMPT_TURNS)
        {
            actions.push(CallAction::Count(CallMetric::RepeatedPrompt));
            return;
        }
        // Something new: what is repeated from here on is meant.
        self.repeats_until_ms = 0;
        self.record_keys(now, actions);
        self.on_caller_turn(text, TurnKind::Speech, language, now, actions);
    }

    pub(super) fn on_dtmf_key(&mut self, key: char, now: EventTime) {
        self.caller_active(now);
        let ends = key == KEYS_END_KEY && !self.dtmf_keys.is_empty();
        if self.dtmf_keys.len() < KEYS_MAX {
            self.dtmf_keys.push(key);
        }
        let wait = match (ends, self.agent_speaking) {
            (false, _) => self.dtmf_wait_ms(),
            (true, true) => KEY_INTERRUPT_MS,
            (true, false) => 0,
        };
        self.keys_due_ms = Some(now.ms + wait);
        // Keys are no silence.
        self.silence_due_ms = None;
    }

    pub(super) fn answer_keys(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        if let Some(text) = self.take_keys_text() {
            self.on_caller_turn(&text, TurnKind::Dtmf, "", now, actions);
        }
    }

    /// Words, or the end of the call, came while more keys were waited for: these are kept, and what
    /// comes after them is answered.
    pub(super) fn record_keys(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        if let Some(text) = self.take_keys_text() {
            let turn = self.transcript.hear(&text, TurnKind::Dtmf, "", now.unix_ms);
            self.record_turn(turn, actions);
        }
    }

    fn take_keys_text(&mut self) -> Option<String> {
        self.keys_due_ms = None;
        let keys = std::mem::take(&mut self.dtmf_keys);
        let spaced: Vec<String> = keys.chars().map(String::from).collect();
        (!spaced.is_empty()).then(|| format!("[pressed {}]", spaced.join(" ")))
    }

    fn on_caller_turn(
        &mut self,
        text: &str,
        kind: TurnKind,
        language: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        if !self.try_cancel_end() {
            // The end stands: words during the goodbye are recorded, not answered.
            let turn = self.transcript.hear(text, kind, language, now.unix_ms);
            self.record_turn(turn, actions);
            return;
        }
        let preemptive = self.take_preemptive(text, actions);
        self.stop_and_close_reply(actions);
        self.playback.caller_answered();
        let turn = self.transcript.hear(text, kind, language, now.unix_ms);
        self.record_turn(turn, actions);
        if self.transcript.len() >= self.context.limits.turns_max as usize {
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
        self.apply_name_changes(&mut step, language, now, actions);
        self.apply_name_step(step, preemptive, now, actions);
    }

    /// The name is looked for in all that was said since we last spoke: "My name is" and "Misty"
    /// may come as two.
    fn hear_name(&mut self, language: &str) -> NameStep {
        let words = self.transcript.unanswered_words();
        let spoken = if language.is_empty() {
            self.language.as_str()
        } else {
            language
        };
        self.name_dialogue
            .hear(&words, spoken, &self.context.line.excluded)
    }

    fn apply_name_step(
        &mut self,
        step: NameStep,
        preemptive: Option<PendingReply>,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        if let Some(event) = step.metric_event {
            actions.push(CallAction::Count(CallMetric::NameEvent(event)));
        }
        if step.verify_with_model && self.context.limits.verify_names {
            actions.push(CallAction::VerifyName {
                question: self.transcript.last_said().to_owned(),
                answer: self.transcript.unanswered_words(),
            });
        }
        if self.has_left_instance() {
            // The next session answers.
            return;
        }
        if let Some(wanted) = step.requested_language {
            if preemptive.is_some() {
                actions.push(CallAction::AbortReply);
            }
            self.offer_language(wanted, step.ask_name_after, now, actions);
            return;
        }
        match (step.reply, preemptive) {
            (None, Some(reply)) if step.turn_instruction.is_none() => {
                self.adopt_preemptive(reply, step.ask_name_after, now, actions);
            }
            (Some(reply), preemptive) => {
                if preemptive.is_some() {
                    actions.push(CallAction::AbortReply);
                }
                self.say_name_reply(reply, now, actions);
            }
            // Asking again aborts what was begun.
            (None, _) => {
                self.request_reply(step.turn_instruction, step.ask_name_after, now, actions)
            }
        }
    }

    fn say_name_reply(&mut self, reply: NameReply, now: EventTime, actions: &mut Vec<CallAction>) {
        let phrases = self.phrases();
        let template = match reply {
            NameReply::Welcome => &phrases.nice_to_meet,
            NameReply::WelcomeBack => &phrases.hello_again,
            NameReply::Corrected => &phrases.corrected,
            NameReply::Confirm => &phrases.confirm_name,
            NameReply::AskAgain => &phrases.ask_again,
            NameReply::Declined => &phrases.declined,
            NameReply::Forgotten => &phrases.forgotten,
        };
        let name = match reply {
            NameReply::Confirm => self
                .name_dialogue
                .pending_confirmation()
                .map(CompactString::from),
            _ => self.name_dialogue.name().cloned(),
        };
        let text = fill_name(template, name.as_deref().unwrap_or_default());
        match reply {
            NameReply::AskAgain => self.name_dialogue.mark_asked(),
            NameReply::Welcome | NameReply::WelcomeBack | NameReply::Corrected => {
                self.name_dialogue.mark_read_back();
            }
            NameReply::Confirm | NameReply::Declined | NameReply::Forgotten => {}
        }
        self.say(&text, TurnKind::Speech, now, actions);
    }

    pub(super) fn on_interrupt(
        &mut self,
        fragment: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let by = if self.keys_due_ms.is_some() {
            "dtmf"
        } else {
            "speech"
        };
        actions.push(CallAction::Count(CallMetric::Interruption(by)));
        self.caller_active(now);
        self.agent_speaking = false;
        self.extend_goodbye(now);
        let heard_texts = self.playback.interrupt(fragment, now.ms);
        let held = self.withhold_reply();
        let in_play = if held {
            None
        } else {
            self.abort_without_closing(actions)
        };
        self.truncate_to_heard(heard_texts, in_play, actions);
        if held || self.transcript.is_unanswered() {
            self.false_interruption_due_ms = Some(now.ms + FALSE_INTERRUPTION_MS);
        }
    }

    pub(super) fn on_tokens_played(
        &mut self,
        text: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let heard_texts = self.playback.report_played(text, now.ms);
        self.truncate_to_heard(heard_texts, None, actions);
        self.extend_goodbye_in_play(now);
        self.start_silence_timer(now);
    }

    /// Turns end where their hearing ended; of the reply in play only now is there a turn to keep.
    pub(super) fn truncate_to_heard(
        &mut self,
        heard_texts: Vec<HeardText>,
        in_play: Option<PendingReply>,
        actions: &mut Vec<CallAction>,
    ) {
        let unsaid = |reply: &PendingReply| reply.seq.is_none() && !reply.has_spoken_before;
        if in_play.as_ref().is_some_and(unsaid) {
            // Nothing was said since the caller spoke: what was asked of them is still open.
            self.name_dialogue.restore_question();
        }
        let speaking = in_play.and_then(|reply| Some((reply.seq?, reply)));
        for heard_text in &heard_texts {
            if speaking
                .as_ref()
                .is_some_and(|(seq, _)| *seq == heard_text.turn)
            {
                if heard_text.estimated {
                    self.transcript.mark_estimated(heard_text.turn);
                }
                self.record_cut_turn(heard_text.turn, &heard_text.text, actions);
            } else if let Some(turn) = self.transcript.truncate_to_heard(heard_text) {
                self.amend_turn(turn, actions);
            }
        }
        if let Some((seq, reply)) = speaking
            && heard_texts.iter().all(|heard_text| heard_text.turn != seq)
        {
            self.record_cut_turn(seq, reply.text.trim(), actions);
        }
    }

    pub(super) fn on_caller_speaking(&mut self, on: bool, now: EventTime) {
        self.caller_speaking = on;
        self.playback.confirm_reports();
        self.caller_active(now);
        self.extend_goodbye(now);
        if self.false_interruption_due_ms.is_some() {
            self.false_interruption_due_ms = Some(now.ms + FALSE_INTERRUPTION_MS);
        }
    }

    pub(super) fn on_agent_speaking(
        &mut self,
        on: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        self.agent_speaking = on;
        self.playback.confirm_reports();
        if on {
            self.playback.audio_started(now.ms);
        } else {
            self.playback.audio_stopped();
            self.end_if_played(actions);
        }
        self.start_silence_timer(now);
    }

    pub(super) fn on_name_verified(
        &mut self,
        suggestion: NameSuggestion<'_>,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        // The opinion is of a turn that may be long answered: it corrects nothing.
        let is_settled = match suggestion {
            NameSuggestion::OwnName(name) if self.name_dialogue.name().is_none() => {
                self.suggest_name(name, now, actions).is_ok()
            }
            NameSuggestion::Declined => self.name_dialogue.mark_declined(),
            NameSuggestion::OwnName(_) | NameSuggestion::Unknown => false,
        };
        if is_settled && let Some(reply) = &mut self.reply {
            reply.ask_name_after = false;
        }
        if is_settled && suggestion == NameSuggestion::Declined {
            actions.push(CallAction::Count(CallMetric::NameEvent("declined")));
        }
    }

    /// Takes a name that the model gives, where it may be taken; why not is for the model.
    pub(super) fn suggest_name(
        &mut self,
        name: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) -> Result<(), &'static str> {
        let said = CallerWords {
            whole_call: &self.transcript.caller_words(),
            since_agent_spoke: &self.transcript.unanswered_words(),
            language: &self.language,
        };
        let excluded = &self.context.line.excluded;
        let before = self.name_dialogue.name().cloned();
        let changes = self.name_dialogue.apply_suggestion(name, said, excluded)?;
        if before.is_some() && matches!(changes[..], [NameChange::PersonAdded(_)]) {
            self.drop_unattributed_notes();
        }
        if !changes.is_empty() {
            actions.push(CallAction::Count(CallMetric::NameEvent("model_applied")));
        }
        for change in changes {
            self.record_name_change(change, now, actions);
        }
        self.attribute_notes(now, actions);
        Ok(())
    }
}
