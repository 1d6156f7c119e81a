//! One call on one socket. The session passes frames, reply tokens, timers and messages to the call's
//! state and carries out the [`CallAction`]s that it returns. Each call has a task of its own.

use super::admission::CallPermit;
use super::call_finish::{finish_call, perform_without_socket};
use super::clock;
use super::keep_alive::{KeepAlive, KeepAliveStep};
use super::metrics;
use super::name_verification::{PendingNameVerification, name_suggestion};
use super::registry::{CallRegistry, EndResult, SessionHandle, SessionMessage, SuspendedCall};
use super::running_tools::RunningTools;
use super::session_exit::{PendingExit, RELOCATION_FLUSHES_MAX, flush_within, wait_for_exit};
use super::state::{
    CallAction, CallEvent, CallState, DetachedToolCall, ExitReason, SpokenSentence,
};
use super::tool_runner::ToolRunner;
use super::transport::{Transport, TransportEvent};
use crate::agent::{Agent, ReplyEvent, ReplyStream};
use crate::twilio::frames::{InboundFrame, InfoFrame, LanguageTag, OutboundFrame, TextFrame};
use calldex_observability::catalog;
use calldex_storage::record::CallOutcome;
use calldex_storage::write::Write;
use calldex_storage::{CallerDirectory, LookupResult, Writer};
use futures_util::{FutureExt, StreamExt};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// A frame that Twilio does not take within this time means that the socket is dead.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// After `end` Twilio closes the socket within a second (docs/protocol.md 5.2). The server closes it after
/// this time.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Close code of a call that goes on elsewhere (RFC 6455's registry: service restart). To Twilio any
/// close of ours is a lost session, error 64105 (docs/protocol.md 6.2, 8): it asks for the action.
const RELOCATED_CLOSE_CODE: u16 = 1012;
/// How long a session without any deadline sleeps.
const IDLE_SLEEP: Duration = Duration::from_secs(86_400);
/// Reply tokens handled in a row before other events.
const TOKEN_BATCH_MAX: usize = 32;

/// What a session needs besides its call.
pub struct SessionServices {
    /// Generates the replies.
    pub agent: Arc<Agent>,
    /// Records the call.
    pub writer: Writer,
    /// What is stored about callers.
    pub directory: CallerDirectory,
    /// The calls of this instance.
    pub registry: Arc<CallRegistry>,
    /// Runs the operator's tools.
    pub tools: Arc<dyn ToolRunner>,
}

/// Why the loop of a session ended.
enum SessionExit {
    Closed { clean: bool },
    CallEnded(CallOutcome),
    Superseded(tokio::sync::oneshot::Sender<(Box<CallState>, CallPermit)>),
    Left(ExitReason),
}

/// One call on one socket.
pub struct CallSession<'a, W: Transport> {
    transport: &'a mut W,
    services: &'a SessionServices,
    state: Box<CallState>,
    actions: Vec<CallAction>,
    reply: Option<ReplyStream>,
    tools: RunningTools,
    name_verification: PendingNameVerification,
    /// `end` was sent: the server closes the socket at this time.
    close_by: Option<Instant>,
    pending_exit: Option<PendingExit>,
    broken: bool,
    latency: LatencyBreakdown,
    keep_alive: KeepAlive,
}

/// The server's part of the delay before the first token: from the caller's frame to the request to the
/// model, and from the model's token to the socket.
#[derive(Default)]
struct LatencyBreakdown {
    frame_received_at: Option<Instant>,
    before_request: Option<Duration>,
}

impl<'a, W: Transport> CallSession<'a, W> {
    /// A session whose `state` has produced `actions` already.
    pub fn new(
        transport: &'a mut W,
        services: &'a SessionServices,
        state: Box<CallState>,
        actions: Vec<CallAction>,
    ) -> Self {
        let keep_alive = KeepAlive::new(state.context().limits.ping_ms);
        Self {
            transport,
            services,
            state,
            actions,
            reply: None,
            tools: RunningTools::default(),
            name_verification: PendingNameVerification::default(),
            close_by: None,
            pending_exit: None,
            broken: false,
            latency: LatencyBreakdown::default(),
            keep_alive,
        }
    }

    /// Runs the call until the call is over or its socket is closed. Then the registry holds it as suspended,
    /// or no longer. If the future is dropped, the registry keeps a dead entry until the next session or
    /// the end of the call.
    pub async fn run(mut self, mut handle: SessionHandle, permit: CallPermit) {
        let _live = metrics::LiveCallGauge::start();
        self.perform_actions("").await;
        let exit = self.run_loop(&mut handle).await;
        // Dropping the reply stream cancels the request to the model.
        self.reply = None;
        match exit {
            // Another instance owns the call: the newer session reads its state from storage.
            SessionExit::Superseded(_) if self.is_taken_over() => {}
            SessionExit::Superseded(to) => {
                // The newer session no longer waits: the call is suspended as after a lost socket.
                if let Err((state, permit)) = to.send((self.state, permit)) {
                    suspend(self.services, handle.session, state, permit);
                }
            }
            SessionExit::CallEnded(outcome) => {
                self.finish_call(outcome, handle.session);
                self.transport.close(1000, "the call is over").await;
            }
            SessionExit::Left(why) => {
                self.leave_call(why, handle.session);
                self.transport
                    .close(RELOCATED_CLOSE_CODE, "the call goes on elsewhere")
                    .await;
            }
            SessionExit::Closed { clean } => {
                let known = self
                    .state
                    .outcome_of_sent_end()
                    .or_else(|| end_reported_meanwhile(&mut handle));
                if let Some(outcome) = known.or(clean.then_some(CallOutcome::HungUp)) {
                    self.finish_call(outcome, handle.session);
                    return;
                }
                if let Some(pending_exit) = &self.pending_exit {
                    self.leave_call(pending_exit.why, handle.session);
                    return;
                }
                self.state
                    .on(CallEvent::SocketClosed, clock::now(), &mut self.actions);
                let late = perform_without_socket(&self.services.writer, &mut self.actions);
                self.detach_tools(late);
                let call_sid = self.state.call_sid().clone();
                suspend(self.services, handle.session, self.state, permit);
                // The provider may have reported the end before the registry held the suspended call.
                if let Some(outcome) = end_reported_meanwhile(&mut handle)
                    && let EndResult::Suspended(mut suspended) =
                        self.services.registry.end(&call_sid, outcome)
                {
                    finish_call(
                        &self.services.writer,
                        &mut suspended.state,
                        outcome,
                        clock::now(),
                    );
                }
            }
        }
    }

    /// Reads the latest decision about the caller by other calls from the cache. The stamps of this call's
    /// decisions are later, whatever the clock says.
    fn observe_decisions(&mut self) {
        let number = self.state.context().number.as_ref();
        let recall = number.and_then(|number| self.services.directory.look_up_cached(number));
        if let Some(LookupResult::Known(caller)) = recall {
            self.state.observe_decision(caller.latest_mark());
        }
    }

    fn detach_tools(&mut self, late: Vec<DetachedToolCall>) {
        for tool in late {
            self.tools.detach(tool, &self.services.writer);
        }
    }

    fn finish_call(&mut self, outcome: CallOutcome, session: u64) {
        self.observe_decisions();
        let late = finish_call(
            &self.services.writer,
            &mut self.state,
            outcome,
            clock::now(),
        );
        self.detach_tools(late);
        self.services
            .registry
            .remove_session(self.state.call_sid(), session);
    }

    /// Leaves the call to another session, on this instance or another. It stays open in storage.
    fn leave_call(&self, why: ExitReason, session: u64) {
        let call_sid = self.state.call_sid();
        self.services.registry.remove_session(call_sid, session);
        if why == ExitReason::Relocated {
            catalog::CALLS_MOVED_TOTAL.increment(1);
        }
        tracing::info!(call_sid = %call_sid, reason = why.label(), "the call goes on in another session");
    }

    fn is_taken_over(&self) -> bool {
        let taken = |pending_exit: &PendingExit| pending_exit.why == ExitReason::TakenOver;
        self.pending_exit.as_ref().is_some_and(taken)
    }

    async fn run_loop(&mut self, handle: &mut SessionHandle) -> SessionExit {
        let timer = sleep_until(self.next_deadline());
        tokio::pin!(timer);
        loop {
            if self.broken {
                return SessionExit::Closed { clean: false };
            }
            let due = self.next_deadline();
            if timer.deadline() != due {
                Sleep::reset(timer.as_mut(), due);
            }
            tokio::select! {
                biased;
                message = handle.control.recv() => match message {
                    Some(SessionMessage::Supersede(to)) => return SessionExit::Superseded(to),
                    Some(SessionMessage::CallEnded(outcome)) => {
                        return SessionExit::CallEnded(self.state.outcome_of_sent_end().unwrap_or(outcome));
                    }
                    Some(SessionMessage::SayGoodbye) => self.handle(CallEvent::Drain).await,
                    Some(SessionMessage::Relocate { from_ms, by_ms }) => {
                        self.handle(CallEvent::Relocate { from_ms, by_ms }).await;
                    }
                    Some(SessionMessage::CancelRelocation) => self.handle(CallEvent::CancelRelocation).await,
                    Some(SessionMessage::OwnerChanged(owner)) => self.handle(CallEvent::OwnerChanged(owner)).await,
                    // The registry holds the other end as long as this session is the call's own.
                    None => return SessionExit::Closed { clean: false },
                },
                incoming = self.transport.next() => match self.record_incoming(incoming) {
                    TransportEvent::Text(frame) => self.on_frame(&frame).await,
                    TransportEvent::Ping | TransportEvent::Pong => {}
                    TransportEvent::NonText => catalog::FRAMES_RECEIVED_TOTAL.with("malformed").increment(1),
                    TransportEvent::Closed { clean } => return SessionExit::Closed { clean },
                },
                why = wait_for_exit(&mut self.pending_exit) => return SessionExit::Left(why),
                event = next_reply_event(&mut self.reply) => self.drain_reply(event).await,
                (id, outcome) = self.tools.next_finished() => {
                    self.handle(CallEvent::ToolReturned { id: &id, outcome: &outcome }).await;
                }
                verdict = self.name_verification.next_verdict() => {
                    self.handle(CallEvent::NameVerified(name_suggestion(verdict.as_ref()))).await;
                }
                () = timer.as_mut() => {
                    if self.close_by.is_some_and(|by| by <= Instant::now()) {
                        self.transport.close(1000, "the session ended").await;
                        return SessionExit::Closed { clean: true };
                    }
                    if !self.check_keep_alive().await {
                        return SessionExit::Closed { clean: false };
                    }
                    if self.state.deadline().is_some_and(|due| due <= clock::now().ms) {
                        self.handle(CallEvent::DeadlineReached).await;
                    }
                }
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let state = self.state.deadline().map(clock::instant);
        [state, self.close_by, self.keep_alive.next_check()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + IDLE_SLEEP)
    }

    fn record_incoming(&mut self, incoming: TransportEvent) -> TransportEvent {
        let pong = matches!(incoming, TransportEvent::Pong);
        self.keep_alive.record_received(pong, Instant::now());
        incoming
    }

    /// Sends a ping to a silent socket when that is due. Returns `false` if the socket is dead.
    async fn check_keep_alive(&mut self) -> bool {
        match self.keep_alive.check(Instant::now()) {
            KeepAliveStep::Wait => true,
            KeepAliveStep::Ping => {
                catalog::PINGS_TOTAL.with("sent").increment(1);
                let sent = timeout(SEND_TIMEOUT, self.transport.ping()).await;
                self.broken |= !sent.unwrap_or(false);
                true
            }
            KeepAliveStep::Unanswered => {
                catalog::PINGS_TOTAL.with("unanswered").increment(1);
                true
            }
            KeepAliveStep::Dead => {
                catalog::PINGS_TOTAL.with("dead").increment(1);
                tracing::info!(call_sid = %self.state.call_sid(), "the socket answers no ping any more");
                false
            }
        }
    }

    async fn on_frame(&mut self, frame: &str) {
        let begun = Instant::now();
        self.latency.frame_received_at = Some(begun);
        let heard = match InboundFrame::parse(frame) {
            Ok(heard) => heard,
            Err(malformed) => {
                catalog::FRAMES_RECEIVED_TOTAL
                    .with("malformed")
                    .increment(1);
                tracing::debug!(call_sid = %self.state.call_sid(), reason = malformed.label(), "malformed frame");
                return;
            }
        };
        metrics::record_inbound_frame(&heard);
        let event = match &heard {
            InboundFrame::Prompt(prompt) => CallEvent::Prompt {
                text: &prompt.text,
                language: &prompt.lang,
                last: prompt.last,
            },
            InboundFrame::Dtmf(key) => CallEvent::DtmfKey(key.as_char()),
            InboundFrame::Interrupt(interrupt) => CallEvent::Interrupted(&interrupt.heard),
            InboundFrame::Info(InfoFrame::AgentSpeaking(on)) => CallEvent::AgentSpeaking(*on),
            InboundFrame::Info(InfoFrame::ClientSpeaking(on)) => CallEvent::CallerSpeaking(*on),
            InboundFrame::Info(InfoFrame::TokensPlayed(text)) => CallEvent::TokensPlayed(text),
            InboundFrame::Error(error) => {
                tracing::warn!(call_sid = %self.state.call_sid(), code = error.code(), "Twilio refused a frame");
                return;
            }
            // A second `setup` on one socket is ignored, and so are frames that this version does not know.
            InboundFrame::Setup(_) | InboundFrame::Info(_) | InboundFrame::Unknown { .. } => return,
        };
        let finished = matches!(event, CallEvent::Prompt { last: true, .. });
        if finished {
            self.observe_decisions();
        }
        self.apply_event(event);
        if finished {
            // The time for a final prompt, most of which is the name extraction.
            catalog::NAME_EXTRACTION_SECONDS.record(begun.elapsed().as_secs_f64());
        }
        self.perform_actions("").await;
        self.latency.frame_received_at = None;
    }

    /// Handles the events that the reply stream has ready, at most [`TOKEN_BATCH_MAX`], in one wake-up.
    async fn drain_reply(&mut self, first: Option<ReplyEvent>) {
        let mut event = first;
        for _ in 0..TOKEN_BATCH_MAX {
            self.on_reply_event(event).await;
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
        self.on_reply_event(event).await;
    }

    async fn on_reply_event(&mut self, event: Option<ReplyEvent>) {
        match event {
            None => self.reply = None,
            Some(ReplyEvent::Token(token)) => self.on_reply_token(&token).await,
            Some(ReplyEvent::Tool(call)) => self.handle(CallEvent::ToolCalled(&call)).await,
            Some(ReplyEvent::Done(finish)) => {
                self.reply = None;
                self.observe_decisions();
                self.handle(CallEvent::ReplyCompleted(&finish)).await;
            }
            Some(ReplyEvent::Failed(failure)) => {
                self.reply = None;
                tracing::warn!(call_sid = %self.state.call_sid(), %failure, "no reply from the model");
                self.handle(CallEvent::ReplyFailed(failure)).await;
            }
        }
    }

    async fn on_reply_token(&mut self, token: &str) {
        let begun = Instant::now();
        self.apply_event(CallEvent::ReplyToken(token));
        self.perform_actions(token).await;
        if let Some(before) = self.latency.before_request.take() {
            catalog::SERVER_LATENCY_SECONDS.record((before + begun.elapsed()).as_secs_f64());
        }
    }

    async fn handle(&mut self, event: CallEvent<'_>) {
        self.apply_event(event);
        self.perform_actions("").await;
    }

    fn apply_event(&mut self, event: CallEvent<'_>) {
        self.state.on(event, clock::now(), &mut self.actions);
    }

    /// Carries the actions out in their order; `on_reply_token` is what [`CallAction::SendToken`] passes.
    async fn perform_actions(&mut self, token: &str) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                CallAction::SendToken => {
                    self.send_frame(OutboundFrame::Text(TextFrame::token(token)))
                        .await
                }
                CallAction::AppendText(words) => {
                    self.send_frame(OutboundFrame::Text(TextFrame::token(words)))
                        .await
                }
                CallAction::CloseReply => {
                    self.send_frame(OutboundFrame::Text(TextFrame::last_token("")))
                        .await
                }
                CallAction::Say(sentence) => self.say(sentence).await,
                CallAction::AppendTextInLanguage(words, language) => {
                    let mut piece = TextFrame::token(words);
                    if let Some(tag) = LanguageTag::parse(&language) {
                        piece = piece.in_language(tag);
                    }
                    self.send_frame(OutboundFrame::Text(piece)).await;
                }
                CallAction::SetLanguage {
                    tts_language: spoken,
                    transcription_language: heard,
                } => self.set_language(&spoken, &heard).await,
                CallAction::EndSession(handoff) => self.send_end(handoff).await,
                CallAction::RequestReply(mut prompt) => {
                    if !prompt.built_in_tools.is_empty() {
                        let called = &self.state.context().called_number;
                        prompt.configured_tools = self.services.tools.catalog(called);
                    }
                    self.reply = Some(self.services.agent.reply(*prompt));
                    self.latency.before_request = self
                        .latency
                        .frame_received_at
                        .take()
                        .map(|heard| heard.elapsed());
                }
                CallAction::AbortReply => self.reply = None,
                CallAction::StartTool {
                    spec,
                    id,
                    arguments,
                    by_ms,
                } => {
                    let request = self.state.context().tool_request(spec, id, arguments);
                    self.tools.start(&*self.services.tools, request, by_ms);
                }
                CallAction::CancelTool(id) => self.tools.cancel(&id),
                CallAction::DetachTool(late) => self.detach_tools(vec![*late]),
                CallAction::VerifyName { question, answer } => {
                    let models = &self.state.context().line.models;
                    self.name_verification
                        .start(&self.services.agent, models, question, answer);
                }
                CallAction::Record(write) => self.record(write),
                CallAction::Count(count) => metrics::record(count),
                CallAction::EndCall(outcome, ms) => metrics::record_call_end(outcome, ms),
                CallAction::ExitSession(why) => self.start_exit(why),
            }
        }
        self.actions = actions;
    }

    fn record(&mut self, write: Write) {
        drop(self.services.writer.submit(write));
        // A write during the exit is flushed too.
        if let Some(pending_exit) = &mut self.pending_exit {
            pending_exit.flushed = flush_within(&self.services.writer, pending_exit.deadline);
        }
    }

    fn start_exit(&mut self, why: ExitReason) {
        let by = Instant::now() + RELOCATION_FLUSHES_MAX;
        let kept = match why {
            ExitReason::Relocated => flush_within(&self.services.writer, by),
            // A session that lost its call has nothing to flush.
            ExitReason::TakenOver => Box::pin(std::future::ready(())),
        };
        self.pending_exit = Some(PendingExit {
            why,
            flushed: kept,
            deadline: by,
        });
    }

    async fn say(&mut self, sentence: SpokenSentence) {
        let pieces: Vec<TextFrame<'_>> = TextFrame::chunks(&sentence.text, true).collect();
        for mut piece in pieces {
            if sentence.preemptible {
                piece = piece.preemptible(true);
            }
            if sentence.uninterruptible {
                piece = piece.interruptible(false);
            }
            self.send_frame(OutboundFrame::Text(piece)).await;
        }
    }

    async fn set_language(&mut self, spoken: &str, heard: &str) {
        let (spoken, heard) = (LanguageTag::parse(spoken), LanguageTag::parse(heard));
        if let Ok(frame) = OutboundFrame::switch_language(spoken, heard) {
            self.send_frame(frame).await;
        }
    }

    async fn send_end(&mut self, handoff: Option<String>) {
        let frame = match handoff {
            Some(data) => {
                OutboundFrame::end_with_handoff(data).unwrap_or_else(|_| OutboundFrame::end())
            }
            None => OutboundFrame::end(),
        };
        self.send_frame(frame).await;
        self.close_by = Some(Instant::now() + CLOSE_TIMEOUT);
    }

    async fn send_frame(&mut self, frame: OutboundFrame<'_>) {
        if self.broken {
            return;
        }
        let mut text = String::with_capacity(96);
        frame.write_json(&mut text);
        metrics::record_outbound_frame(&frame);
        self.keep_alive.record_sent(Instant::now());
        self.broken = !timeout(SEND_TIMEOUT, self.transport.send(text))
            .await
            .unwrap_or(false);
    }
}

/// The outcome, if the provider reported the end of the call while the socket closed.
fn end_reported_meanwhile(handle: &mut SessionHandle) -> Option<CallOutcome> {
    std::iter::from_fn(|| handle.control.try_recv().ok()).find_map(|message| match message {
        SessionMessage::CallEnded(outcome) => Some(outcome),
        _ => None,
    })
}

async fn next_reply_event(reply: &mut Option<ReplyStream>) -> Option<ReplyEvent> {
    match reply {
        Some(reply) => reply.next().await,
        None => pending().await,
    }
}

/// Suspends a call whose socket is lost, so that a new session can continue it. Drops the state if the
/// entry is gone or belongs to another session.
fn suspend(services: &SessionServices, session: u64, state: Box<CallState>, permit: CallPermit) {
    let now = clock::now();
    let resume_ms = state.context().limits.resume_s_max * 1_000;
    let suspended = SuspendedCall {
        state,
        permit,
        expires_ms: now.ms + resume_ms,
        lost_unix_ms: now.unix_ms,
    };
    // On `Err` the call was ended or taken over meanwhile.
    drop(services.registry.suspend(session, suspended));
}
