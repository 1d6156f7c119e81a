//! Who is gone, what Twilio says, and what becomes of the calls.

use super::*;

const WATCHDOG_MS: u64 = 2_000;
const RESUME_MS: u64 = 60_000;

struct WatchdogTest {
    watch: WatchdogMachine,
    now: EventTime,
    peers: PeerList,
    calls: Vec<UnfinishedCall>,
    actions: Vec<WatchdogAction>,
    /// How often calls were read.
    reads: usize,
}

fn sid(number: usize) -> CallSid {
    format!("CA{number:032}").into()
}

fn peer(instance: &str, gone_ms: Option<u64>) -> Peer {
    Peer {
        instance: instance.into(),
        slot: 0,
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
        last_activity_ms: 5_000,
        turns: 1,
    }
}

impl WatchdogTest {
    fn new() -> Self {
        Self {
            watch: WatchdogMachine::new(WATCHDOG_MS, RESUME_MS, true),
            now: EventTime {
                ms: 100_000,
                unix_ms: 0,
            },
            peers: PeerList(vec![peer("one", None), peer("two", None)]),
            calls: Vec::new(),
            actions: Vec::new(),
            reads: 0,
        }
    }

    fn without_credentials() -> Self {
        Self {
            watch: WatchdogMachine::new(WATCHDOG_MS, RESUME_MS, false),
            ..Self::new()
        }
    }

    /// Time passes; whoever is gone stays away, and calls are read when they are wanted.
    fn pass(&mut self, ms: u64) -> &mut Self {
        let end = self.now.ms + ms;
        while self.now.ms < end {
            let step = 250.min(end - self.now.ms);
            self.now.ms += step;
            for peer in &mut self.peers.0 {
                peer.gone_ms = peer.gone_ms.map(|gone_ms| gone_ms + step);
            }
            let mut actions = Vec::new();
            self.watch.on(
                WatchdogEvent::Peers(Some(&self.peers)),
                self.now,
                &mut actions,
            );
            if actions.contains(&WatchdogAction::ReadUnfinished) {
                self.reads += 1;
                actions.retain(|action| *action != WatchdogAction::ReadUnfinished);
                let calls = Some(&self.calls[..]);
                self.watch
                    .on(WatchdogEvent::Unfinished(calls), self.now, &mut actions);
            }
            self.actions.extend(actions);
        }
        self
    }

    fn goes(&mut self, instance: &str) -> &mut Self {
        let peer = self
            .peers
            .0
            .iter_mut()
            .find(|peer| peer.instance == instance);
        peer.unwrap().gone_ms = Some(0);
        self
    }

    fn answers(&mut self, number: usize, epoch: u32, answer: RedirectResponse) -> &mut Self {
        let event = WatchdogEvent::RedirectAnswered {
            call_sid: &sid(number),
            epoch,
            response: answer,
        };
        self.watch.on(event, self.now, &mut self.actions);
        self
    }

    fn redirects(&self) -> usize {
        let redirect = |action: &&WatchdogAction| matches!(action, WatchdogAction::Redirect { .. });
        self.actions.iter().filter(redirect).count()
    }

    fn ends(&self) -> Vec<&CallEnded> {
        let ends = self.actions.iter().filter_map(|action| match action {
            WatchdogAction::Close(end) => Some(end),
            _ => None,
        });
        ends.collect()
    }

    fn counted(&self, result: RedirectOutcome) -> usize {
        let is_it = |action: &&WatchdogAction| **action == WatchdogAction::Count(result);
        self.actions.iter().filter(is_it).count()
    }
}

#[test]
fn one_that_is_gone_for_ever_and_has_no_calls_costs_a_reading_now_and_then() {
    let mut scene = WatchdogTest::new();
    scene.pass(1_000).goes("two").pass(10_000);
    let while_fresh = scene.reads;
    assert!((15..=25).contains(&while_fresh), "{while_fresh}");
    scene.pass(3_600_000);
    let in_an_hour = scene.reads - while_fresh;
    assert!(in_an_hour <= 361, "{in_an_hour}, not 7,200");
    // A call of its that comes late is seen all the same.
    scene.calls.push(call(1, "two", 1));
    scene.pass(10_000);
    assert_eq!(scene.ends().len(), 1);
    scene.calls.clear();
    scene.pass(20_000);
    let before = scene.reads;
    scene.goes("one").pass(10_000);
    assert!(scene.reads - before >= 15, "another one is gone");
}

#[test]
fn who_takes_a_lost_one_s_place_has_its_name_and_not_its_calls() {
    let mut scene = WatchdogTest::new();
    let of_slot = |slot, gone_ms| Peer {
        slot,
        ..peer("two", gone_ms)
    };
    scene.peers = PeerList(vec![of_slot(7, None), of_slot(8, Some(0))]);
    scene.calls = vec![call(1, "two", 0x1_0007), call(2, "two", 0x1_0008)];
    scene.pass(3_000);
    let lost = WatchdogAction::Redirect {
        call_sid: sid(2),
        epoch: 0x1_0008,
    };
    assert_eq!(scene.redirects(), 1);
    assert!(scene.actions.contains(&lost));
    scene.answers(2, 0x1_0008, RedirectResponse::Redirected);
    // The lost one is no member any more.
    scene.peers.0.truncate(1);
    scene.pass(RESUME_MS);
    assert_eq!(scene.ends().len(), 1, "and its call is closed");
}

#[test]
fn a_call_on_its_way_from_one_instance_to_another_is_left_in_peace_for_a_while() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "", 0x1_0001)];
    scene.pass(WATCHDOG_MS + RELOCATION_WAIT_MS - 1_000);
    assert_eq!(scene.redirects(), 0, "its next socket may only be opening");
    scene.pass(2_000);
    assert_eq!(scene.redirects(), 1, "nobody came for it");
}

#[test]
fn a_call_is_redirected_once_after_its_owner_has_been_gone_for_two_seconds() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "two", 7), call(2, "one", 7)];
    scene.pass(20_000);
    assert_eq!(scene.actions, [], "everybody is there");
    scene.goes("two").pass(WATCHDOG_MS - 250);
    assert_eq!(scene.redirects(), 0, "Twilio itself may still notice");
    scene.pass(500);
    let redirect = WatchdogAction::Redirect {
        call_sid: sid(1),
        epoch: 7,
    };
    assert_eq!(scene.actions, [redirect]);
    scene
        .answers(1, 7, RedirectResponse::Redirected)
        .pass(10_000);
    assert_eq!(
        (
            scene.redirects(),
            scene.counted(RedirectOutcome::Redirected)
        ),
        (1, 1)
    );
}

#[test]
fn a_call_that_somebody_took_up_is_left_alone() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "two", 7)];
    scene.goes("two").pass(1_000);
    scene.calls = vec![call(1, "one", 8)];
    scene.pass(120_000);
    assert_eq!(scene.actions, []);
}

#[test]
fn a_call_that_loses_its_next_owner_too_is_redirected_again() {
    let mut scene = WatchdogTest::new();
    scene.peers.0.push(peer("three", None));
    scene.calls = vec![call(1, "two", 7)];
    scene.goes("two").pass(3_000);
    scene.answers(1, 7, RedirectResponse::Redirected);
    scene.calls = vec![call(1, "three", 8)];
    scene.goes("three").pass(3_000);
    assert_eq!(scene.redirects(), 2);
}

#[test]
fn what_nobody_takes_up_is_closed_with_its_true_end() {
    for mut scene in [WatchdogTest::new(), WatchdogTest::without_credentials()] {
        scene.calls = vec![call(1, "two", 7)];
        scene.goes("two").pass(5_000);
        if scene.redirects() > 0 {
            scene.answers(1, 7, RedirectResponse::Redirected);
        } else {
            assert_eq!(scene.counted(RedirectOutcome::CannotRedirect), 1);
        }
        scene.pass(RESUME_MS);
        let ends = scene.ends();
        assert_eq!(ends.len(), 1, "{:?}", scene.actions);
        let end = (ends[0].epoch, ends[0].at_ms, ends[0].outcome);
        assert_eq!(end, (Some(7), 5_000, CallOutcome::Abandoned));
    }
}

#[test]
fn a_call_that_is_over_at_twilio_is_closed_at_once() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "two", 7)];
    scene
        .goes("two")
        .pass(3_000)
        .answers(1, 7, RedirectResponse::CallOver);
    let ends = scene.ends();
    assert_eq!((ends.len(), ends[0].epoch), (1, None));
    scene.pass(120_000);
    assert_eq!((scene.ends().len(), scene.redirects()), (1, 1));
}

#[test]
fn a_busy_twilio_is_asked_again_later_and_not_for_ever() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "two", 7)];
    scene.goes("two").pass(3_000);
    for tries in 1..=usize::from(TRIES_MAX) {
        assert_eq!(scene.redirects(), tries);
        scene.answers(1, 7, RedirectResponse::RetryLater);
        assert_eq!(scene.redirects(), tries, "not at once");
        scene.pass(10_000);
    }
    assert_eq!(scene.counted(RedirectOutcome::Failed), 1);
    scene.pass(10_000);
    assert_eq!(scene.redirects(), usize::from(TRIES_MAX));
}

#[test]
fn many_calls_are_asked_for_a_few_at_a_time() {
    let mut scene = WatchdogTest::new();
    scene.calls = (0..100).map(|number| call(number, "two", 7)).collect();
    scene.goes("two").pass(4_000);
    assert_eq!(scene.redirects(), REDIRECTS_AT_ONCE_MAX);
    let mut answered = 0;
    while answered < scene.redirects() {
        let asked: Vec<usize> = (0..100)
            .filter(|number| {
                let call_sid = sid(*number);
                scene.actions.iter().any(
                    |action| matches!(action, WatchdogAction::Redirect { call_sid: asked, .. } if *asked == call_sid),
                )
            })
            .collect();
        scene.answers(asked[answered], 7, RedirectResponse::Redirected);
        answered += 1;
    }
    assert_eq!(scene.counted(RedirectOutcome::Redirected), 100);
}

#[test]
fn calls_of_an_instance_that_nobody_knows_are_seen_to() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "removed", 7)];
    scene.pass(15_000);
    assert_eq!(scene.redirects(), 1);
    scene
        .answers(1, 7, RedirectResponse::Refused)
        .pass(RESUME_MS);
    assert_eq!(
        (scene.ends().len(), scene.counted(RedirectOutcome::Failed)),
        (1, 1)
    );
}

#[test]
fn an_instance_that_comes_back_in_time_keeps_its_calls() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "two", 7)];
    scene.goes("two").pass(1_500);
    scene.peers = PeerList(vec![peer("one", None), peer("two", None)]);
    scene.pass(120_000);
    assert_eq!(scene.actions, []);
}

#[test]
fn only_the_primary_watches() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "two", 7)];
    scene.goes("two").pass(3_000);
    let mut actions = Vec::new();
    scene
        .watch
        .on(WatchdogEvent::Peers(None), scene.now, &mut actions);
    scene.watch.on(
        WatchdogEvent::Unfinished(Some(&scene.calls)),
        scene.now,
        &mut actions,
    );
    let answered = WatchdogEvent::RedirectAnswered {
        call_sid: &sid(1),
        epoch: 7,
        response: RedirectResponse::CallOver,
    };
    scene.watch.on(answered, scene.now, &mut actions);
    assert_eq!(
        actions,
        [WatchdogAction::Count(RedirectOutcome::CallOver)],
        "it closes nothing"
    );
}

#[test]
fn whoever_is_elected_waits_for_claims_that_were_made_without_a_primary() {
    let mut scene = WatchdogTest::new();
    scene.goes("two");
    scene.peers.0[1].gone_ms = Some(WATCHDOG_MS * 2);
    scene.calls = vec![call(1, "two", 3)];
    scene.pass(ELECTION_GRACE_MS);
    assert_eq!(scene.actions, []);
    // Another has taken it up meanwhile, and its claim lay in an outbox.
    let mut taken_up = WatchdogTest::new();
    taken_up.goes("two");
    taken_up.peers.0[1].gone_ms = Some(WATCHDOG_MS * 2);
    taken_up.calls = vec![call(1, "two", 3)];
    taken_up.pass(ELECTION_GRACE_MS / 2);
    taken_up.calls = vec![call(1, "one", 4)];
    taken_up.pass(ELECTION_GRACE_MS * 4);
    assert_eq!(taken_up.actions, []);
    scene.pass(250);
    let redirect = WatchdogAction::Redirect {
        call_sid: sid(1),
        epoch: 3,
    };
    assert_eq!(scene.actions, [redirect]);
}

#[test]
fn a_call_that_was_taken_up_before_twilio_was_asked_is_left_alone() {
    let mut scene = WatchdogTest::new();
    scene.calls = vec![call(1, "two", 3)];
    scene.pass(250).goes("two").pass(WATCHDOG_MS);
    assert_eq!(scene.actions.len(), 1, "{:?}", scene.actions);
    scene.actions.clear();
    scene
        .answers(1, 3, RedirectResponse::NotSent)
        .pass(WATCHDOG_MS);
    assert_eq!(scene.actions, []);
}
