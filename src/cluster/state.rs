//! Whether this instance can take calls, and what to do about it if it cannot.

use super::exchange::{Exchange, Phase};
use super::standing;

/// An instance with a database waits so long at its start for a majority to let it in; then it takes
/// calls all the same. Those back first after the loss of all must not leave callers unanswered.
const GREETING_MS_MAX: u64 = 10_000;

/// How this instance's place in the cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It takes part.
    Ready,
    /// It takes calls, but something is missing.
    Degraded(String),
    /// It must not take calls, or cannot yet.
    Failed(String),
}

impl State {
    /// What is wrong, if something is.
    pub fn trouble(self) -> Option<String> {
        match self {
            Self::Ready => None,
            Self::Degraded(why) | Self::Failed(why) => Some(why),
        }
    }
}

/// How it is now.
pub(super) fn of(exchange: &Exchange) -> State {
    match exchange.phase() {
        Phase::Greeting(why) if exchange.applied() > 0 && exchange.elapsed_ms() > GREETING_MS_MAX => {
            State::Degraded(format!(
                "{why}: calls are taken, what they write waits here"
            ))
        }
        Phase::Greeting(why) => State::Failed(why),
        Phase::Refused(why) => State::Failed(format!("not let into the cluster: {why}")),
        Phase::Removed => State::Failed(
            "removed from the cluster: stop it; to bring it back, move its data directory away, but for \
             outbox.db, which holds what no primary has taken, and let it join anew"
                .to_owned(),
        ),
        Phase::Stopped => State::Failed("stopped".to_owned()),
        // Calls go on from memory, their writes wait in the outbox.
        Phase::Down(why) => State::Degraded(format!(
            "the cluster's engine is down, what calls write waits here: {why}"
        )),
        Phase::Running => running(exchange),
    }
}

fn running(exchange: &Exchange) -> State {
    if exchange.applied() == 0 {
        return State::Failed("waiting for the database from the primary".to_owned());
    }
    if !standing::has_quorum(exchange) {
        return State::Degraded(
            "no primary that a majority follows: calls go on, what they write waits here"
                .to_owned(),
        );
    }
    let differing = exchange.reach.differing();
    if !differing.is_empty() {
        let others: Vec<String> = differing.keys().map(u64::to_string).collect();
        return State::Degraded(format!(
            "the database differs from that of node {}: see the runbook DatabasesDiffer",
            others.join(", ")
        ));
    }
    State::Ready
}
