//! Answers what Twilio asks about calls: one rings, one connects, one lost its socket, one is over.

mod connecting;
mod leaving;
mod moving;
mod owning;
mod returning;

pub use returning::{After, Back, Cause, Hold, Way};

use crate::agent::Agent;
use crate::call::clock;
use crate::call::greeting::{self, Greeting, Recalled, caller_label};
use crate::call::limits::{Limits, Refusal};
use crate::call::others::{Alone, Mark, Others};
use crate::call::preload;
use crate::call::registry::{Registry, Ringing};
use crate::call::session::SessionRoom;
use crate::call::state::Setting;
use crate::call::tool_runner::{NoTools, ToolRunner};
use crate::config::{CallSection, Line, Lines};
use crate::twilio::identity::{Attestation, Identity};
use calldex_observability::catalog;
use calldex_storage::record::{Caller, CallerKind};
use calldex_storage::write::{CallStarted, Write};
use calldex_storage::{Recall, Storage};
use compact_str::CompactString;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A call whose webhook was answered connects within seconds (0.4-1.5 s, protocol 9.3); after this
/// long it is given up.
const RINGING_MS_MAX: u64 = 60_000;
/// And the socket of most within this (0.4-1.5 s on the wire); a drain waits so long for it.
const CONNECT_MS_MAX: u64 = 3_000;
/// A session that is to give its call up answers within this time, or is taken for dead.
const SUPERSEDE_MAX: Duration = Duration::from_millis(2_500);
/// Reading a call back from storage, at a reconnect.
const LIVE_MAX: Duration = Duration::from_millis(1_000);
/// How often calls that wait too long are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Who calls, as the webhook or the `setup` frame says.
pub struct Arrival {
    /// `CA…`
    pub call_sid: CompactString,
    /// Who.
    pub identity: Identity,
    /// The number called, as given.
    pub called: CompactString,
    /// How far the network vouches for the number.
    pub attestation: Attestation,
}

/// A sentence that Twilio itself says before it hangs up.
pub struct Farewell {
    /// The words.
    pub text: String,
    /// The language they are in (BCP-47).
    pub language: String,
}

impl Farewell {
    fn new(text: &str, language: &str) -> Self {
        Self {
            text: text.to_owned(),
            language: language.to_owned(),
        }
    }

    /// The worst case, in the language of the line.
    fn failed(line: &Line, language: &str) -> Self {
        Self::new(&line.phrases(language).failed, language)
    }
}

/// What a webhook is answered with.
pub enum Answer {
    /// Connect to the relay, with this document.
    Connect(String),
    /// The same document as before: the request was repeated.
    Repeat(String),
    /// Say this and hang up.
    Refuse(Farewell),
}

/// What the document that connects a call must say.
pub struct Connection<'a> {
    /// The number called.
    pub called: &'a str,
    /// The line.
    pub line: &'a Line,
    /// The first words.
    pub greeting: &'a Greeting,
    /// The language they are in.
    pub language: &'a str,
    /// What this instance knows, for whoever takes the call up.
    pub mark: Mark,
    /// The call was up before: the greeting is the one short sentence for that.
    pub resumed: Option<Hold>,
    /// Its last session broke because the speech or recognition provider failed.
    pub provider_failed: bool,
}

/// What the first frame of a socket says.
pub struct Setup<'a> {
    /// Who calls.
    pub arrival: Arrival,
    /// `VX…`
    pub session_id: &'a str,
    /// The greeting that the TwiML of this session held, and whether it asked for the name.
    pub greeting: Option<(&'a str, bool)>,
    /// The TwiML of this session was an answer to a lost one; what it said of the call.
    pub reconnected: Option<Hold>,
    /// The call had been answered before this session (`IN_PROGRESS`).
    pub in_progress: bool,
    /// How far the instance had come that wrote the TwiML.
    pub mark: Mark,
}

impl Setup<'_> {
    /// Whether the call had a session before this one.
    fn came_before(&self) -> bool {
        self.reconnected.is_some() || self.in_progress
    }
}

/// All calls of this instance, and what they need.
pub struct Switchboard {
    storage: Arc<Storage>,
    lines: Lines,
    bounds: Arc<CallSection>,
    reconnects_max: u32,
    instance: CompactString,
    limits: Arc<Limits>,
    others: Arc<dyn Others>,
    /// When live calls leave for other instances at the latest; 0: they stay.
    moving_by_ms: AtomicU64,
    room: SessionRoom,
}

impl Switchboard {
    /// For one instance that runs alone; see [`Switchboard::among`].
    pub fn new(
        storage: Arc<Storage>,
        agent: Arc<Agent>,
        lines: Lines,
        bounds: CallSection,
        reconnects_max: u32,
        instance: &str,
    ) -> Self {
        let room = SessionRoom {
            agent,
            writer: storage.writer.clone(),
            directory: storage.directory.clone(),
            registry: Arc::new(Registry::default()),
            tools: Arc::new(NoTools),
        };
        Self {
            limits: Limits::new(bounds.live_max),
            storage,
            lines,
            bounds: Arc::new(bounds),
            reconnects_max,
            instance: instance.into(),
            others: Arc::new(Alone),
            moving_by_ms: AtomicU64::new(0),
            room,
        }
    }

    /// The same with tools of the operator.
    pub fn with_tools(mut self, tools: Arc<dyn ToolRunner>) -> Self {
        self.room.tools = tools;
        self
    }

    /// The same for one instance of several.
    pub fn among(mut self, others: Arc<dyn Others>) -> Self {
        self.others = others;
        self
    }

    /// A call rings: recognises the caller within the budget, chooses the greeting and keeps that
    /// the call began. `render` writes the answer.
    pub async fn ring(
        &self,
        arrival: &Arrival,
        render: impl FnOnce(&Connection<'_>) -> String,
    ) -> Answer {
        if let Some(twiml) = self.room.registry.ringing_twiml(&arrival.call_sid) {
            return Answer::Repeat(twiml);
        }
        if self.room.registry.holds(&arrival.call_sid) {
            return match self.lost(arrival, &Back::by(Way::Redirect), render).await {
                After::Reconnect(twiml) => Answer::Repeat(twiml),
                After::Goodbye(farewell) => Answer::Refuse(farewell),
                After::Over(_) => Answer::Refuse(self.failed(&arrival.called)),
            };
        }
        let line = Arc::clone(self.lines.of(&arrival.called));
        let place = match self.limits.admit() {
            Ok(place) => place,
            Err(refusal) => return Answer::Refuse(refused(refusal, &line)),
        };
        let (agent, tools) = (&self.room.agent, &*self.room.tools);
        agent.warm(&line.models, || {
            preload::brief(&line, &arrival.called, tools)
        });
        // Read meanwhile: nothing waits for it before the socket is here.
        let earlier = self.look_for_earlier(&arrival.call_sid);
        let (setting, greeting) = self.recognise(arrival, line).await;
        let twiml = render(&self.connection(&arrival.called, &setting, &greeting));
        let begun = (setting.clone(), greeting.clone());
        let is_new = self.room.registry.ring(Ringing {
            setting,
            greeting,
            twiml: twiml.clone(),
            place,
            until_ms: clock::now().ms + RINGING_MS_MAX,
            earlier: Some(earlier),
        });
        if is_new {
            self.begin(arrival, &begun.0, &begun.1);
        }
        match self.room.registry.ringing_twiml(&arrival.call_sid) {
            // The same webhook came twice at once: both get one answer, and the call is counted once.
            Some(first) if !is_new => Answer::Repeat(first),
            _ => Answer::Connect(twiml),
        }
    }

    /// Whether storage has a call with this `CallSid` that is over: its epoch. Such a call rings again
    /// where a test or another carrier uses its ids twice.
    fn look_for_earlier(&self, call_sid: &CompactString) -> JoinHandle<Option<u32>> {
        let (storage, call_sid) = (Arc::clone(&self.storage), call_sid.clone());
        tokio::spawn(async move {
            let read = timeout(LIVE_MAX, storage.conversations.read(&call_sid)).await;
            let call = read.ok().and_then(Result::ok).flatten()?;
            (!call.is_live()).then_some(call.conversation.epoch)
        })
    }

    /// Looks the caller up within the budget and greets them accordingly.
    async fn recognise(&self, arrival: &Arrival, line: Arc<Line>) -> (Setting, Greeting) {
        let vouched = !self.bounds.name_needs_attestation
            || arrival.attestation.reaches(Attestation::Partial);
        let Some(number) = arrival.identity.number() else {
            let greeting = Greeting::choose(&line, Recalled::NoNumber, vouched);
            return (self.setting(arrival, line, None, vouched), greeting);
        };
        let budget = Duration::from_millis(self.bounds.lookup_ms_max);
        let recall = self.storage.directory.recall(number, budget).await;
        let recalled = match &recall {
            Recall::Known(caller) => Recalled::Known(caller),
            Recall::Unknown => Recalled::New,
            Recall::TimedOut => Recalled::TooSlow,
        };
        let greeting = Greeting::choose(&line, recalled, vouched);
        let caller = match recall {
            Recall::Known(caller) => Some(caller),
            Recall::Unknown | Recall::TimedOut => None,
        };
        (self.setting(arrival, line, caller, vouched), greeting)
    }

    fn setting(
        &self,
        arrival: &Arrival,
        line: Arc<Line>,
        caller: Option<Arc<Caller>>,
        vouched: bool,
    ) -> Setting {
        let chosen = caller
            .as_ref()
            .filter(|_| vouched)
            .and_then(|caller| caller.language.as_deref());
        Setting {
            language: greeting::language_of(&line, chosen).into(),
            call_sid: arrival.call_sid.clone(),
            number: arrival.identity.number().cloned(),
            caller_kind: kind_of(&arrival.identity),
            caller,
            vouched,
            can_hand_over: line.handoff.is_possible(),
            called: arrival.called.clone(),
            line,
            bounds: Arc::clone(&self.bounds),
            instance: self.instance.clone(),
            slot: self.others.slot(),
            earlier: None,
        }
    }

    /// Has the models of all lines loaded that may have to be, in the background. Belongs to the start; returns at
    /// once.
    pub fn preload(&self) {
        for (called, line) in self.lines.all() {
            let brief = || preload::brief(line, called, &*self.room.tools);
            self.room.agent.preload(&line.models, brief);
        }
    }

    /// The line of the number `called`.
    pub fn line(&self, called: &str) -> &Line {
        self.lines.of(called)
    }

    /// What this instance knows now.
    pub fn mark(&self) -> Mark {
        // An own write may be acknowledged by others before it is applied here.
        let position = self.storage.writer.position().max(self.storage.applied());
        let log = self.others.log();
        Mark { position, log }
    }

    /// Whether there are other instances.
    pub fn is_several(&self) -> bool {
        self.others.slot() != 0
    }

    fn connection<'a>(
        &self,
        called: &'a str,
        setting: &'a Setting,
        greeting: &'a Greeting,
    ) -> Connection<'a> {
        Connection {
            called,
            line: &setting.line,
            greeting,
            language: &setting.language,
            mark: self.mark(),
            resumed: None,
            provider_failed: false,
        }
    }

    /// Keeps and counts that a call began.
    fn begin(&self, arrival: &Arrival, setting: &Setting, greeting: &Greeting) {
        let known = setting.caller.is_some();
        catalog::CALLS_STARTED_TOTAL
            .with(caller_label(setting.caller_kind, known))
            .increment(1);
        catalog::GREETINGS_TOTAL
            .with(greeting.kind.label())
            .increment(1);
        self.keep_begun(arrival, setting);
    }

    /// Keeps that a call began; harmless where it is kept already.
    fn keep_begun(&self, arrival: &Arrival, setting: &Setting) {
        let started = CallStarted {
            call_sid: setting.call_sid.clone(),
            number: setting.number.clone(),
            line: arrival.called.clone(),
            caller_kind: setting.caller_kind,
            identity: other_identity(&arrival.identity),
            language: Some(setting.language.clone()),
            at_ms: clock::now().unix_ms,
            instance: self.instance.clone(),
        };
        drop(self.storage.writer.submit(Write::CallStarted(started)));
    }

    /// Whether a call is here in any form.
    pub fn holds(&self, call_sid: &str) -> bool {
        self.room.registry.holds(call_sid)
    }

    /// Calls with a socket, and those about to have one: their webhook was answered seconds ago.
    pub fn expected(&self) -> usize {
        let rung_after_ms = clock::now().ms.saturating_sub(CONNECT_MS_MAX);
        self.live()
            + self
                .room
                .registry
                .ringing_since(rung_after_ms + RINGING_MS_MAX)
    }

    /// Calls with a socket.
    pub fn live(&self) -> usize {
        self.room.registry.live()
    }
}

fn refused(refusal: Refusal, line: &Line) -> Farewell {
    catalog::CALLS_REFUSED_TOTAL
        .with(refusal.label())
        .increment(1);
    let phrases = line.phrases(&line.language);
    let text = match refusal {
        Refusal::Busy => &phrases.busy,
        Refusal::Draining => &phrases.draining,
    };
    Farewell::new(text, &line.language)
}

fn kind_of(identity: &Identity) -> CallerKind {
    match identity {
        Identity::Number(..) => CallerKind::Number,
        Identity::Withheld(_) => CallerKind::Withheld,
        Identity::Sip(_) => CallerKind::Sip,
        Identity::Client(_) => CallerKind::Client,
        Identity::Unusable => CallerKind::Other,
    }
}

/// What is kept of a caller without a number: the SIP or client identity, under the call only.
fn other_identity(identity: &Identity) -> Option<CompactString> {
    match identity {
        Identity::Sip(address) => Some(format!("sip:{address}").into()),
        Identity::Client(name) => Some(format!("client:{name}").into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
