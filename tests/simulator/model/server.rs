//! The fake model's script and what it saw.
use super::{completion::Completion, request::Request};
use std::{io, time::Duration};

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub connections: u64,
    pub requests: u64,
    /// Streams that are being written now.
    pub open: u64,
    /// Streams written to their end.
    pub finished: u64,
    /// Streams that the client gave up before their end: a barge-in that stopped the model shows here.
    pub aborted: u64,
    /// Streams that the script cut.
    pub cut: u64,
    /// Content deltas written.
    pub tokens: u64,
}

/// A fake model; stops when dropped.
pub struct ModelServer {}

impl ModelServer {
    /// Listens on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        todo!()
    }
    /// `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        todo!()
    }
    /// Queues an answer for the next request that has none.
    pub fn next(&self, _completion: Completion) {
        todo!()
    }
    /// Answers whatever the queue has nothing for; the default repeats what the user said.
    pub fn answer(&self, _how: impl Fn(&Request) -> Completion + Send + Sync + 'static) {
        todo!()
    }
    /// Requests so far.
    pub fn requests(&self) -> Vec<Request> {
        todo!()
    }
    pub fn stats(&self) -> Stats {
        todo!()
    }
    /// Waits until `enough` holds, `true`, or `timeout` is over, `false`.
    pub async fn wait_for(&self, _enough: impl Fn(&Stats) -> bool, _timeout: Duration) -> bool {
        todo!()
    }
    /// Closes the port and every connection: connection refused from here on.
    pub async fn refuse(&self) {
        todo!()
    }
    /// Opens the same port again.
    pub async fn accept_again(&self) -> io::Result<()> {
        todo!()
    }
}
