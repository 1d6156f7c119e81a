//! A whole database comes in: to a file beside the own one, then to the engine.

use super::RejectedRequest;
use crate::cluster::network::{SNAPSHOT_HEADER_BYTES_MAX, SnapshotHeader};
use crate::cluster::node_context::{NodeContext, Raft};
use crate::cluster::wire::{SnapshotOffer, SnapshotOfferResponse, pack, unpack};
use bytes::{Buf, Bytes, BytesMut};
use calldex_observability::catalog;
use calldex_storage::FormatVersionRange;
use calldex_storage::replication::SnapshotFile;
use futures_util::StreamExt;
use openraft::Snapshot;
use salvo::http::{ReqBody, StatusCode};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What one piece may take to come.
const CHUNK_WAIT_MAX: Duration = Duration::from_secs(30);
/// Pieces that came and are not written yet.
const CHUNKS_UNWRITTEN_MAX: usize = 16;
/// What the sender is asked to wait after a refusal, milliseconds. Each further one doubles its pause.
const RETRY_AFTER_MS: u64 = 1_000;

/// Whether the whole database may be sent: whether this instance reads it, and has space for it.
pub(super) async fn answer_offer(
    context: &NodeContext,
    offer: SnapshotOffer,
) -> Result<Vec<u8>, RejectedRequest> {
    // Without an engine it could not be installed.
    context.raft().ok_or_else(RejectedRequest::not_ready)?;
    let later = |why: String| SnapshotOfferResponse::RetryLater {
        why,
        after_ms: RETRY_AFTER_MS,
    };
    if !FormatVersionRange::SUPPORTED.contains(offer.format_version) {
        let why = format!(
            "it is at level {}, and this calldex reads levels {}",
            offer.format_version,
            FormatVersionRange::SUPPORTED
        );
        return Ok(pack(&later(why)));
    }
    let answer = match has_disk_space(context, offer.bytes).await? {
        Ok(()) => SnapshotOfferResponse::Accepted,
        Err(why) => later(why),
    };
    Ok(pack(&answer))
}

/// Takes the database in `body` in, and installs it.
pub(super) async fn receive_snapshot(
    context: &NodeContext,
    body: ReqBody,
) -> Result<Vec<u8>, RejectedRequest> {
    let taken = receive_and_install(context, body).await;
    let is_installed = matches!(taken, Ok((_, true)));
    let result = if is_installed { "ok" } else { "failed" };
    catalog::SNAPSHOTS_TOTAL
        .with("installed", result)
        .increment(1);
    match &taken {
        Ok((_, true)) => tracing::info!("a snapshot of the whole database is installed"),
        Ok((_, false)) => {
            tracing::warn!("a snapshot came from who is primary no more: it is not taken");
        }
        Err(turned) => tracing::warn!(reason = %turned.message, "a snapshot could not be taken in"),
    }
    taken.map(|(answer, _)| answer)
}

/// The engine's answer, and whether the database was taken.
async fn receive_and_install(
    context: &NodeContext,
    body: ReqBody,
) -> Result<(Vec<u8>, bool), RejectedRequest> {
    let raft = context.raft().ok_or_else(RejectedRequest::not_ready)?;
    let file = raft.begin_receiving_snapshot().await;
    let file = file.map_err(|_| RejectedRequest::not_ready())?;
    let mut pieces = BodyReader {
        body,
        buffered: BytesMut::new(),
    };
    let label = pieces.header().await?;
    if let Err(why) = has_disk_space(context, label.bytes).await? {
        let status = StatusCode::INSUFFICIENT_STORAGE;
        return Err(RejectedRequest::counted(status, "too_large", why));
    }
    let _calm = ElectionPause::start(&raft, context.section.election_ms_max);
    pieces.write_to(&file, label.bytes).await?;
    let snapshot = Snapshot {
        meta: label.meta,
        snapshot: file,
    };
    let sender = label.vote;
    let installed = raft.install_full_snapshot(sender, snapshot).await;
    let answer = installed.map_err(|_| RejectedRequest::not_ready())?;
    Ok((pack(&answer), answer.vote <= sender))
}

/// As long as the database comes in, and a moment beyond, this instance does not stand for primary:
/// signs of life may be late behind so many bytes, and who stood would turn the sender out of office,
/// and the database away.
struct ElectionPause {
    raft: Raft,
    extra: Duration,
}

impl ElectionPause {
    fn start(raft: &Raft, election_ms_max: u64) -> Self {
        raft.runtime_config().elect(false);
        Self {
            raft: raft.clone(),
            extra: Duration::from_millis(election_ms_max),
        }
    }
}

impl Drop for ElectionPause {
    fn drop(&mut self) {
        let (raft, beyond) = (self.raft.clone(), self.extra);
        tokio::spawn(async move {
            tokio::time::sleep(beyond).await;
            raft.runtime_config().elect(true);
        });
    }
}

/// Whether the disk has space for all that installing a database of `bytes` takes; else why not.
async fn has_disk_space(
    context: &NodeContext,
    bytes: u64,
) -> Result<Result<(), String>, RejectedRequest> {
    let replica = Arc::clone(&context.replica);
    let looking = tokio::task::spawn_blocking(move || replica.room_to_install(bytes));
    let space = looking.await.map_err(|_| RejectedRequest::not_ready())?;
    Ok(space.map_err(|error| error.to_string()))
}

/// A body, read piece by piece.
struct BodyReader {
    body: ReqBody,
    /// Read, and not used.
    buffered: BytesMut,
}

impl BodyReader {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, RejectedRequest> {
        if !self.buffered.is_empty() {
            return Ok(Some(self.buffered.split().freeze()));
        }
        loop {
            let frame = tokio::time::timeout(CHUNK_WAIT_MAX, self.body.next()).await;
            match frame.map_err(|_| transfer_failed("it stopped coming"))? {
                None => return Ok(None),
                Some(Err(_)) => return Err(transfer_failed("it broke off")),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
            }
        }
    }

    async fn fill(&mut self, bytes: usize) -> Result<(), RejectedRequest> {
        while self.buffered.len() < bytes {
            let before = self.buffered.split();
            let piece = self.next().await?.ok_or_else(RejectedRequest::malformed)?;
            self.buffered = before;
            self.buffered.extend_from_slice(&piece);
        }
        Ok(())
    }

    async fn header(&mut self) -> Result<SnapshotHeader, RejectedRequest> {
        const LENGTH: usize = size_of::<u32>();
        self.fill(LENGTH).await?;
        let length = self.buffered.get_u32() as usize;
        if length > SNAPSHOT_HEADER_BYTES_MAX {
            return Err(RejectedRequest::too_large());
        }
        self.fill(length).await?;
        unpack(&self.buffered.split_to(length)).map_err(|_| RejectedRequest::malformed())
    }

    /// Writes the rest to `file` on a thread that may wait for the disk: exactly `bytes`.
    async fn write_to(&mut self, file: &SnapshotFile, bytes: u64) -> Result<(), RejectedRequest> {
        let (write, written) = mpsc::channel(CHUNKS_UNWRITTEN_MAX);
        let path = file.path().to_owned();
        let writing = tokio::task::spawn_blocking(move || write_chunks(&path, written));
        let mut came = 0_u64;
        while let Some(piece) = self.next().await? {
            came += piece.len() as u64;
            if came > bytes {
                return Err(RejectedRequest::too_large());
            }
            if write.send(piece).await.is_err() {
                break;
            }
        }
        drop(write);
        match writing.await {
            Ok(Ok(())) if came == bytes => Ok(()),
            Ok(Ok(())) => Err(transfer_failed("it is not whole")),
            Ok(Err(error)) => Err(transfer_failed(&error.to_string())),
            Err(_) => Err(transfer_failed("its writer failed")),
        }
    }
}

fn write_chunks(path: &Path, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut file = File::create(path)?;
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece)?;
    }
    file.sync_all()
}

fn transfer_failed(words: &str) -> RejectedRequest {
    RejectedRequest {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        reason: None,
        message: words.to_owned(),
    }
}
