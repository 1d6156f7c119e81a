//! The threads of storage, and how they end.

use super::external_changes::ExternalChangeWatcher;
use crate::caller_directory::WarmCache;
use crate::data_dir_lock::DataDirLock;
use crate::reader_pool::ReaderPool;
use crate::replication::ReplicaParts;
use crate::thread_join;
use crate::writer::{Checkpointer, Writer};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The threads through which writes go.
pub(super) enum WriterThreads {
    /// Of a single node: to its own disk.
    SingleNode(JoinHandle<()>),
    /// Of a member of a cluster: one proposes to the primary, one applies the cluster's log.
    Cluster {
        proposal_worker: JoinHandle<()>,
        applier: JoinHandle<()>,
        parts: Box<ReplicaParts>,
    },
}

impl WriterThreads {
    /// Lets `writer` write what waits until `deadline` has passed. How many writes had to be given up.
    fn finish(&self, writer: &Writer, deadline: Duration) -> usize {
        match self {
            Self::SingleNode(thread) => writer.close(deadline, || thread.is_finished()),
            Self::Cluster {
                proposal_worker: forwarder,
                ..
            } => writer.close_into_outbox(deadline, || forwarder.is_finished()),
        }
    }

    /// Ends the threads until `end`, the writer having been told. Whether all have: one that has not
    /// may still write.
    fn end(self, end: Instant) -> bool {
        let (threads, log_has_ended) = match self {
            Self::SingleNode(thread) => (vec![thread], true),
            Self::Cluster {
                proposal_worker: forwarder,
                applier,
                parts,
            } => {
                let log_has_ended = parts.close(end);
                thread_join::wait_until(end, || applier.is_finished());
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
pub(super) struct StorageThreads {
    pub writers: Option<WriterThreads>,
    pub readers: [Arc<ReaderPool>; 2],
    pub warm: Option<Arc<WarmCache>>,
    pub change_watcher: ExternalChangeWatcher,
    pub checkpointer: Checkpointer,
    pub lock: Option<DataDirLock>,
}

impl StorageThreads {
    /// Ends them all: what waits is written until `deadline` has passed, then there is `ending` for the
    /// rest. A thread that is still in a disk operation is left. Returns how many writes were given up.
    pub(super) fn end(&mut self, writer: &Writer, deadline: Duration, ending: Duration) -> usize {
        let Some(writing) = self.writers.take() else {
            return 0;
        };
        let latest = Instant::now() + deadline + ending;
        let given_up = writing.finish(writer, deadline);
        let end = latest.min(Instant::now() + ending);
        self.checkpointer.stop(end);
        self.change_watcher.stop(end);
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
