//! The whole database on its way to a member, piece by piece: never whole in memory.

use crate::cluster::client::{Addressee, Client, Silence};
use crate::cluster::wire::{Desk, pack};
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
use std::time::Duration;

/// One piece.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that were read and not sent yet.
const PIECES_AHEAD: usize = 4;
/// The longest that sending and installing may take: 100 GiB at 60 MB/s.
const SENDING_MAX: Duration = Duration::from_secs(30 * 60);

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

/// Makes a snapshot of `replica`'s present state, sends it to `whom` and waits until it is installed
/// there.
pub(super) async fn send(
    client: &Client,
    whom: &Addressee,
    vote: Vote<NodeId>,
    replica: &Arc<Replica>,
) -> Result<SnapshotResponse<NodeId>, Silence> {
    tracing::info!(to = %whom.address, "the whole database is handed over");
    let sent = deliver(client, whom, vote, replica).await;
    let result = if sent.is_ok() { "ok" } else { "failed" };
    catalog::SNAPSHOTS_TOTAL.with("sent", result).increment(1);
    if let Err(silence) = &sent {
        tracing::warn!(to = %whom.address, %silence, "a snapshot could not be handed over");
    }
    sent
}

async fn deliver(
    client: &Client,
    whom: &Addressee,
    vote: Vote<NodeId>,
    replica: &Arc<Replica>,
) -> Result<SnapshotResponse<NodeId>, Silence> {
    // Made before anything is sent: it takes as long as the database is large.
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
