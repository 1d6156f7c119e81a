//! The whole database on its way to a member: first it is asked whether it can take it, then the copy is
//! made, then it goes piece by piece, never whole in memory.

use crate::cluster::client::{ClusterClient, RpcError, RpcTarget};
use crate::cluster::snapshot_backoff::SnapshotBackoffs;
use crate::cluster::wire::{Endpoint, SnapshotOffer, SnapshotOfferResponse, pack};
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
const CHUNK_BYTES: usize = 256 * 1024;
/// Pieces that were read and not sent yet.
const CHUNKS_BUFFERED_MAX: usize = 4;
/// The longest that sending and installing may take: 100 GiB at 60 MB/s.
const SENDING_MAX: Duration = Duration::from_secs(30 * 60);

/// What the answer to an offer may take.
const OFFER_MAX: Duration = Duration::from_secs(5);

/// Says what follows: first in the body, behind its own length in four bytes (big end first).
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::cluster) struct SnapshotHeader {
    pub(in crate::cluster) vote: Vote<NodeId>,
    pub(in crate::cluster) meta: SnapshotMeta<NodeId, Member>,
    /// Bytes of the database.
    pub(in crate::cluster) bytes: u64,
}

/// Longest label.
pub(in crate::cluster) const SNAPSHOT_HEADER_BYTES_MAX: usize = 64 * 1024;

/// Asks the member `to` whether it can take the whole database; if so, makes a snapshot of `replica`'s
/// present state, sends it and waits until it is installed there. What fails is noted in `holdoffs`.
pub(super) async fn offer_and_send(
    client: &ClusterClient,
    (node_id, rpc_target): (NodeId, &RpcTarget),
    vote: Vote<NodeId>,
    replica: &Arc<Replica>,
    snapshot_backoffs: &SnapshotBackoffs,
) -> Result<SnapshotResponse<NodeId>, RpcError> {
    if let Err(OfferRefusal { why, after }) = offer(client, rpc_target, replica).await? {
        catalog::SNAPSHOTS_TOTAL
            .with("sent", "refused")
            .increment(1);
        if snapshot_backoffs.record_refusal(node_id, &why, after, Instant::now()) {
            tracing::warn!(to = %rpc_target.address, reason = why, "the whole database cannot be handed over now: it is tried again, and no copy is made meanwhile");
        }
        return Err(RpcError::NotReady);
    }
    tracing::info!(to = %rpc_target.address, "the whole database is handed over");
    let sent = send_copy(client, rpc_target, vote, replica).await;
    let result = if sent.is_ok() { "ok" } else { "failed" };
    catalog::SNAPSHOTS_TOTAL.with("sent", result).increment(1);
    match &sent {
        Ok(_) => snapshot_backoffs.clear(node_id),
        Err(error) => {
            snapshot_backoffs.record_failure(node_id, &error.to_string(), Instant::now());
            tracing::warn!(to = %rpc_target.address, %error, "a snapshot could not be handed over");
        }
    }
    sent
}

/// Why no copy is made.
struct OfferRefusal {
    why: String,
    /// What the member asks for before the next offer.
    after: Duration,
}

/// Whether there is room for the copy here, and for all that installing it takes there.
async fn offer(
    client: &ClusterClient,
    rpc_target: &RpcTarget,
    replica: &Arc<Replica>,
) -> Result<Result<(), OfferRefusal>, RpcError> {
    let replica = Arc::clone(replica);
    let space = tokio::task::spawn_blocking(move || replica.room_for_copy()).await;
    let space = space.map_err(|_| RpcError::NotReady)?;
    let (bytes, level) = match space {
        Ok(space) => space,
        Err(error) => {
            let why = format!("on this instance: {error}");
            let after = Duration::ZERO;
            return Ok(Err(OfferRefusal { why, after }));
        }
    };
    let offer = SnapshotOffer {
        bytes,
        format_version: level,
    };
    let answer = client
        .request(rpc_target, Endpoint::SnapshotOffer, &offer, OFFER_MAX)
        .await?;
    Ok(match answer {
        SnapshotOfferResponse::Accepted => Ok(()),
        SnapshotOfferResponse::RetryLater { why, after_ms } => Err(OfferRefusal {
            why,
            after: Duration::from_millis(after_ms),
        }),
    })
}

async fn send_copy(
    client: &ClusterClient,
    rpc_target: &RpcTarget,
    vote: Vote<NodeId>,
    replica: &Arc<Replica>,
) -> Result<SnapshotResponse<NodeId>, RpcError> {
    // It takes as long as the database is large.
    let replica = Arc::clone(replica);
    let made = tokio::task::spawn_blocking(move || replica.snapshot_file()).await;
    let (meta, file) = match made {
        Ok(Ok(made)) => made,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a snapshot could not be made");
            return Err(RpcError::NotReady);
        }
        Err(_) => return Err(RpcError::NotReady),
    };
    let (pieces, mut read) = tokio::sync::mpsc::channel(CHUNKS_BUFFERED_MAX);
    // Read by a thread that may wait for a disk; it ends when nobody takes its pieces.
    tokio::task::spawn_blocking(move || {
        let put = |piece| pieces.blocking_send(piece).is_ok();
        if let Err(error) = read_chunks(&file, vote, meta, put) {
            tracing::warn!(%error, "a snapshot could not be read");
            // The body ends with an error, so that half a database is not taken for a whole one.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let body = stream::poll_fn(move |context| read.poll_recv(context));
    let body = reqwest::Body::wrap_stream(body);
    client
        .send(rpc_target, Endpoint::Snapshot, body, SENDING_MAX)
        .await
}

fn read_chunks(
    file: &SnapshotFile,
    vote: Vote<NodeId>,
    meta: SnapshotMeta<NodeId, Member>,
    put: impl Fn(io::Result<Bytes>) -> bool,
) -> io::Result<()> {
    let mut opened = File::open(file.path())?;
    let bytes = opened.metadata()?.len();
    let label = pack(&SnapshotHeader { vote, meta, bytes });
    let length = u32::try_from(label.len()).map_err(io::Error::other)?;
    let mut head = length.to_be_bytes().to_vec();
    head.extend_from_slice(&label);
    let mut goes_on = put(Ok(head.into()));
    while goes_on {
        let mut piece = vec![0; CHUNK_BYTES];
        let read = opened.read(&mut piece)?;
        if read == 0 {
            break;
        }
        piece.truncate(read);
        goes_on = put(Ok(piece.into()));
    }
    Ok(())
}
