//! Connects a call again whose session ended while the call continues, here or on another instance.

use super::messages::{
    IncomingCall, ReconnectCause, ReconnectDecision, ReconnectRequest, ReconnectTrigger,
    RelayConnect, ResumeToken, SpokenRejection,
};
use super::{CallManager, RINGING_MS_MAX, STORAGE_READ_TIMEOUT};
use crate::call::clock;
use crate::call::greeting::{Greeting, call_language};
use crate::call::peers::{self, LogPosition};
use crate::call::registry::ClaimedCall;
use crate::call::state::is_released;
use calldex_observability::catalog;
use calldex_storage::record::{CallOutcome, CallWithTurns, next_epoch};
use calldex_storage::write::{CallResumed, Write};
use compact_str::CompactString;
use std::sync::Arc;
use tokio::time::timeout;

/// What is known of a call that may be connected again.
#[derive(Default)]
struct ResumableCall {
    reconnects: u32,
    language: Option<CompactString>,
    /// The epoch it is owned in, if that is known.
    epoch: Option<u32>,
    /// The owner is another instance.
    owned_elsewhere: bool,
    /// The last owner released it (a planned relocation).
    released: bool,
    /// Its outcome, if it had ended.
    outcome: Option<CallOutcome>,
    /// The goodbye, if its end was decided already.
    goodbye: Option<String>,
}

impl ResumableCall {
    fn cause(&self, way: ReconnectTrigger) -> ReconnectCause {
        match self.outcome {
            _ if way == ReconnectTrigger::HandoffUnanswered => ReconnectCause::HandoffUnanswered,
            Some(outcome) if ended_by_us(outcome) => ReconnectCause::EndedByUs,
            _ => ReconnectCause::ConnectionLost,
        }
    }
}

/// Whether the server itself ended a call with this outcome.
fn ended_by_us(outcome: CallOutcome) -> bool {
    matches!(
        outcome,
        CallOutcome::Ended
            | CallOutcome::HandedOff
            | CallOutcome::Idle
            | CallOutcome::Limit
            | CallOutcome::Drained
    )
}

impl CallManager {
    /// A session ended while its call goes on, by a lost socket: whether it is connected again,
    /// with the document that `render` writes.
    pub async fn reconnect(
        &self,
        incoming_call: &IncomingCall,
        request: &ReconnectRequest<'_>,
        render: impl FnOnce(&RelayConnect<'_>) -> String,
    ) -> ReconnectDecision {
        match self
            .reconnect_if_known(incoming_call, request, render)
            .await
        {
            Some(after) => after,
            None => match self.stored_outcome(&incoming_call.call_sid).await {
                Some(outcome) if ended_by_us(outcome) => ReconnectDecision::AlreadyEnded(outcome),
                _ => ReconnectDecision::SayAndHangUp(
                    self.failure_message(&incoming_call.called_number),
                ),
            },
        }
    }

    /// The outcome of an ended call in storage. Waits at most [`STORAGE_READ_TIMEOUT`].
    async fn stored_outcome(&self, call_sid: &str) -> Option<CallOutcome> {
        let reading = self.storage.conversations.read(call_sid);
        let read = timeout(STORAGE_READ_TIMEOUT, reading).await;
        read.ok()?.ok()??.conversation.outcome
    }

    /// [`CallManager::reconnect`] for a call that may be new: `None` if no instance knows it.
    pub async fn reconnect_if_known(
        &self,
        incoming_call: &IncomingCall,
        request: &ReconnectRequest<'_>,
        render: impl FnOnce(&RelayConnect<'_>) -> String,
    ) -> Option<ReconnectDecision> {
        let line = Arc::clone(self.lines.for_number(&incoming_call.called_number));
        let found = self
            .find_resumable(&incoming_call.call_sid, request)
            .await?;
        let language: CompactString = call_language(&line, found.language.as_deref()).into();
        let cause = found.cause(request.trigger);
        let until_ms = clock::now().ms + RINGING_MS_MAX;
        // A planned relocation is not counted as a failure.
        let requested = match found.released || cause != ReconnectCause::ConnectionLost {
            true => 0,
            false => self
                .services
                .registry
                .count_reconnect(&incoming_call.call_sid, until_ms),
        };
        let is_failing = found.reconnects.max(requested) >= self.reconnects_max;
        if is_failing && cause == ReconnectCause::ConnectionLost {
            return Some(ReconnectDecision::SayAndHangUp(
                SpokenRejection::for_failure(&line, &language),
            ));
        }
        let claimed_epoch =
            self.claim_for_reconnect(&incoming_call.call_sid, &found, request, until_ms);
        let phrases = line.phrases(&language);
        let greeting = Greeting::after_reconnect(match (cause, &found.goodbye) {
            (ReconnectCause::ConnectionLost, Some(goodbye)) => goodbye,
            (ReconnectCause::ConnectionLost, None) => &phrases.resumed,
            (ReconnectCause::HandoffUnanswered, _) => &phrases.handoff_unavailable,
            (ReconnectCause::EndedByUs, _) => &phrases.returned,
        });
        let twiml = render(&RelayConnect {
            called_number: &incoming_call.called_number,
            line: &line,
            greeting: &greeting,
            language: &language,
            log_position: self.log_position(),
            resume_token: Some(ResumeToken {
                owner_epoch: claimed_epoch.or(found.epoch),
                reconnect_counted: claimed_epoch.is_some(),
                cause,
            }),
            provider_failed: request.provider_failed,
        });
        catalog::GREETINGS_TOTAL
            .with(greeting.kind.label())
            .increment(1);
        self.services
            .registry
            .extend_suspension(&incoming_call.call_sid, until_ms);
        Some(ReconnectDecision::Reconnect(twiml))
    }

    /// Finds a call that is not over: in the registry, at the primary or in storage.
    async fn find_resumable(
        &self,
        call_sid: &CompactString,
        request: &ReconnectRequest<'_>,
    ) -> Option<ResumableCall> {
        if let Some(suspended) = self.services.registry.suspended(call_sid) {
            return Some(ResumableCall {
                reconnects: suspended.reconnects,
                language: Some(suspended.language),
                epoch: Some(suspended.epoch),
                owned_elsewhere: false,
                released: false,
                outcome: None,
                goodbye: suspended.goodbye,
            });
        }
        if !request.proves_known && self.is_unknown(call_sid).await {
            return None;
        }
        let at_primary = match self.services.registry.contains(call_sid) {
            true => None,
            false => {
                peers::call_at_primary(&self.storage, &*self.peers, call_sid, request.log_position)
                    .await
            }
        };
        let reading = self.storage.conversations.read(call_sid);
        let here = match timeout(STORAGE_READ_TIMEOUT, reading).await {
            Ok(Ok(call)) => call,
            // If storage cannot be read, one reconnect too many is better than a lost call.
            Ok(Err(_)) | Err(_) if at_primary.is_none() => {
                return request.proves_known.then(ResumableCall::default);
            }
            Ok(Err(_)) | Err(_) => None,
        };
        // Twilio has the call in progress, but the primary may have ended it when its owner was gone.
        let goes_on =
            |call: &CallWithTurns| call.is_live() || request.trigger != ReconnectTrigger::Action;
        let row = more_advanced(here, at_primary)
            .filter(goes_on)?
            .conversation;
        Some(ResumableCall {
            owned_elsewhere: !self.is_owned_by_us(&row),
            released: is_released(&row),
            reconnects: row.resumes,
            outcome: row.ended_at.and(row.outcome),
            language: row.language,
            epoch: Some(row.epoch),
            goodbye: None,
        })
    }

    /// Whether neither the registry nor the local storage knows the call. Checked first if the request does
    /// not prove an earlier session: an outbound call is in progress at its first webhook, and its
    /// greeting must not wait for another instance.
    async fn is_unknown(&self, call_sid: &CompactString) -> bool {
        let reading = self.storage.conversations.read(call_sid);
        !self.has_call(call_sid)
            && !matches!(
                timeout(STORAGE_READ_TIMEOUT, reading).await,
                Ok(Ok(Some(_)))
            )
    }

    /// In cluster mode: claims the call of another instance, so that no other instance ends it before its
    /// socket opens. Returns the new epoch, or `None` if no claim was made. An instance that relocates its
    /// own calls claims none.
    fn claim_for_reconnect(
        &self,
        call_sid: &CompactString,
        found: &ResumableCall,
        request: &ReconnectRequest<'_>,
        until_ms: u64,
    ) -> Option<u32> {
        let expected = found.epoch?;
        if !self.is_clustered() || !found.owned_elsewhere || self.relocation_event().is_some() {
            return None;
        }
        let epoch = next_epoch(expected, self.peers.slot());
        let claim = CallResumed {
            call_sid: call_sid.clone(),
            session_id: request.session_id.into(),
            epoch,
            at_ms: clock::now().unix_ms,
            instance: self.instance.clone(),
            expected: Some(expected),
            // Lost connections are counted across instances.
            returned: !found.released
                && found.cause(request.trigger) == ReconnectCause::ConnectionLost,
        };
        drop(self.storage.writer.submit(Write::CallResumed(claim)));
        self.count_takeover(request.trigger.takeover_label());
        self.services.registry.insert_claimed(ClaimedCall {
            call_sid: call_sid.clone(),
            epoch,
            expires_ms: until_ms,
        });
        Some(epoch)
    }

    /// The caller hung up before the handoff was answered: corrects the outcome from a handoff to a hang-up.
    /// A new epoch is claimed for the write, because storage keeps the first end of an epoch.
    pub async fn end_unanswered_handoff(&self, call_sid: &str, log_position: LogPosition) {
        peers::wait_for_position(&self.storage, &*self.peers, log_position).await;
        let reading = self.storage.conversations.read(call_sid);
        let Ok(Ok(Some(call))) = timeout(STORAGE_READ_TIMEOUT, reading).await else {
            return;
        };
        let row = call.conversation;
        if row.outcome != Some(CallOutcome::HandedOff) {
            return;
        }
        let slot = self.peers.slot();
        let epoch = next_epoch(row.epoch, slot);
        let at_ms = clock::now().unix_ms;
        let claim = CallResumed {
            call_sid: row.call_sid.clone(),
            session_id: CompactString::default(),
            epoch,
            at_ms,
            instance: self.instance.clone(),
            expected: (slot != 0).then_some(row.epoch),
            returned: false,
        };
        drop(self.storage.writer.submit(Write::CallResumed(claim)));
        self.end_stored(&row.call_sid, at_ms, CallOutcome::HungUp, Some(epoch));
    }

    /// Counts a call taken over from another instance.
    pub(super) fn count_takeover(&self, by: &'static str) {
        catalog::CALLS_TAKEN_OVER_TOTAL.with(by).increment(1);
    }
}

/// The newer of two copies of a call: by epoch, then by number of turns.
pub(super) fn more_advanced(
    here: Option<CallWithTurns>,
    there: Option<CallWithTurns>,
) -> Option<CallWithTurns> {
    let seen = |call: &CallWithTurns| (call.conversation.epoch, call.turns.len());
    match (here, there) {
        (Some(here), Some(there)) if seen(&there) > seen(&here) => Some(there),
        (here, there) => here.or(there),
    }
}
