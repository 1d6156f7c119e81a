//! How a call has a tool of the operator run. Who runs it, and how, is not known here.

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
    /// Arguments that fit the tool's schema.
    pub arguments: Map<String, Value>,
    /// `CA…`
    pub call_sid: CompactString,
    /// The caller's number (E.164), if that is an identity.
    pub caller: Option<CompactString>,
    /// The number that was called.
    pub line: CompactString,
}

/// What came of a call.
#[derive(Clone, PartialEq, Eq)]
pub enum ToolOutcome {
    /// The tool's answer.
    Returned(ToolText),
    /// It did not work; what it said of that, if anything.
    Failed(ToolFailure, Option<ToolText>),
}

/// Words of a tool: data, whatever they say.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolText {
    /// The words, within the tool's bound.
    pub text: String,
    /// They were longer.
    pub is_truncated: bool,
}

/// Why a tool gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolFailure {
    /// It took longer than it may.
    TimedOut,
    /// It could not be reached.
    Unreachable,
    /// Its address leads where it may not.
    AddressForbidden,
    /// It is not there now.
    Unavailable,
    /// Too many calls of it are under way.
    Busy,
    /// It answered with this HTTP status.
    Status(u16),
    /// It answered with what is no text.
    Unreadable,
    /// It says itself that it failed.
    ReportedError,
    /// A fault of ours.
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

    /// Carries one call out. Dropping the future breaks it off; its time is bounded by the caller.
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
