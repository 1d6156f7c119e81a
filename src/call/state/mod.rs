//! The state machine of one call: `CallState::on(event, now)` returns actions, which `call::session`
//! carries out. It uses no socket, clock, disk or task.

mod ending;
mod event;
mod event_time;
mod input;
mod language;
mod ownership;
mod ownership_claim;
mod pending_end;
mod pending_reply;
mod pending_tools;
mod people;
mod preemptive;
mod preference_note;
mod relocation;
mod relocation_request;
mod reply;
mod resuming;
mod timers;
mod tool_call_ids;
mod tool_records;
mod tools;

pub use event::{CallAction, CallEvent, CallMetric, ExitReason, SpokenSentence};
pub use event_time::EventTime;
pub use ownership_claim::{CallOwner, OwnershipStatus, is_released};
pub use reply::available_tools;
pub use tool_records::DetachedToolCall;

use super::caller_name::{CallerNameDialogue, InitialCallerName};
use super::greeting::Greeting;
use super::playback::Playback;
use super::tool_runner::ToolRequest;
use super::transcript::Transcript;
use crate::agent::ToolSpec;
use crate::config::{CallSection, PhoneLine};
use calldex_storage::record::{
    CallOutcome, Caller, CallerKind, DecisionMark, NameState, PhoneNumber, Turn, TurnKind, TurnRole,
};
use calldex_storage::write::{DecisionStamp, Write};
use compact_str::CompactString;
use ownership_claim::OwnershipClaim;
use pending_end::PendingEnd;
use pending_reply::PendingReply;
use preference_note::PreferenceNote;
use relocation_request::RelocationRequest;
use serde_json::{Map, Value};
use std::sync::Arc;
use tool_call_ids::ToolCallIds;
use tool_records::PendingToolCall;

/// The facts of a call that stay the same from its start.
#[derive(Clone)]
pub struct CallContext {
    /// `CA…`
    pub call_sid: CompactString,
    /// The caller's number, if it identifies a caller.
    pub number: Option<PhoneNumber>,
    /// The kind of caller.
    pub caller_kind: CallerKind,
    /// The stored caller, as of before this call.
    pub caller: Option<Arc<Caller>>,
    /// The number is attested, or attestation is not required. Otherwise nothing stored is used.
    pub number_trusted: bool,
    /// The language of the call's TwiML (BCP-47).
    pub language: CompactString,
    /// The number called; empty if there is none.
    pub called_number: CompactString,
    /// The configuration of the line.
    pub line: Arc<PhoneLine>,
    /// The limits and waits of section `call`.
    pub limits: Arc<CallSection>,
    /// Whether a handoff is configured.
    pub can_hand_off: bool,
    /// The name of this instance.
    pub instance: CompactString,
    /// The node slot of this instance, part of every epoch it claims; 0 on a single node.
    pub node_slot: u16,
    /// The epoch of an earlier call with this `CallSid` that is over. This call uses a later one.
    pub earlier_epoch: Option<u32>,
}

/// The state of one call.
pub struct CallState {
    context: CallContext,
    transcript: Transcript,
    playback: Playback,
    name_dialogue: CallerNameDialogue,
    language: CompactString,
    /// The language that recognition reported last.
    heard_language: Option<CompactString>,
    /// Preferences noted in this call.
    preference_notes: Vec<PreferenceNote>,
    /// The stored name of the person who speaks, if it was corrected in this call.
    recorded_name: Option<CompactString>,
    reply: Option<PendingReply>,
    /// Since when the caller waits for the requested reply.
    waiting_since_ms: Option<u64>,
    /// Replies in a row that failed on every model.
    model_failures: u32,
    /// The counter for the ids of tool calls.
    tool_call_ids: ToolCallIds,
    /// Tools with side effects that still run, and whose result no reply waits for.
    background_tools: Vec<PendingToolCall>,
    /// Keys that were pressed and not answered.
    dtmf_keys: String,
    /// When the keys are answered.
    keys_due_ms: Option<u64>,
    pending_end: Option<PendingEnd>,
    /// When an interruption counts as false, and the open question is answered.
    false_interruption_due_ms: Option<u64>,
    /// When the agent asks about the caller's silence, or ends the call.
    silence_due_ms: Option<u64>,
    /// How often the agent asked since the caller's last input.
    silence_asks: u8,
    /// The metric for asking the name was counted.
    name_ask_counted: bool,
    started_ms: u64,
    /// When the call began, Unix milliseconds.
    started_unix_ms: i64,
    /// Until when repeated prompts are ignored after a reconnect.
    repeats_until_ms: u64,
    agent_speaking: bool,
    caller_speaking: bool,
    last_filler: usize,
    /// Preemptive replies that may still be requested in this turn of the caller.
    preemptive_left: u32,
    /// The number of decisions about the caller, for their stamps.
    decision_steps: u32,
    /// The time of the latest known decision about the caller, Unix milliseconds.
    latest_decision_unix_ms: i64,
    resumes: u32,
    claim: OwnershipClaim,
    /// The last owner released the call.
    was_released: bool,
    relocation: Option<RelocationRequest>,
    is_over: bool,
}

impl CallState {
    /// A new call in the session `session_id`, whose greeting Twilio is about to play. In cluster mode it is
    /// claimed at once, because another instance may have answered its webhook.
    pub fn new(
        context: CallContext,
        session_id: &str,
        greeting: &Greeting,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) -> Self {
        let mut state = Self::with_defaults(
            context,
            Transcript::default(),
            greeting.initial_name.clone(),
            now,
        );
        if let Some(epoch) = state.context.earlier_epoch {
            state.claim = OwnershipClaim::at_epoch(epoch);
        }
        if state.context.node_slot != 0 || state.context.earlier_epoch.is_some() {
            state.claim_call(session_id, false, now, actions);
            state.transcript.enter_epoch(state.claim.epoch);
        }
        state.record_name_asked(greeting.asks_name, actions);
        if !greeting.text.is_empty() {
            let turn = state
                .transcript
                .say(&greeting.text, TurnKind::Greeting, now.unix_ms);
            state
                .playback
                .add_greeting(turn.seq, &greeting.text, now.ms);
            state.record_turn(turn, actions);
        }
        state.start_silence_timer(now);
        state
    }

    fn with_defaults(
        context: CallContext,
        transcript: Transcript,
        start: InitialCallerName,
        now: EventTime,
    ) -> Self {
        let asks_max = context.limits.name_asks_max;
        let known = context.trusted_caller();
        let declined = known.is_some_and(|caller| caller.name_state == NameState::Declined);
        let language = context.language.clone();
        let decided = context.caller.as_deref().map(Caller::latest_mark);
        Self {
            transcript,
            playback: new_playback(&context),
            name_dialogue: CallerNameDialogue::new(start, declined, asks_max),
            language,
            heard_language: None,
            preference_notes: Vec::new(),
            recorded_name: None,
            reply: None,
            waiting_since_ms: None,
            model_failures: 0,
            tool_call_ids: ToolCallIds::starting_after(0),
            background_tools: Vec::new(),
            dtmf_keys: String::new(),
            keys_due_ms: None,
            pending_end: None,
            false_interruption_due_ms: None,
            silence_due_ms: None,
            silence_asks: 0,
            name_ask_counted: false,
            started_ms: now.ms,
            started_unix_ms: now.unix_ms,
            repeats_until_ms: 0,
            agent_speaking: false,
            caller_speaking: false,
            last_filler: usize::MAX,
            preemptive_left: context.limits.preemptive_attempts_max,
            decision_steps: 0,
            latest_decision_unix_ms: decided.unwrap_or_default().at_ms,
            resumes: 0,
            claim: OwnershipClaim::at_epoch(0),
            was_released: false,
            relocation: None,
            is_over: false,
            context,
        }
    }

    /// Handles one event. Adds the actions to carry out to `actions`, in order.
    pub fn on(&mut self, event: CallEvent<'_>, now: EventTime, actions: &mut Vec<CallAction>) {
        if self.is_over {
            return;
        }
        match event {
            CallEvent::Prompt {
                text,
                language,
                last,
            } => self.on_prompt(text, language, last, now, actions),
            CallEvent::DtmfKey(key) => self.on_dtmf_key(key, now),
            CallEvent::Interrupted(fragment) => self.on_interrupt(fragment, now, actions),
            CallEvent::AgentSpeaking(on) => self.on_agent_speaking(on, now, actions),
            CallEvent::CallerSpeaking(on) => self.on_caller_speaking(on, now),
            CallEvent::TokensPlayed(text) => self.on_tokens_played(text, now, actions),
            CallEvent::ReplyToken(text) => self.on_token(text, now, actions),
            CallEvent::ToolCalled(call) => self.on_tool_called(call),
            CallEvent::ReplyCompleted(finish) => self.on_reply_completed(finish, now, actions),
            CallEvent::ToolReturned { id, outcome } => {
                self.on_tool_returned(id, outcome, now, actions)
            }
            CallEvent::ReplyFailed(_) => self.on_reply_failed(now, actions),
            CallEvent::NameVerified(name) => self.on_name_verified(name, now, actions),
            CallEvent::Resumed {
                session_id,
                twiml_greeting: greeted,
                already_counted: counted,
                connection_lost: lost,
            } => {
                let counted = counted || !lost;
                self.on_resumed(session_id, greeted, (counted, lost), now, actions);
            }
            CallEvent::DeadlineReached => self.on_tick(now, actions),
            CallEvent::Drain => self.on_drain(now, actions),
            CallEvent::Relocate { from_ms, by_ms } => self.on_relocate(from_ms, by_ms),
            CallEvent::CancelRelocation => self.on_cancel_relocation(),
            CallEvent::OwnerChanged(owner) => self.on_owner_changed(owner, now, actions),
            CallEvent::SocketClosed => return self.on_socket_closed(now, actions),
        }
        if self.relocation.is_some() && !self.is_over {
            self.relocate_if_due(now, actions);
        }
    }

    /// The current language of the call (BCP-47).
    pub fn language(&self) -> &CompactString {
        &self.language
    }

    /// The call's SID.
    pub fn call_sid(&self) -> &CompactString {
        &self.context.call_sid
    }

    /// The facts that stay the same during the call.
    pub fn context(&self) -> &CallContext {
        &self.context
    }

    /// The outcome, if `end` was sent.
    pub fn outcome_of_sent_end(&self) -> Option<CallOutcome> {
        self.pending_end
            .as_ref()
            .filter(|ending| ending.is_sent)
            .map(|ending| ending.outcome)
    }

    fn phrases(&self) -> &super::phrases::CannedPhrases {
        self.context.line.phrases(&self.language)
    }

    fn record_turn(&mut self, turn: Turn, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::Count(CallMetric::Turn(match turn.role {
            TurnRole::Caller => "caller",
            TurnRole::Agent | TurnRole::System => "agent",
            TurnRole::Tool => "tool",
        })));
        let call_sid = self.context.call_sid.clone();
        actions.push(CallAction::Record(Write::TurnAppended { call_sid, turn }));
    }

    fn amend_turn(&mut self, turn: Turn, actions: &mut Vec<CallAction>) {
        let call_sid = self.context.call_sid.clone();
        actions.push(CallAction::Record(Write::TurnAmended { call_sid, turn }));
    }

    /// Notes a decision about the caller by another call. The stamps of this call's decisions are later.
    pub fn observe_decision(&mut self, mark: DecisionMark) {
        self.latest_decision_unix_ms = self.latest_decision_unix_ms.max(mark.at_ms);
    }

    /// The stamp of the next decision. It is later than every known decision about the caller, even if the
    /// clock was set back (a hybrid logical clock).
    fn next_stamp(&mut self, now: EventTime) -> DecisionStamp {
        self.decision_steps += 1;
        self.latest_decision_unix_ms = now
            .unix_ms
            .max(self.latest_decision_unix_ms.saturating_add(1));
        DecisionStamp {
            call_sid: self.context.call_sid.clone(),
            step: self.decision_steps,
            at_ms: self.latest_decision_unix_ms,
        }
    }

    fn record_name_asked(&mut self, asks: bool, actions: &mut Vec<CallAction>) {
        if asks {
            self.name_dialogue.mark_asked();
            if !std::mem::replace(&mut self.name_ask_counted, true) {
                actions.push(CallAction::Count(CallMetric::NameEvent("asked")));
            }
        }
    }
}

impl CallContext {
    /// A request to run a tool of the operator for this call.
    pub fn tool_request(
        &self,
        spec: Arc<ToolSpec>,
        id: CompactString,
        arguments: Map<String, Value>,
    ) -> ToolRequest {
        ToolRequest {
            spec,
            id,
            arguments,
            call_sid: self.call_sid.clone(),
            caller: self.number.as_ref().map(|number| number.as_str().into()),
            line: self.called_number.clone(),
        }
    }

    /// The stored caller, if the number is trusted.
    fn trusted_caller(&self) -> Option<&Caller> {
        self.caller.as_deref().filter(|_| self.number_trusted)
    }
}

/// The model of Twilio's queue for a call. Reports are expected if the TwiML requests them and the SID is
/// one of Twilio's. Other providers use other SIDs and may not report.
fn new_playback(context: &CallContext) -> Playback {
    let mut playback = Playback::default();
    let events = context.line.relay.events.as_ref();
    let asks = events.is_some_and(|events| events.as_text().contains("tokens-played"));
    if asks && context.call_sid.starts_with("CA") {
        playback.expect_reports();
    }
    playback
}

#[cfg(test)]
mod tests;
