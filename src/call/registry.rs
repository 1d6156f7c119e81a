//! The calls of this instance by `CallSid`: ringing, live, or waiting to come back.

use super::greeting::Greeting;
use super::limits::Place;
use super::state::{CallState, Owner, Setting, Tenure};
use calldex_storage::record::Outcome;
use compact_str::CompactString;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Messages waiting for one session; beyond it a message is dropped, the session being stuck.
const CONTROL_MAX: usize = 8;

/// What a session is told from outside its socket.
pub enum Control {
    /// A newer session of the same call wants the state.
    Supersede(oneshot::Sender<(Box<CallState>, Place)>),
    /// The provider says that the call is over.
    Over(Outcome),
    /// The server cannot wait any longer.
    Drain,
    /// Others can go on where this server stops: the call is to leave between two turns, not before
    /// and not after these moments (milliseconds of [`super::state::Now::ms`]).
    Move {
        /// Not before.
        from_ms: u64,
        /// Not after.
        by_ms: u64,
    },
    /// There is nobody to go to any more: it is not to leave.
    Stay,
    /// Storage told who owns the call.
    Owner(Owner),
}

/// A call whose webhook was answered and whose socket has not come.
pub struct Ringing {
    /// What the call is.
    pub setting: Setting,
    /// What its TwiML says first.
    pub greeting: Greeting,
    /// The answer, for a webhook that comes twice.
    pub twiml: String,
    /// Its place.
    pub place: Place,
    /// It is given up then (milliseconds of [`super::state::Now::ms`]).
    pub until_ms: u64,
    /// The epoch of an earlier call with the same `CallSid` that is over, being read.
    pub earlier: Option<JoinHandle<Option<u32>>>,
}

/// A call whose socket is lost.
pub struct Parked {
    /// Where it stood.
    pub state: Box<CallState>,
    /// Its place.
    pub place: Place,
    /// It is closed then.
    pub until_ms: u64,
    /// When the socket was lost, Unix milliseconds: the true end if it never comes back.
    pub lost_unix_ms: i64,
}

/// How a call stands that waits to come back.
pub struct Waiting {
    /// How often it has come back.
    pub resumes: u32,
    /// The language it is held in.
    pub language: CompactString,
    /// The epoch it is held in.
    pub epoch: u32,
    /// The words that it ends with, where its end was decided already.
    pub goodbye: Option<String>,
}

/// A call of another instance that this one has claimed, and whose socket is to come here or to any
/// other.
pub struct Awaited {
    /// The call.
    pub call_sid: CompactString,
    /// The epoch it was claimed in.
    pub epoch: u32,
    /// It is closed then.
    pub until_ms: u64,
}

/// Calls that nobody came for in time.
#[derive(Default)]
pub struct Expired {
    /// They rang.
    pub ringing: Vec<Ringing>,
    /// They had lost their socket.
    pub parked: Vec<Parked>,
    /// They were claimed.
    pub awaited: Vec<Awaited>,
}

enum Slot {
    Awaited(Awaited),
    Ringing(Box<Ringing>),
    Live {
        control: mpsc::Sender<Control>,
        session: u64,
    },
    Parked(Box<Parked>),
}

/// What a new socket finds under its call.
pub enum Found {
    /// The first session of a call whose webhook came here.
    Ringing(Box<Ringing>),
    /// A call waiting to come back.
    Parked(Box<Parked>),
    /// A session that has not noticed that its socket is gone.
    Live(mpsc::Sender<Control>),
    /// A claim made for it.
    Awaited,
    /// Nothing: the webhook came elsewhere, or to a process before this one.
    Nothing,
}

/// What was done about a call that the provider says is over.
pub enum Removed {
    /// It never connected.
    Ringing(Box<Ringing>),
    /// It was waiting to come back.
    Parked(Box<Parked>),
    /// Its session was told.
    Told,
    /// Not a call of this instance.
    Unknown,
}

/// A session's right to its entry, and what it is told.
pub struct Seat {
    /// Which of the call's sessions this is.
    pub session: u64,
    /// Messages from outside the socket.
    pub control: mpsc::Receiver<Control>,
}

/// All calls of this instance.
#[derive(Default)]
pub struct Registry {
    calls: DashMap<CompactString, Slot>,
    /// How often a call was asked to connect again of late, and until when that counts: where no
    /// socket gets as far as its session, nobody else counts.
    recalled: DashMap<CompactString, (u32, u64)>,
    sessions: std::sync::atomic::AtomicU64,
}

impl Registry {
    /// The answer given before to the same call's webhook, if it still rings.
    pub fn ringing_twiml(&self, call_sid: &str) -> Option<String> {
        match self.calls.get(call_sid)?.value() {
            Slot::Ringing(ringing) => Some(ringing.twiml.clone()),
            _ => None,
        }
    }

    /// Notes a call whose webhook was answered. A call already here stays as it is; `false` then.
    pub fn ring(&self, ringing: Ringing) -> bool {
        let call_sid = ringing.setting.call_sid.clone();
        match self.calls.entry(call_sid) {
            Entry::Vacant(free) => {
                free.insert(Slot::Ringing(Box::new(ringing)));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// A socket opened for the call: it becomes the live one.
    pub fn connect(&self, call_sid: &CompactString) -> (Found, Seat) {
        let (control, receiver) = mpsc::channel(CONTROL_MAX);
        let session = self
            .sessions
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let before = self
            .calls
            .insert(call_sid.clone(), Slot::Live { control, session });
        let found = match before {
            Some(Slot::Ringing(ringing)) => Found::Ringing(ringing),
            Some(Slot::Parked(parked)) => Found::Parked(parked),
            Some(Slot::Live { control, .. }) => Found::Live(control),
            Some(Slot::Awaited(_)) => Found::Awaited,
            None => Found::Nothing,
        };
        (
            found,
            Seat {
                session,
                control: receiver,
            },
        )
    }

    /// Notes a call of another instance that was claimed here. A call already here stays as it is.
    pub fn await_call(&self, awaited: Awaited) {
        match self.calls.entry(awaited.call_sid.clone()) {
            Entry::Vacant(free) => drop(free.insert(Slot::Awaited(awaited))),
            Entry::Occupied(mut taken) if matches!(taken.get(), Slot::Awaited(_)) => {
                taken.insert(Slot::Awaited(awaited));
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Storage told who owns a call. A call without a session that is another's now is forgotten
    /// here, its place with it; a session is told. `false` if it could not be.
    pub fn owned(&self, call_sid: &str, owner: Owner, by_us: bool) -> bool {
        let Some(mut slot) = self.calls.get_mut(call_sid) else {
            return true;
        };
        let is_gone = match slot.value_mut() {
            Slot::Live { control, .. } => return control.try_send(Control::Owner(owner)).is_ok(),
            Slot::Ringing(_) => !by_us && owner.epoch.is_some_and(|epoch| epoch > 0),
            Slot::Parked(parked) => parked.state.tenure(owner) != Tenure::Held,
            Slot::Awaited(awaited) => {
                let ours = owner.claimed.is_none_or(|claimed| claimed == awaited.epoch);
                let lost = ours && owner.epoch != Some(awaited.epoch);
                lost || owner.epoch.is_some_and(|epoch| epoch > awaited.epoch)
            }
        };
        drop(slot);
        if is_gone {
            let waits = |slot: &Slot| !matches!(slot, Slot::Live { .. });
            self.calls.remove_if(call_sid, |_, slot| waits(slot));
        }
        true
    }

    /// Calls here in any form.
    pub fn calls(&self) -> Vec<CompactString> {
        self.calls.iter().map(|slot| slot.key().clone()).collect()
    }

    /// The session's socket is lost; its call may come back. `false` if another session has taken
    /// the call since, or it is over.
    pub fn park(&self, session: u64, parked: Parked) -> Result<(), Box<Parked>> {
        let call_sid = parked.state.call_sid().clone();
        match self.calls.get_mut(&call_sid) {
            Some(mut slot) if slot.value().is_session(session) => {
                *slot.value_mut() = Slot::Parked(Box::new(parked));
                Ok(())
            }
            _ => Err(Box::new(parked)),
        }
    }

    /// The session is over with its call.
    pub fn leave(&self, call_sid: &str, session: u64) {
        self.calls
            .remove_if(call_sid, |_, slot| slot.is_session(session));
    }

    /// A session died without leaving: its entry goes, unless another session has it.
    pub fn forget_dead(&self, call_sid: &str) {
        let dead = |slot: &Slot| matches!(slot, Slot::Live { control, .. } if control.is_closed());
        self.calls.remove_if(call_sid, |_, slot| dead(slot));
    }

    /// The provider says the call is over.
    pub fn over(&self, call_sid: &str, outcome: Outcome) -> Removed {
        let gone = self
            .calls
            .remove_if(call_sid, |_, slot| !matches!(slot, Slot::Live { .. }));
        match gone {
            Some((_, Slot::Ringing(ringing))) => Removed::Ringing(ringing),
            Some((_, Slot::Parked(parked))) => Removed::Parked(parked),
            Some((_, Slot::Awaited(_))) => Removed::Unknown,
            _ => self.tell_over(call_sid, outcome),
        }
    }

    fn tell_over(&self, call_sid: &str, outcome: Outcome) -> Removed {
        let Some(slot) = self.calls.get(call_sid) else {
            return Removed::Unknown;
        };
        if let Slot::Live { control, .. } = slot.value() {
            // A full channel means a session that is being told already.
            let _ = control.try_send(Control::Over(outcome));
        }
        Removed::Told
    }

    /// Tells every live session the same. A session whose channel is full is not told.
    pub fn tell_all(&self, mut message: impl FnMut() -> Control) {
        for slot in &self.calls {
            if let Slot::Live { control, .. } = slot.value() {
                let _ = control.try_send(message());
            }
        }
    }

    /// Calls that rang or waited too long.
    pub fn expired(&self, now_ms: u64) -> Expired {
        self.recalled.retain(|_, (_, until_ms)| *until_ms > now_ms);
        let late: Vec<CompactString> = self
            .calls
            .iter()
            .filter(|slot| slot.value().until_ms().is_some_and(|until| until <= now_ms))
            .map(|slot| slot.key().clone())
            .collect();
        let mut expired = Expired::default();
        for call_sid in late {
            let still = |_: &CompactString, slot: &Slot| {
                slot.until_ms().is_some_and(|until| until <= now_ms)
            };
            match self.calls.remove_if(&call_sid, still) {
                Some((_, Slot::Ringing(gone))) => expired.ringing.push(*gone),
                Some((_, Slot::Parked(gone))) => expired.parked.push(*gone),
                Some((_, Slot::Awaited(gone))) => expired.awaited.push(gone),
                Some((_, Slot::Live { .. })) | None => {}
            }
        }
        expired
    }

    /// How a waiting call stands.
    pub fn parked(&self, call_sid: &str) -> Option<Waiting> {
        match self.calls.get(call_sid)?.value() {
            Slot::Parked(parked) => Some(Waiting {
                resumes: parked.state.resumes(),
                language: parked.state.language().clone(),
                epoch: parked.state.epoch(),
                goodbye: parked.state.goodbye().map(str::to_owned),
            }),
            _ => None,
        }
    }

    /// A waiting call was asked back: it waits at least until then.
    pub fn await_return(&self, call_sid: &str, until_ms: u64) {
        if let Some(mut slot) = self.calls.get_mut(call_sid)
            && let Slot::Parked(parked) = slot.value_mut()
        {
            parked.until_ms = parked.until_ms.max(until_ms);
        }
    }

    /// Counts that a call is asked to connect again; how often it was before, of late.
    pub fn recall(&self, call_sid: &CompactString, until_ms: u64) -> u32 {
        let mut recalled = self.recalled.entry(call_sid.clone()).or_default();
        let before = recalled.0;
        *recalled = (before + 1, until_ms);
        before
    }

    /// Whether the call is here in any form.
    pub fn holds(&self, call_sid: &str) -> bool {
        self.calls.contains_key(call_sid)
    }

    /// Every call that has no session, taken out: for the end of the process.
    pub fn take_waiting(&self) -> Expired {
        self.expired(u64::MAX)
    }

    /// Calls that ring and are given up only after `until_ms`.
    pub fn ringing_since(&self, until_ms: u64) -> usize {
        let rings =
            |slot: &Slot| matches!(slot, Slot::Ringing(ringing) if ringing.until_ms > until_ms);
        self.calls.iter().filter(|slot| rings(slot.value())).count()
    }

    /// Live sessions.
    pub fn live(&self) -> usize {
        self.calls
            .iter()
            .filter(|slot| matches!(slot.value(), Slot::Live { .. }))
            .count()
    }
}

impl Slot {
    fn is_session(&self, wanted: u64) -> bool {
        matches!(self, Self::Live { session, .. } if *session == wanted)
    }

    fn until_ms(&self) -> Option<u64> {
        match self {
            Self::Ringing(ringing) => Some(ringing.until_ms),
            Self::Parked(parked) => Some(parked.until_ms),
            Self::Awaited(awaited) => Some(awaited.until_ms),
            Self::Live { .. } => None,
        }
    }
}
