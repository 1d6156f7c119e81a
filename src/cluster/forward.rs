//! The way of this instance's writes to the primary: into the own log where this is it, else to its
//! door, with one hint followed.

use super::client::{Addressee, Silence};
use super::exchange::Exchange;
use super::wire::{Desk, Forwarded, Taken};
use bytes::Bytes;
use calldex_storage::Position;
use calldex_storage::replication::{ProposeError, Proposer, Proposing};
use std::sync::Weak;
use std::time::Duration;

/// What the primary's answer may take while its connection stands: longer than the primary waits for
/// its log ([`super::gather::COMMIT_MAX`]), shorter than storage waits for the answer.
pub(super) const FORWARD_MAX: Duration = Duration::from_secs(25);
const _: () = assert!(
    super::gather::COMMIT_MAX.as_millis() < FORWARD_MAX.as_millis()
        && FORWARD_MAX.as_millis() < calldex_storage::PROPOSE_MS_MAX as u128
);
/// Doors that are tried for one batch: the primary's, and the one that it names instead.
const DOORS_MAX: usize = 2;

/// See the module. Storage keeps it, and the exchange keeps storage: only one of the two may hold
/// the other.
pub(super) struct Forwarder {
    pub(super) exchange: Weak<Exchange>,
}

impl Proposer for Forwarder {
    fn propose(&self, batch: Bytes, writes: usize) -> Proposing<'_> {
        Box::pin(async move {
            let exchange = self.exchange.upgrade().ok_or(ProposeError::NoPrimary)?;
            give(&exchange, batch, writes).await
        })
    }
}

async fn give(exchange: &Exchange, batch: Bytes, writes: usize) -> Result<Position, ProposeError> {
    if exchange.leading().is_some() {
        let taken = exchange.gatherer.put(batch, writes).await;
        return judged(taken);
    }
    let mut door = exchange.primary_door().ok_or(ProposeError::NoPrimary)?;
    let forwarded = Forwarded { batch };
    for _ in 0..DOORS_MAX {
        match ask(exchange, &door, &forwarded).await? {
            Taken::Elsewhere(Some(found)) if found.node_id != exchange.node_id => {
                door = Addressee::node(found.node_id, found.address);
            }
            taken => return judged(taken),
        }
    }
    Err(ProposeError::NoPrimary)
}

async fn ask(
    exchange: &Exchange,
    door: &Addressee,
    forwarded: &Forwarded,
) -> Result<Taken, ProposeError> {
    let client = &exchange.client;
    let asking = client.ask(door, Desk::Writes, forwarded, FORWARD_MAX);
    let answer = tokio::select! {
        answer = asking => answer,
        // It may be cut off, and the answer never come.
        () = exchange.another_primary_than(door.node_id) => Err(Silence::Lost),
    };
    answer.map_err(|silence| match silence {
        Silence::Unreachable | Silence::Stranger | Silence::NotReady | Silence::TurnedAway(_) => {
            ProposeError::NoPrimary
        }
        Silence::Lost | Silence::Malformed => ProposeError::TimedOut,
        Silence::TooLarge => ProposeError::Refused,
    })
}

/// What `taken` means to the writes.
fn judged(taken: Taken) -> Result<Position, ProposeError> {
    match taken {
        Taken::At(position) => Ok(position),
        Taken::Busy | Taken::Elsewhere(_) => Err(ProposeError::NoPrimary),
        Taken::TimedOut => Err(ProposeError::TimedOut),
        Taken::Refused => Err(ProposeError::Refused),
    }
}
