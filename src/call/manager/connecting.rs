//! A socket opened: whose call it is, and where that call stands.

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

/// A read that began as the call rang is waited for this long when its socket is here.
const EARLIER_READ_TIMEOUT: Duration = Duration::from_millis(250);

impl CallManager {
    /// A socket opened and said whose call it is: runs that call until the socket, or the call,
    /// is over.
    pub async fn on_socket<W: Transport>(&self, transport: &mut W, setup: SessionSetup<'_>) {
        if setup.had_earlier_session() {
            // A call that was on other instances since is not taken up where this one left it.
            peers::wait_for_position(&self.storage, &*self.peers, setup.log_position).await;
        }
        let (found, handle) = self
            .services
            .registry
            .attach_session(&setup.incoming_call.call_sid);
        let mut actions = Vec::new();
        let claimed = matches!(found, Lookup::Claimed);
        // A state that is not where the call stands goes, and its permit with it, before the call takes one.
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
        // One that can go on elsewhere leaves, even where others are told goodbye.
        if let Some(event) = self.relocation_event() {
            state.on(event, clock::now(), &mut actions);
        }
        if self.admission.is_saying_goodbye() {
            state.on(CallEvent::Drain, clock::now(), &mut actions);
        }
        CallSession::new(transport, &self.services, state, actions)
    }

    /// The webhook was answered here. A look-up that came too late for the greeting is there by now:
    /// the name was not said, but it is known.
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
            // Read while the webhook was answered; a disk that is slower than that is not waited for.
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

    /// A call that this process knows nothing of: from storage, or a first session whose webhook
    /// another instance answered. `claimed`: it was another's until its action came here.
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
            // A call that was connected again goes on in an epoch of its own, even where no turn is seen.
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

    /// A first session whose webhook did not come to this process: to another instance, which
    /// counted the call, or to a process before this one.
    fn begin_without_webhook(
        &self,
        setup: &SessionSetup<'_>,
        context: &CallContext,
        chosen: &Greeting,
        stored: &StoredCall,
    ) {
        if self.is_clustered() {
            self.count_takeover("webhook");
            // Should the other instance be gone with what it had not yet given to anybody.
            self.record_start(&setup.incoming_call, context);
        } else if matches!(stored, StoredCall::Unknown) {
            self.record_and_count_start(&setup.incoming_call, context, chosen);
        }
    }

    /// Why a call is taken up from storage: another instance had it, or a process before this one.
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

    /// What storage has of a call. One that was closed for not coming back in time, and comes back
    /// after all, goes on.
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

    /// Whether the call is known, here or to storage: for a reference that has expired meanwhile.
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
    /// How a call comes that had a session before: by the TwiML of an action, or by Twilio's own
    /// reconnect.
    fn takeover_label(&self) -> &'static str {
        match self.resume_token {
            Some(_) => self.planned_return_label().unwrap_or("action"),
            None => "reconnect",
        }
    }

    /// The same for one whose session was not lost.
    fn planned_return_label(&self) -> Option<&'static str> {
        match self.resume_token?.cause {
            ReconnectCause::ConnectionLost => None,
            ReconnectCause::HandoffUnanswered => Some("handoff_unanswered"),
            ReconnectCause::EndedByUs => Some("after_end"),
        }
    }

    /// Whether `state`, left here by an earlier session, is still where the call stands: not if
    /// another instance has taken the call since.
    fn is_current_owner(&self, state: &CallState) -> bool {
        let owner = self.resume_token.and_then(|token| token.owner_epoch);
        owner.is_none_or(|owner| owner <= state.epoch())
    }

    /// Whether the return by this session was counted by a claim that still holds.
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

/// What storage says about a call that this process does not know.
enum StoredCall {
    /// It has it.
    Live(Box<CallWithTurns>),
    /// It has one with the same `CallSid` that is over, in this epoch.
    Ended(u32),
    /// It has it not.
    Unknown,
    /// It cannot say, and the call was up before.
    ReadFailed,
}

/// A call's state, its permit, and why it was resumed if it was.
type AcquiredCall = (Box<CallState>, CallPermit, Option<&'static str>);

/// The state of a session whose socket is dead without its knowing.
async fn take_state_from_session(
    control: &tokio::sync::mpsc::Sender<SessionMessage>,
) -> Option<(Box<CallState>, CallPermit)> {
    let (give, take) = oneshot::channel();
    control.try_send(SessionMessage::Supersede(give)).ok()?;
    timeout(SUPERSEDE_TIMEOUT, take).await.ok()?.ok()
}

/// The greeting that the session's TwiML held; the one chosen now has what is known of the caller.
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

/// A caller as known before this call, which storage has counted already.
fn without_this_call(mut caller: Arc<Caller>) -> Arc<Caller> {
    let before = Arc::make_mut(&mut caller);
    before.calls = before.calls.saturating_sub(1);
    caller
}
