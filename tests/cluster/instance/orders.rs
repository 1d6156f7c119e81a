//! Answers to the test's questions.

use super::house::House;
use super::names::name_of;
use super::now_us;
use crate::events::{Deed, Event, Order};
use crate::exchange::PATIENCE;
use calldex_observability::recorder;
use calldex_storage::Existing;
use std::path::PathBuf;
use std::time::Duration;

/// How long a position is waited for.
const POSITION_MAX: Duration = PATIENCE;

/// The answer to `order`, which is a question.
pub async fn answer(house: &House, order: Order) -> Event {
    match order {
        Order::Standing { asked } => {
            let standing = serde_json::to_value(house.cluster.standing());
            let standing = standing.expect("a standing is JSON");
            Event::Standing { asked, standing }
        }
        Order::Look {
            asked,
            position,
            deed,
        } => look(house, asked, position, deed).await,
        Order::Tell { asked, position } => {
            let reached = house.storage.wait_applied(position, PATIENCE).await;
            house.tell_of_claims().await;
            Event::Told { asked, reached }
        }
        Order::Figure { asked, series } => {
            let value = recorder::install().value(&series);
            Event::Figure { asked, value }
        }
        Order::Backup { asked, file } => {
            let copied = house
                .storage
                .backup(PathBuf::from(file), Existing::Replace)
                .await;
            let failure = copied.err().map(|error| error.to_string());
            Event::BackedUp { asked, failure }
        }
        other => unreachable!("no question: {other:?}"),
    }
}

async fn look(house: &House, asked: u64, position: Option<u64>, deed: Deed) -> Event {
    let asked_us = now_us();
    let reached = match position {
        Some(position) => house.storage.wait_applied(position, POSITION_MAX).await,
        None => house.cluster.catch_up(POSITION_MAX).await,
    };
    let waited_us = position.map(|_| now_us() - asked_us);
    let found = find(house, &deed).await;
    Event::Looked {
        asked,
        reached: reached && found.is_some(),
        found: found == Some(true),
        waited_us,
        deed,
    }
}

/// Whether it is there; nothing if it could not be asked.
async fn find(house: &House, deed: &Deed) -> Option<bool> {
    match deed {
        Deed::Began { call, .. } => {
            let read = house.storage.conversations.read(call).await.ok()?;
            Some(read.is_some_and(|call| call.conversation.caller_kind.is_some()))
        }
        Deed::Turn {
            call,
            epoch,
            seq,
            revision,
        } => {
            let read = house.storage.conversations.read(call).await.ok()?;
            let turns = read.map_or(Vec::new(), |read| read.turns);
            let mut turns = turns.iter();
            Some(
                turns.any(|turn| {
                    (turn.epoch, turn.seq) == (*epoch, *seq) && turn.revision >= *revision
                }),
            )
        }
        Deed::Ended { call } => {
            let read = house.storage.conversations.read(call).await.ok()?;
            Some(read.is_some_and(|call| !call.is_live()))
        }
        Deed::Named { number, mark } => name_of(house, number).await.map(|seen| seen >= *mark),
        Deed::Claimed { call, epoch, .. } => {
            let read = house.storage.conversations.read(call).await.ok()?;
            Some(read.is_some_and(|call| call.conversation.epoch >= *epoch))
        }
    }
}
