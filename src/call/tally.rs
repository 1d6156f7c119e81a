//! What calls count, as metrics.

use super::state::Count;
use crate::twilio::relay::{Heard, Spoken};
use calldex_observability::catalog;
use calldex_storage::record::Outcome;

/// A step of a call.
pub fn count(count: Count) {
    match count {
        Count::Turn(role) => catalog::TURNS_TOTAL.with(role).increment(1),
        Count::BargeIn(by) => catalog::BARGE_INS_TOTAL.with(by).increment(1),
        Count::Bridge => catalog::BRIDGES_TOTAL.increment(1),
        Count::Apology => catalog::APOLOGIES_TOTAL.increment(1),
        Count::Name(event) => catalog::NAMES_TOTAL.with(event).increment(1),
        Count::FirstToken(ms) => catalog::FIRST_TOKEN_SECONDS.record(seconds(ms)),
        Count::EagerStart => catalog::EAGER_STARTS_TOTAL.increment(1),
        Count::ClaimLost => catalog::CALL_CLAIMS_LOST_TOTAL.increment(1),
        Count::PromptFailed(text) => {
            catalog::PROMPT_FAILURES_TOTAL.increment(1);
            tracing::warn!(
                text,
                "a text of the prompt cannot be rendered and is told as it is shipped: see calldex check"
            );
        }
        Count::Replay => tracing::debug!("a repeated prompt was recognised"),
    }
}

/// A call that is over after `ms` milliseconds.
pub fn over(outcome: Outcome, ms: u64) {
    catalog::CALLS_ENDED_TOTAL
        .with(outcome.as_str())
        .increment(1);
    catalog::CALL_SECONDS.record(seconds(ms));
}

/// A frame from Twilio.
pub fn heard(heard: &Heard<'_>) {
    let kind = match heard {
        Heard::Prompt(prompt) if !prompt.last => "partial",
        other => other.label(),
    };
    catalog::FRAMES_RECEIVED_TOTAL.with(kind).increment(1);
    if matches!(heard, Heard::Error(_)) {
        catalog::FRAME_ERRORS_TOTAL.increment(1);
    }
}

/// A frame to Twilio.
pub fn spoken(frame: &Spoken<'_>) {
    let kind = match frame {
        Spoken::SendDigits(_) => "send_digits",
        other => other.label(),
    };
    catalog::FRAMES_SENT_TOTAL.with(kind).increment(1);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of one turn are far below 2^53"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// A live call in the gauge, as long as it lives.
pub struct Live;

impl Live {
    /// From now on.
    pub fn begin() -> Self {
        catalog::CALLS_LIVE.increment(1);
        Self
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        catalog::CALLS_LIVE.decrement(1);
    }
}
