//! Names: every instance decides the names of the same few numbers, and asks for them.

use super::calls::clock_ms;
use super::house::House;
use super::submitter::Submitter;
use super::{Pace, say};
use crate::events::{Birth, Deed, Event, Mark};
use crate::random::Random;
use crate::words;
use calldex_storage::Recall;
use calldex_storage::record::PhoneNumber;
use calldex_storage::write::{NameGiven, Stamp, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Instances whose steps are kept apart.
const NODES_MAX: u64 = 8;
/// What a look-up may take.
const LOOKUP_MAX: Duration = Duration::from_millis(300);

/// Starts whoever asks and decides.
pub fn begin(birth: &Birth, house: &Arc<House>, submitter: &Submitter, pace: &Arc<Pace>) {
    let (house, pace) = (Arc::downgrade(house), Arc::clone(pace));
    let (submitter, birth) = (submitter.another(), birth.clone());
    tokio::spawn(async move {
        let mut random = Random::from_seed(birth.life * 16 + 9);
        for count in 0.. {
            tokio::time::sleep(Duration::from_millis(random.within(5, 35))).await;
            let Some(house) = house.upgrade() else { return };
            if !pace.names.load(Ordering::SeqCst) {
                continue;
            }
            let number = words::named(random.next() >> 8);
            if random.chance(25) && submitter.has_room() {
                decide(&birth, &submitter, &number, count, random.chance(50));
            }
            if let Some(mark) = name_of(&house, &number).await {
                say(&Event::NameSeen { number, mark });
            }
        }
    });
}

fn decide(birth: &Birth, submitter: &Submitter, number: &str, count: u64, corrects: bool) {
    let mark = Mark {
        at_ms: clock_ms(),
        step: u32::try_from(count * NODES_MAX + birth.node % NODES_MAX).unwrap_or(u32::MAX),
    };
    let given = NameGiven {
        number: PhoneNumber::parse(number).expect("a number of the harness"),
        name: words::of_name(mark).into(),
        stamp: Stamp {
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
    submitter.submit(Deed::Named { number, mark }, write);
}

/// The decision behind the name that `number` has here.
pub async fn name_of(house: &House, number: &str) -> Option<Mark> {
    let number = PhoneNumber::parse(number)?;
    match house.storage.directory.recall(&number, LOOKUP_MAX).await {
        Recall::Known(caller) => words::mark_of_name(caller.name.as_deref()?),
        Recall::Unknown | Recall::TimedOut => None,
    }
}
