//! Background work: one piece of work done in rounds, which an operator can look at. A [`Worker`] has a
//! name, what triggers it and how often it looks; it counts its rounds and keeps the last error.
//! [`WorkerRegistry`] lists all of a process.
//!
//! A worker is a loop and no more: whether the process can go on without it says [`crate::vital`].

use crate::redaction::mask_numbers_in;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a round has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerProgress {
    /// Nothing: the next round begins after the period.
    Done,
    /// More to do: the next round begins at once.
    More,
}

/// What came of a round. The error is words for an operator, without personal data; numbers of callers
/// in it are masked. The next round begins after the period.
pub type RoundResult = Result<WorkerProgress, String>;

/// All background work of a process. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct WorkerRegistry(Arc<Mutex<BTreeMap<&'static str, Worker>>>);

impl WorkerRegistry {
    /// Registers the worker `name`, which looks every `period` for what `trigger` says. Registered again,
    /// it begins anew.
    pub fn register(&self, name: &'static str, trigger: &'static str, period: Duration) -> Worker {
        let worker = Worker {
            trigger,
            period,
            stats: Arc::default(),
        };
        lock(&self.0).insert(name, worker.clone());
        worker
    }

    /// How each is, by its name.
    pub fn report(&self) -> BTreeMap<&'static str, WorkerReport> {
        let workers = lock(&self.0);
        let reports = workers.iter();
        reports
            .map(|(name, worker)| (*name, worker.report()))
            .collect()
    }
}

/// One piece of background work. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Worker {
    trigger: &'static str,
    period: Duration,
    stats: Arc<Mutex<RoundStats>>,
}

/// What has been seen of a worker's rounds.
#[derive(Debug, Default)]
struct RoundStats {
    rounds: u64,
    failures: u64,
    running_since: Option<Instant>,
    /// When the last round ended, and how long it took.
    last: Option<(Instant, Duration)>,
    has_more: bool,
    last_error: Option<String>,
}

/// A worker as an operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerReport {
    /// What makes it do something.
    pub trigger: &'static str,
    /// How often it looks, milliseconds.
    pub period_ms: u128,
    /// What it does now.
    pub state: WorkerState,
    /// Rounds that have ended.
    pub rounds: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// How long the round under way has been running, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_ms: Option<u128>,
    /// How long ago the last round ended, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_ms_ago: Option<u128>,
    /// How long it took, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u128>,
    /// What the last round that failed said; kept when later ones do not fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// What a worker does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It waits for its period.
    Waiting,
    /// A round is under way.
    Running,
    /// There is more to do: the next round is about to begin.
    More,
}

impl Worker {
    /// Does rounds on the async runtime; never returns. `round` must not block. Dropped, it ends where
    /// the round waits.
    pub async fn run<F: Future<Output = RoundResult>>(self, mut round: impl FnMut() -> F) {
        loop {
            self.begin();
            let done = round().await;
            match self.end(done) {
                WorkerProgress::Done => tokio::time::sleep(self.period).await,
                WorkerProgress::More => tokio::task::yield_now().await,
            }
        }
    }

    /// Does rounds on a thread, until `should_stop` says so between two of them. Unparking the thread
    /// ends its pause.
    pub fn run_thread(
        self,
        should_stop: impl Fn() -> bool,
        mut round: impl FnMut() -> RoundResult,
    ) {
        while !should_stop() {
            self.begin();
            let done = round();
            if self.end(done) == WorkerProgress::Done {
                std::thread::park_timeout(self.period);
            }
        }
    }

    fn begin(&self) {
        lock(&self.stats).running_since = Some(Instant::now());
    }

    fn end(&self, round: RoundResult) -> WorkerProgress {
        let mut seen = lock(&self.stats);
        let took = seen.running_since.take().map(|since| since.elapsed());
        seen.last = Some((Instant::now(), took.unwrap_or_default()));
        seen.rounds += 1;
        seen.has_more = round == Ok(WorkerProgress::More);
        match round {
            Ok(progress) => progress,
            Err(error) => {
                seen.failures += 1;
                seen.last_error = Some(mask_numbers_in(&error).into_owned());
                WorkerProgress::Done
            }
        }
    }

    fn report(&self) -> WorkerReport {
        let seen = lock(&self.stats);
        WorkerReport {
            trigger: self.trigger,
            period_ms: self.period.as_millis(),
            state: match (seen.running_since, seen.has_more) {
                (Some(_), _) => WorkerState::Running,
                (None, true) => WorkerState::More,
                (None, false) => WorkerState::Waiting,
            },
            rounds: seen.rounds,
            failures: seen.failures,
            running_ms: seen.running_since.map(|since| since.elapsed().as_millis()),
            ended_ms_ago: seen.last.map(|(ended, _)| ended.elapsed().as_millis()),
            took_ms: seen.last.map(|(_, took)| took.as_millis()),
            last_error: seen.last_error.clone(),
        }
    }
}

// A panic while it is held cannot leave the content half changed.
fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
