//! The desks: a question unpacked, asked of whoever knows, the answer packed.

use super::{Turned, engine, intake};
use crate::cluster::exchange::Exchange;
use crate::cluster::wire::{
    Application, CallAsked, Desk, Dismissal, Forwarded, Greeting, Taken, pack, unpack,
};
use crate::cluster::{hello, membership, reading, standing, upgrade};
use calldex_storage::replication::NodeId;
use calldex_storage::write::{DecodeError, decode, is_written_at};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The answer to `question`, asked at `desk` by node `from` (0: a stranger).
pub(super) async fn answer(
    exchange: &Arc<Exchange>,
    desk: Desk,
    from: NodeId,
    question: &[u8],
) -> Result<Vec<u8>, Turned> {
    Ok(match desk {
        Desk::Append => return engine::append(exchange, question).await,
        Desk::Vote => return engine::vote(exchange, question).await,
        // Streamed, and answered before.
        Desk::Snapshot => return Err(Turned::malformed()),
        Desk::Writes => pack(&writes(exchange, unpacked(question)?).await),
        Desk::Hello => {
            let greeting: Greeting = unpacked(question)?;
            if greeting.hello.node_id != from {
                return Err(Turned::malformed());
            }
            pack(&hello::receive(exchange, greeting).await)
        }
        Desk::Join => {
            let application: Application = unpacked(question)?;
            pack(&membership::admit(exchange, application).await)
        }
        Desk::Remove => {
            let dismissal: Dismissal = unpacked(question)?;
            pack(&membership::dismiss(exchange, &dismissal).await)
        }
        Desk::Standing => pack(&standing::of(exchange)),
        Desk::Position => pack(&reading::reached(exchange).await),
        Desk::Call => {
            let asked: CallAsked = unpacked(question)?;
            pack(&reading::call(exchange, &asked.call_sid).await)
        }
        Desk::Ping => pack(&hello::pong(exchange, from)),
        Desk::FinishUpgrade => pack(&upgrade::finish(exchange).await),
        Desk::SnapshotOffer => return intake::consider(exchange, unpacked(question)?).await,
    })
}

fn unpacked<M: DeserializeOwned>(question: &[u8]) -> Result<M, Turned> {
    unpack(question).map_err(|_| Turned::malformed())
}

/// Only what every member can read goes into the log.
async fn writes(exchange: &Exchange, forwarded: Forwarded) -> Taken {
    match decode(&forwarded.batch) {
        // Its maker has applied what raises the level, and this instance has not yet.
        Ok(writes) if !is_written_at(exchange.storage.level(), &writes) => Taken::Busy,
        Ok(writes) => exchange.gatherer.put(forwarded.batch, writes.len()).await,
        // Its maker is of a later version: this primary may be, too, after its upgrade.
        Err(DecodeError::Newer(_) | DecodeError::Unknown(_)) => Taken::Busy,
        Err(DecodeError::Damaged) => Taken::Refused,
    }
}
