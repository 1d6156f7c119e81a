//! The operator's tools that run for one call. Each runs in a task of its own, so that a tool with side
//! effects completes even if the call does not wait for it.

use super::clock;
use super::state::DetachedToolCall;
use super::tool_runner::{ToolFailure, ToolOutcome, ToolRequest, ToolRunner};
use calldex_observability::catalog;
use calldex_storage::Writer;
use compact_str::CompactString;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

/// The running tools of a call. Dropping it cancels the tools without side effects; the others complete or
/// time out.
#[derive(Default)]
pub struct RunningTools {
    running: FuturesUnordered<RunningTool>,
}

/// One running tool.
struct RunningTool {
    id: CompactString,
    /// `None` after it was detached.
    task: Option<JoinHandle<ToolOutcome>>,
    /// It may be cancelled.
    is_read_only: bool,
}

impl RunningTools {
    /// Starts a tool, which times out at `by_ms` on the clock of the call.
    pub fn start(&mut self, runner: &dyn ToolRunner, request: ToolRequest, by_ms: u64) {
        let count = ToolCallMetrics::start(&request);
        let (id, is_read_only) = (request.id.clone(), !request.spec.side_effects);
        let run = runner.run(request);
        let task = tokio::spawn(async move {
            let late = ToolOutcome::Failed(ToolFailure::TimedOut, None);
            let outcome = timeout_at(clock::instant(by_ms), run).await.unwrap_or(late);
            count.finish(&outcome);
            outcome
        });
        self.running.push(RunningTool {
            id,
            task: Some(task),
            is_read_only,
        });
    }

    /// The session ends while `late` runs: its result is recorded when it returns or times out.
    pub fn detach(&mut self, late: DetachedToolCall, writer: &Writer) {
        let running = self
            .running
            .iter_mut()
            .find(|running| running.id == late.id);
        let Some(task) = running.and_then(|running| running.task.take()) else {
            return;
        };
        let writer = writer.clone();
        tokio::spawn(async move {
            let broken = ToolOutcome::Failed(ToolFailure::Internal, None);
            let outcome = task.await.unwrap_or(broken);
            drop(writer.submit(late.into_amended_turn(&outcome)));
        });
    }

    /// Cancels the call `id`, if it runs.
    pub fn cancel(&mut self, id: &str) {
        for running in self.running.iter().filter(|running| running.id == id) {
            running.abort();
        }
    }

    /// The next result. Never ready while no tool runs.
    pub async fn next_finished(&mut self) -> (CompactString, ToolOutcome) {
        match self.running.next().await {
            Some(done) => done,
            None => pending().await,
        }
    }
}

impl RunningTool {
    fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Future for RunningTool {
    type Output = (CompactString, ToolOutcome);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let broken = ToolOutcome::Failed(ToolFailure::Internal, None);
        let Some(task) = &mut self.task else {
            return Poll::Pending;
        };
        let outcome = std::task::ready!(Pin::new(task).poll(cx));
        Poll::Ready((self.id.clone(), outcome.unwrap_or(broken)))
    }
}

impl Drop for RunningTool {
    fn drop(&mut self) {
        if self.is_read_only {
            self.abort();
        }
    }
}

/// Counts one tool call when it ends.
struct ToolCallMetrics {
    label: String,
    began: Instant,
    result: &'static str,
}

impl ToolCallMetrics {
    fn start(request: &ToolRequest) -> Self {
        Self {
            label: request.spec.metric_label.clone(),
            began: Instant::now(),
            result: "cancelled",
        }
    }

    fn finish(mut self, outcome: &ToolOutcome) {
        self.result = outcome.metric_label();
        if let ToolOutcome::Failed(failure, _) = outcome {
            tracing::info!(tool = %self.label, ?failure, "a tool gave no result");
        }
    }
}

impl Drop for ToolCallMetrics {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        catalog::TOOL_CALLS_TOTAL.increment(&self.label, self.result, 1);
        catalog::TOOL_MILLISECONDS_TOTAL.increment(&self.label, self.result, ms);
        catalog::TOOL_SECONDS.record(took.as_secs_f64());
    }
}
