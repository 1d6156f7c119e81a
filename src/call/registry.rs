//! The calls of this instance by `CallSid`: ringing, live, suspended or claimed.

use super::admission::CallPermit;
use super::greeting::Greeting;
use super::state::{CallContext, CallOwner, CallState, OwnershipStatus};
use calldex_storage::record::CallOutcome;
use compact_str::CompactString;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Messages waiting for one session; beyond it a message is dropped, the session being stuck.
const CONTROL_MAX: usize = 8;

/// What a session is told from outside its socket.
pub enum SessionMessage {
    /// A newer session of the same call wants the state.
    Supersede(oneshot::Sender<(Box<CallState>, CallPermit)>),
    /// The provider says that the call is over.
    CallEnded(CallOutcome),
    /// The server cannot wait any longer.
    SayGoodbye,
    /// Others can go on where this server stops: the call is to leave between two turns, not before
    /// and not after these moments (milliseconds of [`super::state::EventTime::ms`]).
    Relocate {
        /// Not before.
        from_ms: u64,
        /// Not after.
        by_ms: u64,
    },
    /// There is nobody to go to any more: it is not to leave.
    CancelRelocation,
    /// Storage told who owns the call.
    OwnerChanged(CallOwner),
}

/// A call whose webhook was answered and whose socket has not come.
pub struct RingingCall {
    /// What the call is.
    pub context: CallContext,
    /// What its TwiML says first.
    pub greeting: Greeting,
    /// The answer, for a webhook that comes twice.
    pub twiml: String,
    /// Its permit.
    pub permit: CallPermit,
    /// It is given up then (milliseconds of [`super::state::EventTime::ms`]).
    pub expires_ms: u64,
    /// The epoch of an earlier call with the same `CallSid` that is over, being read.
    pub earlier_epoch: Option<JoinHandle<Option<u32>>>,
}

/// A call whose socket is lost.
pub struct SuspendedCall {
    /// Where it stood.
    pub state: Box<CallState>,
    /// Its permit.
    pub permit: CallPermit,
    /// It is closed then.
    pub expires_ms: u64,
    /// When the socket was lost, Unix milliseconds: the true end if it never comes back.
    pub lost_unix_ms: i64,
}

/// How a call stands that waits to come back.
pub struct SuspendedSummary {
    /// How often it has come back.
    pub reconnects: u32,
    /// The language it is held in.
    pub language: CompactString,
    /// The epoch it is held in.
    pub epoch: u32,
    /// The words that it ends with, where its end was decided already.
    pub goodbye: Option<String>,
}

/// A call of another instance that this one has claimed, and whose socket is to come here or to any
/// other.
pub struct ClaimedCall {
    /// The call.
    pub call_sid: CompactString,
    /// The epoch it was claimed in.
    pub epoch: u32,
    /// It is closed then.
    pub expires_ms: u64,
}

/// Calls that nobody came for in time.
#[derive(Default)]
pub struct ExpiredCalls {
    /// They rang.
    pub ringing: Vec<RingingCall>,
    /// They had lost their socket.
    pub suspended: Vec<SuspendedCall>,
    /// They were claimed.
    pub claimed: Vec<ClaimedCall>,
}

enum CallEntry {
    Claimed(ClaimedCall),
    Ringing(Box<RingingCall>),
    Live {
        control: mpsc::Sender<SessionMessage>,
        session: u64,
    },
    Suspended(Box<SuspendedCall>),
}

/// What a new socket finds under its call.
pub enum Lookup {
    /// The first session of a call whose webhook came here.
    Ringing(Box<RingingCall>),
    /// A call waiting to come back.
    Suspended(Box<SuspendedCall>),
    /// A session that has not noticed that its socket is gone.
    Live(mpsc::Sender<SessionMessage>),
    /// A claim made for it.
    Claimed,
    /// Nothing: the webhook came elsewhere, or to a process before this one.
    Unknown,
}

/// What was done about a call that the provider says is over.
pub enum EndResult {
    /// It never connected.
    Ringing(Box<RingingCall>),
    /// It was waiting to come back.
    Suspended(Box<SuspendedCall>),
    /// Its session was told.
    SessionNotified,
    /// Not a call of this instance.
    Unknown,
}

/// The session's id in the registry and its message channel.
pub struct SessionHandle {
    /// Which of the call's sessions this is.
    pub session: u64,
    /// Messages from outside the socket.
    pub control: mpsc::Receiver<SessionMessage>,
}

/// All calls of this instance.
#[derive(Default)]
pub struct CallRegistry {
    calls: DashMap<CompactString, CallEntry>,
    /// How often a call was asked to connect again of late, and until when that counts: where no
    /// socket gets as far as its session, nobody else counts.
    reconnect_requests: DashMap<CompactString, (u32, u64)>,
    next_session: std::sync::atomic::AtomicU64,
}

impl CallRegistry {
    /// The answer given before to the same call's webhook, if it still rings.
    pub fn ringing_twiml(&self, call_sid: &str) -> Option<String> {
        match self.calls.get(call_sid)?.value() {
            CallEntry::Ringing(ringing) => Some(ringing.twiml.clone()),
            _ => None,
        }
    }

    /// Notes a call whose webhook was answered. A call already here stays as it is; `false` then.
    pub fn insert_ringing(&self, ringing: RingingCall) -> bool {
        let call_sid = ringing.context.call_sid.clone();
        match self.calls.entry(call_sid) {
            Entry::Vacant(free) => {
                free.insert(CallEntry::Ringing(Box::new(ringing)));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// A socket opened for the call: it becomes the live one.
    pub fn attach_session(&self, call_sid: &CompactString) -> (Lookup, SessionHandle) {
        let (control, receiver) = mpsc::channel(CONTROL_MAX);
        let session = self
            .next_session
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let before = self
            .calls
            .insert(call_sid.clone(), CallEntry::Live { control, session });
        let found = match before {
            Some(CallEntry::Ringing(ringing)) => Lookup::Ringing(ringing),
            Some(CallEntry::Suspended(suspended)) => Lookup::Suspended(suspended),
            Some(CallEntry::Live { control, .. }) => Lookup::Live(control),
            Some(CallEntry::Claimed(_)) => Lookup::Claimed,
            None => Lookup::Unknown,
        };
        (
            found,
            SessionHandle {
                session,
                control: receiver,
            },
        )
    }

    /// Notes a call of another instance that was claimed here. A call already here stays as it is.
    pub fn insert_claimed(&self, claimed_call: ClaimedCall) {
        match self.calls.entry(claimed_call.call_sid.clone()) {
            Entry::Vacant(free) => drop(free.insert(CallEntry::Claimed(claimed_call))),
            Entry::Occupied(mut taken) if matches!(taken.get(), CallEntry::Claimed(_)) => {
                taken.insert(CallEntry::Claimed(claimed_call));
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Storage told who owns a call. A call without a session that is another's now is forgotten
    /// here, its permit with it; a session is told. `false` if it could not be.
    pub fn owner_changed(&self, call_sid: &str, owner: CallOwner, by_us: bool) -> bool {
        let Some(mut slot) = self.calls.get_mut(call_sid) else {
            return true;
        };
        let is_gone = match slot.value_mut() {
            CallEntry::Live { control, .. } => {
                return control
                    .try_send(SessionMessage::OwnerChanged(owner))
                    .is_ok();
            }
            CallEntry::Ringing(_) => !by_us && owner.epoch.is_some_and(|epoch| epoch > 0),
            CallEntry::Suspended(suspended) => {
                suspended.state.ownership_status(owner) != OwnershipStatus::Held
            }
            CallEntry::Claimed(claimed_call) => {
                let ours = owner
                    .claimed
                    .is_none_or(|claimed| claimed == claimed_call.epoch);
                let lost = ours && owner.epoch != Some(claimed_call.epoch);
                lost || owner.epoch.is_some_and(|epoch| epoch > claimed_call.epoch)
            }
        };
        drop(slot);
        if is_gone {
            let waits = |slot: &CallEntry| !matches!(slot, CallEntry::Live { .. });
            self.calls.remove_if(call_sid, |_, slot| waits(slot));
        }
        true
    }

    /// Calls here in any form.
    pub fn call_sids(&self) -> Vec<CompactString> {
        self.calls.iter().map(|slot| slot.key().clone()).collect()
    }

    /// The session's socket is lost; its call may come back. `false` if another session has taken
    /// the call since, or it is over.
    pub fn suspend(
        &self,
        session: u64,
        suspended: SuspendedCall,
    ) -> Result<(), Box<SuspendedCall>> {
        let call_sid = suspended.state.call_sid().clone();
        match self.calls.get_mut(&call_sid) {
            Some(mut slot) if slot.value().is_session(session) => {
                *slot.value_mut() = CallEntry::Suspended(Box::new(suspended));
                Ok(())
            }
            _ => Err(Box::new(suspended)),
        }
    }

    /// The session is over with its call.
    pub fn remove_session(&self, call_sid: &str, session: u64) {
        self.calls
            .remove_if(call_sid, |_, slot| slot.is_session(session));
    }

    /// A session died without leaving: its entry goes, unless another session has it.
    pub fn remove_dead_session(&self, call_sid: &str) {
        let dead = |slot: &CallEntry| matches!(slot, CallEntry::Live { control, .. } if control.is_closed());
        self.calls.remove_if(call_sid, |_, slot| dead(slot));
    }

    /// The provider says the call is over.
    pub fn end(&self, call_sid: &str, outcome: CallOutcome) -> EndResult {
        let gone = self
            .calls
            .remove_if(call_sid, |_, slot| !matches!(slot, CallEntry::Live { .. }));
        match gone {
            Some((_, CallEntry::Ringing(ringing))) => EndResult::Ringing(ringing),
            Some((_, CallEntry::Suspended(suspended))) => EndResult::Suspended(suspended),
            Some((_, CallEntry::Claimed(_))) => EndResult::Unknown,
            _ => self.notify_end(call_sid, outcome),
        }
    }

    fn notify_end(&self, call_sid: &str, outcome: CallOutcome) -> EndResult {
        let Some(slot) = self.calls.get(call_sid) else {
            return EndResult::Unknown;
        };
        if let CallEntry::Live { control, .. } = slot.value() {
            // A full channel means a session that is being told already.
            let _ = control.try_send(SessionMessage::CallEnded(outcome));
        }
        EndResult::SessionNotified
    }

    /// Tells every live session the same. A session whose channel is full is not told.
    pub fn broadcast(&self, mut message: impl FnMut() -> SessionMessage) {
        for slot in &self.calls {
            if let CallEntry::Live { control, .. } = slot.value() {
                let _ = control.try_send(message());
            }
        }
    }

    /// Calls that rang or waited too long.
    pub fn take_expired(&self, now_ms: u64) -> ExpiredCalls {
        self.reconnect_requests
            .retain(|_, (_, until_ms)| *until_ms > now_ms);
        let late: Vec<CompactString> = self
            .calls
            .iter()
            .filter(|slot| slot.value().until_ms().is_some_and(|until| until <= now_ms))
            .map(|slot| slot.key().clone())
            .collect();
        let mut expired = ExpiredCalls::default();
        for call_sid in late {
            let still = |_: &CompactString, slot: &CallEntry| {
                slot.until_ms().is_some_and(|until| until <= now_ms)
            };
            match self.calls.remove_if(&call_sid, still) {
                Some((_, CallEntry::Ringing(gone))) => expired.ringing.push(*gone),
                Some((_, CallEntry::Suspended(gone))) => expired.suspended.push(*gone),
                Some((_, CallEntry::Claimed(gone))) => expired.claimed.push(gone),
                Some((_, CallEntry::Live { .. })) | None => {}
            }
        }
        expired
    }

    /// How a waiting call stands.
    pub fn suspended(&self, call_sid: &str) -> Option<SuspendedSummary> {
        match self.calls.get(call_sid)?.value() {
            CallEntry::Suspended(suspended) => Some(SuspendedSummary {
                reconnects: suspended.state.resumes(),
                language: suspended.state.language().clone(),
                epoch: suspended.state.epoch(),
                goodbye: suspended.state.goodbye().map(str::to_owned),
            }),
            _ => None,
        }
    }

    /// A waiting call was asked back: it waits at least until then.
    pub fn extend_suspension(&self, call_sid: &str, until_ms: u64) {
        if let Some(mut slot) = self.calls.get_mut(call_sid)
            && let CallEntry::Suspended(suspended) = slot.value_mut()
        {
            suspended.expires_ms = suspended.expires_ms.max(until_ms);
        }
    }

    /// Counts that a call is asked to connect again; how often it was before, of late.
    pub fn count_reconnect(&self, call_sid: &CompactString, until_ms: u64) -> u32 {
        let mut recalled = self.reconnect_requests.entry(call_sid.clone()).or_default();
        let before = recalled.0;
        *recalled = (before + 1, until_ms);
        before
    }

    /// Whether the call is here in any form.
    pub fn contains(&self, call_sid: &str) -> bool {
        self.calls.contains_key(call_sid)
    }

    /// Every call that has no session, taken out: for the end of the process.
    pub fn take_without_session(&self) -> ExpiredCalls {
        self.take_expired(u64::MAX)
    }

    /// Calls that ring and are given up only after `until_ms`.
    pub fn ringing_since(&self, until_ms: u64) -> usize {
        let rings = |slot: &CallEntry| matches!(slot, CallEntry::Ringing(ringing) if ringing.expires_ms > until_ms);
        self.calls.iter().filter(|slot| rings(slot.value())).count()
    }

    /// Live sessions.
    pub fn live_sessions(&self) -> usize {
        self.calls
            .iter()
            .filter(|slot| matches!(slot.value(), CallEntry::Live { .. }))
            .count()
    }
}

impl CallEntry {
    fn is_session(&self, wanted: u64) -> bool {
        matches!(self, Self::Live { session, .. } if *session == wanted)
    }

    fn until_ms(&self) -> Option<u64> {
        match self {
            Self::Ringing(ringing) => Some(ringing.expires_ms),
            Self::Suspended(suspended) => Some(suspended.expires_ms),
            Self::Claimed(claimed_call) => Some(claimed_call.expires_ms),
            Self::Live { .. } => None,
        }
    }
}
