//! What is counted of a reply.

use super::failure::Failure;
use super::tools::Tool;
use calldex_observability::catalog;
use std::time::Instant;

/// One reply's entry: opened with its first poll, closed when it is dropped, in whatever way it ended.
pub(super) struct Ledger {
    began: Instant,
    result: &'static str,
    tokens: u32,
}

impl Ledger {
    pub(super) fn open() -> Self {
        catalog::MODEL_IN_FLIGHT.increment(1);
        Self {
            began: Instant::now(),
            result: "cancelled",
            tokens: 0,
        }
    }

    pub(super) fn first_event(&self) {
        catalog::MODEL_FIRST_TOKEN_SECONDS.record(self.began.elapsed().as_secs_f64());
    }

    pub(super) fn tool(&self, tool: &Tool) {
        catalog::MODEL_TOOLS_TOTAL.with(tool.label()).increment(1);
    }

    pub(super) fn tokens(&mut self, tokens: u32) {
        self.tokens = tokens;
    }

    pub(super) fn done(&mut self) {
        self.result = "ok";
        catalog::MODEL_REPLY_SECONDS.record(self.began.elapsed().as_secs_f64());
    }

    /// The reply failed before its first token; its attempts are counted where they are made.
    pub(super) fn failed(&mut self) {
        self.result = "failed";
    }

    /// The reply failed after its first token.
    pub(super) fn broke(&mut self, failure: &Failure) {
        self.result = "failed";
        catalog::MODEL_FAILURES_TOTAL
            .with(failure.kind())
            .increment(1);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        catalog::MODEL_IN_FLIGHT.decrement(1);
        catalog::MODEL_REQUESTS_TOTAL.with(self.result).increment(1);
        catalog::MODEL_TOKENS_TOTAL.increment(self.tokens.into());
    }
}
