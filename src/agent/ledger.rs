//! What is counted of a reply.

use super::failure::Failure;
use super::provider::Provider;
use super::reply::{Ending, Finish};
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
        if let Tool::Misused { spec, .. } = tool {
            catalog::TOOL_CALLS_TOTAL.increment(&spec.label, "invalid", 1);
        }
    }

    pub(super) fn tokens(&mut self, tokens: u32) {
        self.tokens = tokens;
    }

    /// The reply is complete: notes in `finish` which model said it and what it costs.
    pub(super) fn done(&mut self, finish: &mut Finish, provider: &Provider) {
        self.result = "ok";
        finish.model = provider.name.as_str().into();
        let ending = match finish.ending {
            Ending::Said => "said",
            Ending::Tools => "tools",
            Ending::Length => "length",
            Ending::Filtered => "filtered",
        };
        catalog::MODEL_ENDINGS_TOTAL.with(ending).increment(1);
        if matches!(finish.ending, Ending::Length | Ending::Filtered) {
            tracing::warn!(
                model = provider.name,
                ending,
                remedy = remedy(finish.ending),
                "the model did not finish its reply"
            );
        }
        if let Some(usage) = &finish.usage {
            finish.cost_micros = provider.count_tokens(usage);
        }
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
        catalog::MODEL_PIECES_TOTAL.increment(self.tokens.into());
    }
}

fn remedy(ending: Ending) -> &'static str {
    match ending {
        Ending::Length => {
            "raise max_tokens of the model, or tell it to be brief; for one that thinks raise thinking_tokens or \
             lower reasoning_effort"
        }
        _ => "the provider's content filter stopped it: see its settings",
    }
}
