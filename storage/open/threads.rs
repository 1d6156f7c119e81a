//! What runs beside the calls, and how it ends.

use super::watch::ChangeWatch;
use crate::directory::Warm;
use crate::ending;
use crate::lock::DirectoryLock;
use crate::readers::Readers;
use crate::replication::ReplicaParts;
use crate::writer::{Checkpointer, Writer};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The threads through which writes go.
pub(super) enum Writing {
    /// Of an instance alone: to its own disk.
    Alone(JoinHandle<()>),
    /// Of one among several: to the primary, and from the cluster's log to its own disk.
    Among {
        forwarder: JoinHandle<()>,
        applier: JoinHandle<()>,
        parts: Box<ReplicaParts>,
    },
}

impl Writing {
    /// Lets `writer` write what waits until `deadline` has passed. How many writes had to be given up.
    fn finish(&self, writer: &Writer, deadline: Duration) -> usize {
        match self {
            Self::Alone(thread) => writer.close(deadline, || thread.is_finished()),
            Self::Among { forwarder, .. } => {
                writer.close_keeping(deadline, || forwarder.is_finished())
            }
        }
    }

    /// Ends the threads until `end`, the writer having been told. Whether all have: one that has not
    /// may still write.
    fn end(self, end: Instant) -> bool {
        let (threads, log_has_ended) = match self {
            Self::Alone(thread) => (vec![thread], true),
            Self::Among {
                forwarder,
                applier,
                parts,
            } => {
                let log_has_ended = parts.close(end);
                ending::wait(end, || applier.is_finished());
                (vec![forwarder, applier], log_has_ended)
            }
        };
        // They report their own failures; a panic has been printed.
        let ended = |thread: JoinHandle<()>| thread.is_finished() && thread.join().is_ok();
        threads
            .into_iter()
            .map(ended)
            .fold(log_has_ended, |all, one| all && one)
    }
}

/// See the module.
pub(super) struct Threads {
    pub writing: Option<Writing>,
    pub readers: [Arc<Readers>; 2],
    pub warm: Option<Arc<Warm>>,
    pub watch: ChangeWatch,
    pub checkpointer: Checkpointer,
    pub lock: Option<DirectoryLock>,
}

impl Threads {
    /// Ends them all: what waits is written until `deadline` has passed, then there is `ending` for the
    /// rest. Whatever hangs in the disk is left. How many writes had to be given up.
    pub(super) fn end(&mut self, writer: &Writer, deadline: Duration, ending: Duration) -> usize {
        let Some(writing) = self.writing.take() else {
            return 0;
        };
        let latest = Instant::now() + deadline + ending;
        let given_up = writing.finish(writer, deadline);
        let end = latest.min(Instant::now() + ending);
        self.checkpointer.stop(end);
        self.watch.stop(end);
        let has_ended = writing.end(end);
        if let Some(warm) = &self.warm {
            warm.close(end);
        }
        self.readers.iter().for_each(|pool| pool.close(end));
        if !has_ended {
            // It may still write: nobody else may, as long as this process lives.
            std::mem::forget(self.lock.take());
        }
        given_up
    }
}
