//! A call that lost its session and goes on: here, or on another instance than before.

use super::{Arrival, Connection, Farewell, LIVE_MAX, RINGING_MS_MAX, Switchboard};
use crate::call::clock;
use crate::call::greeting::{Greeting, language_of};
use crate::call::others::{self, Mark};
use crate::call::registry::Awaited;
use crate::call::state::is_released;
use calldex_observability::catalog;
use calldex_storage::record::{LiveCall, Outcome, next_epoch};
use calldex_storage::write::{CallResumed, Write};
use compact_str::CompactString;
use std::sync::Arc;
use tokio::time::timeout;

/// What happens after a session ended while its call goes on.
pub enum After {
    /// Connect again, with this document.
    Reconnect(String),
    /// Say this and hang up.
    Goodbye(Farewell),
    /// We had ended it ourselves, with this outcome: nothing is left to say.
    Over(Outcome),
}

/// Why a call has to be connected again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its session broke.
    Lost,
    /// It was handed over, and nobody took it.
    Unanswered,
    /// We had ended it or given it away, and it came back.
    Ended,
}

/// What brings a call back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The action of a session that was lost.
    Action,
    /// A voice webhook for a call that is in progress.
    Redirect,
    /// The action of a `<Dial>` that nobody answered.
    Unanswered,
}

impl Way {
    /// The label `by` of `calldex_calls_taken_over_total`.
    fn label(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Redirect => "redirect",
            Self::Unanswered => "action",
        }
    }
}

/// A request about a call that was up before.
pub struct Back<'a> {
    /// What it is.
    pub way: Way,
    /// How far the instance had come that wrote the URL.
    pub mark: Mark,
    /// The session that ended; empty if that is not said.
    pub session_id: &'a str,
    /// Whether it proves that the call was up before.
    pub sure: bool,
    /// The speech or recognition provider failed.
    pub provider_failed: bool,
}

impl Back<'_> {
    /// A request that says nothing more.
    pub fn by(way: Way) -> Self {
        Self {
            way,
            mark: Mark::default(),
            session_id: "",
            sure: true,
            provider_failed: false,
        }
    }
}

/// What is known of a call that is connected again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The epoch that it is owned in, as far as is known.
    pub owner: Option<u32>,
    /// Its return was counted with a claim in that epoch.
    pub counted: bool,
    /// Why it is connected again.
    pub cause: Cause,
}

/// A call that may come back.
#[derive(Default)]
struct Resumable {
    resumes: u32,
    language: Option<CompactString>,
    /// The epoch it is owned in, if that is known.
    epoch: Option<u32>,
    /// The owner is another instance.
    elsewhere: bool,
    /// Its owner gave it up on purpose.
    released: bool,
    /// How it had ended.
    ended: Option<Outcome>,
    /// The words that it ends with, where its end was decided already.
    goodbye: Option<String>,
}

impl Resumable {
    fn cause(&self, way: Way) -> Cause {
        match self.ended {
            _ if way == Way::Unanswered => Cause::Unanswered,
            Some(outcome) if is_ours(outcome) => Cause::Ended,
            _ => Cause::Lost,
        }
    }
}

/// Whether an outcome is an end that we brought about.
fn is_ours(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Ended | Outcome::HandedOver | Outcome::Idle | Outcome::Limit | Outcome::Drained
    )
}

impl Switchboard {
    /// A session ended while its call goes on, by a lost socket: whether it is connected again,
    /// with the document that `render` writes.
    pub async fn lost(
        &self,
        arrival: &Arrival,
        back: &Back<'_>,
        render: impl FnOnce(&Connection<'_>) -> String,
    ) -> After {
        match self.returned(arrival, back, render).await {
            Some(after) => after,
            None => match self.outcome_of(&arrival.call_sid).await {
                Some(outcome) if is_ours(outcome) => After::Over(outcome),
                _ => After::Goodbye(self.failed(&arrival.called)),
            },
        }
    }

    /// How storage says that a call ended, if it did.
    async fn outcome_of(&self, call_sid: &str) -> Option<Outcome> {
        let reading = self.storage.conversations.read(call_sid);
        let read = timeout(LIVE_MAX, reading).await;
        read.ok()?.ok()??.conversation.outcome
    }

    /// The same for a call that may be a new one: `None` if it is not known here, nor to the others.
    pub async fn returned(
        &self,
        arrival: &Arrival,
        back: &Back<'_>,
        render: impl FnOnce(&Connection<'_>) -> String,
    ) -> Option<After> {
        let line = Arc::clone(self.lines.of(&arrival.called));
        let found = self.resumable(&arrival.call_sid, back).await?;
        let language: CompactString = language_of(&line, found.language.as_deref()).into();
        let cause = found.cause(back.way);
        let until_ms = clock::now().ms + RINGING_MS_MAX;
        // A planned move is no failure, however many of them come here.
        let recalled = match found.released || cause != Cause::Lost {
            true => 0,
            false => self.room.registry.recall(&arrival.call_sid, until_ms),
        };
        let is_failing = found.resumes.max(recalled) >= self.reconnects_max;
        if is_failing && cause == Cause::Lost {
            return Some(After::Goodbye(Farewell::failed(&line, &language)));
        }
        let held = self.hold(&arrival.call_sid, &found, back, until_ms);
        let phrases = line.phrases(&language);
        let greeting = Greeting::resumed(match (cause, &found.goodbye) {
            (Cause::Lost, Some(goodbye)) => goodbye,
            (Cause::Lost, None) => &phrases.resumed,
            (Cause::Unanswered, _) => &phrases.nobody_there,
            (Cause::Ended, _) => &phrases.returned,
        });
        let twiml = render(&Connection {
            called: &arrival.called,
            line: &line,
            greeting: &greeting,
            language: &language,
            mark: self.mark(),
            resumed: Some(Hold {
                owner: held.or(found.epoch),
                counted: held.is_some(),
                cause,
            }),
            provider_failed: back.provider_failed,
        });
        catalog::GREETINGS_TOTAL
            .with(greeting.kind.label())
            .increment(1);
        self.room.registry.await_return(&arrival.call_sid, until_ms);
        Some(After::Reconnect(twiml))
    }

    /// A call that is not over: how often it has come back, its language, its owner.
    async fn resumable(&self, call_sid: &CompactString, back: &Back<'_>) -> Option<Resumable> {
        if let Some(parked) = self.room.registry.parked(call_sid) {
            return Some(Resumable {
                resumes: parked.resumes,
                language: Some(parked.language),
                epoch: Some(parked.epoch),
                elsewhere: false,
                released: false,
                ended: None,
                goodbye: parked.goodbye,
            });
        }
        if !back.sure && self.is_unheard_of(call_sid).await {
            return None;
        }
        let at_primary = match self.room.registry.holds(call_sid) {
            true => None,
            false => others::latest(&self.storage, &*self.others, call_sid, back.mark).await,
        };
        let reading = self.storage.conversations.read(call_sid);
        let here = match timeout(LIVE_MAX, reading).await {
            Ok(Ok(call)) => call,
            // Storage cannot say: rather one reconnect too many than a lost call.
            Ok(Err(_)) | Err(_) if at_primary.is_none() => {
                return back.sure.then(Resumable::default);
            }
            Ok(Err(_)) | Err(_) => None,
        };
        // Twilio has the call in progress: an owner that is told to be gone may have closed it.
        let goes_on = |call: &LiveCall| call.is_live() || back.way != Way::Action;
        let row = further(here, at_primary).filter(goes_on)?.conversation;
        Some(Resumable {
            elsewhere: !self.is_ours(&row),
            released: is_released(&row),
            resumes: row.resumes,
            ended: row.ended_at.and(row.outcome),
            language: row.language,
            epoch: Some(row.epoch),
            goodbye: None,
        })
    }

    /// Whether nothing here knows the call. Asked before anybody else is, where nothing proves that it was
    /// up before: a call that we placed is in progress at its first webhook, and its greeting waits for
    /// no other instance.
    async fn is_unheard_of(&self, call_sid: &CompactString) -> bool {
        let reading = self.storage.conversations.read(call_sid);
        !self.holds(call_sid) && !matches!(timeout(LIVE_MAX, reading).await, Ok(Ok(Some(_))))
    }

    /// Among several instances: takes another's call over, so that nobody else sees to it while its
    /// socket is on its way, here or elsewhere. The epoch that the call is owned in from now on, if
    /// it was taken over; an instance whose calls leave takes none.
    fn hold(
        &self,
        call_sid: &CompactString,
        found: &Resumable,
        back: &Back<'_>,
        until_ms: u64,
    ) -> Option<u32> {
        let expected = found.epoch?;
        if !self.is_several() || !found.elsewhere || self.leaving().is_some() {
            return None;
        }
        let epoch = next_epoch(expected, self.others.slot());
        let claim = CallResumed {
            call_sid: call_sid.clone(),
            session_id: back.session_id.into(),
            epoch,
            at_ms: clock::now().unix_ms,
            instance: self.instance.clone(),
            expected: Some(expected),
            // A call that loses its session again and again counts, however many instances answer.
            returned: !found.released && found.cause(back.way) == Cause::Lost,
        };
        drop(self.storage.writer.submit(Write::CallResumed(claim)));
        self.took_over(back.way.label());
        self.room.registry.await_call(Awaited {
            call_sid: call_sid.clone(),
            epoch,
            until_ms,
        });
        Some(epoch)
    }

    /// A caller hung up while the person to whom they were handed over had not answered: the call was not
    /// handed over after all. Written as a new owner's end, since the first end stands otherwise.
    pub async fn left_unanswered(&self, call_sid: &str, mark: Mark) {
        others::reach(&self.storage, &*self.others, mark).await;
        let reading = self.storage.conversations.read(call_sid);
        let Ok(Ok(Some(call))) = timeout(LIVE_MAX, reading).await else {
            return;
        };
        let row = call.conversation;
        if row.outcome != Some(Outcome::HandedOver) {
            return;
        }
        let slot = self.others.slot();
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
        self.end_stored(&row.call_sid, at_ms, Outcome::HungUp, Some(epoch));
    }

    /// Counts a call of another instance that is this one's now.
    pub(super) fn took_over(&self, by: &'static str) {
        catalog::CALLS_TAKEN_OVER_TOTAL.with(by).increment(1);
    }
}

/// Of two views of one call the one that has seen more.
pub(super) fn further(here: Option<LiveCall>, there: Option<LiveCall>) -> Option<LiveCall> {
    let seen = |call: &LiveCall| (call.conversation.epoch, call.turns.len());
    match (here, there) {
        (Some(here), Some(there)) if seen(&there) > seen(&here) => Some(there),
        (here, there) => here.or(there),
    }
}
