//! Reading what the primary knows: how far it is, and a live call. The primary answers only after a
//! majority has confirmed that it still is the primary.

use super::client::{Addressee, Silence};
use super::exchange::{Exchange, Raft};
use super::wire::{CallAsked, CallTold, Desk, Reached};
use calldex_storage::Position;
use calldex_storage::record::LiveCall;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What a majority may take to confirm the primary, all tries together. The engine gives one try a
/// heartbeat's time.
const CONFIRM_MAX: Duration = Duration::from_millis(500);
/// What the primary's database may be behind its log when a call is read.
const APPLY_MAX: Duration = Duration::from_secs(1);
/// Between two questions while there is no primary, or an unsure one.
const PAUSE: Duration = Duration::from_millis(50);

/// What came of catching up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaughtUp {
    /// All is applied here that was acknowledged to anybody.
    Fully,
    /// The primary has told how far it is; this instance has not come so far in time.
    Behind,
    /// No primary that a majority follows has answered in time.
    NoPrimary,
}

/// How far this primary is.
pub(super) async fn reached(exchange: &Exchange) -> Reached {
    let Some(raft) = exchange.leading() else {
        return Reached::Elsewhere(exchange.whereabouts());
    };
    match timeout(CONFIRM_MAX, confirmed(exchange, &raft)).await {
        Ok(position) => Reached::At(position),
        Err(_) => Reached::Unsure,
    }
}

/// The last position that was committed before a majority confirmed this primary, at or after now.
/// Tries until it does, or for ever.
async fn confirmed(exchange: &Exchange, raft: &Raft) -> Position {
    loop {
        let asking = async {
            let (read, _) = raft.get_read_log_id().await.ok()?;
            Some(read.map_or(0, |log_id| log_id.index))
        };
        match exchange.reach.confirmations.after_now(asking).await {
            Some(position) => return position,
            None => sleep(PAUSE / 5).await,
        }
    }
}

/// The live call as this primary knows it.
pub(super) async fn call(exchange: &Exchange, call_sid: &str) -> CallTold {
    let position = match reached(exchange).await {
        Reached::At(position) => position,
        Reached::Elsewhere(found) => return CallTold::Elsewhere(found),
        Reached::Unsure => return CallTold::Unsure,
    };
    if !exchange.storage.wait_applied(position, APPLY_MAX).await {
        return CallTold::Unsure;
    }
    match exchange.storage.conversations.live(call_sid).await {
        Ok(Some(call)) => CallTold::Live(Box::new(call)),
        Ok(None) => CallTold::Unknown,
        Err(_) => CallTold::Unsure,
    }
}

/// The primary's position, asked of whoever it is, within `deadline`.
pub(super) async fn primary_position(exchange: &Exchange, deadline: Duration) -> Option<Position> {
    let asking = async {
        loop {
            let mut answer = match exchange.primary_door() {
                None => Ok(reached(exchange).await),
                Some(door) => ask_position(exchange, &door, deadline).await,
            };
            if let Ok(Reached::Elsewhere(Some(found))) = answer {
                let door = Addressee::node(found.node_id, found.address);
                answer = ask_position(exchange, &door, deadline).await;
            }
            if let Ok(Reached::At(position)) = answer {
                return position;
            }
            sleep(PAUSE).await;
        }
    };
    timeout(deadline, asking).await.ok()
}

async fn ask_position(
    exchange: &Exchange,
    door: &Addressee,
    patience: Duration,
) -> Result<Reached, Silence> {
    exchange
        .client
        .ask(door, Desk::Position, &(), patience)
        .await
}

/// The live call as the primary knows it, whoever it is, within `deadline`.
pub(super) async fn primary_call(
    exchange: &Exchange,
    call_sid: &str,
    deadline: Duration,
) -> Option<LiveCall> {
    let end = Instant::now() + deadline;
    let question = CallAsked {
        call_sid: call_sid.to_owned(),
    };
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        let told = match exchange.primary_door() {
            None => timeout(rest, call(exchange, call_sid))
                .await
                .map_err(|_| Silence::Lost),
            Some(door) => {
                let client = &exchange.client;
                client.ask(&door, Desk::Call, &question, rest).await
            }
        };
        match told {
            Ok(CallTold::Live(call)) => return Some(*call),
            Ok(CallTold::Unknown) => return None,
            _ => sleep(PAUSE.min(rest)).await,
        }
    }
    None
}
