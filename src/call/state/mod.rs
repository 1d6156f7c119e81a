//! One call as a pure machine: `on(event, now)` says what is to be done. Knows nothing of sockets,
//! clocks, disks or tasks; [`super::session`] carries its actions out.

mod eager;
mod ending;
mod event;
mod hearing;
mod language;
mod moving;
mod open_tools;
mod owning;
mod people;
mod replying;
mod resuming;
mod tooling;
mod waiting;

pub use event::{Action, Count, Event, Now, Parting, Sentence};
pub use open_tools::LateTool;
pub use owning::{Owner, Tenure, is_released};
pub use replying::tools_of;

use super::greeting::Greeting;
use super::naming::{NameStart, Naming};
use super::playback::Playback;
use super::tool_runner::ToolRequest;
use super::transcript::Transcript;
use crate::agent::ToolSpec;
use crate::config::{CallSection, Line};
use calldex_storage::record::{
    Caller, CallerKind, NameMark, NameState, Outcome, PhoneNumber, Role, Turn, TurnKind,
};
use calldex_storage::write::{Stamp, Write};
use compact_str::CompactString;
use ending::Ending;
use moving::Moving;
use open_tools::OpenCall;
use owning::Claim;
use people::Note;
use replying::Reply;
use serde_json::{Map, Value};
use std::sync::Arc;
use tooling::CallIds;

/// What a call is from its first moment on.
#[derive(Clone)]
pub struct Setting {
    /// `CA…`
    pub call_sid: CompactString,
    /// Whose call, if that is an identity.
    pub number: Option<PhoneNumber>,
    /// The kind of caller.
    pub caller_kind: CallerKind,
    /// What was known of them before this call.
    pub caller: Option<Arc<Caller>>,
    /// The network vouches for the number, or need not: without it nothing known is used or told.
    pub vouched: bool,
    /// The language the call's TwiML was written in.
    pub language: CompactString,
    /// The number called; empty where it is none.
    pub called: CompactString,
    /// Its line, ready-made.
    pub line: Arc<Line>,
    /// Bounds and waits.
    pub bounds: Arc<CallSection>,
    /// Whether there is anybody to hand over to.
    pub can_hand_over: bool,
    /// This instance.
    pub instance: CompactString,
    /// Its place among several, part of every epoch it takes; 0 where it runs alone.
    pub slot: u16,
    /// The epoch of an earlier call with this `CallSid` that is over: this one goes on under a later one.
    pub earlier: Option<u32>,
}

/// The state of one call.
pub struct CallState {
    setting: Setting,
    transcript: Transcript,
    playback: Playback,
    naming: Naming,
    language: CompactString,
    /// What the recogniser said last about the caller's language.
    heard_language: Option<CompactString>,
    /// Preferences noted in this call.
    notes: Vec<Note>,
    /// The name under which the person who speaks was known before this call, if it was put right in it.
    recorded_as: Option<CompactString>,
    reply: Option<Reply>,
    /// Since when the caller waits for the answer in the making.
    asked_since: Option<u64>,
    /// Questions in a row that no model answered.
    model_failures: u32,
    /// Ids of the model's tool calls.
    call_ids: CallIds,
    /// Tools with side effects that run on while nobody waits for them.
    background: Vec<OpenCall>,
    /// Keys pressed and not yet answered.
    keys: String,
    /// When they are.
    keys_due: Option<u64>,
    ending: Option<Ending>,
    /// When a question that a barge-in left open is taken up by ourselves.
    reopen_due: Option<u64>,
    /// When the silence of the caller is asked about, or ends the call.
    silence_due: Option<u64>,
    /// How often they were asked since their last sign.
    silence_asks: u8,
    /// Asking for the name was counted.
    asked_counted: bool,
    started_ms: u64,
    /// When the call began, Unix milliseconds.
    began_ms: i64,
    /// Repeated prompts are recognised until then.
    replay_until: u64,
    agent_speaking: bool,
    caller_speaking: bool,
    last_bridge: usize,
    /// Answers that may still be begun before this turn of the caller is finished.
    eager_left: u32,
    /// Steps of decisions about the caller, for their stamps.
    steps: u32,
    /// The latest decision about the caller that is known here, Unix milliseconds.
    decided_ms: i64,
    resumes: u32,
    claim: Claim,
    /// It was given up on purpose by whoever had it before.
    released: bool,
    moving: Option<Moving>,
    over: bool,
}

impl CallState {
    /// A call whose greeting Twilio is about to play, in the session `session_id`. Among several
    /// instances it is claimed at once: its webhook may have gone to another.
    pub fn new(
        setting: Setting,
        session_id: &str,
        greeting: &Greeting,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> Self {
        let mut state = Self::bare(setting, Transcript::default(), greeting.start.clone(), now);
        if let Some(epoch) = state.setting.earlier {
            state.claim = Claim::found(epoch);
        }
        if state.setting.slot != 0 || state.setting.earlier.is_some() {
            state.claim_call(session_id, false, now, actions);
            state.transcript.enter(state.claim.epoch);
        }
        state.naming_asked(greeting.asks_name, actions);
        if !greeting.text.is_empty() {
            let turn = state
                .transcript
                .say(&greeting.text, TurnKind::Greeting, now.unix_ms);
            state.playback.greet(turn.seq, &greeting.text, now.ms);
            state.record_turn(turn, actions);
        }
        state.wait_for_caller(now);
        state
    }

    fn bare(setting: Setting, transcript: Transcript, start: NameStart, now: Now) -> Self {
        let asks_max = setting.bounds.name_asks_max;
        let known = setting.known();
        let declined = known.is_some_and(|caller| caller.name_state == NameState::Declined);
        let language = setting.language.clone();
        let decided = setting.caller.as_deref().map(Caller::latest_mark);
        Self {
            transcript,
            playback: playback_of(&setting),
            naming: Naming::new(start, declined, asks_max),
            language,
            heard_language: None,
            notes: Vec::new(),
            recorded_as: None,
            reply: None,
            asked_since: None,
            model_failures: 0,
            call_ids: CallIds::since(0),
            background: Vec::new(),
            keys: String::new(),
            keys_due: None,
            ending: None,
            reopen_due: None,
            silence_due: None,
            silence_asks: 0,
            asked_counted: false,
            started_ms: now.ms,
            began_ms: now.unix_ms,
            replay_until: 0,
            agent_speaking: false,
            caller_speaking: false,
            last_bridge: usize::MAX,
            eager_left: setting.bounds.eager_starts_max,
            steps: 0,
            decided_ms: decided.unwrap_or_default().at_ms,
            resumes: 0,
            claim: Claim::found(0),
            released: false,
            moving: None,
            over: false,
            setting,
        }
    }

    /// Takes one event; what is to be done is added to `actions`, in order.
    pub fn on(&mut self, event: Event<'_>, now: Now, actions: &mut Vec<Action>) {
        if self.over {
            return;
        }
        match event {
            Event::Prompt {
                text,
                language,
                last,
            } => self.on_prompt(text, language, last, now, actions),
            Event::Keyed(key) => self.on_key(key, now),
            Event::Interrupted(fragment) => self.on_interrupt(fragment, now, actions),
            Event::AgentSpeaking(on) => self.on_agent_speaking(on, now, actions),
            Event::CallerSpeaking(on) => self.on_caller_speaking(on, now),
            Event::Played(text) => self.on_played(text, now, actions),
            Event::Token(text) => self.on_token(text, now, actions),
            Event::Tool(call) => self.on_tool(call),
            Event::Replied(finish) => self.on_replied(finish, now, actions),
            Event::ToolReturned { id, outcome } => self.on_tool_returned(id, outcome, now, actions),
            Event::ReplyFailed(_) => self.on_reply_failed(now, actions),
            Event::NameJudged(name) => self.on_name_judged(name, now, actions),
            Event::Resumed {
                session_id,
                greeted,
                counted,
                lost,
            } => {
                let counted = counted || !lost;
                self.on_resumed(session_id, greeted, (counted, lost), now, actions);
            }
            Event::Tick => self.on_tick(now, actions),
            Event::Drain => self.on_drain(now, actions),
            Event::Move { from_ms, by_ms } => self.on_move(from_ms, by_ms),
            Event::Stay => self.on_stay(),
            Event::Owner(owner) => self.on_owner(owner, now, actions),
            Event::Closed => return self.on_closed(now, actions),
        }
        if self.moving.is_some() && !self.over {
            self.move_on(now, actions);
        }
    }

    /// The language the call is held in.
    pub fn language(&self) -> &CompactString {
        &self.language
    }

    /// The call's SID.
    pub fn call_sid(&self) -> &CompactString {
        &self.setting.call_sid
    }

    /// What the call was from its first moment on.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Whether we said goodbye and ended it ourselves, and how.
    pub fn outcome_so_far(&self) -> Option<Outcome> {
        self.ending
            .as_ref()
            .filter(|ending| ending.sent)
            .map(|ending| ending.outcome)
    }

    fn phrases(&self) -> &super::phrases::Phrases {
        self.setting.line.phrases(&self.language)
    }

    fn record_turn(&mut self, turn: Turn, actions: &mut Vec<Action>) {
        actions.push(Action::Count(Count::Turn(match turn.role {
            Role::Caller => "caller",
            Role::Agent | Role::System => "agent",
            Role::Tool => "tool",
        })));
        let call_sid = self.setting.call_sid.clone();
        actions.push(Action::Record(Write::TurnAppended { call_sid, turn }));
    }

    fn amend_turn(&mut self, turn: Turn, actions: &mut Vec<Action>) {
        let call_sid = self.setting.call_sid.clone();
        actions.push(Action::Record(Write::TurnAmended { call_sid, turn }));
    }

    /// Another call decided something about the caller: what is decided here comes after it.
    pub fn see(&mut self, mark: NameMark) {
        self.decided_ms = self.decided_ms.max(mark.at_ms);
    }

    /// The next decision's stamp: later than every decision about the caller that is known here, even
    /// if the clock was set back since (a hybrid logical clock).
    fn stamp(&mut self, now: Now) -> Stamp {
        self.steps += 1;
        self.decided_ms = now.unix_ms.max(self.decided_ms.saturating_add(1));
        Stamp {
            call_sid: self.setting.call_sid.clone(),
            step: self.steps,
            at_ms: self.decided_ms,
        }
    }

    fn naming_asked(&mut self, asks: bool, actions: &mut Vec<Action>) {
        if asks {
            self.naming.ask();
            if !std::mem::replace(&mut self.asked_counted, true) {
                actions.push(Action::Count(Count::Name("asked")));
            }
        }
    }
}

impl Setting {
    /// One call of an operator's tool, from this call.
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
            line: self.called.clone(),
        }
    }

    /// What may be used of the caller.
    fn known(&self) -> Option<&Caller> {
        self.caller.as_deref().filter(|_| self.vouched)
    }
}

/// The image of Twilio's queue for a call: where our TwiML asks for reports, a call of Twilio's has
/// them. Other providers use other call SIDs, and need not report.
fn playback_of(setting: &Setting) -> Playback {
    let mut playback = Playback::default();
    let events = setting.line.relay.events.as_ref();
    let asks = events.is_some_and(|events| events.as_text().contains("tokens-played"));
    if asks && setting.call_sid.starts_with("CA") {
        playback.expect_reports();
    }
    playback
}

#[cfg(test)]
mod tests;
