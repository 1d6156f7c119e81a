//! Ends a call in storage and in the metrics, without a socket.

use super::metrics;
use super::state::{CallAction, CallState, DetachedToolCall, EventTime};
use calldex_storage::Writer;
use calldex_storage::record::CallOutcome;

/// Ends a call with `outcome`. Returns the tool calls that still run; a call without a session has none.
pub fn finish_call(
    writer: &Writer,
    state: &mut CallState,
    outcome: CallOutcome,
    now: EventTime,
) -> Vec<DetachedToolCall> {
    let mut actions = Vec::new();
    state.finish(outcome, now, &mut actions);
    perform_without_socket(writer, &mut actions)
}

/// Carries out the actions that need no socket and drops the others. Returns the tool calls that still run.
pub(super) fn perform_without_socket(
    writer: &Writer,
    actions: &mut Vec<CallAction>,
) -> Vec<DetachedToolCall> {
    let mut late = Vec::new();
    for action in actions.drain(..) {
        match action {
            CallAction::DetachTool(tool) => late.push(*tool),
            CallAction::Record(write) => drop(writer.submit(write)),
            CallAction::Count(count) => metrics::record(count),
            CallAction::EndCall(outcome, ms) => metrics::record_call_end(outcome, ms),
            _ => {}
        }
    }
    late
}
