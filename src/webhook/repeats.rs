//! Answers by idempotency token: a request that Twilio repeats gets the answer it got before, and
//! nothing is done twice (protocol 2.2).

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Answers kept; past it the oldest is forgotten.
const ANSWERS_MAX: usize = 4_096;
/// Twilio's retries of one request end within 15 s (protocol 2.4); older answers, which may hold a
/// name, are forgotten with the next request.
const KEPT_MAX: Duration = Duration::from_secs(30);

/// The last answers.
#[derive(Default)]
pub(super) struct Repeats(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    answers: HashMap<String, String>,
    order: VecDeque<(Instant, String)>,
}

impl Repeats {
    /// The answer given to this token at this door, if it is still known.
    pub(super) fn answer(&self, door: &str, token: Option<&str>) -> Option<String> {
        let key = key(door, token?);
        self.kept().answers.get(&key).cloned()
    }

    /// Keeps the answer.
    pub(super) fn keep(&self, door: &str, token: Option<&str>, answer: &str) {
        let Some(token) = token else {
            return;
        };
        let key = key(door, token);
        let now = Instant::now();
        let mut kept = self.kept();
        kept.forget_before(now);
        if kept
            .answers
            .insert(key.clone(), answer.to_owned())
            .is_none()
        {
            kept.order.push_back((now, key));
        }
    }

    /// A panic while it was held cannot have left it half-changed in a way that matters.
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_before(&mut self, now: Instant) {
        let old = |(kept_at, _): &(Instant, String)| now.duration_since(*kept_at) > KEPT_MAX;
        while self.order.len() >= ANSWERS_MAX || self.order.front().is_some_and(old) {
            let Some((_, oldest)) = self.order.pop_front() else {
                return;
            };
            self.answers.remove(&oldest);
        }
    }
}

fn key(door: &str, token: &str) -> String {
    format!("{door} {token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_token_gets_its_answer_and_the_oldest_is_forgotten() {
        let repeats = Repeats::default();
        repeats.keep("voice", Some("one"), "<A/>");
        assert_eq!(
            repeats.answer("voice", Some("one")).as_deref(),
            Some("<A/>")
        );
        assert_eq!(repeats.answer("action", Some("one")), None);
        assert_eq!(repeats.answer("voice", None), None);
        for n in 0..ANSWERS_MAX {
            repeats.keep("voice", Some(&n.to_string()), "<B/>");
        }
        assert_eq!(repeats.answer("voice", Some("one")), None);
    }
}
