//! Which calls of whom are redirected, and when they are closed: a pure machine.

use super::rest::Answer;
use crate::call::state::Now;
use calldex_storage::record::{CallSid, Conversation, Outcome, UnfinishedCall};
use calldex_storage::write::CallEnded;
use compact_str::CompactString;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// Requests to Twilio under way at once; further calls wait for their turn.
pub const REDIRECTS_AT_ONCE_MAX: usize = 32;
/// Requests for one call, when Twilio is busy or cannot be reached; then it is given up.
const TRIES_MAX: u8 = 5;
/// From the first of them to the next; doubled each time. Milliseconds.
const AGAIN_MS: u64 = 400;
/// Calls are read this often while somebody's are unfinished who is gone, and for a while after it went, in
/// milliseconds.
const READ_MS: u64 = 500;
/// And this often otherwise: a row may name an instance that nobody knows any more, and one that is gone
/// may stay in the list for ever.
const READ_AT_REST_MS: u64 = 10_000;
/// How long that while is: what the others have written of its calls comes within it.
const READ_OFTEN_MS: u64 = 10_000;

/// A call that its owner gave up on purpose is on its way to another: its action comes up to 1.2 s
/// after the socket, the next socket up to 1.5 s after that (protocol 9.3), and only then it is owned
/// where the instance that answered was about to stop, too. So much longer it is waited for.
const MOVING_MS: u64 = 4_000;
/// While there is no primary, calls are taken over all the same, and their claims wait in outboxes.
/// Whoever is elected asks for no redirect before those had so long to come: it would cut short a
/// call that goes on already. Milliseconds.
const ELECTED_MS: u64 = 1_000;

/// An epoch from here on holds the slot of its owner in its lower half.
const FIRST_WITH_SLOT: u32 = 1 << 16;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fellow {
    /// Its name, as calls have it.
    pub instance: CompactString,
    /// Its part of every epoch that it takes; 0 where that is not known.
    pub slot: u16,
    /// For how long it has not answered; `None` while it does. Milliseconds.
    pub gone_ms: Option<u64>,
}

impl Fellow {
    /// Whether the call is its. An epoch says so more surely than a name: who takes a lost one's place
    /// has its name, and none of its calls.
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
pub struct Roll(pub Vec<Fellow>);

/// What happens.
pub(super) enum Event<'a> {
    /// Who is there; `None`: this instance is not the primary.
    Roll(Option<&'a Roll>),
    /// The calls without an end; `None`: they could not be read.
    Unfinished(Option<&'a [UnfinishedCall]>),
    /// What Twilio said.
    Answered {
        call_sid: &'a CallSid,
        epoch: u32,
        answer: Answer,
    },
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    /// Read the calls without an end.
    Read,
    /// Ask Twilio to request the webhook of this call.
    Redirect { call_sid: CallSid, epoch: u32 },
    /// Close a conversation.
    Close(CallEnded),
    /// What came of a redirect.
    Count(Result),
}

/// What came of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Result {
    /// Twilio asks the webhook.
    Redirected,
    /// The call was over.
    Over,
    /// Twilio would not, or could not be reached.
    Failed,
    /// There is no account to ask with.
    CannotRedirect,
}

impl Result {
    /// The label `result` of `calldex_calls_redirected_total`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Redirected => "ok",
            Self::Over => "over",
            Self::Failed | Self::CannotRedirect => "failed",
        }
    }
}

/// A call whose owner is gone.
struct Orphan {
    /// The owner's epoch: each is redirected once.
    epoch: u32,
    /// Since when, on the clock of [`Now::ms`].
    since_ms: u64,
    last_at_ms: i64,
    step: Step,
    tries: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// To be redirected, from then on.
    Due(u64),
    /// Twilio is being asked.
    Asked,
    /// Nothing more is to be asked: it comes back, or it is closed.
    Settled,
    /// The conversation was closed.
    Closed,
}

/// See the module.
pub(super) struct Watch {
    watchdog_ms: u64,
    resume_ms: u64,
    can_redirect: bool,
    /// Whether this instance is the primary.
    primary: bool,
    /// As primary it asks for nothing before that.
    asks_from_ms: u64,
    /// Members that answer.
    present: Vec<Fellow>,
    /// Members that do not, and since when.
    gone: Vec<(Fellow, u64)>,
    /// When another one was last found to be gone.
    gone_changed_ms: u64,
    orphans: HashMap<CallSid, Orphan>,
    /// Calls to be redirected, the first first.
    due: VecDeque<CallSid>,
    asked: usize,
    reading: bool,
    read_ms: Option<u64>,
}

impl Watch {
    pub(super) fn new(watchdog_ms: u64, resume_ms: u64, can_redirect: bool) -> Self {
        Self {
            watchdog_ms,
            resume_ms,
            can_redirect,
            primary: false,
            asks_from_ms: 0,
            present: Vec::new(),
            gone: Vec::new(),
            gone_changed_ms: 0,
            orphans: HashMap::new(),
            due: VecDeque::new(),
            asked: 0,
            reading: false,
            read_ms: None,
        }
    }

    pub(super) fn on(&mut self, event: Event<'_>, now: Now, actions: &mut Vec<Action>) {
        match event {
            Event::Roll(roll) => self.on_roll(roll, now, actions),
            Event::Unfinished(calls) => {
                self.reading = false;
                if let Some(calls) = calls.filter(|_| self.primary) {
                    self.on_calls(calls, now, actions);
                }
            }
            Event::Answered {
                call_sid,
                epoch,
                answer,
            } => {
                self.asked -= 1;
                self.on_answer(call_sid, epoch, answer, now, actions);
            }
        }
        self.ask(now, actions);
    }

    fn on_roll(&mut self, roll: Option<&Roll>, now: Now, actions: &mut Vec<Action>) {
        if !self.primary {
            self.asks_from_ms = now.ms + ELECTED_MS.min(self.watchdog_ms);
        }
        self.primary = roll.is_some();
        let Some(Roll(members)) = roll else {
            // Whoever is primary now begins anew; what was asked is still answered.
            self.gone.clear();
            self.present.clear();
            self.orphans.clear();
            self.due.clear();
            self.read_ms = None;
            return;
        };
        let gone = members
            .iter()
            .filter_map(|fellow| Some((fellow.clone(), now.ms.saturating_sub(fellow.gone_ms?))));
        let gone: Vec<(Fellow, u64)> = gone.collect();
        let was_gone = |fellow: &Fellow| {
            let mut before = self.gone.iter();
            before
                .any(|(known, _)| (&known.instance, known.slot) == (&fellow.instance, fellow.slot))
        };
        if !gone.iter().all(|(fellow, _)| was_gone(fellow)) {
            self.gone_changed_ms = now.ms;
        }
        self.gone = gone;
        let present = members.iter().filter(|fellow| fellow.gone_ms.is_none());
        self.present = present.cloned().collect();
        let is_fresh = !self.gone.is_empty() && now.ms < self.gone_changed_ms + READ_OFTEN_MS;
        let every_ms = if is_fresh || !self.orphans.is_empty() {
            READ_MS
        } else {
            READ_AT_REST_MS
        };
        let is_due = self
            .read_ms
            .is_none_or(|read_ms| now.ms >= read_ms + every_ms);
        if is_due && !self.reading {
            self.reading = true;
            self.read_ms = Some(now.ms);
            actions.push(Action::Read);
        }
    }

    fn on_calls(&mut self, calls: &[UnfinishedCall], now: Now, actions: &mut Vec<Action>) {
        let mut still: HashMap<CallSid, Orphan> = HashMap::new();
        for call in calls {
            let row = &call.conversation;
            if self.present.iter().any(|fellow| fellow.owns(row)) {
                continue;
            }
            let before = self.orphans.remove(&row.call_sid);
            let before = before.filter(|orphan| orphan.epoch == row.epoch);
            // One that nobody knows is gone since it was seen first.
            let owner = self.gone.iter().find(|(fellow, _)| fellow.owns(row));
            let since_ms = owner.map(|(_, since_ms)| *since_ms);
            let is_moving = row.instance.as_deref() == Some("");
            let patience_ms = self.watchdog_ms + if is_moving { MOVING_MS } else { 0 };
            let mut orphan = before.unwrap_or(Orphan {
                epoch: row.epoch,
                since_ms: since_ms.unwrap_or(now.ms),
                last_at_ms: call.last_at_ms,
                step: Step::Due(since_ms.unwrap_or(now.ms) + patience_ms),
                tries: 0,
            });
            orphan.last_at_ms = call.last_at_ms;
            self.close_late(&row.call_sid, &mut orphan, now, actions);
            if matches!(orphan.step, Step::Due(_)) {
                self.due.push_back(row.call_sid.clone());
            }
            still.insert(row.call_sid.clone(), orphan);
        }
        self.orphans = still;
        self.forget_doubles();
    }

    /// Each call waits for its turn once.
    fn forget_doubles(&mut self) {
        let mut seen = std::collections::HashSet::new();
        let orphans = &self.orphans;
        self.due.retain(|call_sid| {
            let waits = orphans
                .get(call_sid)
                .is_some_and(|orphan| matches!(orphan.step, Step::Due(_)));
            waits && seen.insert(call_sid.clone())
        });
    }

    fn close_late(
        &self,
        call_sid: &CallSid,
        orphan: &mut Orphan,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let late = now.ms >= orphan.since_ms + self.resume_ms.max(self.watchdog_ms);
        if late && !matches!(orphan.step, Step::Asked | Step::Closed) {
            orphan.step = Step::Closed;
            actions.push(Action::Close(CallEnded {
                call_sid: call_sid.clone(),
                // Void if somebody has taken it up meanwhile.
                epoch: Some(orphan.epoch),
                at_ms: orphan.last_at_ms,
                outcome: Outcome::Abandoned,
            }));
        }
    }

    fn on_answer(
        &mut self,
        call_sid: &CallSid,
        epoch: u32,
        answer: Answer,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let orphan = self
            .orphans
            .get_mut(call_sid)
            .filter(|orphan| orphan.epoch == epoch);
        let result = match answer {
            Answer::Redirected => Result::Redirected,
            Answer::Over => Result::Over,
            Answer::Busy
                if orphan
                    .as_ref()
                    .is_some_and(|orphan| orphan.tries < TRIES_MAX) =>
            {
                if let Some(orphan) = orphan {
                    let wait_ms = AGAIN_MS << orphan.tries.saturating_sub(1);
                    orphan.step = Step::Due(now.ms + wait_ms);
                    self.due.push_back(call_sid.clone());
                }
                return;
            }
            Answer::Busy | Answer::Refused => Result::Failed,
            Answer::NotAsked => {
                if let Some(orphan) = orphan {
                    orphan.step = Step::Settled;
                }
                return;
            }
        };
        actions.push(Action::Count(result));
        let Some(orphan) = orphan else {
            return;
        };
        orphan.step = Step::Settled;
        if result == Result::Over {
            orphan.step = Step::Closed;
            actions.push(Action::Close(CallEnded {
                call_sid: call_sid.clone(),
                // The provider itself says so.
                epoch: None,
                at_ms: orphan.last_at_ms,
                outcome: Outcome::HungUp,
            }));
        }
    }

    /// Asks for as many calls as may be asked for at once.
    fn ask(&mut self, now: Now, actions: &mut Vec<Action>) {
        for _ in 0..self.due.len() {
            if self.asked >= REDIRECTS_AT_ONCE_MAX || now.ms < self.asks_from_ms {
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
                Step::Due(at_ms) if at_ms > now.ms => self.due.push_back(call_sid),
                Step::Due(_) if !self.can_redirect => {
                    orphan.step = Step::Settled;
                    actions.push(Action::Count(Result::CannotRedirect));
                }
                Step::Due(_) => {
                    orphan.step = Step::Asked;
                    orphan.tries += 1;
                    self.asked += 1;
                    let epoch = orphan.epoch;
                    actions.push(Action::Redirect { call_sid, epoch });
                }
                Step::Asked | Step::Settled | Step::Closed => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
