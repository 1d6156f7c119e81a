//! Names: every instance decides the names of the same few numbers, and asks for them.

use super::calls::clock_ms;
use super::runtime::InstanceRuntime;
use super::submitter::Submitter;
use super::{WorkloadPace, print_event};
use crate::events::{InstanceEvent, InstanceSetup, NameOrder, SubmittedWrite};
use crate::generated_text;
use crate::random::SeededRandom;
use calldex_storage::LookupResult;
use calldex_storage::record::PhoneNumber;
use calldex_storage::write::{DecisionStamp, StampedName, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Instances whose steps are kept apart.
const NODES_MAX: u64 = 8;
/// What a look-up may take.
const LOOKUP_MAX: Duration = Duration::from_millis(300);

/// Starts whoever asks and decides.
pub fn begin(
    birth: &InstanceSetup,
    runtime: &Arc<InstanceRuntime>,
    submitter: &Submitter,
    pace: &Arc<WorkloadPace>,
) {
    let (runtime, pace) = (Arc::downgrade(runtime), Arc::clone(pace));
    let (submitter, birth) = (submitter.another(), birth.clone());
    tokio::spawn(async move {
        let mut random = SeededRandom::from_seed(birth.life * 16 + 9);
        for count in 0.. {
            tokio::time::sleep(Duration::from_millis(random.within(5, 35))).await;
            let Some(runtime) = runtime.upgrade() else {
                return;
            };
            if !pace.names.load(Ordering::SeqCst) {
                continue;
            }
            let number = generated_text::named(random.next() >> 8);
            if random.chance(25) && submitter.has_room() {
                decide(&birth, &submitter, &number, count, random.chance(50));
            }
            if let Some(mark) = name_of(&runtime, &number).await {
                print_event(&InstanceEvent::NameSeen { number, mark });
            }
        }
    });
}

fn decide(birth: &InstanceSetup, submitter: &Submitter, number: &str, count: u64, corrects: bool) {
    let mark = NameOrder {
        at_ms: clock_ms(),
        step: u32::try_from(count * NODES_MAX + birth.node % NODES_MAX).unwrap_or(u32::MAX),
    };
    let given = StampedName {
        number: PhoneNumber::parse(number).expect("a number of the harness"),
        name: generated_text::of_name(mark).into(),
        stamp: DecisionStamp {
            call_sid: format!("CN{:05}{count:06}", birth.life).into(),
            step: mark.step,
            at_ms: mark.at_ms,
        },
    };
    let number = number.to_owned();
    let write = match corrects {
        true => Write::NameCorrected(given),
        false => Write::NameConfirmed(given),
    };
    submitter.submit(SubmittedWrite::Named { number, mark }, write);
}

/// The decision behind the name that `number` has here.
pub async fn name_of(runtime: &InstanceRuntime, number: &str) -> Option<NameOrder> {
    let number = PhoneNumber::parse(number)?;
    match runtime.storage.callers.look_up(&number, LOOKUP_MAX).await {
        LookupResult::Known(caller) => generated_text::mark_of_name(caller.name.as_deref()?),
        LookupResult::Unknown | LookupResult::TimedOut => None,
    }
}
