//! The two clocks of a call, read together.

use super::state::EventTime;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The current time.
pub fn now() -> EventTime {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    EventTime {
        ms: u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX),
        unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX),
    }
}

/// The instant that `ms` of [`EventTime::ms`] stands for.
pub fn instant(ms: u64) -> Instant {
    *START + Duration::from_millis(ms)
}

/// Unix seconds.
pub fn unix_seconds() -> u64 {
    u64::try_from(now().unix_ms / 1_000).unwrap_or_default()
}
