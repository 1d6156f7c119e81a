//! The interface to run a tool of the operator.

use crate::agent::{ToolCatalog, ToolSpec};
use compact_str::CompactString;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// One call of a tool.
pub struct ToolRequest {
    /// Which tool.
    pub spec: Arc<ToolSpec>,
    /// Our id of this call, unique in `call_sid`.
    pub id: CompactString,
    /// Arguments that conform to the tool's schema.
    pub arguments: Map<String, Value>,
    /// `CA…`
    pub call_sid: CompactString,
    /// The caller's number (E.164), if that is an identity.
    pub caller: Option<CompactString>,
    /// The number that was called.
    pub line: CompactString,
}

/// The result of a tool call.
#[derive(Clone, PartialEq, Eq)]
pub enum ToolOutcome {
    /// The tool's answer.
    Returned(ToolText),
    /// The call failed, with the tool's own message if it sent one.
    Failed(ToolFailure, Option<ToolText>),
}

/// Text from a tool. It is data, never an instruction.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolText {
    /// The text, cut to the tool's limit.
    pub text: String,
    /// The text was longer.
    pub is_truncated: bool,
}

/// Why a tool call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolFailure {
    /// It timed out.
    TimedOut,
    /// It could not be reached.
    Unreachable,
    /// Its address is not allowed.
    AddressForbidden,
    /// It is not available now.
    Unavailable,
    /// Too many calls of it are running.
    Busy,
    /// It answered with this HTTP status.
    Status(u16),
    /// Its answer is not text.
    Unreadable,
    /// It reported a failure itself.
    ReportedError,
    /// An internal error of the server.
    Internal,
}

impl ToolFailure {
    /// In a few words, for the model and the log.
    pub fn description(self) -> String {
        match self {
            Self::TimedOut => "it took too long".into(),
            Self::Unreachable => "it cannot be reached".into(),
            Self::AddressForbidden => "its address is not allowed".into(),
            Self::Unavailable => "it is not available now".into(),
            Self::Busy => "too many are under way".into(),
            Self::Status(status) => format!("it answered with status {status}"),
            Self::Unreadable => "its answer cannot be read".into(),
            Self::ReportedError => "it reports an error".into(),
            Self::Internal => "an internal error".into(),
        }
    }
}

impl ToolOutcome {
    /// The value of the metric label `result`.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Returned(_) => "ok",
            Self::Failed(ToolFailure::TimedOut, _) => "timed_out",
            Self::Failed(..) => "failed",
        }
    }
}

impl fmt::Debug for ToolOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(text) => write!(f, "Returned({} bytes)", text.text.len()),
            Self::Failed(failure, _) => write!(f, "Failed({failure:?})"),
        }
    }
}

/// Runs the operator's tools.
pub trait ToolRunner: Send + Sync {
    /// The tools of the line that was called, as they are now.
    fn catalog(&self, called: &str) -> Arc<ToolCatalog>;

    /// Runs one tool call. Dropping the future cancels it. The caller limits its time.
    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolOutcome>;
}

/// No tools.
pub struct NoTools;

impl ToolRunner for NoTools {
    fn catalog(&self, _called: &str) -> Arc<ToolCatalog> {
        Arc::default()
    }

    fn run(&self, _request: ToolRequest) -> BoxFuture<'static, ToolOutcome> {
        Box::pin(std::future::ready(ToolOutcome::Failed(
            ToolFailure::Unavailable,
            None,
        )))
    }
}
