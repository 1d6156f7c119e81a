//! A socket opened: finds the state of its call and starts the session.

use super::messages::{ReconnectCause, ResumeToken, SessionSetup};
use super::reconnect::more_advanced;
use super::{CallManager, STORAGE_READ_TIMEOUT, SUPERSEDE_TIMEOUT};
use crate::call::admission::{AdmissionError, CallPermit};
use crate::call::caller_name::InitialCallerName;
use crate::call::clock;
use crate::call::greeting::{Greeting, GreetingKind};
use crate::call::peers;
use crate::call::registry::{Lookup, RingingCall, SessionHandle, SessionMessage};
use crate::call::session::CallSession;
use crate::call::state::{CallAction, CallContext, CallEvent, CallState};
use crate::call::transport::Transport;
use calldex_observability::catalog;
use calldex_storage::LookupResult;
use calldex_storage::record::{CallWithTurns, Caller};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long the first session waits for the storage read that started when the call rang.
const EARLIER_READ_TIMEOUT: Duration = Duration::from_millis(250);

impl CallManager {
    /// Runs the call of a socket until the call is over or the socket is closed. The state comes from the
    /// registry, from the session that holds the call (waits at most `SUPERSEDE_TIMEOUT`), or from
    /// storage (waits at most `STORAGE_READ_TIMEOUT` besides the cluster's own limits). The socket is
    /// closed with code 1013 if no permit is free.
    pub async fn on_socket<W: Transport>(&self, transport: &mut W, setup: SessionSetup<'_>) {
        if setup.had_earlier_session() {
            // Another instance may have had the call since: its writes must be visible here first.
            peers::wait_for_position(&self.storage, &*self.peers, setup.log_position).await;
        }
        let (found, handle) = self
            .services
            .registry
            .attach_session(&setup.incoming_call.call_sid);
        let mut actions = Vec::new();
        let claimed = matches!(found, Lookup::Claimed);
        // An outdated state is dropped with its permit, before the call takes a new permit.
        let still = |state: Box<CallState>, permit, why| {
            setup
                .is_current_owner(&state)
                .then_some((state, permit, Some(why)))
        };
        let here = match found {
            Lookup::Ringing(ringing) => {
                Some(self.first_session(*ringing, &setup, &mut actions).await)
            }
            Lookup::Suspended(suspended) => {
                still(suspended.state, suspended.permit, setup.takeover_label())
            }
            Lookup::Live(control) => take_state_from_session(&control)
                .await
                .and_then(|(state, permit)| still(state, permit, setup.takeover_label())),
            Lookup::Claimed | Lookup::Unknown => None,
        };
        let acquired = match here {
            Some(acquired) => Ok(acquired),
            None => self.load_or_begin(&setup, claimed, &mut actions).await,
        };
        match acquired {
            Ok((state, permit, resumed)) => {
                self.new_session(transport, &setup, state, actions, resumed)
                    .run(handle, permit)
                    .await;
            }
            Err(refusal) => {
                self.reject_socket(transport, &setup, &handle, refusal)
                    .await
            }
        }
    }

    fn new_session<'a, W: Transport>(
        &'a self,
        transport: &'a mut W,
        setup: &SessionSetup<'_>,
        mut state: Box<CallState>,
        mut actions: Vec<CallAction>,
        resumed: Option<&'static str>,
    ) -> CallSession<'a, W> {
        if let Some(reason) = resumed {
            catalog::CALLS_RESUMED_TOTAL.with(reason).increment(1);
            let greeted = setup
                .greeting
                .filter(|_| setup.resume_token.is_some())
                .map(|(text, _)| text);
            let session_id = setup.session_id;
            let counted = setup.is_reconnect_counted(&state);
            let lost = setup.planned_return_label().is_none();
            state.on(
                CallEvent::Resumed {
                    session_id,
                    twiml_greeting: greeted,
                    already_counted: counted,
                    connection_lost: lost,
                },
                clock::now(),
                &mut actions,
            );
        }
        // A call that another instance can continue leaves, even if other calls say goodbye.
        if let Some(event) = self.relocation_event() {
            state.on(event, clock::now(), &mut actions);
        }
        if self.admission.is_saying_goodbye() {
            state.on(CallEvent::Drain, clock::now(), &mut actions);
        }
        CallSession::new(transport, &self.services, state, actions)
    }

    /// The first session of a call whose webhook this instance answered. A caller look-up that was too late
    /// for the greeting is complete by now: the name is known, but was not said.
    async fn first_session(
        &self,
        ringing: RingingCall,
        setup: &SessionSetup<'_>,
        actions: &mut Vec<CallAction>,
    ) -> AcquiredCall {
        let RingingCall {
            mut context,
            mut greeting,
            permit,
            earlier_epoch: earlier,
            ..
        } = ringing;
        if let Some(earlier) = earlier {
            // The read started with the webhook; a slower disk is not waited for.
            let read = timeout(EARLIER_READ_TIMEOUT, earlier).await;
            context.earlier_epoch = read.ok().and_then(Result::ok).flatten();
        }
        let again = context.earlier_epoch.is_some();
        if greeting.kind == GreetingKind::TimedOut
            && context.number_trusted
            && let Some(number) = &context.number
            && let Some(LookupResult::Known(caller)) = self.storage.callers.look_up_cached(number)
        {
            greeting.set_known_caller(&caller);
            context.caller = Some(without_this_call(caller));
        }
        let state = CallState::new(context, setup.session_id, &greeting, clock::now(), actions);
        if again {
            log_reused_call_sid(&state);
        }
        (Box::new(state), permit, None)
    }

    /// A call that is not in the registry: loaded from storage, or a first session whose webhook another
    /// instance answered. `claimed`: this instance has claimed the call from another.
    ///
    /// # Errors
    /// [`AdmissionError`] if no permit is free.
    async fn load_or_begin(
        &self,
        setup: &SessionSetup<'_>,
        claimed: bool,
        actions: &mut Vec<CallAction>,
    ) -> Result<AcquiredCall, AdmissionError> {
        let permit = self.admission.admit_existing()?;
        let line = Arc::clone(self.lines.for_number(&setup.incoming_call.called_number));
        let stored = self.look_up_stored(setup).await;
        let (mut context, chosen) = self.look_up_caller(&setup.incoming_call, line).await;
        if !matches!(stored, StoredCall::Unknown) {
            context.caller = context.caller.map(without_this_call);
        }
        match stored {
            // A reconnected call continues in an epoch of its own, even if storage has no turn of it.
            StoredCall::Live(live) if setup.resume_token.is_some() || !live.turns.is_empty() => {
                let reason = self.resume_reason(setup, claimed, &live);
                let state = CallState::restored(context, *live, clock::now());
                Ok((Box::new(state), permit, Some(reason)))
            }
            StoredCall::ReadFailed => {
                let state = CallState::without_history(context, clock::now());
                Ok((Box::new(state), permit, Some("restart")))
            }
            first => {
                if let StoredCall::Ended(epoch) = &first {
                    context.earlier_epoch = Some(*epoch);
                }
                self.begin_without_webhook(setup, &context, &chosen, &first);
                let greeting = greeting_in_twiml(setup, chosen);
                let now = clock::now();
                let again = context.earlier_epoch.is_some();
                let state = CallState::new(context, setup.session_id, &greeting, now, actions);
                if again {
                    log_reused_call_sid(&state);
                }
                Ok((Box::new(state), permit, None))
            }
        }
    }

    /// Records a first session whose webhook another instance or an earlier process answered. The other
    /// instance has counted the call.
    fn begin_without_webhook(
        &self,
        setup: &SessionSetup<'_>,
        context: &CallContext,
        chosen: &Greeting,
        stored: &StoredCall,
    ) {
        if self.is_clustered() {
            self.count_takeover("webhook");
            // The other instance may have stopped before it replicated the start.
            self.record_start(&setup.incoming_call, context);
        } else if matches!(stored, StoredCall::Unknown) {
            self.record_and_count_start(&setup.incoming_call, context, chosen);
        }
    }

    /// The label of a call loaded from storage: another instance had it, or an earlier process.
    fn resume_reason(
        &self,
        setup: &SessionSetup<'_>,
        claimed: bool,
        live: &CallWithTurns,
    ) -> &'static str {
        if let Some(reason) = setup.planned_return_label() {
            return reason;
        }
        if claimed {
            return "taken_over";
        }
        if self.is_clustered() && !self.is_owned_by_us(&live.conversation) {
            self.count_takeover(setup.takeover_label());
            return "taken_over";
        }
        catalog::CONVERSATIONS_RECOVERED_TOTAL
            .with("resumed")
            .increment(1);
        "restart"
    }

    /// Reads a call from storage. An ended call continues if this socket proves that it had a session
    /// before: it was ended because it did not reconnect in time.
    async fn look_up_stored(&self, setup: &SessionSetup<'_>) -> StoredCall {
        let again = setup.had_earlier_session();
        let (call_sid, peers) = (&setup.incoming_call.call_sid, &*self.peers);
        let there = if again {
            peers::call_at_primary(&self.storage, peers, call_sid, setup.log_position).await
        } else {
            peers::wait_for_position(&self.storage, peers, setup.log_position).await;
            None
        };
        let reading = self.storage.conversations.read(call_sid);
        let here = timeout(STORAGE_READ_TIMEOUT, reading).await;
        let unreadable = !matches!(here, Ok(Ok(_)));
        match more_advanced(here.ok().and_then(Result::ok).flatten(), there) {
            Some(call) if again || call.is_live() => StoredCall::Live(Box::new(call)),
            None if again && unreadable => StoredCall::ReadFailed,
            Some(call) => StoredCall::Ended(call.conversation.epoch),
            None => StoredCall::Unknown,
        }
    }

    /// Whether the call is in the registry or live in storage, for a call token that has expired. Waits at
    /// most `STORAGE_READ_TIMEOUT`.
    pub async fn is_known(&self, call_sid: &str) -> bool {
        let live = self.storage.conversations.live(call_sid);
        self.has_call(call_sid)
            || matches!(timeout(STORAGE_READ_TIMEOUT, live).await, Ok(Ok(Some(_))))
    }

    async fn reject_socket<W: Transport>(
        &self,
        transport: &mut W,
        setup: &SessionSetup<'_>,
        handle: &SessionHandle,
        refusal: AdmissionError,
    ) {
        catalog::CALLS_REFUSED_TOTAL
            .with(refusal.label())
            .increment(1);
        self.services
            .registry
            .remove_session(&setup.incoming_call.call_sid, handle.session);
        transport.close(1013, "no place for this call").await;
    }
}

impl SessionSetup<'_> {
    /// The label of a later session: opened by the TwiML of an action, or by Twilio's own reconnect.
    fn takeover_label(&self) -> &'static str {
        match self.resume_token {
            Some(_) => self.planned_return_label().unwrap_or("action"),
            None => "reconnect",
        }
    }

    /// The label of a later session whose earlier one was not lost.
    fn planned_return_label(&self) -> Option<&'static str> {
        match self.resume_token?.cause {
            ReconnectCause::ConnectionLost => None,
            ReconnectCause::HandoffUnanswered => Some("handoff_unanswered"),
            ReconnectCause::EndedByUs => Some("after_end"),
        }
    }

    /// Whether `state`, left here by an earlier session, is current: no other instance has owned the call
    /// since.
    fn is_current_owner(&self, state: &CallState) -> bool {
        let owner = self.resume_token.and_then(|token| token.owner_epoch);
        owner.is_none_or(|owner| owner <= state.epoch())
    }

    /// Whether a claim that still holds has counted this reconnect.
    fn is_reconnect_counted(&self, state: &CallState) -> bool {
        let counted = |token: ResumeToken| {
            token.reconnect_counted && token.owner_epoch == Some(state.epoch())
        };
        self.resume_token.is_some_and(counted)
    }
}

fn log_reused_call_sid(state: &CallState) {
    catalog::CALLS_RESUMED_TOTAL
        .with("call_sid_reused")
        .increment(1);
    tracing::warn!(call_sid = %state.call_sid(), "a call with the CallSid of one that is over; both are kept in one conversation");
}

/// What storage has of a call that is not in the registry.
enum StoredCall {
    /// The call.
    Live(Box<CallWithTurns>),
    /// A call with the same `CallSid` that is over, in this epoch.
    Ended(u32),
    /// No call.
    Unknown,
    /// The read failed, and the call had a session before.
    ReadFailed,
}

/// The state of a call, its permit, and the label of the resume if the call had a session before.
type AcquiredCall = (Box<CallState>, CallPermit, Option<&'static str>);

/// Takes the state from a session that still runs on an older socket; `None` after `SUPERSEDE_TIMEOUT`.
async fn take_state_from_session(
    control: &tokio::sync::mpsc::Sender<SessionMessage>,
) -> Option<(Box<CallState>, CallPermit)> {
    let (give, take) = oneshot::channel();
    control.try_send(SessionMessage::Supersede(give)).ok()?;
    timeout(SUPERSEDE_TIMEOUT, take).await.ok()?.ok()
}

/// The greeting in the session's TwiML, with the other people on the number from the greeting chosen now.
fn greeting_in_twiml(setup: &SessionSetup<'_>, chosen: Greeting) -> Greeting {
    match setup.greeting {
        Some((text, asks_name)) if text != chosen.text => Greeting {
            initial_name: InitialCallerName {
                other_people: chosen.initial_name.other_people,
                ..InitialCallerName::default()
            },
            ..Greeting::from_twiml(text, asks_name)
        },
        _ => chosen,
    }
}

/// The caller without this call, which storage has counted already.
fn without_this_call(mut caller: Arc<Caller>) -> Arc<Caller> {
    let before = Arc::make_mut(&mut caller);
    before.calls = before.calls.saturating_sub(1);
    caller
}
