//! A whole database comes in: to a file beside the own one, then to the engine.

use super::Turned;
use crate::cluster::exchange::{Exchange, Raft};
use crate::cluster::network::{LABEL_BYTES_MAX, Label};
use crate::cluster::wire::{Offer, Offered, pack, unpack};
use bytes::{Buf, Bytes, BytesMut};
use calldex_observability::catalog;
use calldex_storage::Levels;
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
const PIECE_MAX: Duration = Duration::from_secs(30);
/// Pieces that came and are not written yet.
const PIECES_BEHIND: usize = 16;
/// What the sender is asked to wait after a refusal, milliseconds. Each further one doubles its pause.
const LATER_MS: u64 = 1_000;

/// Whether the whole database may be sent: whether this instance reads it, and has room for it.
pub(super) async fn consider(exchange: &Exchange, offer: Offer) -> Result<Vec<u8>, Turned> {
    // Without an engine it could not be installed.
    exchange.raft().ok_or_else(Turned::not_ready)?;
    let later = |why: String| Offered::Later {
        why,
        after_ms: LATER_MS,
    };
    if !Levels::OWN.contain(offer.level) {
        let why = format!(
            "it is at level {}, and this calldex reads levels {}",
            offer.level,
            Levels::OWN
        );
        return Ok(pack(&later(why)));
    }
    let answer = match has_room(exchange, offer.bytes).await? {
        Ok(()) => Offered::GoOn,
        Err(why) => later(why),
    };
    Ok(pack(&answer))
}

/// Takes the database in `body` in, and installs it.
pub(super) async fn take_in(exchange: &Exchange, body: ReqBody) -> Result<Vec<u8>, Turned> {
    let taken = receive(exchange, body).await;
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
        Err(turned) => tracing::warn!(why = %turned.words, "a snapshot could not be taken in"),
    }
    taken.map(|(answer, _)| answer)
}

/// The engine's answer, and whether the database was taken.
async fn receive(exchange: &Exchange, body: ReqBody) -> Result<(Vec<u8>, bool), Turned> {
    let raft = exchange.raft().ok_or_else(Turned::not_ready)?;
    let file = raft.begin_receiving_snapshot().await;
    let file = file.map_err(|_| Turned::not_ready())?;
    let mut pieces = Pieces {
        body,
        ahead: BytesMut::new(),
    };
    let label = pieces.label().await?;
    if let Err(why) = has_room(exchange, label.bytes).await? {
        let status = StatusCode::INSUFFICIENT_STORAGE;
        return Err(Turned::away(status, "too_large", why));
    }
    let _calm = Calm::over(&raft, exchange.section.election_ms_max);
    pieces.write_to(&file, label.bytes).await?;
    let snapshot = Snapshot {
        meta: label.meta,
        snapshot: file,
    };
    let sender = label.vote;
    let installed = raft.install_full_snapshot(sender, snapshot).await;
    let answer = installed.map_err(|_| Turned::not_ready())?;
    Ok((pack(&answer), answer.vote <= sender))
}

/// As long as the database comes in, and a moment beyond, this instance does not stand for primary:
/// signs of life may be late behind so many bytes, and who stood would turn the sender out of office,
/// and the database away.
struct Calm {
    raft: Raft,
    beyond: Duration,
}

impl Calm {
    fn over(raft: &Raft, election_ms_max: u64) -> Self {
        raft.runtime_config().elect(false);
        Self {
            raft: raft.clone(),
            beyond: Duration::from_millis(election_ms_max),
        }
    }
}

impl Drop for Calm {
    fn drop(&mut self) {
        let (raft, beyond) = (self.raft.clone(), self.beyond);
        tokio::spawn(async move {
            tokio::time::sleep(beyond).await;
            raft.runtime_config().elect(true);
        });
    }
}

/// Whether the disk has room for all that installing a database of `bytes` takes; else why not.
async fn has_room(exchange: &Exchange, bytes: u64) -> Result<Result<(), String>, Turned> {
    let replica = Arc::clone(&exchange.replica);
    let looking = tokio::task::spawn_blocking(move || replica.room_to_install(bytes));
    let room = looking.await.map_err(|_| Turned::not_ready())?;
    Ok(room.map_err(|error| error.to_string()))
}

/// A body, read piece by piece.
struct Pieces {
    body: ReqBody,
    /// Read, and not used.
    ahead: BytesMut,
}

impl Pieces {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Turned> {
        if !self.ahead.is_empty() {
            return Ok(Some(self.ahead.split().freeze()));
        }
        loop {
            let frame = tokio::time::timeout(PIECE_MAX, self.body.next()).await;
            match frame.map_err(|_| broken("it stopped coming"))? {
                None => return Ok(None),
                Some(Err(_)) => return Err(broken("it broke off")),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
            }
        }
    }

    async fn fill(&mut self, bytes: usize) -> Result<(), Turned> {
        while self.ahead.len() < bytes {
            let before = self.ahead.split();
            let piece = self.next().await?.ok_or_else(Turned::malformed)?;
            self.ahead = before;
            self.ahead.extend_from_slice(&piece);
        }
        Ok(())
    }

    async fn label(&mut self) -> Result<Label, Turned> {
        const LENGTH: usize = size_of::<u32>();
        self.fill(LENGTH).await?;
        let length = self.ahead.get_u32() as usize;
        if length > LABEL_BYTES_MAX {
            return Err(Turned::too_large());
        }
        self.fill(length).await?;
        unpack(&self.ahead.split_to(length)).map_err(|_| Turned::malformed())
    }

    /// Writes the rest to `file` on a thread that may wait for the disk: exactly `bytes`.
    async fn write_to(&mut self, file: &SnapshotFile, bytes: u64) -> Result<(), Turned> {
        let (write, written) = mpsc::channel(PIECES_BEHIND);
        let path = file.path().to_owned();
        let writing = tokio::task::spawn_blocking(move || write_out(&path, written));
        let mut came = 0_u64;
        while let Some(piece) = self.next().await? {
            came += piece.len() as u64;
            if came > bytes {
                return Err(Turned::too_large());
            }
            if write.send(piece).await.is_err() {
                break;
            }
        }
        drop(write);
        match writing.await {
            Ok(Ok(())) if came == bytes => Ok(()),
            Ok(Ok(())) => Err(broken("it is not whole")),
            Ok(Err(error)) => Err(broken(&error.to_string())),
            Err(_) => Err(broken("its writer failed")),
        }
    }
}

fn write_out(path: &Path, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut file = File::create(path)?;
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece)?;
    }
    file.sync_all()
}

fn broken(words: &str) -> Turned {
    Turned {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        reason: None,
        words: words.to_owned(),
    }
}
