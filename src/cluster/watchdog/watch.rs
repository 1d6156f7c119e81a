//! Which calls of whom are redirected, and when they are closed: a pure machine.

use super::rest::Answer;
use crate::call::state::Now;
use calldex_storage::record::{CallSid, Outcome, UnfinishedCall};
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
/// Calls are read this often while somebody is gone, in milliseconds.
const READ_MS: u64 = 500;
/// And this often otherwise: a row may name an instance that nobody knows any more.
const READ_AT_REST_MS: u64 = 10_000;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fellow {
    /// Its name, as calls have it.
    pub instance: CompactString,
    /// For how long it has not answered; `None` while it does. Milliseconds.
    pub gone_ms: Option<u64>,
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
    /// Members that answer.
    present: Vec<CompactString>,
    /// Members that do not, and since when.
    gone: HashMap<CompactString, u64>,
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
            present: Vec::new(),
            gone: HashMap::new(),
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
        let gone = members.iter().filter_map(|fellow| {
            Some((
                fellow.instance.clone(),
                now.ms.saturating_sub(fellow.gone_ms?),
            ))
        });
        self.gone = gone.collect();
        let present = members.iter().filter(|fellow| fellow.gone_ms.is_none());
        self.present = present.map(|fellow| fellow.instance.clone()).collect();
        let every_ms = if self.gone.is_empty() && self.orphans.is_empty() {
            READ_AT_REST_MS
        } else {
            READ_MS
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
            let instance = row.instance.as_ref();
            if instance.is_some_and(|instance| self.present.contains(instance)) {
                continue;
            }
            let before = self.orphans.remove(&row.call_sid);
            let before = before.filter(|orphan| orphan.epoch == row.epoch);
            // One that nobody knows is gone since it was seen first.
            let since_ms = instance.and_then(|instance| self.gone.get(instance).copied());
            let mut orphan = before.unwrap_or(Orphan {
                epoch: row.epoch,
                since_ms: since_ms.unwrap_or(now.ms),
                last_at_ms: call.last_at_ms,
                step: Step::Due(since_ms.unwrap_or(now.ms) + self.watchdog_ms),
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
            if self.asked >= REDIRECTS_AT_ONCE_MAX {
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
mod tests {
    use super::*;
    use calldex_storage::record::Conversation;

    const WATCHDOG_MS: u64 = 2_000;
    const RESUME_MS: u64 = 60_000;

    struct Scene {
        watch: Watch,
        now: Now,
        roll: Roll,
        calls: Vec<UnfinishedCall>,
        actions: Vec<Action>,
    }

    fn sid(number: usize) -> CallSid {
        format!("CA{number:032}").into()
    }

    fn fellow(instance: &str, gone_ms: Option<u64>) -> Fellow {
        Fellow {
            instance: instance.into(),
            gone_ms,
        }
    }

    fn call(number: usize, instance: &str, epoch: u32) -> UnfinishedCall {
        UnfinishedCall {
            conversation: Conversation {
                call_sid: sid(number),
                number: None,
                line: None,
                caller_kind: None,
                identity: None,
                language: None,
                instance: Some(instance.into()),
                session_id: None,
                epoch,
                resumes: 0,
                started_at: 1,
                ended_at: None,
                outcome: None,
            },
            last_at_ms: 5_000,
            turns: 1,
        }
    }

    impl Scene {
        fn new() -> Self {
            Self {
                watch: Watch::new(WATCHDOG_MS, RESUME_MS, true),
                now: Now {
                    ms: 100_000,
                    unix_ms: 0,
                },
                roll: Roll(vec![fellow("one", None), fellow("two", None)]),
                calls: Vec::new(),
                actions: Vec::new(),
            }
        }

        fn without_credentials() -> Self {
            Self {
                watch: Watch::new(WATCHDOG_MS, RESUME_MS, false),
                ..Self::new()
            }
        }

        /// Time passes; whoever is gone stays away, and calls are read when they are wanted.
        fn pass(&mut self, ms: u64) -> &mut Self {
            let end = self.now.ms + ms;
            while self.now.ms < end {
                let step = 250.min(end - self.now.ms);
                self.now.ms += step;
                for fellow in &mut self.roll.0 {
                    fellow.gone_ms = fellow.gone_ms.map(|gone_ms| gone_ms + step);
                }
                let mut actions = Vec::new();
                self.watch
                    .on(Event::Roll(Some(&self.roll)), self.now, &mut actions);
                if actions.contains(&Action::Read) {
                    actions.retain(|action| *action != Action::Read);
                    let calls = Some(&self.calls[..]);
                    self.watch
                        .on(Event::Unfinished(calls), self.now, &mut actions);
                }
                self.actions.extend(actions);
            }
            self
        }

        fn goes(&mut self, instance: &str) -> &mut Self {
            let fellow = self
                .roll
                .0
                .iter_mut()
                .find(|fellow| fellow.instance == instance);
            fellow.unwrap().gone_ms = Some(0);
            self
        }

        fn answers(&mut self, number: usize, epoch: u32, answer: Answer) -> &mut Self {
            let event = Event::Answered {
                call_sid: &sid(number),
                epoch,
                answer,
            };
            self.watch.on(event, self.now, &mut self.actions);
            self
        }

        fn redirects(&self) -> usize {
            let redirect = |action: &&Action| matches!(action, Action::Redirect { .. });
            self.actions.iter().filter(redirect).count()
        }

        fn ends(&self) -> Vec<&CallEnded> {
            let ends = self.actions.iter().filter_map(|action| match action {
                Action::Close(end) => Some(end),
                _ => None,
            });
            ends.collect()
        }

        fn counted(&self, result: Result) -> usize {
            let is_it = |action: &&Action| **action == Action::Count(result);
            self.actions.iter().filter(is_it).count()
        }
    }

    #[test]
    fn a_call_is_redirected_once_after_its_owner_has_been_gone_for_two_seconds() {
        let mut scene = Scene::new();
        scene.calls = vec![call(1, "two", 7), call(2, "one", 7)];
        scene.pass(20_000);
        assert_eq!(scene.actions, [], "everybody is there");
        scene.goes("two").pass(WATCHDOG_MS - 250);
        assert_eq!(scene.redirects(), 0, "Twilio itself may still notice");
        scene.pass(500);
        let redirect = Action::Redirect {
            call_sid: sid(1),
            epoch: 7,
        };
        assert_eq!(scene.actions, [redirect]);
        scene.answers(1, 7, Answer::Redirected).pass(10_000);
        assert_eq!(
            (scene.redirects(), scene.counted(Result::Redirected)),
            (1, 1)
        );
    }

    #[test]
    fn a_call_that_somebody_took_up_is_left_alone() {
        let mut scene = Scene::new();
        scene.calls = vec![call(1, "two", 7)];
        scene.goes("two").pass(1_000);
        scene.calls = vec![call(1, "one", 8)];
        scene.pass(120_000);
        assert_eq!(scene.actions, []);
    }

    #[test]
    fn a_call_that_loses_its_next_owner_too_is_redirected_again() {
        let mut scene = Scene::new();
        scene.roll.0.push(fellow("three", None));
        scene.calls = vec![call(1, "two", 7)];
        scene.goes("two").pass(3_000);
        scene.answers(1, 7, Answer::Redirected);
        scene.calls = vec![call(1, "three", 8)];
        scene.goes("three").pass(3_000);
        assert_eq!(scene.redirects(), 2);
    }

    #[test]
    fn what_nobody_takes_up_is_closed_with_its_true_end() {
        for mut scene in [Scene::new(), Scene::without_credentials()] {
            scene.calls = vec![call(1, "two", 7)];
            scene.goes("two").pass(5_000);
            if scene.redirects() > 0 {
                scene.answers(1, 7, Answer::Redirected);
            } else {
                assert_eq!(scene.counted(Result::CannotRedirect), 1);
            }
            scene.pass(RESUME_MS);
            let ends = scene.ends();
            assert_eq!(ends.len(), 1, "{:?}", scene.actions);
            let end = (ends[0].epoch, ends[0].at_ms, ends[0].outcome);
            assert_eq!(end, (Some(7), 5_000, Outcome::Abandoned));
        }
    }

    #[test]
    fn a_call_that_is_over_at_twilio_is_closed_at_once() {
        let mut scene = Scene::new();
        scene.calls = vec![call(1, "two", 7)];
        scene.goes("two").pass(3_000).answers(1, 7, Answer::Over);
        let ends = scene.ends();
        assert_eq!((ends.len(), ends[0].epoch), (1, None));
        scene.pass(120_000);
        assert_eq!((scene.ends().len(), scene.redirects()), (1, 1));
    }

    #[test]
    fn a_busy_twilio_is_asked_again_later_and_not_for_ever() {
        let mut scene = Scene::new();
        scene.calls = vec![call(1, "two", 7)];
        scene.goes("two").pass(3_000);
        for tries in 1..=usize::from(TRIES_MAX) {
            assert_eq!(scene.redirects(), tries);
            scene.answers(1, 7, Answer::Busy);
            assert_eq!(scene.redirects(), tries, "not at once");
            scene.pass(10_000);
        }
        assert_eq!(scene.counted(Result::Failed), 1);
        scene.pass(10_000);
        assert_eq!(scene.redirects(), usize::from(TRIES_MAX));
    }

    #[test]
    fn many_calls_are_asked_for_a_few_at_a_time() {
        let mut scene = Scene::new();
        scene.calls = (0..100).map(|number| call(number, "two", 7)).collect();
        scene.goes("two").pass(4_000);
        assert_eq!(scene.redirects(), REDIRECTS_AT_ONCE_MAX);
        let mut answered = 0;
        while answered < scene.redirects() {
            let asked: Vec<usize> = (0..100)
                .filter(|number| {
                    let call_sid = sid(*number);
                    scene.actions.iter().any(
                        |action| matches!(action, Action::Redirect { call_sid: asked, .. } if *asked == call_sid),
                    )
                })
                .collect();
            scene.answers(asked[answered], 7, Answer::Redirected);
            answered += 1;
        }
        assert_eq!(scene.counted(Result::Redirected), 100);
    }

    #[test]
    fn calls_of_an_instance_that_nobody_knows_are_seen_to() {
        let mut scene = Scene::new();
        scene.calls = vec![call(1, "removed", 7)];
        scene.pass(15_000);
        assert_eq!(scene.redirects(), 1);
        scene.answers(1, 7, Answer::Refused).pass(RESUME_MS);
        assert_eq!((scene.ends().len(), scene.counted(Result::Failed)), (1, 1));
    }

    #[test]
    fn an_instance_that_comes_back_in_time_keeps_its_calls() {
        let mut scene = Scene::new();
        scene.calls = vec![call(1, "two", 7)];
        scene.goes("two").pass(1_500);
        scene.roll = Roll(vec![fellow("one", None), fellow("two", None)]);
        scene.pass(120_000);
        assert_eq!(scene.actions, []);
    }

    #[test]
    fn only_the_primary_watches() {
        let mut scene = Scene::new();
        scene.calls = vec![call(1, "two", 7)];
        scene.goes("two").pass(3_000);
        let mut actions = Vec::new();
        scene.watch.on(Event::Roll(None), scene.now, &mut actions);
        scene.watch.on(
            Event::Unfinished(Some(&scene.calls)),
            scene.now,
            &mut actions,
        );
        let answered = Event::Answered {
            call_sid: &sid(1),
            epoch: 7,
            answer: Answer::Over,
        };
        scene.watch.on(answered, scene.now, &mut actions);
        assert_eq!(actions, [Action::Count(Result::Over)], "it closes nothing");
    }
}
