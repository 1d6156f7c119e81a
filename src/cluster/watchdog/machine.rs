//! Decides which calls are redirected and when they are closed: a state machine without I/O.

use super::twilio_rest::RedirectResponse;
use crate::call::state::EventTime;
use calldex_storage::record::{CallOutcome, CallSid, Conversation, UnfinishedCall};
use calldex_storage::write::CallEnded;
use compact_str::CompactString;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// Requests to Twilio under way at once; further calls wait.
pub const REDIRECTS_AT_ONCE_MAX: usize = 32;
/// Requests for one call, when Twilio is busy or cannot be reached. After them the call is not redirected.
const TRIES_MAX: u8 = 5;
/// From the first of them to the next; doubled each time. Milliseconds.
const RETRY_MS: u64 = 400;
/// Calls are read this often while an instance that is gone has unfinished ones, and for
/// [`READ_OFTEN_FOR_MS`] after it went. Milliseconds.
const READ_MS: u64 = 500;
/// And this often otherwise: a row may name an instance that no member knows any more, and an instance that
/// is gone may stay in the list of members. Milliseconds.
const READ_IDLE_MS: u64 = 10_000;
/// For so long after an instance went, writes about its calls may still arrive from other instances.
/// Milliseconds.
const READ_OFTEN_FOR_MS: u64 = 10_000;

/// A call that its owner gave up on purpose moves to another instance: its action comes up to 1.2 s after
/// the end of the socket, and the next socket up to 1.5 s after that (docs/protocol.md 9.1). Such a call is
/// redirected so much later. Milliseconds.
const RELOCATION_WAIT_MS: u64 = 4_000;
/// While there is no primary, calls are taken over all the same, and their claims wait in outboxes.
/// A new primary requests no redirect for so long, since a redirect would cut short a call that another
/// instance has taken over already. Milliseconds.
const ELECTION_GRACE_MS: u64 = 1_000;

/// An epoch from here on holds the slot of its owner in its lower half.
const FIRST_WITH_SLOT: u32 = 1 << 16;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name, as calls have it.
    pub instance: CompactString,
    /// Its slot, the lower half of every epoch that it takes; 0 where it is not known.
    pub slot: u16,
    /// For how many milliseconds it has not answered; `None` while it answers.
    pub gone_ms: Option<u64>,
}

impl Peer {
    /// Whether it owns the call. The slot in the epoch is preferred to the name: an instance that replaces a
    /// lost one has the same name, and owns none of its calls.
    fn owns(&self, row: &Conversation) -> bool {
        let instance = row.instance.as_deref().unwrap_or_default();
        match row.epoch {
            _ if instance.is_empty() => false,
            FIRST_WITH_SLOT.. if self.slot != 0 => {
                row.epoch % FIRST_WITH_SLOT == u32::from(self.slot)
            }
            _ => self.instance == instance,
        }
    }
}

/// All members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerList(pub Vec<Peer>);

/// The input of the machine.
pub(super) enum WatchdogEvent<'a> {
    /// The members; `None` where this instance is not the primary.
    Peers(Option<&'a PeerList>),
    /// The calls without an end; `None` where they could not be read.
    Unfinished(Option<&'a [UnfinishedCall]>),
    /// The response of Twilio.
    RedirectAnswered {
        call_sid: &'a CallSid,
        epoch: u32,
        response: RedirectResponse,
    },
}

/// The output of the machine.
#[derive(Debug, PartialEq)]
pub(super) enum WatchdogAction {
    /// Read the calls without an end.
    ReadUnfinished,
    /// Ask Twilio to request the webhook of this call.
    Redirect { call_sid: CallSid, epoch: u32 },
    /// Close a conversation.
    Close(CallEnded),
    /// Count the result of a redirect.
    Count(RedirectOutcome),
}

/// The result of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedirectOutcome {
    /// Twilio requests the webhook.
    Redirected,
    /// The call had ended.
    CallOver,
    /// Twilio refused, or could not be reached.
    Failed,
    /// No account is configured.
    CannotRedirect,
}

impl RedirectOutcome {
    /// The label `result` of `calldex_calls_redirected_total`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Redirected => "ok",
            Self::CallOver => "already_ended",
            Self::Failed | Self::CannotRedirect => "failed",
        }
    }
}

/// A call whose owner is gone.
struct OrphanedCall {
    /// The owner's epoch: each is redirected once.
    epoch: u32,
    /// Since when, on the clock of [`EventTime::ms`].
    since_ms: u64,
    last_turn_at_ms: i64,
    step: OrphanStep,
    tries: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OrphanStep {
    /// To be redirected, from then on.
    Due(u64),
    /// Twilio is being asked.
    InFlight,
    /// Nothing more is to be asked: it comes back, or it is closed.
    Settled,
    /// The conversation was closed.
    Closed,
}

/// See the module.
pub(super) struct WatchdogMachine {
    watchdog_ms: u64,
    resume_ms: u64,
    can_redirect: bool,
    /// Whether this instance is the primary.
    is_primary: bool,
    /// As primary it asks for nothing before that.
    redirects_from_ms: u64,
    /// Members that answer.
    present: Vec<Peer>,
    /// Members that do not, and since when.
    gone: Vec<(Peer, u64)>,
    /// When another one was last found to be gone.
    gone_changed_ms: u64,
    orphans: HashMap<CallSid, OrphanedCall>,
    /// Calls to be redirected, the first first.
    due: VecDeque<CallSid>,
    in_flight: usize,
    reading: bool,
    last_read_ms: Option<u64>,
}

impl WatchdogMachine {
    pub(super) fn new(watchdog_ms: u64, resume_ms: u64, can_redirect: bool) -> Self {
        Self {
            watchdog_ms,
            resume_ms,
            can_redirect,
            is_primary: false,
            redirects_from_ms: 0,
            present: Vec::new(),
            gone: Vec::new(),
            gone_changed_ms: 0,
            orphans: HashMap::new(),
            due: VecDeque::new(),
            in_flight: 0,
            reading: false,
            last_read_ms: None,
        }
    }

    pub(super) fn on(
        &mut self,
        event: WatchdogEvent<'_>,
        now: EventTime,
        actions: &mut Vec<WatchdogAction>,
    ) {
        match event {
            WatchdogEvent::Peers(peers) => self.on_peers(peers, now, actions),
            WatchdogEvent::Unfinished(calls) => {
                self.reading = false;
                if let Some(calls) = calls.filter(|_| self.is_primary) {
                    self.on_calls(calls, now, actions);
                }
            }
            WatchdogEvent::RedirectAnswered {
                call_sid,
                epoch,
                response: answer,
            } => {
                self.in_flight -= 1;
                self.on_redirect_answer(call_sid, epoch, answer, now, actions);
            }
        }
        self.send_due_redirects(now, actions);
    }

    fn on_peers(
        &mut self,
        peers: Option<&PeerList>,
        now: EventTime,
        actions: &mut Vec<WatchdogAction>,
    ) {
        if !self.is_primary {
            self.redirects_from_ms = now.ms + ELECTION_GRACE_MS.min(self.watchdog_ms);
        }
        self.is_primary = peers.is_some();
        let Some(PeerList(members)) = peers else {
            // Whoever is primary now begins anew; what was asked is still answered.
            self.gone.clear();
            self.present.clear();
            self.orphans.clear();
            self.due.clear();
            self.last_read_ms = None;
            return;
        };
        let gone = members
            .iter()
            .filter_map(|peer| Some((peer.clone(), now.ms.saturating_sub(peer.gone_ms?))));
        let gone: Vec<(Peer, u64)> = gone.collect();
        let was_gone = |peer: &Peer| {
            let mut before = self.gone.iter();
            before.any(|(known, _)| (&known.instance, known.slot) == (&peer.instance, peer.slot))
        };
        if !gone.iter().all(|(peer, _)| was_gone(peer)) {
            self.gone_changed_ms = now.ms;
        }
        self.gone = gone;
        let present = members.iter().filter(|peer| peer.gone_ms.is_none());
        self.present = present.cloned().collect();
        let is_fresh = !self.gone.is_empty() && now.ms < self.gone_changed_ms + READ_OFTEN_FOR_MS;
        let every_ms = if is_fresh || !self.orphans.is_empty() {
            READ_MS
        } else {
            READ_IDLE_MS
        };
        let is_due = self
            .last_read_ms
            .is_none_or(|read_ms| now.ms >= read_ms + every_ms);
        if is_due && !self.reading {
            self.reading = true;
            self.last_read_ms = Some(now.ms);
            actions.push(WatchdogAction::ReadUnfinished);
        }
    }

    fn on_calls(
        &mut self,
        calls: &[UnfinishedCall],
        now: EventTime,
        actions: &mut Vec<WatchdogAction>,
    ) {
        let mut still: HashMap<CallSid, OrphanedCall> = HashMap::new();
        for call in calls {
            let row = &call.conversation;
            if self.present.iter().any(|peer| peer.owns(row)) {
                continue;
            }
            let before = self.orphans.remove(&row.call_sid);
            let before = before.filter(|orphan| orphan.epoch == row.epoch);
            // One that nobody knows is gone since it was seen first.
            let owner = self.gone.iter().find(|(peer, _)| peer.owns(row));
            let since_ms = owner.map(|(_, since_ms)| *since_ms);
            let is_moving = row.instance.as_deref() == Some("");
            let patience_ms = self.watchdog_ms + if is_moving { RELOCATION_WAIT_MS } else { 0 };
            let mut orphan = before.unwrap_or(OrphanedCall {
                epoch: row.epoch,
                since_ms: since_ms.unwrap_or(now.ms),
                last_turn_at_ms: call.last_activity_ms,
                step: OrphanStep::Due(since_ms.unwrap_or(now.ms) + patience_ms),
                tries: 0,
            });
            orphan.last_turn_at_ms = call.last_activity_ms;
            self.close_if_late(&row.call_sid, &mut orphan, now, actions);
            if matches!(orphan.step, OrphanStep::Due(_)) {
                self.due.push_back(row.call_sid.clone());
            }
            still.insert(row.call_sid.clone(), orphan);
        }
        self.orphans = still;
        self.remove_duplicates();
    }

    /// Each call waits for its turn once.
    fn remove_duplicates(&mut self) {
        let mut seen = std::collections::HashSet::new();
        let orphans = &self.orphans;
        self.due.retain(|call_sid| {
            let waits = orphans
                .get(call_sid)
                .is_some_and(|orphan| matches!(orphan.step, OrphanStep::Due(_)));
            waits && seen.insert(call_sid.clone())
        });
    }

    fn close_if_late(
        &self,
        call_sid: &CallSid,
        orphan: &mut OrphanedCall,
        now: EventTime,
        actions: &mut Vec<WatchdogAction>,
    ) {
        let late = now.ms >= orphan.since_ms + self.resume_ms.max(self.watchdog_ms);
        if late && !matches!(orphan.step, OrphanStep::InFlight | OrphanStep::Closed) {
            orphan.step = OrphanStep::Closed;
            actions.push(WatchdogAction::Close(CallEnded {
                call_sid: call_sid.clone(),
                // Void if somebody has taken it up meanwhile.
                epoch: Some(orphan.epoch),
                at_ms: orphan.last_turn_at_ms,
                outcome: CallOutcome::Abandoned,
            }));
        }
    }

    fn on_redirect_answer(
        &mut self,
        call_sid: &CallSid,
        epoch: u32,
        answer: RedirectResponse,
        now: EventTime,
        actions: &mut Vec<WatchdogAction>,
    ) {
        let orphan = self
            .orphans
            .get_mut(call_sid)
            .filter(|orphan| orphan.epoch == epoch);
        let result = match answer {
            RedirectResponse::Redirected => RedirectOutcome::Redirected,
            RedirectResponse::CallOver => RedirectOutcome::CallOver,
            RedirectResponse::RetryLater
                if orphan
                    .as_ref()
                    .is_some_and(|orphan| orphan.tries < TRIES_MAX) =>
            {
                if let Some(orphan) = orphan {
                    let wait_ms = RETRY_MS << orphan.tries.saturating_sub(1);
                    orphan.step = OrphanStep::Due(now.ms + wait_ms);
                    self.due.push_back(call_sid.clone());
                }
                return;
            }
            RedirectResponse::RetryLater | RedirectResponse::Refused => RedirectOutcome::Failed,
            RedirectResponse::NotSent => {
                if let Some(orphan) = orphan {
                    orphan.step = OrphanStep::Settled;
                }
                return;
            }
        };
        actions.push(WatchdogAction::Count(result));
        let Some(orphan) = orphan else {
            return;
        };
        orphan.step = OrphanStep::Settled;
        if result == RedirectOutcome::CallOver {
            orphan.step = OrphanStep::Closed;
            actions.push(WatchdogAction::Close(CallEnded {
                call_sid: call_sid.clone(),
                // The provider itself says so.
                epoch: None,
                at_ms: orphan.last_turn_at_ms,
                outcome: CallOutcome::HungUp,
            }));
        }
    }

    /// Asks for as many calls as may be asked for at once.
    fn send_due_redirects(&mut self, now: EventTime, actions: &mut Vec<WatchdogAction>) {
        for _ in 0..self.due.len() {
            if self.in_flight >= REDIRECTS_AT_ONCE_MAX || now.ms < self.redirects_from_ms {
                return;
            }
            let Some(call_sid) = self.due.pop_front() else {
                return;
            };
            let Entry::Occupied(mut orphan) = self.orphans.entry(call_sid.clone()) else {
                continue;
            };
            let orphan = orphan.get_mut();
            match orphan.step {
                OrphanStep::Due(at_ms) if at_ms > now.ms => self.due.push_back(call_sid),
                OrphanStep::Due(_) if !self.can_redirect => {
                    orphan.step = OrphanStep::Settled;
                    actions.push(WatchdogAction::Count(RedirectOutcome::CannotRedirect));
                }
                OrphanStep::Due(_) => {
                    orphan.step = OrphanStep::InFlight;
                    orphan.tries += 1;
                    self.in_flight += 1;
                    let epoch = orphan.epoch;
                    actions.push(WatchdogAction::Redirect { call_sid, epoch });
                }
                OrphanStep::InFlight | OrphanStep::Settled | OrphanStep::Closed => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
