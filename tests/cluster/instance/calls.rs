//! Calls: each begins, has turns, some of them amended, and mostly ends. No two tellers share one.

use super::submitter::Submitter;
use super::{WorkloadPace, now_us};
use crate::events::{InstanceSetup, SubmittedWrite};
use crate::generated_text;
use crate::random::SeededRandom;
use calldex_storage::record::{CallOutcome, CallerKind, PhoneNumber, Turn, TurnRole};
use calldex_storage::write::{CallEnded, CallStarted, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Threads that talk.
const CALL_WRITERS: u64 = 2;
/// What is looked at when nothing is to be said.
const IDLE: Duration = Duration::from_millis(3);
/// A teller that was held up makes up for this much.
const MADE_UP_US_MAX: u64 = 100_000;

/// Unix milliseconds of this instance, whose clock may be wrong.
pub fn clock_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

/// Starts the tellers.
pub fn begin(birth: &InstanceSetup, submitter: &Submitter, pace: &Arc<WorkloadPace>) {
    for teller in 0..CALL_WRITERS {
        let mut teller = CallWriter {
            life: birth.life,
            teller,
            instance: birth.instance(),
            random: SeededRandom::from_seed(birth.life * 16 + teller),
            submitter: submitter.another(),
            calls: 0,
            call: None,
        };
        let pace = Arc::clone(pace);
        std::thread::spawn(move || teller.talk(&pace));
    }
}

struct GeneratedCall {
    call_sid: String,
    next_seq: u32,
    turns: u32,
    is_amended: bool,
}

struct CallWriter {
    life: u64,
    teller: u64,
    instance: String,
    random: SeededRandom,
    submitter: Submitter,
    calls: u64,
    call: Option<GeneratedCall>,
}

impl CallWriter {
    fn talk(&mut self, pace: &WorkloadPace) {
        let mut due_us = now_us();
        loop {
            let writes_per_s = pace.writes_per_s.load(Ordering::SeqCst);
            if writes_per_s == 0 || !self.submitter.has_room() {
                std::thread::sleep(IDLE);
                due_us = now_us();
                continue;
            }
            self.say_next(pace.long_winded.load(Ordering::SeqCst));
            due_us = (due_us + CALL_WRITERS * 1_000_000 / writes_per_s)
                .max(now_us().saturating_sub(MADE_UP_US_MAX));
            let wait_us = due_us.saturating_sub(now_us());
            std::thread::sleep(Duration::from_micros(wait_us));
        }
    }

    fn say_next(&mut self, long_winded: bool) {
        match self.call.take() {
            None => self.begin_call(long_winded),
            Some(call) if call.next_seq < call.turns => self.turn(call),
            Some(call) => self.leave(call),
        }
    }

    fn begin_call(&mut self, long_winded: bool) {
        let call_sid = generated_text::call_sid(self.life, self.teller, self.calls, long_winded);
        self.calls += 1;
        let is_known = self.random.chance(50);
        let number = is_known.then(|| generated_text::caller(self.random.next() >> 8));
        let started = CallStarted {
            call_sid: call_sid.as_str().into(),
            number: number.as_deref().and_then(PhoneNumber::parse),
            line: "+14155550999".into(),
            caller_kind: match is_known {
                true => CallerKind::Number,
                false => CallerKind::Withheld,
            },
            identity: None,
            language: None,
            at_ms: clock_ms(),
            instance: self.instance.as_str().into(),
        };
        let call = call_sid.clone();
        self.submitter.submit(
            SubmittedWrite::Began { call, number },
            Write::CallStarted(started),
        );
        self.call = Some(GeneratedCall {
            call_sid,
            next_seq: 0,
            turns: self.random.within(3, 14) as u32,
            is_amended: false,
        });
    }

    /// The next turn, or an amendment of the last one.
    fn turn(&mut self, mut call: GeneratedCall) {
        let amends = call.next_seq > 0 && !call.is_amended && self.random.chance(20);
        let seq = call.next_seq - u32::from(amends);
        let revision = u32::from(amends);
        let (deed, turn) = turn_of(&call.call_sid, 0, seq, revision);
        let call_sid = call.call_sid.as_str().into();
        let write = match amends {
            true => Write::TurnAmended { call_sid, turn },
            false => Write::TurnAppended { call_sid, turn },
        };
        self.submitter.submit(deed, write);
        call.is_amended = amends;
        call.next_seq += u32::from(!amends);
        self.call = Some(call);
    }

    /// Most calls end; the others are left open, so that their turns stay where they can be seen.
    fn leave(&mut self, call: GeneratedCall) {
        if !self.random.chance(60) {
            return self.begin_call(call.call_sid.starts_with("CF"));
        }
        let ended = CallEnded {
            call_sid: call.call_sid.as_str().into(),
            epoch: Some(0),
            at_ms: clock_ms(),
            outcome: CallOutcome::HungUp,
        };
        let call = call.call_sid;
        self.submitter
            .submit(SubmittedWrite::Ended { call }, Write::CallEnded(ended));
    }
}

/// A turn whose words follow from its place.
pub fn turn_of(call: &str, epoch: u32, seq: u32, revision: u32) -> (SubmittedWrite, Turn) {
    let role = match seq % 2 {
        0 => TurnRole::Agent,
        _ => TurnRole::Caller,
    };
    let content = generated_text::of_turn(call, epoch, seq, revision);
    let turn = Turn {
        revision,
        ..Turn::new(role, content, clock_ms(), epoch, seq)
    };
    let deed = SubmittedWrite::Turn {
        call: call.to_owned(),
        epoch,
        seq,
        revision,
    };
    (deed, turn)
}
