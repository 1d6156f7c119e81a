//! The driver of one call: frames, tokens, timers and messages in, [`Action`]s carried out. One
//! task a call; nothing it awaits can block another call.

use super::clock;
use super::judgement::{Judgement, verdict};
use super::keep_alive::{KeepAlive, Pulse};
use super::limits::Place;
use super::registry::{Control, Parked, Registry, Removed, Seat};
use super::state::{Action, CallState, Event, LateTool, Parting, Sentence};
use super::tally;
use super::tool_calls::ToolCalls;
use super::tool_runner::ToolRunner;
use super::transport::{Incoming, Wire};
use crate::agent::{Agent, Reply, ReplyEvent};
use crate::twilio::relay::{Heard, Info, LanguageTag, Spoken, Text};
use calldex_observability::catalog;
use calldex_storage::record::Outcome;
use calldex_storage::write::Write;
use calldex_storage::{Directory, Recall, Writer};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// A frame that Twilio does not take within this time means that the socket is dead.
const SEND_MAX: Duration = Duration::from_secs(2);
/// After our `end` Twilio closes within a second (protocol 5.2); then we do.
const CLOSE_MAX: Duration = Duration::from_secs(10);
/// What a call that moves has still to write is waited for this long before its socket is closed, so
/// that whoever takes it up sees it.
const MOVE_FLUSH_MAX: Duration = Duration::from_millis(500);
/// The same over all that is said meanwhile.
const MOVE_FLUSHES_MAX: Duration = Duration::from_secs(2);
/// Close code of a call that goes on elsewhere (RFC 6455's registry: service restart). To Twilio any
/// close of ours is a lost session, error 64105 (protocol 6.2, 8): it asks for the action.
const MOVED_CODE: u16 = 1012;
/// How long a session with no deadline at all sleeps before it looks again.
const NO_DEADLINE: Duration = Duration::from_secs(86_400);
/// Tokens taken from the model before other events get their turn.
const TOKENS_IN_A_ROW_MAX: usize = 32;

/// What a session needs of the house.
pub struct SessionRoom {
    /// Who answers.
    pub agent: Arc<Agent>,
    /// Where turns go.
    pub writer: Writer,
    /// What is known of callers.
    pub directory: Directory,
    /// Where the call is found by others.
    pub registry: Arc<Registry>,
    /// Who runs the operator's tools.
    pub tools: Arc<dyn ToolRunner>,
}

/// How a session left its loop.
enum Leave {
    Closed { clean: bool },
    Over(Outcome),
    Superseded(tokio::sync::oneshot::Sender<(Box<CallState>, Place)>),
    Parted(Parting),
}

/// One call on one socket.
pub struct Session<'a, W: Wire> {
    wire: &'a mut W,
    room: &'a SessionRoom,
    state: Box<CallState>,
    actions: Vec<Action>,
    reply: Option<Reply>,
    tools: ToolCalls,
    judgement: Judgement,
    /// Our `end` went out: the socket is closed by us then.
    close_by: Option<Instant>,
    parting: Option<Parted>,
    broken: bool,
    own: OwnShare,
    alive: KeepAlive,
}

/// A session that leaves its call to another.
struct Parted {
    why: Parting,
    /// What is recorded, on its way to where another instance sees it.
    kept: BoxFuture<'static, ()>,
    by: Instant,
}

/// How much of a first token's delay is ours: from the caller's frame to the request, and from the
/// model's token to the socket.
#[derive(Default)]
struct OwnShare {
    heard: Option<Instant>,
    before: Option<Duration>,
}

impl<'a, W: Wire> Session<'a, W> {
    /// A session whose `state` has produced `actions` already.
    pub fn new(
        wire: &'a mut W,
        room: &'a SessionRoom,
        state: Box<CallState>,
        actions: Vec<Action>,
    ) -> Self {
        let alive = KeepAlive::new(state.setting().bounds.ping_ms);
        Self {
            wire,
            room,
            state,
            actions,
            reply: None,
            tools: ToolCalls::default(),
            judgement: Judgement::default(),
            close_by: None,
            parting: None,
            broken: false,
            own: OwnShare::default(),
            alive,
        }
    }

    /// Runs the call until its socket or itself is over, and leaves it in the registry as that
    /// demands.
    pub async fn run(mut self, mut seat: Seat, place: Place) {
        let _live = tally::Live::begin();
        self.carry_out("").await;
        let leave = self.listen(&mut seat).await;
        // Drops a reply in the making: the request to the model ends with it.
        self.reply = None;
        match leave {
            // What was taken is not handed on: the newer session reads what is kept.
            Leave::Superseded(_) if self.is_taken() => {}
            Leave::Superseded(to) => {
                // If the newer session has given up waiting, the call is parked as if lost.
                if let Err((state, place)) = to.send((self.state, place)) {
                    park(self.room, seat.session, state, place);
                }
            }
            Leave::Over(outcome) => {
                self.finish(outcome, seat.session);
                self.wire.close(1000, "the call is over").await;
            }
            Leave::Parted(why) => {
                self.leave(why, seat.session);
                self.wire
                    .close(MOVED_CODE, "the call goes on elsewhere")
                    .await;
            }
            Leave::Closed { clean } => {
                let known = self.state.outcome_so_far().or_else(|| told_over(&mut seat));
                if let Some(outcome) = known.or(clean.then_some(Outcome::HungUp)) {
                    self.finish(outcome, seat.session);
                    return;
                }
                if let Some(parted) = &self.parting {
                    self.leave(parted.why, seat.session);
                    return;
                }
                self.state
                    .on(Event::Closed, clock::now(), &mut self.actions);
                let late = keep(&self.room.writer, &mut self.actions);
                self.leave_tools(late);
                let call_sid = self.state.call_sid().clone();
                park(self.room, seat.session, self.state, place);
                // Told while it was being parked: from here on the registry itself is asked.
                if let Some(outcome) = told_over(&mut seat)
                    && let Removed::Parked(mut parked) = self.room.registry.over(&call_sid, outcome)
                {
                    finish(&self.room.writer, &mut parked.state, outcome, clock::now());
                }
            }
        }
    }

    /// Takes note of what other calls decided about this caller meanwhile: what is decided here comes
    /// after it, whatever the clock says. Reads memory only.
    fn see_decisions(&mut self) {
        let number = self.state.setting().number.as_ref();
        let recall = number.and_then(|number| self.room.directory.peek(number));
        if let Some(Recall::Known(caller)) = recall {
            self.state.see(caller.latest_mark());
        }
    }

    fn leave_tools(&mut self, late: Vec<LateTool>) {
        for tool in late {
            self.tools.leave(tool, &self.room.writer);
        }
    }

    fn finish(&mut self, outcome: Outcome, session: u64) {
        self.see_decisions();
        let late = finish(&self.room.writer, &mut self.state, outcome, clock::now());
        self.leave_tools(late);
        self.room.registry.leave(self.state.call_sid(), session);
    }

    /// The call is left to another session, of this instance or not; it stays open in storage.
    fn leave(&self, why: Parting, session: u64) {
        let call_sid = self.state.call_sid();
        self.room.registry.leave(call_sid, session);
        if why == Parting::Moved {
            catalog::CALLS_MOVED_TOTAL.increment(1);
        }
        tracing::info!(call = %call_sid, reason = why.label(), "the call goes on in another session");
    }

    fn is_taken(&self) -> bool {
        let taken = |parted: &Parted| parted.why == Parting::Taken;
        self.parting.as_ref().is_some_and(taken)
    }

    async fn listen(&mut self, seat: &mut Seat) -> Leave {
        let timer = sleep_until(self.due());
        tokio::pin!(timer);
        loop {
            if self.broken {
                return Leave::Closed { clean: false };
            }
            let due = self.due();
            if timer.deadline() != due {
                Sleep::reset(timer.as_mut(), due);
            }
            tokio::select! {
                biased;
                message = seat.control.recv() => match message {
                    Some(Control::Supersede(to)) => return Leave::Superseded(to),
                    Some(Control::Over(outcome)) => {
                        return Leave::Over(self.state.outcome_so_far().unwrap_or(outcome));
                    }
                    Some(Control::Drain) => self.happen(Event::Drain).await,
                    Some(Control::Move { from_ms, by_ms }) => {
                        self.happen(Event::Move { from_ms, by_ms }).await;
                    }
                    Some(Control::Stay) => self.happen(Event::Stay).await,
                    Some(Control::Owner(owner)) => self.happen(Event::Owner(owner)).await,
                    // The registry holds the other end as long as this session is the call's own.
                    None => return Leave::Closed { clean: false },
                },
                incoming = self.wire.next() => match self.noticed(incoming) {
                    Incoming::Text(frame) => self.hear(&frame).await,
                    Incoming::Ping | Incoming::Pong => {}
                    Incoming::Other => catalog::FRAMES_RECEIVED_TOTAL.with("malformed").increment(1),
                    Incoming::Closed { clean } => return Leave::Closed { clean },
                },
                why = parted(&mut self.parting) => return Leave::Parted(why),
                event = next_event(&mut self.reply) => self.take_reply(event).await,
                (id, outcome) = self.tools.next() => {
                    self.happen(Event::ToolReturned { id: &id, outcome: &outcome }).await;
                }
                opinion = self.judgement.next() => {
                    self.happen(Event::NameJudged(verdict(opinion.as_ref()))).await;
                }
                () = timer.as_mut() => {
                    if self.close_by.is_some_and(|by| by <= Instant::now()) {
                        self.wire.close(1000, "the session ended").await;
                        return Leave::Closed { clean: true };
                    }
                    if !self.keep_alive().await {
                        return Leave::Closed { clean: false };
                    }
                    if self.state.deadline().is_some_and(|due| due <= clock::now().ms) {
                        self.happen(Event::Tick).await;
                    }
                }
            }
        }
    }

    fn due(&self) -> Instant {
        let state = self.state.deadline().map(clock::instant);
        [state, self.close_by, self.alive.due()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + NO_DEADLINE)
    }

    fn noticed(&mut self, incoming: Incoming) -> Incoming {
        let pong = matches!(incoming, Incoming::Pong);
        self.alive.received(pong, Instant::now());
        incoming
    }

    /// Pings a silent socket when that is due. Whether the socket is alive, as far as can be told.
    async fn keep_alive(&mut self) -> bool {
        match self.alive.tick(Instant::now()) {
            Pulse::Quiet => true,
            Pulse::Ping => {
                catalog::PINGS_TOTAL.with("sent").increment(1);
                let sent = timeout(SEND_MAX, self.wire.ping()).await;
                self.broken |= !sent.unwrap_or(false);
                true
            }
            Pulse::Unanswered => {
                catalog::PINGS_TOTAL.with("unanswered").increment(1);
                true
            }
            Pulse::Dead => {
                catalog::PINGS_TOTAL.with("dead").increment(1);
                tracing::info!(call = %self.state.call_sid(), "the socket answers no ping any more");
                false
            }
        }
    }

    async fn hear(&mut self, frame: &str) {
        let begun = Instant::now();
        self.own.heard = Some(begun);
        let heard = match Heard::parse(frame) {
            Ok(heard) => heard,
            Err(malformed) => {
                catalog::FRAMES_RECEIVED_TOTAL
                    .with("malformed")
                    .increment(1);
                tracing::debug!(call = %self.state.call_sid(), reason = malformed.reason(), "malformed frame");
                return;
            }
        };
        tally::heard(&heard);
        let event = match &heard {
            Heard::Prompt(prompt) => Event::Prompt {
                text: &prompt.text,
                language: &prompt.lang,
                last: prompt.last,
            },
            Heard::Dtmf(key) => Event::Keyed(key.as_char()),
            Heard::Interrupt(interrupt) => Event::Interrupted(&interrupt.heard),
            Heard::Info(Info::AgentSpeaking(on)) => Event::AgentSpeaking(*on),
            Heard::Info(Info::ClientSpeaking(on)) => Event::CallerSpeaking(*on),
            Heard::Info(Info::TokensPlayed(text)) => Event::Played(text),
            Heard::Error(error) => {
                tracing::warn!(call = %self.state.call_sid(), code = error.code(), "Twilio refused a frame");
                return;
            }
            // A second setup on one socket changes nothing; the rest is for newer versions.
            Heard::Setup(_) | Heard::Info(_) | Heard::Unknown { .. } => return,
        };
        let finished = matches!(event, Event::Prompt { last: true, .. });
        if finished {
            self.see_decisions();
        }
        self.decide(event);
        if finished {
            // What a finished prompt costs, of which the search for a name is the greater part.
            catalog::NAME_EXTRACTION_SECONDS.record(begun.elapsed().as_secs_f64());
        }
        self.carry_out("").await;
        self.own.heard = None;
    }

    /// Takes what the model has ready, up to a bound, so that a burst of tokens costs one wake-up.
    async fn take_reply(&mut self, first: Option<ReplyEvent>) {
        let mut event = first;
        for _ in 0..TOKENS_IN_A_ROW_MAX {
            self.take_event(event).await;
            let next = self
                .reply
                .as_mut()
                .filter(|_| !self.broken)
                .and_then(|reply| reply.next().now_or_never());
            match next {
                Some(next) => event = next,
                None => return,
            }
        }
        self.take_event(event).await;
    }

    async fn take_event(&mut self, event: Option<ReplyEvent>) {
        match event {
            None => self.reply = None,
            Some(ReplyEvent::Token(token)) => self.token(&token).await,
            Some(ReplyEvent::Tool(call)) => self.happen(Event::Tool(&call)).await,
            Some(ReplyEvent::Done(finish)) => {
                self.reply = None;
                self.see_decisions();
                self.happen(Event::Replied(&finish)).await;
            }
            Some(ReplyEvent::Failed(failure)) => {
                self.reply = None;
                tracing::warn!(call = %self.state.call_sid(), %failure, "no reply from the model");
                self.happen(Event::ReplyFailed(failure)).await;
            }
        }
    }

    async fn token(&mut self, token: &str) {
        let begun = Instant::now();
        self.decide(Event::Token(token));
        self.carry_out(token).await;
        if let Some(before) = self.own.before.take() {
            catalog::OWN_LATENCY_SECONDS.record((before + begun.elapsed()).as_secs_f64());
        }
    }

    async fn happen(&mut self, event: Event<'_>) {
        self.decide(event);
        self.carry_out("").await;
    }

    fn decide(&mut self, event: Event<'_>) {
        self.state.on(event, clock::now(), &mut self.actions);
    }

    /// Carries the actions out in their order; `token` is what [`Action::PassToken`] passes.
    async fn carry_out(&mut self, token: &str) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::PassToken => self.speak(Spoken::Text(Text::token(token))).await,
                Action::Append(words) => self.speak(Spoken::Text(Text::token(words))).await,
                Action::CloseReply => self.speak(Spoken::Text(Text::closing(""))).await,
                Action::Say(sentence) => self.say(sentence).await,
                Action::AppendIn(words, language) => {
                    let mut piece = Text::token(words);
                    if let Some(tag) = LanguageTag::parse(&language) {
                        piece = piece.in_language(tag);
                    }
                    self.speak(Spoken::Text(piece)).await;
                }
                Action::SetLanguage { spoken, heard } => self.set_language(&spoken, &heard).await,
                Action::End(handoff) => self.end(handoff).await,
                Action::Ask(mut brief) => {
                    if !brief.tools.is_empty() {
                        let called = &self.state.setting().called;
                        brief.own_tools = self.room.tools.catalog(called);
                    }
                    self.reply = Some(self.room.agent.reply(*brief));
                    self.own.before = self.own.heard.take().map(|heard| heard.elapsed());
                }
                Action::Abort => self.reply = None,
                Action::CallTool {
                    spec,
                    id,
                    arguments,
                    by_ms,
                } => {
                    let request = self.state.setting().tool_request(spec, id, arguments);
                    self.tools.start(&*self.room.tools, request, by_ms);
                }
                Action::CancelTool(id) => self.tools.cancel(&id),
                Action::KeepLate(late) => self.leave_tools(vec![*late]),
                Action::JudgeName { question, answer } => {
                    let models = &self.state.setting().line.models;
                    self.judgement
                        .ask(&self.room.agent, models, question, answer);
                }
                Action::Record(write) => self.record(write),
                Action::Count(count) => tally::count(count),
                Action::Over(outcome, ms) => tally::over(outcome, ms),
                Action::Leave(why) => self.part(why),
            }
        }
        self.actions = actions;
    }

    fn record(&mut self, write: Write) {
        drop(self.room.writer.submit(write));
        // What is said while the call leaves goes with it.
        if let Some(parted) = &mut self.parting {
            parted.kept = kept(&self.room.writer, parted.by);
        }
    }

    fn part(&mut self, why: Parting) {
        let by = Instant::now() + MOVE_FLUSHES_MAX;
        let kept = match why {
            Parting::Moved => kept(&self.room.writer, by),
            // Nothing of it was recorded.
            Parting::Taken => Box::pin(std::future::ready(())),
        };
        self.parting = Some(Parted { why, kept, by });
    }

    async fn say(&mut self, sentence: Sentence) {
        let pieces: Vec<Text<'_>> = Text::pieces(&sentence.text, true).collect();
        for mut piece in pieces {
            if sentence.preemptible {
                piece = piece.preemptible(true);
            }
            if sentence.must_be_heard {
                piece = piece.interruptible(false);
            }
            self.speak(Spoken::Text(piece)).await;
        }
    }

    async fn set_language(&mut self, spoken: &str, heard: &str) {
        let (spoken, heard) = (LanguageTag::parse(spoken), LanguageTag::parse(heard));
        if let Ok(frame) = Spoken::language(spoken, heard) {
            self.speak(frame).await;
        }
    }

    async fn end(&mut self, handoff: Option<String>) {
        let frame = match handoff {
            Some(data) => Spoken::end_with(data).unwrap_or_else(|_| Spoken::end()),
            None => Spoken::end(),
        };
        self.speak(frame).await;
        self.close_by = Some(Instant::now() + CLOSE_MAX);
    }

    async fn speak(&mut self, frame: Spoken<'_>) {
        if self.broken {
            return;
        }
        let mut text = String::with_capacity(96);
        frame.write(&mut text);
        tally::spoken(&frame);
        self.alive.sent(Instant::now());
        self.broken = !timeout(SEND_MAX, self.wire.send(text))
            .await
            .unwrap_or(false);
    }
}

/// Whether the provider said that the call is over while its socket was being lost.
fn told_over(seat: &mut Seat) -> Option<Outcome> {
    std::iter::from_fn(|| seat.control.try_recv().ok()).find_map(|message| match message {
        Control::Over(outcome) => Some(outcome),
        _ => None,
    })
}

async fn next_event(reply: &mut Option<Reply>) -> Option<ReplyEvent> {
    match reply {
        Some(reply) => reply.next().await,
        None => pending().await,
    }
}

async fn parted(parting: &mut Option<Parted>) -> Parting {
    match parting {
        Some(parted) => {
            (&mut parted.kept).await;
            parted.why
        }
        None => pending().await,
    }
}

/// Waits until what was recorded is where every instance sees it, within bounds.
fn kept(writer: &Writer, by: Instant) -> BoxFuture<'static, ()> {
    let writer = writer.clone();
    Box::pin(async move {
        let left = by.saturating_duration_since(Instant::now());
        // Too late: it will come, and whoever has the call sees it then.
        let _ = writer.flush(MOVE_FLUSH_MAX.min(left)).await;
    })
}

/// Leaves a call whose socket is lost where it can come back to; closes it if that is not its
/// session any more.
fn park(room: &SessionRoom, session: u64, state: Box<CallState>, place: Place) {
    let now = clock::now();
    let resume_ms = state.setting().bounds.resume_s_max * 1_000;
    let parked = Parked {
        state,
        place,
        until_ms: now.ms + resume_ms,
        lost_unix_ms: now.unix_ms,
    };
    // An entry that is gone or another's: the call was ended or taken over meanwhile.
    drop(room.registry.park(session, parked));
}

/// Closes a call. The tools that it leaves running: none where it has no session.
pub fn finish(
    writer: &Writer,
    state: &mut CallState,
    outcome: Outcome,
    now: super::state::Now,
) -> Vec<LateTool> {
    let mut actions = Vec::new();
    state.finish(outcome, now, &mut actions);
    keep(writer, &mut actions)
}

/// Does what of `actions` needs no socket. The tools that are left running.
fn keep(writer: &Writer, actions: &mut Vec<Action>) -> Vec<LateTool> {
    let mut late = Vec::new();
    for action in actions.drain(..) {
        match action {
            Action::KeepLate(tool) => late.push(*tool),
            Action::Record(write) => drop(writer.submit(write)),
            Action::Count(count) => tally::count(count),
            Action::Over(outcome, ms) => tally::over(outcome, ms),
            _ => {}
        }
    }
    late
}
