//! The manager of all calls of this instance. It handles the webhooks and sockets: ringing, socket opened,
//! socket lost, call over.

mod call_end;
mod connecting;
mod drain_transfer;
mod messages;
mod ownership_feed;
mod reconnect;

pub use messages::{
    IncomingCall, ReconnectCause, ReconnectDecision, ReconnectRequest, ReconnectTrigger,
    RelayConnect, ResumeToken, SessionSetup, SpokenRejection, WebhookReply,
};

use crate::agent::Agent;
use crate::call::admission::{AdmissionError, CallAdmission};
use crate::call::clock;
use crate::call::greeting::{self, CallerLookup, Greeting, caller_metric_label};
use crate::call::peers::{LogPosition, Peers, SingleNode};
use crate::call::prewarm;
use crate::call::registry::{CallRegistry, RingingCall};
use crate::call::session::SessionServices;
use crate::call::state::CallContext;
use crate::call::tool_runner::{NoTools, ToolRunner};
use crate::config::{CallSection, PhoneLine, PhoneLines};
use crate::twilio::identity::{Attestation, CallerIdentity};
use calldex_observability::catalog;
use calldex_storage::record::{Caller, CallerKind};
use calldex_storage::write::{CallStarted, Write};
use calldex_storage::{LookupResult, Storage};
use compact_str::CompactString;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A call whose webhook was answered connects within seconds (0.4-1.5 s, docs/protocol.md 9.1); after this
/// long it is given up.
const RINGING_MS_MAX: u64 = 60_000;
/// How long a drain waits for the socket of a ringing call (0.4-1.5 s in recorded calls).
const CONNECT_WAIT_MS_MAX: u64 = 3_000;
/// How long to wait for the state from the session of an older socket. Then it counts as dead.
const SUPERSEDE_TIMEOUT: Duration = Duration::from_millis(2_500);
/// How long a read of a call from storage may take at a reconnect.
const STORAGE_READ_TIMEOUT: Duration = Duration::from_millis(1_000);
/// How often expired calls are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The calls of this instance and the services that they share.
pub struct CallManager {
    storage: Arc<Storage>,
    lines: PhoneLines,
    limits: Arc<CallSection>,
    reconnects_max: u32,
    instance: CompactString,
    admission: Arc<CallAdmission>,
    peers: Arc<dyn Peers>,
    /// When live calls leave for other instances at the latest (milliseconds of the call clock); 0: they
    /// stay.
    relocate_by_ms: AtomicU64,
    services: SessionServices,
}

impl CallManager {
    /// For a single node; see [`CallManager::with_peers`].
    pub fn new(
        storage: Arc<Storage>,
        agent: Arc<Agent>,
        lines: PhoneLines,
        limits: CallSection,
        reconnects_max: u32,
        instance: &str,
    ) -> Self {
        let services = SessionServices {
            agent,
            writer: storage.writer.clone(),
            directory: storage.callers.clone(),
            registry: Arc::new(CallRegistry::default()),
            tools: Arc::new(NoTools),
        };
        Self {
            admission: CallAdmission::new(limits.live_max),
            storage,
            lines,
            limits: Arc::new(limits),
            reconnects_max,
            instance: instance.into(),
            peers: Arc::new(SingleNode),
            relocate_by_ms: AtomicU64::new(0),
            services,
        }
    }

    /// Sets the runner of the operator's tools.
    pub fn with_tools(mut self, tools: Arc<dyn ToolRunner>) -> Self {
        self.services.tools = tools;
        self
    }

    /// Sets the other instances (cluster mode).
    pub fn with_peers(mut self, peers: Arc<dyn Peers>) -> Self {
        self.peers = peers;
        self
    }

    /// A call rings: recognises the caller within the budget, chooses the greeting and keeps that
    /// the call began. `render` writes the answer.
    pub async fn on_ringing(
        &self,
        incoming_call: &IncomingCall,
        render: impl FnOnce(&RelayConnect<'_>) -> String,
    ) -> WebhookReply {
        if let Some(twiml) = self
            .services
            .registry
            .ringing_twiml(&incoming_call.call_sid)
        {
            return WebhookReply::Repeat(twiml);
        }
        if self.services.registry.contains(&incoming_call.call_sid) {
            return match self
                .reconnect(
                    incoming_call,
                    &ReconnectRequest::of_trigger(ReconnectTrigger::Redirect),
                    render,
                )
                .await
            {
                ReconnectDecision::Reconnect(twiml) => WebhookReply::Repeat(twiml),
                ReconnectDecision::SayAndHangUp(farewell) => WebhookReply::Reject(farewell),
                ReconnectDecision::AlreadyEnded(_) => {
                    WebhookReply::Reject(self.failure_message(&incoming_call.called_number))
                }
            };
        }
        let line = Arc::clone(self.lines.for_number(&incoming_call.called_number));
        let permit = match self.admission.admit_new() {
            Ok(permit) => permit,
            Err(refusal) => return WebhookReply::Reject(rejection(refusal, &line)),
        };
        let (agent, tools) = (&self.services.agent, &*self.services.tools);
        agent.prewarm(&line.models, || {
            prewarm::prewarm_context(&line, &incoming_call.called_number, tools)
        });
        // The read runs in the background; only the first session waits for it.
        let earlier = self.read_earlier_epoch(&incoming_call.call_sid);
        let (context, greeting) = self.look_up_caller(incoming_call, line).await;
        let twiml = render(&self.relay_connect(&incoming_call.called_number, &context, &greeting));
        let begun = (context.clone(), greeting.clone());
        let is_new = self.services.registry.insert_ringing(RingingCall {
            context,
            greeting,
            twiml: twiml.clone(),
            permit,
            expires_ms: clock::now().ms + RINGING_MS_MAX,
            earlier_epoch: Some(earlier),
        });
        if is_new {
            self.record_and_count_start(incoming_call, &begun.0, &begun.1);
        }
        match self
            .services
            .registry
            .ringing_twiml(&incoming_call.call_sid)
        {
            // The same webhook came twice at once: both get the same answer, and the call is counted once.
            Some(first) if !is_new => WebhookReply::Repeat(first),
            _ => WebhookReply::Connect(twiml),
        }
    }

    /// Reads the epoch of an ended call with this `CallSid`. A SID is used again only by tests and some
    /// carriers.
    fn read_earlier_epoch(&self, call_sid: &CompactString) -> JoinHandle<Option<u32>> {
        let (storage, call_sid) = (Arc::clone(&self.storage), call_sid.clone());
        tokio::spawn(async move {
            let read = timeout(STORAGE_READ_TIMEOUT, storage.conversations.read(&call_sid)).await;
            let call = read.ok().and_then(Result::ok).flatten()?;
            (!call.is_live()).then_some(call.conversation.epoch)
        })
    }

    /// Looks up the caller within the time budget and chooses the greeting.
    async fn look_up_caller(
        &self,
        incoming_call: &IncomingCall,
        line: Arc<PhoneLine>,
    ) -> (CallContext, Greeting) {
        let number_trusted = !self.limits.name_needs_attestation
            || incoming_call.attestation.is_at_least(Attestation::Partial);
        let Some(number) = incoming_call.caller.number() else {
            let greeting = Greeting::choose(&line, CallerLookup::NoNumber, number_trusted);
            return (
                self.call_context(incoming_call, line, None, number_trusted),
                greeting,
            );
        };
        let budget = Duration::from_millis(self.limits.lookup_ms_max);
        let recall = self.storage.callers.look_up(number, budget).await;
        let recalled = match &recall {
            LookupResult::Known(caller) => CallerLookup::Known(caller),
            LookupResult::Unknown => CallerLookup::New,
            LookupResult::TimedOut => CallerLookup::TooSlow,
        };
        let greeting = Greeting::choose(&line, recalled, number_trusted);
        let caller = match recall {
            LookupResult::Known(caller) => Some(caller),
            LookupResult::Unknown | LookupResult::TimedOut => None,
        };
        (
            self.call_context(incoming_call, line, caller, number_trusted),
            greeting,
        )
    }

    fn call_context(
        &self,
        incoming_call: &IncomingCall,
        line: Arc<PhoneLine>,
        caller: Option<Arc<Caller>>,
        number_trusted: bool,
    ) -> CallContext {
        let chosen = caller
            .as_ref()
            .filter(|_| number_trusted)
            .and_then(|caller| caller.language.as_deref());
        CallContext {
            language: greeting::call_language(&line, chosen).into(),
            call_sid: incoming_call.call_sid.clone(),
            number: incoming_call.caller.number().cloned(),
            caller_kind: caller_kind(&incoming_call.caller),
            caller,
            number_trusted,
            can_hand_off: line.handoff.is_possible(),
            called_number: incoming_call.called_number.clone(),
            line,
            limits: Arc::clone(&self.limits),
            instance: self.instance.clone(),
            node_slot: self.peers.slot(),
            earlier_epoch: None,
        }
    }

    /// Has the models of all lines loaded that may have to be, in the background. Belongs to the start; returns at
    /// once.
    pub fn preload_models(&self) {
        for (called, line) in self.lines.all() {
            let prompt = || prewarm::prewarm_context(line, called, &*self.services.tools);
            self.services.agent.preload(&line.models, prompt);
        }
    }

    /// The line of the number `called`.
    pub fn line(&self, called: &str) -> &PhoneLine {
        self.lines.for_number(called)
    }

    /// The current log position of this instance.
    pub fn log_position(&self) -> LogPosition {
        // An own write may be acknowledged by others before it is applied here.
        let position = self.storage.writer.position().max(self.storage.applied());
        let log = self.peers.log_id();
        LogPosition {
            position,
            log_id: log,
        }
    }

    /// Whether there are other instances.
    pub fn is_clustered(&self) -> bool {
        self.peers.slot() != 0
    }

    fn relay_connect<'a>(
        &self,
        called: &'a str,
        context: &'a CallContext,
        greeting: &'a Greeting,
    ) -> RelayConnect<'a> {
        RelayConnect {
            called_number: called,
            line: &context.line,
            greeting,
            language: &context.language,
            log_position: self.log_position(),
            resume_token: None,
            provider_failed: false,
        }
    }

    /// Keeps and counts that a call began.
    fn record_and_count_start(
        &self,
        incoming_call: &IncomingCall,
        context: &CallContext,
        greeting: &Greeting,
    ) {
        let known = context.caller.is_some();
        catalog::CALLS_STARTED_TOTAL
            .with(caller_metric_label(context.caller_kind, known))
            .increment(1);
        catalog::GREETINGS_TOTAL
            .with(greeting.kind.label())
            .increment(1);
        self.record_start(incoming_call, context);
    }

    /// Keeps that a call began; harmless where it is kept already.
    fn record_start(&self, incoming_call: &IncomingCall, context: &CallContext) {
        let started = CallStarted {
            call_sid: context.call_sid.clone(),
            number: context.number.clone(),
            line: incoming_call.called_number.clone(),
            caller_kind: context.caller_kind,
            identity: sip_or_client_identity(&incoming_call.caller),
            language: Some(context.language.clone()),
            at_ms: clock::now().unix_ms,
            instance: self.instance.clone(),
        };
        drop(self.storage.writer.submit(Write::CallStarted(started)));
    }

    /// Whether a call is here in any form.
    pub fn has_call(&self, call_sid: &str) -> bool {
        self.services.registry.contains(call_sid)
    }

    /// Calls with a socket, and those about to have one: their webhook was answered seconds ago.
    pub fn connected_or_connecting(&self) -> usize {
        let rung_after_ms = clock::now().ms.saturating_sub(CONNECT_WAIT_MS_MAX);
        self.connected()
            + self
                .services
                .registry
                .ringing_since(rung_after_ms + RINGING_MS_MAX)
    }

    /// Calls with a socket.
    pub fn connected(&self) -> usize {
        self.services.registry.live_sessions()
    }
}

fn rejection(refusal: AdmissionError, line: &PhoneLine) -> SpokenRejection {
    catalog::CALLS_REFUSED_TOTAL
        .with(refusal.label())
        .increment(1);
    let phrases = line.phrases(&line.language);
    let text = match refusal {
        AdmissionError::AtCapacity => &phrases.busy,
        AdmissionError::Draining => &phrases.draining,
    };
    SpokenRejection::new(text, &line.language)
}

fn caller_kind(identity: &CallerIdentity) -> CallerKind {
    match identity {
        CallerIdentity::Number(..) => CallerKind::Number,
        CallerIdentity::Withheld(_) => CallerKind::Withheld,
        CallerIdentity::Sip(_) => CallerKind::Sip,
        CallerIdentity::Client(_) => CallerKind::Client,
        CallerIdentity::Unusable => CallerKind::Other,
    }
}

/// What is kept of a caller without a number: the SIP or client identity, under the call only.
fn sip_or_client_identity(identity: &CallerIdentity) -> Option<CompactString> {
    match identity {
        CallerIdentity::Sip(address) => Some(format!("sip:{address}").into()),
        CallerIdentity::Client(name) => Some(format!("client:{name}").into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
