//! Responses by idempotency token: a request that Twilio repeats gets the response that it got before,
//! and is not processed again (docs/protocol.md 2.2).

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Responses kept; then the oldest is evicted.
const ENTRIES_MAX: usize = 4_096;
/// Age at which a response is evicted, with the next request. Twilio's retries of one request end within
/// 15 s (docs/protocol.md 2.4), and a response may contain a name.
const ENTRY_AGE_MAX: Duration = Duration::from_secs(30);

/// The latest responses.
#[derive(Default)]
pub(super) struct IdempotencyCache(Mutex<CachedResponses>);

#[derive(Default)]
struct CachedResponses {
    documents: HashMap<String, String>,
    order: VecDeque<(Instant, String)>,
}

impl IdempotencyCache {
    /// The response given to this token on this route, if it is still cached.
    pub(super) fn get(&self, route: &str, token: Option<&str>) -> Option<String> {
        let key = cache_key(route, token?);
        self.locked().documents.get(&key).cloned()
    }

    /// Keeps a response. Without a token there is nothing to keep it by.
    pub(super) fn insert(&self, route: &str, token: Option<&str>, answer: &str) {
        let Some(token) = token else {
            return;
        };
        let key = cache_key(route, token);
        let now = Instant::now();
        let mut kept = self.locked();
        kept.evict(now);
        if kept
            .documents
            .insert(key.clone(), answer.to_owned())
            .is_none()
        {
            kept.order.push_back((now, key));
        }
    }

    /// A poisoned lock is used anyway: the worst case is a missing cache entry.
    fn locked(&self) -> std::sync::MutexGuard<'_, CachedResponses> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl CachedResponses {
    fn evict(&mut self, now: Instant) {
        let old = |(kept_at, _): &(Instant, String)| now.duration_since(*kept_at) > ENTRY_AGE_MAX;
        while self.order.len() >= ENTRIES_MAX || self.order.front().is_some_and(old) {
            let Some((_, oldest)) = self.order.pop_front() else {
                return;
            };
            self.documents.remove(&oldest);
        }
    }
}

fn cache_key(route: &str, token: &str) -> String {
    format!("{route} {token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_token_gets_its_answer_and_the_oldest_is_forgotten() {
        let repeats = IdempotencyCache::default();
        repeats.insert("voice", Some("one"), "<A/>");
        assert_eq!(repeats.get("voice", Some("one")).as_deref(), Some("<A/>"));
        assert_eq!(repeats.get("action", Some("one")), None);
        assert_eq!(repeats.get("voice", None), None);
        for n in 0..ENTRIES_MAX {
            repeats.insert("voice", Some(&n.to_string()), "<B/>");
        }
        assert_eq!(repeats.get("voice", Some("one")), None);
    }
}
