//! The metrics of a reply.

use super::event::{Finish, FinishReason};
use super::reply_failure::ReplyFailure;
use crate::agent::client::provider::Provider;
use crate::agent::tools::invocation::ToolInvocation;
use calldex_observability::catalog;
use std::time::Instant;

/// Records one reply: started at its first poll, recorded on drop, however it ended.
pub(super) struct ReplyMetrics {
    started_at: Instant,
    result: &'static str,
    text_pieces: u32,
}

impl ReplyMetrics {
    pub(super) fn start() -> Self {
        catalog::MODEL_IN_FLIGHT.increment(1);
        Self {
            started_at: Instant::now(),
            result: "cancelled",
            text_pieces: 0,
        }
    }

    pub(super) fn record_first_event(&self) {
        catalog::MODEL_FIRST_TOKEN_SECONDS.record(self.started_at.elapsed().as_secs_f64());
    }

    pub(super) fn record_tool(&self, tool: &ToolInvocation) {
        catalog::MODEL_TOOL_CALLS_TOTAL
            .with(tool.metric_label())
            .increment(1);
        if let ToolInvocation::InvalidArguments { spec, .. } = tool {
            catalog::TOOL_CALLS_TOTAL.increment(&spec.metric_label, "invalid", 1);
        }
    }

    pub(super) fn set_text_pieces(&mut self, tokens: u32) {
        self.text_pieces = tokens;
    }

    /// The reply is complete: sets the model and the cost in `finish`.
    pub(super) fn record_done(&mut self, finish: &mut Finish, provider: &Provider) {
        self.result = "ok";
        finish.model = provider.name.as_str().into();
        let ending = match finish.finish_reason {
            FinishReason::Stop => "stop",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::Length => "length",
            FinishReason::ContentFilter => "content_filter",
        };
        catalog::MODEL_FINISH_REASONS_TOTAL
            .with(ending)
            .increment(1);
        if matches!(
            finish.finish_reason,
            FinishReason::Length | FinishReason::ContentFilter
        ) {
            tracing::warn!(
                model = provider.name,
                ending,
                hint = hint(finish.finish_reason),
                "the model did not finish its reply"
            );
        }
        if let Some(usage) = &finish.usage {
            finish.cost_micros = provider.count_tokens(usage);
        }
        catalog::MODEL_REPLY_SECONDS.record(self.started_at.elapsed().as_secs_f64());
    }

    /// The reply failed before its first token; its attempts are counted by the router.
    pub(super) fn record_failed(&mut self) {
        self.result = "failed";
    }

    /// The reply failed after its first token.
    pub(super) fn record_interrupted_failure(&mut self, failure: &ReplyFailure) {
        self.result = "failed";
        catalog::MODEL_FAILURES_TOTAL
            .with(failure.kind())
            .increment(1);
    }
}

impl Drop for ReplyMetrics {
    fn drop(&mut self) {
        catalog::MODEL_IN_FLIGHT.decrement(1);
        catalog::MODEL_REQUESTS_TOTAL.with(self.result).increment(1);
        catalog::MODEL_CHUNKS_TOTAL.increment(self.text_pieces.into());
    }
}

fn hint(ending: FinishReason) -> &'static str {
    match ending {
        FinishReason::Length => {
            "raise max_tokens of the model, or tell it to be brief; for one that thinks raise thinking_tokens or \
             lower reasoning_effort"
        }
        _ => "the provider's content filter stopped it: see its settings",
    }
}
