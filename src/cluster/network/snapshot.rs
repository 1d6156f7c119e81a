//! The whole database on its way to a member: first it is asked whether it can take it, then the copy is
//! made, then it goes piece by piece, never whole in memory.

use super::holdoff::Holdoffs;
use crate::cluster::client::{Addressee, Client, Silence};
use crate::cluster::wire::{Desk, Offer, Offered, pack};
use bytes::Bytes;
use calldex_observability::catalog;
use calldex_storage::replication::{Member, NodeId, Replica, SnapshotFile};
use futures_util::stream;
use openraft::raft::SnapshotResponse;
use openraft::{SnapshotMeta, Vote};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One piece.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that were read and not sent yet.
const PIECES_AHEAD: usize = 4;
/// The longest that sending and installing may take: 100 GiB at 60 MB/s.
const SENDING_MAX: Duration = Duration::from_secs(30 * 60);

/// What the answer to an offer may take.
const OFFER_MAX: Duration = Duration::from_secs(5);

/// Says what follows: first in the body, behind its own length in four bytes (big end first).
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::cluster) struct Label {
    pub(in crate::cluster) vote: Vote<NodeId>,
    pub(in crate::cluster) meta: SnapshotMeta<NodeId, Member>,
    /// Bytes of the database.
    pub(in crate::cluster) bytes: u64,
}

/// Longest label.
pub(in crate::cluster) const LABEL_BYTES_MAX: usize = 64 * 1024;

/// Asks the member `to` whether it can take the whole database; if so, makes a snapshot of `replica`'s
/// present state, sends it and waits until it is installed there. What fails is noted in `holdoffs`.
pub(super) async fn send(
    client: &Client,
    (node_id, whom): (NodeId, &Addressee),
    vote: Vote<NodeId>,
    replica: &Arc<Replica>,
    holdoffs: &Holdoffs,
) -> Result<SnapshotResponse<NodeId>, Silence> {
    if let Err(Refusal { why, after }) = offer(client, whom, replica).await? {
        catalog::SNAPSHOTS_TOTAL
            .with("sent", "refused")
            .increment(1);
        if holdoffs.refused(node_id, &why, after, Instant::now()) {
            tracing::warn!(to = %whom.address, why, "the whole database cannot be handed over now: it is tried again, and no copy is made meanwhile");
        }
        return Err(Silence::NotReady);
    }
    tracing::info!(to = %whom.address, "the whole database is handed over");
    let sent = deliver(client, whom, vote, replica).await;
    let result = if sent.is_ok() { "ok" } else { "failed" };
    catalog::SNAPSHOTS_TOTAL.with("sent", result).increment(1);
    match &sent {
        Ok(_) => holdoffs.clear(node_id),
        Err(silence) => {
            holdoffs.failed(node_id, &silence.to_string(), Instant::now());
            tracing::warn!(to = %whom.address, %silence, "a snapshot could not be handed over");
        }
    }
    sent
}

/// Why no copy is made.
struct Refusal {
    why: String,
    /// What the member asks for before the next offer.
    after: Duration,
}

/// Whether there is room for the copy here, and for all that installing it takes there.
async fn offer(
    client: &Client,
    whom: &Addressee,
    replica: &Arc<Replica>,
) -> Result<Result<(), Refusal>, Silence> {
    let replica = Arc::clone(replica);
    let room = tokio::task::spawn_blocking(move || replica.room_for_copy()).await;
    let room = room.map_err(|_| Silence::NotReady)?;
    let (bytes, level) = match room {
        Ok(room) => room,
        Err(error) => {
            let why = format!("on this instance: {error}");
            let after = Duration::ZERO;
            return Ok(Err(Refusal { why, after }));
        }
    };
    let offer = Offer { bytes, level };
    let answer = client
        .ask(whom, Desk::SnapshotOffer, &offer, OFFER_MAX)
        .await?;
    Ok(match answer {
        Offered::GoOn => Ok(()),
        Offered::Later { why, after_ms } => Err(Refusal {
            why,
            after: Duration::from_millis(after_ms),
        }),
    })
}

async fn deliver(
    client: &Client,
    whom: &Addressee,
    vote: Vote<NodeId>,
    replica: &Arc<Replica>,
) -> Result<SnapshotResponse<NodeId>, Silence> {
    // It takes as long as the database is large.
    let replica = Arc::clone(replica);
    let made = tokio::task::spawn_blocking(move || replica.snapshot_file()).await;
    let (meta, file) = match made {
        Ok(Ok(made)) => made,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a snapshot could not be made");
            return Err(Silence::NotReady);
        }
        Err(_) => return Err(Silence::NotReady),
    };
    let (pieces, mut read) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    // Read by a thread that may wait for a disk; it ends when nobody takes its pieces.
    tokio::task::spawn_blocking(move || {
        let put = |piece| pieces.blocking_send(piece).is_ok();
        if let Err(error) = read_out(&file, vote, meta, put) {
            tracing::warn!(%error, "a snapshot could not be read");
            // The body ends with an error, so that half a database is not taken for a whole one.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let body = stream::poll_fn(move |context| read.poll_recv(context));
    let body = reqwest::Body::wrap_stream(body);
    client.send(whom, Desk::Snapshot, body, SENDING_MAX).await
}

fn read_out(
    file: &SnapshotFile,
    vote: Vote<NodeId>,
    meta: SnapshotMeta<NodeId, Member>,
    put: impl Fn(io::Result<Bytes>) -> bool,
) -> io::Result<()> {
    let mut opened = File::open(file.path())?;
    let bytes = opened.metadata()?.len();
    let label = pack(&Label { vote, meta, bytes });
    let length = u32::try_from(label.len()).map_err(io::Error::other)?;
    let mut head = length.to_be_bytes().to_vec();
    head.extend_from_slice(&label);
    let mut goes_on = put(Ok(head.into()));
    while goes_on {
        let mut piece = vec![0; PIECE_BYTES];
        let read = opened.read(&mut piece)?;
        if read == 0 {
            break;
        }
        piece.truncate(read);
        goes_on = put(Ok(piece.into()));
    }
    Ok(())
}
