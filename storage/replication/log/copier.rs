//! Copies the log's write-ahead log into the database beside the thread that writes, so that no entry
//! waits for it.

use super::LogError;
use super::book;
use super::desk::Desk;
use crate::faults::{Faults, Operation};
use crate::sqlite::connection;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

/// The running thread; it ends when this is dropped.
pub(super) struct Copier {
    ask: Option<SyncSender<()>>,
    is_busy: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    /// Starts the thread. A failure of its closes `desk`: what the disk holds has to be verified then.
    pub(super) fn start(path: PathBuf, faults: Faults, desk: Arc<Desk>) -> std::io::Result<Self> {
        let (ask, asked) = mpsc::sync_channel(1);
        let is_busy = Arc::new(AtomicBool::new(false));
        let busy = Arc::clone(&is_busy);
        let thread = std::thread::Builder::new()
            .name("calldex-raft-copy".to_owned())
            .spawn(move || {
                if let Err(error) = run(&path, &faults, &asked, &busy) {
                    desk.close(Some(error));
                }
            })?;
        Ok(Self {
            ask: Some(ask),
            is_busy,
            thread: Some(thread),
        })
    }

    /// Whether it copies now, or is about to.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::SeqCst)
    }

    /// Has the log copied. One request at a time; more of them are the same.
    pub(super) fn copy(&self) {
        if let Some(ask) = &self.ask
            && !self.is_busy.swap(true, Ordering::SeqCst)
        {
            // It cannot be full: who is not busy has taken the last one. A thread that is gone has
            // closed the desk.
            let _ = ask.try_send(());
        }
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed; its connection is closed either way.
            let _ = thread.join();
        }
    }
}

fn run(
    path: &Path,
    faults: &Faults,
    asked: &Receiver<()>,
    is_busy: &AtomicBool,
) -> Result<(), LogError> {
    let mut kept: Option<Connection> = None;
    while asked.recv().is_ok() {
        faults.at(Operation::RaftCheckpoint)?;
        let connection = match kept.take() {
            Some(connection) => connection,
            None => book::open_writer(path)?,
        };
        connection::checkpoint_passively(&connection)?;
        kept = Some(connection);
        is_busy.store(false, Ordering::SeqCst);
    }
    Ok(())
}
