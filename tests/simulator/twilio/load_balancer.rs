//! A small load balancer before several instances of one server: each request to the next one in turn, and to another
//! where nobody answers, as a real one does with health checks and retries on connection failures.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// An instance that did not answer is asked last for this long.
const DOWN_FOR: Duration = Duration::from_secs(1);

/// Which of several instances a call's requests go to, by their place: `base_url` is 0, `instances` follow. `None`: the
/// next one in turn. One that does not answer is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// The voice webhook, the first and one that a redirect asks for.
    pub voice: Option<usize>,
    /// Relay sockets.
    pub relay: Option<usize>,
    /// The action of a session, and the status callback.
    pub action: Option<usize>,
}

impl Routing {
    /// Everything to one instance.
    pub fn only(instance: usize) -> Self {
        Self {
            voice: Some(instance),
            relay: Some(instance),
            action: Some(instance),
        }
    }
}

/// Whose turn it is.
#[derive(Debug)]
pub(crate) struct LoadBalancer {
    next: AtomicUsize,
    /// Since when each instance has not answered.
    down: Vec<Mutex<Option<Instant>>>,
}

impl LoadBalancer {
    pub(crate) fn new(instances: usize) -> Self {
        Self {
            next: AtomicUsize::new(0),
            down: (0..instances).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// All instances, in the order in which they are to be tried.
    pub(crate) fn order(&self, wanted: Option<usize>) -> Vec<usize> {
        let count = self.down.len().max(1);
        let first = wanted.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        let mut order: Vec<usize> = (0..count).map(|step| (first + step) % count).collect();
        if wanted.is_none() {
            order.sort_by_key(|instance| self.is_down(*instance));
        }
        order
    }

    fn is_down(&self, instance: usize) -> bool {
        let Some(down) = self.down.get(instance) else {
            return false;
        };
        let since = *down.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < DOWN_FOR)
    }

    /// The instance answered, or did not.
    pub(crate) fn note(&self, instance: usize, answered: bool) {
        if let Some(down) = self.down.get(instance) {
            let since = (!answered).then(Instant::now);
            *down.lock().unwrap_or_else(PoisonError::into_inner) = since;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_its_turn_and_one_that_does_not_answer_comes_last() {
        let balance = LoadBalancer::new(3);
        assert_eq!(balance.order(None), [0, 1, 2]);
        assert_eq!(balance.order(None), [1, 2, 0]);
        balance.note(2, false);
        assert_eq!(balance.order(None), [0, 1, 2]);
        assert_eq!(
            balance.order(None),
            [0, 1, 2],
            "it would have been 0 after 2"
        );
        assert_eq!(balance.order(Some(2)), [2, 0, 1], "who asks for it gets it");
        balance.note(2, true);
        assert_eq!(balance.order(None), [1, 2, 0]);
        assert_eq!(balance.order(None), [2, 0, 1]);
    }
}
