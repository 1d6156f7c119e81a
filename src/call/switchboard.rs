//! Answers what Twilio asks about calls: one rings, one connects, one lost its socket, one is over.

use super::clock;
use super::greeting::{Greeting, Recalled, caller_label};
use super::limits::{Limits, Place, Refusal};
use super::registry::{Control, Found, Parked, Registry, Removed, Ringing, Seat};
use super::session::{Session, SessionRoom, Wire, finish};
use super::state::{Action, CallState, Event, Setting};
use crate::agent::Agent;
use crate::config::{CallSection, Line, Lines};
use crate::twilio::identity::{Attestation, Identity};
use calldex_observability::catalog;
use calldex_storage::record::{Caller, CallerKind, LiveCall, Outcome};
use calldex_storage::write::{CallEnded, CallStarted, Write};
use calldex_storage::{Recall, Storage};
use compact_str::CompactString;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// A call whose webhook was answered connects within seconds (0.4-1.5 s, protocol 9.3); after this
/// long it is given up.
const RINGING_MS_MAX: u64 = 60_000;
/// A session that is to give its call up answers within this time, or is taken for dead.
const SUPERSEDE_MAX: Duration = Duration::from_millis(500);
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

/// What a webhook is answered with.
pub enum Answer {
    /// Connect to the relay, with this document.
    Connect(String),
    /// The same document as before: the request was repeated.
    Repeat(String),
    /// Say this and hang up.
    Refuse(String),
}

/// What the document that connects a call must say.
pub struct Connection<'a> {
    /// The line.
    pub line: &'a Line,
    /// The first words.
    pub greeting: &'a Greeting,
    /// The language they are in.
    pub language: &'a str,
    /// The last durable position of this instance, for whoever takes the call up.
    pub position: u64,
}

/// What happens after a session ended while its call goes on.
pub enum After {
    /// Connect again, with this document.
    Reconnect(String),
    /// Say this and hang up.
    Goodbye(String),
}

/// What the first frame of a socket says.
pub struct Setup<'a> {
    /// Who calls.
    pub arrival: Arrival,
    /// `VX…`
    pub session_id: &'a str,
    /// The greeting that the TwiML of this session held, and whether it asked for the name.
    pub greeting: Option<(&'a str, bool)>,
    /// The TwiML of this session was an answer to a lost one.
    pub reconnected: bool,
}

/// All calls of this instance, and what they need.
pub struct Switchboard {
    storage: Arc<Storage>,
    lines: Lines,
    bounds: Arc<CallSection>,
    reconnects_max: u32,
    can_hand_over: bool,
    instance: CompactString,
    limits: Arc<Limits>,
    room: SessionRoom,
}

impl Switchboard {
    /// For one instance.
    pub fn new(
        storage: Arc<Storage>,
        agent: Arc<Agent>,
        lines: Lines,
        bounds: CallSection,
        reconnects_max: u32,
        can_hand_over: bool,
        instance: &str,
    ) -> Self {
        let room = SessionRoom {
            agent,
            writer: storage.writer.clone(),
            registry: Arc::new(Registry::default()),
        };
        Self {
            limits: Limits::new(bounds.live_max),
            storage,
            lines,
            bounds: Arc::new(bounds),
            reconnects_max,
            can_hand_over,
            instance: instance.into(),
            room,
        }
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
        let line = Arc::clone(self.lines.of(&arrival.called));
        let place = match self.limits.admit() {
            Ok(place) => place,
            Err(refusal) => return Answer::Refuse(refused(refusal, &line)),
        };
        self.room.agent.warm();
        let (setting, greeting) = self.recognise(arrival, line).await;
        let twiml = render(&self.connection(&setting, &greeting));
        self.begin(arrival, &setting, &greeting);
        self.room.registry.ring(Ringing {
            setting,
            greeting,
            twiml: twiml.clone(),
            place,
            until_ms: clock::now().ms + RINGING_MS_MAX,
        });
        Answer::Connect(twiml)
    }

    /// Looks the caller up within the budget and greets them accordingly.
    async fn recognise(&self, arrival: &Arrival, line: Arc<Line>) -> (Setting, Greeting) {
        let vouched = !self.bounds.name_needs_attestation
            || arrival.attestation.reaches(Attestation::Partial);
        let Some(number) = arrival.identity.number() else {
            let greeting = Greeting::choose(&line, Recalled::NoNumber, vouched);
            return (self.setting(arrival, line, None), greeting);
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
        (self.setting(arrival, line, caller), greeting)
    }

    fn setting(&self, arrival: &Arrival, line: Arc<Line>, caller: Option<Arc<Caller>>) -> Setting {
        Setting {
            call_sid: arrival.call_sid.clone(),
            number: arrival.identity.number().cloned(),
            caller_kind: kind_of(&arrival.identity),
            caller,
            line,
            bounds: Arc::clone(&self.bounds),
            can_hand_over: self.can_hand_over,
            instance: self.instance.clone(),
        }
    }

    fn connection<'a>(&self, setting: &'a Setting, greeting: &'a Greeting) -> Connection<'a> {
        Connection {
            line: &setting.line,
            greeting,
            language: setting.language(),
            position: self.storage.writer.position(),
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
        let started = CallStarted {
            call_sid: setting.call_sid.clone(),
            number: setting.number.clone(),
            line: arrival.called.clone(),
            caller_kind: setting.caller_kind,
            identity: other_identity(&arrival.identity),
            language: Some(setting.language().into()),
            at_ms: clock::now().unix_ms,
            instance: self.instance.clone(),
        };
        drop(self.storage.writer.submit(Write::CallStarted(started)));
    }

    /// A socket opened and said whose call it is: runs that call until the socket, or the call,
    /// is over.
    pub async fn connect<W: Wire>(&self, wire: &mut W, setup: Setup<'_>) {
        let (found, seat) = self.room.registry.connect(&setup.arrival.call_sid);
        let mut actions = Vec::new();
        let taken = match found {
            Found::Ringing(ringing) => Ok(first_session(*ringing, &mut actions)),
            Found::Parked(parked) => Ok((parked.state, parked.place, Some("action"))),
            Found::Live(control) => match supersede(&control).await {
                Some((state, place)) => Ok((state, place, Some("reconnect"))),
                None => self.take_up(&setup, &mut actions).await,
            },
            Found::Nothing => self.take_up(&setup, &mut actions).await,
        };
        match taken {
            Ok((state, place, resumed)) => {
                self.session(wire, &setup, state, actions, resumed)
                    .run(seat, place)
                    .await;
            }
            Err(refusal) => self.turn_away(wire, &setup, &seat, refusal).await,
        }
    }

    fn session<'a, W: Wire>(
        &'a self,
        wire: &'a mut W,
        setup: &Setup<'_>,
        mut state: Box<CallState>,
        mut actions: Vec<Action>,
        resumed: Option<&'static str>,
    ) -> Session<'a, W> {
        if let Some(reason) = resumed {
            let reason = if reason == "action" && !setup.reconnected {
                "reconnect"
            } else {
                reason
            };
            catalog::CALLS_RESUMED_TOTAL.with(reason).increment(1);
            let greeted = setup
                .greeting
                .filter(|_| setup.reconnected)
                .map(|(text, _)| text);
            let session_id = setup.session_id;
            state.on(
                Event::Resumed {
                    session_id,
                    greeted,
                },
                clock::now(),
                &mut actions,
            );
        }
        Session::new(wire, &self.room, state, actions)
    }

    /// A call that this process knows nothing of: from storage, or a first session whose webhook
    /// another instance answered.
    async fn take_up(
        &self,
        setup: &Setup<'_>,
        actions: &mut Vec<Action>,
    ) -> Result<Taken, Refusal> {
        let place = self.limits.readmit()?;
        let line = Arc::clone(self.lines.of(&setup.arrival.called));
        let live = timeout(
            LIVE_MAX,
            self.storage.conversations.live(&setup.arrival.call_sid),
        )
        .await;
        let live = live
            .ok()
            .and_then(Result::ok)
            .flatten()
            .filter(LiveCall::is_live);
        let (setting, chosen) = self.recognise(&setup.arrival, line).await;
        match live {
            Some(live) if !live.turns.is_empty() => {
                let state = CallState::restored(setting, live, clock::now());
                Ok((Box::new(state), place, Some("restart")))
            }
            known => {
                if known.is_none() {
                    self.begin(&setup.arrival, &setting, &chosen);
                }
                let greeting = said_greeting(setup, chosen);
                let state = CallState::new(setting, &greeting, clock::now(), actions);
                Ok((Box::new(state), place, None))
            }
        }
    }

    async fn turn_away<W: Wire>(
        &self,
        wire: &mut W,
        setup: &Setup<'_>,
        seat: &Seat,
        refusal: Refusal,
    ) {
        catalog::CALLS_REFUSED_TOTAL
            .with(refusal.label())
            .increment(1);
        self.room
            .registry
            .leave(&setup.arrival.call_sid, seat.session);
        wire.close(1013, "no place for this call").await;
    }

    /// A session ended while its call goes on, by a lost socket: whether it is connected again,
    /// with the document that `render` writes.
    pub async fn lost(
        &self,
        arrival: &Arrival,
        render: impl FnOnce(&Connection<'_>) -> String,
    ) -> After {
        let line = Arc::clone(self.lines.of(&arrival.called));
        let Some((resumes, language)) = self.resumable(&arrival.call_sid).await else {
            return After::Goodbye(line.phrases(&line.language).failed.clone());
        };
        let language = language.unwrap_or_else(|| line.language.as_str().into());
        if resumes >= self.reconnects_max {
            return After::Goodbye(line.phrases(&language).failed.clone());
        }
        let greeting = Greeting::resumed(line.phrases(&language));
        let position = self.storage.writer.position();
        let twiml = render(&Connection {
            line: &line,
            greeting: &greeting,
            language: &language,
            position,
        });
        self.room
            .registry
            .await_return(&arrival.call_sid, clock::now().ms + RINGING_MS_MAX);
        After::Reconnect(twiml)
    }

    /// How often a call that is not over has come back, and its language.
    async fn resumable(&self, call_sid: &CompactString) -> Option<(u32, Option<CompactString>)> {
        if let Some(parked) = self.room.registry.parked(call_sid) {
            return Some(parked);
        }
        let live = timeout(LIVE_MAX, self.storage.conversations.live(call_sid)).await;
        match live {
            Ok(Ok(Some(live))) if live.is_live() => {
                Some((live.conversation.resumes, live.conversation.language))
            }
            // Storage cannot say: rather one reconnect too many than a lost call.
            Ok(Err(_)) | Err(_) => Some((0, None)),
            Ok(Ok(_)) => None,
        }
    }

    /// What is said when a call cannot go on.
    pub fn failed(&self, called: &str) -> String {
        let line = self.lines.of(called);
        line.phrases(&line.language).failed.clone()
    }

    /// The provider says that a call is over, by its action or its status callback. Harmless when
    /// it is known already.
    pub fn over(&self, call_sid: &str) {
        match self.room.registry.over(call_sid, Outcome::HungUp) {
            Removed::Parked(parked) => self.close_parked(*parked, Outcome::HungUp),
            Removed::Ringing(ringing) => self.close_ringing(&ringing),
            Removed::Told => {}
            Removed::Unknown => {
                self.end_stored(call_sid, clock::now().unix_ms, Outcome::HungUp, None)
            }
        }
    }

    /// Ends a conversation that only storage knows; one that is ended stays as it is.
    fn end_stored(&self, call_sid: &str, at_ms: i64, outcome: Outcome, epoch: Option<u32>) {
        let call_sid = CompactString::from(call_sid);
        drop(self.storage.writer.submit(Write::CallEnded(CallEnded {
            call_sid,
            epoch,
            at_ms,
            outcome,
        })));
    }

    fn close_parked(&self, mut parked: Parked, outcome: Outcome) {
        let mut end = clock::now();
        end.unix_ms = parked.lost_unix_ms;
        finish(&self.room.writer, &mut parked.state, outcome, end);
    }

    /// The webhook was answered, and nobody came.
    fn close_ringing(&self, ringing: &Ringing) {
        let at_ms = clock::now().unix_ms;
        self.end_stored(
            &ringing.setting.call_sid,
            at_ms,
            Outcome::Abandoned,
            Some(0),
        );
        super::tally::over(Outcome::Abandoned, 0);
    }

    /// Closes calls that rang or waited to come back for too long; runs as long as it is polled.
    pub async fn sweep(&self) {
        loop {
            sleep(SWEEP_EVERY).await;
            let (ringing, parked) = self.room.registry.expired(clock::now().ms);
            ringing
                .iter()
                .for_each(|ringing| self.close_ringing(ringing));
            parked
                .into_iter()
                .for_each(|parked| self.close_parked(parked, Outcome::Abandoned));
        }
    }

    /// Calls that a process before this one left unfinished: those that do not come back in time
    /// are closed with their true end.
    pub async fn close_unfinished(&self) {
        let unfinished = match self.storage.conversations.unfinished().await {
            Ok(unfinished) => unfinished,
            Err(error) => {
                tracing::error!(%error, "unfinished calls cannot be read; they stay open until the next start");
                return;
            }
        };
        if unfinished.is_empty() {
            return;
        }
        tracing::info!(
            calls = unfinished.len(),
            "calls of the last run may come back"
        );
        sleep(Duration::from_secs(self.bounds.resume_s_max)).await;
        for call in unfinished {
            let conversation = &call.conversation;
            if self.room.registry.holds(&conversation.call_sid) {
                catalog::CONVERSATIONS_RECOVERED_TOTAL
                    .with("resumed")
                    .increment(1);
                continue;
            }
            // A call that was taken up again has a higher epoch, and is not ended by this.
            let epoch = Some(conversation.epoch);
            self.end_stored(
                &conversation.call_sid,
                call.last_at_ms,
                Outcome::Abandoned,
                epoch,
            );
            catalog::CONVERSATIONS_RECOVERED_TOTAL
                .with("closed")
                .increment(1);
        }
    }

    /// From now on new calls hear that we are restarting.
    pub fn drain(&self) {
        self.limits.drain();
    }

    /// Ends what is still live: each caller hears one sentence.
    pub fn part(&self) {
        self.room.registry.drain();
    }

    /// Closes what waits for a socket, at the end of the process. Parked calls stay open in
    /// storage, so that the next process takes them up.
    pub fn close(&self) {
        let (ringing, _) = self.room.registry.take_waiting();
        ringing
            .iter()
            .for_each(|ringing| self.close_ringing(ringing));
    }

    /// Whether a call is here in any form.
    pub fn holds(&self, call_sid: &str) -> bool {
        self.room.registry.holds(call_sid)
    }

    /// Calls with a socket.
    pub fn live(&self) -> usize {
        self.room.registry.live()
    }
}

/// A call's state, its place, and why it was resumed if it was.
type Taken = (Box<CallState>, Place, Option<&'static str>);

fn first_session(ringing: Ringing, actions: &mut Vec<Action>) -> Taken {
    let state = CallState::new(ringing.setting, &ringing.greeting, clock::now(), actions);
    (Box::new(state), ringing.place, None)
}

/// The state of a session whose socket is dead without its knowing.
async fn supersede(
    control: &tokio::sync::mpsc::Sender<Control>,
) -> Option<(Box<CallState>, Place)> {
    let (give, take) = oneshot::channel();
    control.try_send(Control::Supersede(give)).ok()?;
    timeout(SUPERSEDE_MAX, take).await.ok()?.ok()
}

/// The greeting that the session's TwiML held; the one chosen now has what is known of the caller.
fn said_greeting(setup: &Setup<'_>, chosen: Greeting) -> Greeting {
    match setup.greeting {
        Some((text, asks_name)) if text != chosen.text => Greeting {
            people: chosen.people,
            ..Greeting::said(text, asks_name)
        },
        _ => chosen,
    }
}

fn refused(refusal: Refusal, line: &Line) -> String {
    catalog::CALLS_REFUSED_TOTAL
        .with(refusal.label())
        .increment(1);
    let phrases = line.phrases(&line.language);
    match refusal {
        Refusal::Busy => phrases.busy.clone(),
        Refusal::Draining => phrases.draining.clone(),
    }
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
