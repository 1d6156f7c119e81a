//! Calls in progress, so that the REST API finds them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc;

/// Calls that are over and still known as such; the oldest are forgotten.
const OVER_KEPT_MAX: usize = 10_000;
/// Redirects that wait for one call.
const REDIRECTS_MAX: usize = 4;

/// Where a call is to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) url: String,
    pub(crate) by_get: bool,
}

/// What came of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectResult {
    Done,
    /// The call is over.
    Over,
    /// There was no such call.
    Unknown,
}

#[derive(Debug, Default)]
pub(crate) struct LiveCalls(Mutex<LiveCallTable>);

#[derive(Debug, Default)]
struct LiveCallTable {
    live: HashMap<String, mpsc::Sender<Redirect>>,
    over: HashSet<String>,
    order: VecDeque<String>,
}

/// A call that the exchange knows; over when dropped.
#[derive(Debug)]
pub(crate) struct LiveCallEntry {
    exchange: Arc<LiveCalls>,
    call_sid: String,
    /// Redirects of it.
    pub(crate) redirects: mpsc::Receiver<Redirect>,
}

impl LiveCalls {
    /// A call begins.
    pub(crate) fn list(self: &Arc<Self>, call_sid: &str) -> LiveCallEntry {
        let (sender, redirects) = mpsc::channel(REDIRECTS_MAX);
        self.calls().live.insert(call_sid.to_owned(), sender);
        LiveCallEntry {
            exchange: Arc::clone(self),
            call_sid: call_sid.to_owned(),
            redirects,
        }
    }

    pub(crate) fn redirect(&self, call_sid: &str, redirect: Redirect) -> RedirectResult {
        let calls = self.calls();
        match calls.live.get(call_sid) {
            // A full channel belongs to a call that is being redirected already.
            Some(call) => match call.try_send(redirect) {
                Err(mpsc::error::TrySendError::Closed(_)) => RedirectResult::Over,
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => RedirectResult::Done,
            },
            None if calls.over.contains(call_sid) => RedirectResult::Over,
            None => RedirectResult::Unknown,
        }
    }

    /// A panic elsewhere has left nothing half done that matters here.
    fn calls(&self) -> MutexGuard<'_, LiveCallTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LiveCallEntry {
    fn drop(&mut self) {
        let mut calls = self.exchange.calls();
        calls.live.remove(&self.call_sid);
        if calls.over.insert(self.call_sid.clone()) {
            calls.order.push_back(self.call_sid.clone());
        }
        if calls.order.len() > OVER_KEPT_MAX
            && let Some(oldest) = calls.order.pop_front()
        {
            calls.over.remove(&oldest);
        }
    }
}
