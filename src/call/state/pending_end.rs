//! An end of the call that was decided.

use calldex_storage::record::CallOutcome;

/// An end that was decided and is not complete.
pub(super) struct PendingEnd {
    pub(super) outcome: CallOutcome,
    /// The goodbye.
    pub(super) goodbye_text: String,
    pub(super) handoff: Option<String>,
    /// The caller can cancel it by speaking.
    pub(super) cancellable: bool,
    /// When `end` is sent. Speech moves it.
    pub(super) due_ms: u64,
    /// When `end` is sent at the latest.
    pub(super) latest_ms: u64,
    /// `end` was sent.
    pub(super) is_sent: bool,
}
