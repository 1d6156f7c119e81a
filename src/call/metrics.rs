//! The metrics of calls.

use super::state::CallMetric;
use crate::twilio::frames::{InboundFrame, OutboundFrame};
use calldex_observability::catalog;
use calldex_storage::record::CallOutcome;

/// Counts a metric of a call.
pub fn record(count: CallMetric) {
    match count {
        CallMetric::Turn(role) => catalog::TURNS_TOTAL.with(role).increment(1),
        CallMetric::Interruption(by) => catalog::INTERRUPTIONS_TOTAL.with(by).increment(1),
        CallMetric::Filler => catalog::FILLERS_TOTAL.increment(1),
        CallMetric::Apology => catalog::APOLOGIES_TOTAL.increment(1),
        CallMetric::NameEvent(event) => catalog::NAMES_TOTAL.with(event).increment(1),
        CallMetric::FirstToken(ms) => catalog::FIRST_TOKEN_SECONDS.record(seconds(ms)),
        CallMetric::PreemptiveStart => catalog::PREEMPTIVE_REPLIES_TOTAL.increment(1),
        CallMetric::ClaimLost => catalog::CALL_CLAIMS_LOST_TOTAL.increment(1),
        CallMetric::PromptTextFailed(text) => {
            catalog::PROMPT_RENDER_FAILURES_TOTAL.increment(1);
            tracing::warn!(
                text,
                "a text of the prompt cannot be rendered and is told as it is shipped: see calldex check"
            );
        }
        CallMetric::RepeatedPrompt => tracing::debug!("a repeated prompt was recognised"),
    }
}

/// Counts an ended call and its duration in milliseconds.
pub fn record_call_end(outcome: CallOutcome, ms: u64) {
    catalog::CALLS_ENDED_TOTAL
        .with(outcome.as_str())
        .increment(1);
    catalog::CALL_SECONDS.record(seconds(ms));
}

/// Counts a frame from Twilio.
pub fn record_inbound_frame(heard: &InboundFrame<'_>) {
    let kind = match heard {
        InboundFrame::Prompt(prompt) if !prompt.last => "partial",
        other => other.label(),
    };
    catalog::FRAMES_RECEIVED_TOTAL.with(kind).increment(1);
    if matches!(heard, InboundFrame::Error(_)) {
        catalog::FRAME_ERRORS_TOTAL.increment(1);
    }
}

/// Counts a frame to Twilio.
pub fn record_outbound_frame(frame: &OutboundFrame<'_>) {
    catalog::FRAMES_SENT_TOTAL.with(frame.label()).increment(1);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of one turn are far below 2^53"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// Counts a call in the gauge of live calls until it is dropped.
pub struct LiveCallGauge;

impl LiveCallGauge {
    /// Adds one to the gauge.
    pub fn start() -> Self {
        catalog::CALLS_LIVE.increment(1);
        Self
    }
}

impl Drop for LiveCallGauge {
    fn drop(&mut self) {
        catalog::CALLS_LIVE.decrement(1);
    }
}
