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

/// Messages that can wait for one session. Further messages are dropped: the session is stuck.
const CONTROL_MAX: usize = 8;

/// A message to a session from outside its socket.
pub enum SessionMessage {
    /// A newer session of the same call requests the state.
    Supersede(oneshot::Sender<(Box<CallState>, CallPermit)>),
    /// The provider reports the end of the call.
    CallEnded(CallOutcome),
    /// The server stops: the call says goodbye and ends.
    SayGoodbye,
    /// The server stops, and another instance can continue the call: it leaves between two turns, within
    /// these times (milliseconds of [`super::state::EventTime::ms`]).
    Relocate {
        /// The earliest time.
        from_ms: u64,
        /// The latest time.
        by_ms: u64,
    },
    /// No other instance can continue the call any more: it stays.
    CancelRelocation,
    /// Storage reported the owner of the call.
    OwnerChanged(CallOwner),
}

/// A call whose webhook was answered and whose socket has not opened.
pub struct RingingCall {
    /// The facts that stay the same during the call.
    pub context: CallContext,
    /// The greeting in its TwiML.
    pub greeting: Greeting,
    /// The TwiML, to answer a repeated webhook.
    pub twiml: String,
    /// Its permit.
    pub permit: CallPermit,
    /// When it is given up (milliseconds of [`super::state::EventTime::ms`]).
    pub expires_ms: u64,
    /// Reads the epoch of an earlier call with the same `CallSid` that is over.
    pub earlier_epoch: Option<JoinHandle<Option<u32>>>,
}

/// A call whose socket is lost.
pub struct SuspendedCall {
    /// Its state when the socket closed.
    pub state: Box<CallState>,
    /// Its permit.
    pub permit: CallPermit,
    /// When it is ended if no socket opens (milliseconds of [`super::state::EventTime::ms`]).
    pub expires_ms: u64,
    /// When the socket was lost, Unix milliseconds: the end of the call if no socket opens.
    pub lost_unix_ms: i64,
}

/// A summary of a suspended call.
pub struct SuspendedSummary {
    /// How often it was connected again.
    pub reconnects: u32,
    /// Its language (BCP-47).
    pub language: CompactString,
    /// Its epoch.
    pub epoch: u32,
    /// The goodbye, if its end was decided already.
    pub goodbye: Option<String>,
}

/// A call of another instance that this one has claimed. Its socket opens here or on any other instance.
pub struct ClaimedCall {
    /// The call.
    pub call_sid: CompactString,
    /// The epoch it was claimed in.
    pub epoch: u32,
    /// When it is ended if no socket opens (milliseconds of [`super::state::EventTime::ms`]).
    pub expires_ms: u64,
}

/// Calls whose socket did not open in time.
#[derive(Default)]
pub struct ExpiredCalls {
    /// Calls that rang.
    pub ringing: Vec<RingingCall>,
    /// Calls that had lost their socket.
    pub suspended: Vec<SuspendedCall>,
    /// Calls claimed from other instances.
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

/// What the registry held for a call when a new socket opened.
pub enum Lookup {
    /// The first session of a call whose webhook came here.
    Ringing(Box<RingingCall>),
    /// A call that lost its socket.
    Suspended(Box<SuspendedCall>),
    /// A session that still runs on an older socket.
    Live(mpsc::Sender<SessionMessage>),
    /// A claim by this instance.
    Claimed,
    /// Nothing: another instance or an earlier process answered the webhook.
    Unknown,
}

/// What the registry held for a call that the provider reports as over.
pub enum EndResult {
    /// The call never connected; its entry is removed.
    Ringing(Box<RingingCall>),
    /// The call had lost its socket; its entry is removed.
    Suspended(Box<SuspendedCall>),
    /// The call has a session, which received [`SessionMessage::CallEnded`].
    SessionNotified,
    /// No call of this instance, or only a claim.
    Unknown,
}

/// The session's id in the registry and its message channel.
pub struct SessionHandle {
    /// The id of the session.
    pub session: u64,
    /// Messages from outside the socket.
    pub control: mpsc::Receiver<SessionMessage>,
}

/// All calls of this instance.
#[derive(Default)]
pub struct CallRegistry {
    calls: DashMap<CompactString, CallEntry>,
    /// How often a call was asked to connect again, and until when that counts (milliseconds of
    /// [`super::state::EventTime::ms`]). Sockets that close before they have a session are counted only
    /// here.
    reconnect_requests: DashMap<CompactString, (u32, u64)>,
    next_session: std::sync::atomic::AtomicU64,
}

impl CallRegistry {
    /// The TwiML of a call that still rings.
    pub fn ringing_twiml(&self, call_sid: &str) -> Option<String> {
        match self.calls.get(call_sid)?.value() {
            CallEntry::Ringing(ringing) => Some(ringing.twiml.clone()),
            _ => None,
        }
    }

    /// Adds a call whose webhook was answered. Returns `false` and changes nothing if the call is here
    /// already.
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

    /// A socket opened for the call: its session becomes the live one. Returns what was here before. The
    /// exchange is one map operation, so that two sockets of one call cannot both receive its state.
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

    /// Adds a call claimed from another instance, or replaces an earlier claim. A call that is here in
    /// another form stays as it is.
    pub fn insert_claimed(&self, claimed_call: ClaimedCall) {
        match self.calls.entry(claimed_call.call_sid.clone()) {
            Entry::Vacant(free) => drop(free.insert(CallEntry::Claimed(claimed_call))),
            Entry::Occupied(mut taken) if matches!(taken.get(), CallEntry::Claimed(_)) => {
                taken.insert(CallEntry::Claimed(claimed_call));
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Storage reported the owner of a call. A session is notified; a call without a session that another
    /// instance owns is removed with its permit. Returns `false` if the channel of the session is full
    /// or closed.
    pub fn owner_changed(&self, call_sid: &str, owner: CallOwner, by_us: bool) -> bool {
        let Some(mut entry) = self.calls.get_mut(call_sid) else {
            return true;
        };
        let is_gone = match entry.value_mut() {
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
        drop(entry);
        if is_gone {
            let waits = |entry: &CallEntry| !matches!(entry, CallEntry::Live { .. });
            self.calls.remove_if(call_sid, |_, entry| waits(entry));
        }
        true
    }

    /// The SIDs of all calls here, in any form.
    pub fn call_sids(&self) -> Vec<CompactString> {
        self.calls.iter().map(|entry| entry.key().clone()).collect()
    }

    /// The session's socket is lost: the call waits for a new one.
    ///
    /// # Errors
    /// Returns the call if another session has it since, or if it is over.
    pub fn suspend(
        &self,
        session: u64,
        suspended: SuspendedCall,
    ) -> Result<(), Box<SuspendedCall>> {
        let call_sid = suspended.state.call_sid().clone();
        match self.calls.get_mut(&call_sid) {
            Some(mut entry) if entry.value().is_session(session) => {
                *entry.value_mut() = CallEntry::Suspended(Box::new(suspended));
                Ok(())
            }
            _ => Err(Box::new(suspended)),
        }
    }

    /// The session ended, and its call is over or has another session.
    pub fn remove_session(&self, call_sid: &str, session: u64) {
        self.calls
            .remove_if(call_sid, |_, entry| entry.is_session(session));
    }

    /// Removes the entry of a session that stopped without removing it, unless another session has it.
    pub fn remove_dead_session(&self, call_sid: &str) {
        let dead = |entry: &CallEntry| matches!(entry, CallEntry::Live { control, .. } if control.is_closed());
        self.calls.remove_if(call_sid, |_, entry| dead(entry));
    }

    /// The provider reports the end of the call. A live session is notified; any other entry is removed.
    pub fn end(&self, call_sid: &str, outcome: CallOutcome) -> EndResult {
        let gone = self.calls.remove_if(call_sid, |_, entry| {
            !matches!(entry, CallEntry::Live { .. })
        });
        match gone {
            Some((_, CallEntry::Ringing(ringing))) => EndResult::Ringing(ringing),
            Some((_, CallEntry::Suspended(suspended))) => EndResult::Suspended(suspended),
            Some((_, CallEntry::Claimed(_))) => EndResult::Unknown,
            _ => self.notify_end(call_sid, outcome),
        }
    }

    fn notify_end(&self, call_sid: &str, outcome: CallOutcome) -> EndResult {
        let Some(entry) = self.calls.get(call_sid) else {
            return EndResult::Unknown;
        };
        if let CallEntry::Live { control, .. } = entry.value() {
            // If the channel is full the session is stuck, and the message is dropped.
            let _ = control.try_send(SessionMessage::CallEnded(outcome));
        }
        EndResult::SessionNotified
    }

    /// Sends a message to every live session. A session whose channel is full does not receive it.
    pub fn broadcast(&self, mut message: impl FnMut() -> SessionMessage) {
        for entry in &self.calls {
            if let CallEntry::Live { control, .. } = entry.value() {
                let _ = control.try_send(message());
            }
        }
    }

    /// Removes and returns the calls without a session whose time is over at `now_ms`.
    pub fn take_expired(&self, now_ms: u64) -> ExpiredCalls {
        self.reconnect_requests
            .retain(|_, (_, until_ms)| *until_ms > now_ms);
        let late: Vec<CompactString> = self
            .calls
            .iter()
            .filter(|entry| {
                entry
                    .value()
                    .until_ms()
                    .is_some_and(|until| until <= now_ms)
            })
            .map(|entry| entry.key().clone())
            .collect();
        let mut expired = ExpiredCalls::default();
        for call_sid in late {
            let still = |_: &CompactString, entry: &CallEntry| {
                entry.until_ms().is_some_and(|until| until <= now_ms)
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

    /// The summary of a suspended call.
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

    /// A suspended call was asked to connect again: it is kept at least until `until_ms`.
    pub fn extend_suspension(&self, call_sid: &str, until_ms: u64) {
        if let Some(mut entry) = self.calls.get_mut(call_sid)
            && let CallEntry::Suspended(suspended) = entry.value_mut()
        {
            suspended.expires_ms = suspended.expires_ms.max(until_ms);
        }
    }

    /// Counts a request to connect the call again. Returns the count before; it is forgotten after
    /// `until_ms`.
    pub fn count_reconnect(&self, call_sid: &CompactString, until_ms: u64) -> u32 {
        let mut requests = self.reconnect_requests.entry(call_sid.clone()).or_default();
        let before = requests.0;
        *requests = (before + 1, until_ms);
        before
    }

    /// Whether the call is here in any form.
    pub fn contains(&self, call_sid: &str) -> bool {
        self.calls.contains_key(call_sid)
    }

    /// Removes and returns every call without a session, at the end of the process.
    pub fn take_without_session(&self) -> ExpiredCalls {
        self.take_expired(u64::MAX)
    }

    /// The number of ringing calls that are given up later than `until_ms`.
    pub fn ringing_since(&self, until_ms: u64) -> usize {
        let rings = |entry: &CallEntry| matches!(entry, CallEntry::Ringing(ringing) if ringing.expires_ms > until_ms);
        self.calls
            .iter()
            .filter(|entry| rings(entry.value()))
            .count()
    }

    /// The number of live sessions.
    pub fn live_sessions(&self) -> usize {
        self.calls
            .iter()
            .filter(|entry| matches!(entry.value(), CallEntry::Live { .. }))
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
