//! Where everything that the instances tell comes together, and is waited for.

use crate::events::InstanceEvent;
use crate::history::History;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is known of one life.
#[derive(Clone, Debug, Default)]
pub struct LifeStatus {
    /// Its cluster, its identity, its slot, once it is open.
    pub identity: Option<(String, u64, u64)>,
    /// Whether it belongs to a cluster with a primary.
    pub is_serving: bool,
    /// Why it would not run.
    pub refusal: Option<String>,
    /// Writes given up, once it has ended in order.
    pub stopped: Option<u64>,
    /// Whether its output has ended.
    pub is_gone: bool,
}

/// Everything told so far.
#[derive(Default)]
pub struct ReceivedEvents {
    /// For the judges.
    pub history: History,
    /// By life.
    pub lives: BTreeMap<u64, LifeStatus>,
    /// By question.
    pub answers: BTreeMap<u64, InstanceEvent>,
}

/// Shared by whoever listens and whoever waits.
#[derive(Default)]
pub struct EventRecord {
    told: Mutex<ReceivedEvents>,
    news: Condvar,
}

impl EventRecord {
    /// What has been told, held still.
    pub fn events(&self) -> MutexGuard<'_, ReceivedEvents> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in.
    pub fn record(&self, life: u64, event: InstanceEvent) {
        let mut told = self.events();
        told.history.note(life, &event);
        let standing = told.lives.entry(life).or_default();
        match &event {
            InstanceEvent::Open {
                cluster_id,
                node_id,
                slot,
            } => standing.identity = Some((cluster_id.clone(), *node_id, *slot)),
            InstanceEvent::Serving => standing.is_serving = true,
            InstanceEvent::Refused { stage, reason } => {
                standing.refusal = Some(format!("{stage}: {reason}"))
            }
            InstanceEvent::Stopped { given_up } => standing.stopped = Some(*given_up),
            _ => {}
        }
        if let Some(asked) = event.asked() {
            told.answers.insert(asked, event);
        }
        drop(told);
        self.news.notify_all();
    }

    /// Notes that nothing more comes from `life`.
    pub fn end(&self, life: u64) {
        let mut told = self.events();
        told.lives.entry(life).or_default().is_gone = true;
        told.history.dead.insert(life);
        drop(told);
        self.news.notify_all();
    }

    /// Waits until `look` finds something in what is told; `patience` at most.
    pub fn wait<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&mut ReceivedEvents) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + patience;
        let mut told = self.events();
        loop {
            if let Some(found) = look(&mut told) {
                return Some(found);
            }
            let rest = end.checked_duration_since(Instant::now())?;
            let waited = self.news.wait_timeout(told, rest);
            told = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is known of `life`.
    pub fn life(&self, life: u64) -> LifeStatus {
        self.events().lives.get(&life).cloned().unwrap_or_default()
    }
}
