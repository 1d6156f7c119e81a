//! One call as a pure machine: `on(event, now)` says what is to be done. Knows nothing of sockets,
//! clocks, disks or tasks; [`super::session`] carries its actions out.

mod eager;
mod ending;
mod event;
mod hearing;
mod moving;
mod owning;
mod replying;
mod resuming;
mod tooling;
mod waiting;

pub use event::{Action, Count, Event, Now, Parting, Sentence};
pub use owning::{Owner, Tenure, is_released};

use super::greeting::Greeting;
use super::naming::{NameChange, Naming};
use super::playback::Playback;
use super::transcript::Transcript;
use crate::agent::{CallerFacts, Channel};
use crate::config::{CallSection, Line};
use calldex_storage::record::{
    Caller, CallerKind, NameState, Outcome, PhoneNumber, Role, Turn, TurnKind,
};
use calldex_storage::write::{NameGiven, NumberStamped, Stamp, Write};
use compact_str::CompactString;
use ending::Ending;
use moving::Moving;
use owning::Claim;
use replying::Reply;
use std::sync::Arc;

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
    /// The language the call's TwiML was written in.
    pub language: CompactString,
    /// The number called, ready-made.
    pub line: Arc<Line>,
    /// Bounds and waits.
    pub bounds: Arc<CallSection>,
    /// Whether there is anybody to hand over to.
    pub can_hand_over: bool,
    /// This instance.
    pub instance: CompactString,
    /// Its place among several, part of every epoch it takes; 0 where it runs alone.
    pub slot: u16,
}

/// The state of one call.
pub struct CallState {
    setting: Setting,
    transcript: Transcript,
    playback: Playback,
    naming: Naming,
    language: CompactString,
    /// Preferences noted in this call.
    preferences: Vec<CompactString>,
    reply: Option<Reply>,
    /// Since when the caller waits for the answer in the making.
    asked_since: Option<u64>,
    /// Keys pressed and not yet answered.
    keys: String,
    /// When they are.
    keys_due: Option<u64>,
    ending: Option<Ending>,
    /// When a question that a barge-in left open is taken up by ourselves.
    reopen_due: Option<u64>,
    /// When the silence of the caller is asked about, or ends the call.
    silence_due: Option<u64>,
    asked_if_there: bool,
    started_ms: u64,
    /// Repeated prompts are recognised until then.
    replay_until: u64,
    agent_speaking: bool,
    caller_speaking: bool,
    last_bridge: usize,
    /// Answers that may still be begun before this turn of the caller is finished.
    eager_left: u32,
    /// Steps of decisions about the caller, for their stamps.
    steps: u32,
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
        let mut state = Self::bare(setting, Transcript::default(), greeting.naming(), now);
        if state.setting.slot != 0 {
            state.claim_call(session_id, false, now, actions);
            state.transcript.enter(state.claim.epoch);
        }
        state.naming_asked(greeting.asks_name, actions);
        if !greeting.text.is_empty() {
            let turn = state
                .transcript
                .say(&greeting.text, TurnKind::Greeting, now.unix_ms);
            state.playback.say(turn.seq, &greeting.text);
            state.record_turn(turn, actions);
        }
        state.wait_for_caller(now);
        state
    }

    fn bare(
        setting: Setting,
        transcript: Transcript,
        people: (Option<CompactString>, Vec<CompactString>),
        now: Now,
    ) -> Self {
        let (name, people) = people;
        let asks_max = setting.bounds.name_asks_max;
        let known = setting.caller.as_deref();
        let declined = known.is_some_and(|caller| caller.name_state == NameState::Declined);
        let language = setting.language.clone();
        Self {
            transcript,
            playback: Playback::default(),
            naming: Naming::new(name, people, declined, asks_max),
            language,
            preferences: Vec::new(),
            reply: None,
            asked_since: None,
            keys: String::new(),
            keys_due: None,
            ending: None,
            reopen_due: None,
            silence_due: None,
            asked_if_there: false,
            started_ms: now.ms,
            replay_until: 0,
            agent_speaking: false,
            caller_speaking: false,
            last_bridge: usize::MAX,
            eager_left: setting.bounds.eager_starts_max,
            steps: 0,
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
            Event::Played(text) => {
                self.playback.played(text);
                self.goodbye_goes_on(now);
            }
            Event::Token(text) => self.on_token(text, now, actions),
            Event::Tool(call) => self.on_tool(call),
            Event::Replied => self.on_replied(now, actions),
            Event::ReplyFailed(_) => self.on_reply_failed(now, actions),
            Event::NameJudged(name) => self.on_name_judged(name, now, actions),
            Event::Resumed {
                session_id,
                greeted,
                counted,
            } => self.on_resumed(session_id, greeted, counted, now, actions),
            Event::Tick => self.on_tick(now, actions),
            Event::Drain => self.on_drain(now, actions),
            Event::Move { from_ms, by_ms } => self.on_move(from_ms, by_ms),
            Event::Stay => self.on_stay(),
            Event::Owner(owner) => self.on_owner(owner, now, actions),
            Event::Closed => return self.on_closed(actions),
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

    fn stamp(&mut self, now: Now) -> Stamp {
        self.steps += 1;
        Stamp {
            call_sid: self.setting.call_sid.clone(),
            step: self.steps,
            at_ms: now.unix_ms,
        }
    }

    /// Keeps a decision about the name, where there is a number to keep it under.
    fn keep_name(&mut self, change: NameChange, now: Now, actions: &mut Vec<Action>) {
        let Some(number) = self.setting.number.clone() else {
            return;
        };
        let stamp = self.stamp(now);
        let given = |name: CompactString| NameGiven {
            number: number.clone(),
            name,
            stamp: stamp.clone(),
        };
        let stamped = NumberStamped {
            number: number.clone(),
            stamp: stamp.clone(),
        };
        actions.push(Action::Record(match change {
            NameChange::Heard(name) => Write::NameHeard(given(name)),
            NameChange::Confirmed(name) => Write::NameConfirmed(given(name)),
            NameChange::Corrected(name) => Write::NameCorrected(given(name)),
            NameChange::PersonAdded(name) => Write::PersonAdded(given(name)),
            NameChange::PersonForgotten(name) => Write::PersonForgotten(given(name)),
            NameChange::Declined => Write::NameDeclined(stamped),
            NameChange::Forgotten => Write::NameForgotten(stamped),
        }));
    }

    fn naming_asked(&mut self, asks: bool, actions: &mut Vec<Action>) {
        if asks {
            self.naming.ask();
            actions.push(Action::Count(Count::Name("asked")));
        }
    }

    /// What the agent may know of the caller at this turn.
    fn facts(&self) -> Arc<CallerFacts> {
        let before = self.setting.caller.as_ref();
        let known = before.iter().flat_map(|caller| caller.preferences.iter());
        let mut preferences: Vec<CompactString> =
            known.map(|preference| preference.text.clone()).collect();
        preferences.extend(self.preferences.iter().cloned());
        Arc::new(CallerFacts {
            name: self.naming.name().cloned(),
            first_call: before.is_none_or(|caller| caller.calls == 0),
            language: self.language.clone(),
            preferences,
            asked_for_name: self.naming.is_settled(),
            channel: match self.setting.caller_kind {
                CallerKind::Number => Channel::Phone,
                CallerKind::Withheld | CallerKind::Other => Channel::Withheld,
                CallerKind::Sip | CallerKind::Client => Channel::Internet,
            },
        })
    }
}

#[cfg(test)]
mod tests;
