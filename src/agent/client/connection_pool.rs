//! Connections to one provider. reqwest keeps one HTTP/2 connection per client, and providers
//! allow about a hundred streams on it: what is beyond would wait in line. So there are several
//! clients, and the next is used when those before are full.

use super::prewarm::{ConnectPlan, PrewarmState};
use crate::net::http_client::client_builder;
use crate::net::tls;
use reqwest::{Client, Url, Version};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Clients of one provider.
const CLIENTS: usize = 8;
/// Requests on one lane before the next is used. At the bound of the last lane all share evenly.
const CLIENT_REQUESTS_MAX: usize = 80;

/// The lanes to one provider.
pub(super) struct ConnectionPool {
    clients: [Arc<PooledClient>; CLIENTS],
    /// HTTP/2 is agreed on within TLS only.
    can_multiplex: bool,
    connect_max: Duration,
}

struct PooledClient {
    client: Client,
    in_flight: AtomicUsize,
    prewarm: Mutex<PrewarmState>,
    /// Told whenever a connection is there, or will not be.
    opened: Notify,
}

/// One request's place on a lane; given back when dropped.
pub(in crate::agent) struct RequestSlot {
    pooled_client: Arc<PooledClient>,
}

impl ConnectionPool {
    /// # Errors
    /// Of the TLS set-up, without details.
    pub(super) fn new(address: &Url, connect_max: Duration) -> Result<Self, reqwest::Error> {
        let tls = (address.scheme() == "https").then(tls::client_config);
        let mut clients = Vec::with_capacity(CLIENTS);
        for _ in 0..CLIENTS {
            let builder = client_builder(address, connect_max, tls.clone());
            clients.push(Arc::new(PooledClient {
                client: builder.build()?,
                in_flight: AtomicUsize::new(0),
                prewarm: Mutex::default(),
                opened: Notify::new(),
            }));
        }
        let clients = clients
            .try_into()
            .unwrap_or_else(|_| unreachable!("exactly LANES were made"));
        Ok(Self {
            clients,
            can_multiplex: tls.is_some(),
            connect_max,
        })
    }

    pub(super) fn connect_max(&self) -> Duration {
        self.connect_max
    }

    /// How a reply with `place` comes to its connection.
    pub(super) fn connect_plan(&self, slot: &RequestSlot, now: Instant) -> ConnectPlan {
        match self.can_multiplex {
            true => slot.prewarm_state().connect_plan(now, self.connect_max),
            false => ConnectPlan::ConnectNow,
        }
    }

    /// A place for a reply: on the first lane that has one, else on the emptiest.
    pub(super) fn acquire(&self) -> RequestSlot {
        let free = self
            .clients
            .iter()
            .find(|pooled_client| pooled_client.in_flight() < CLIENT_REQUESTS_MAX);
        let emptiest = || {
            self.clients
                .iter()
                .min_by_key(|pooled_client| pooled_client.in_flight())
        };
        let slot = RequestSlot::on(free.or_else(emptiest).unwrap_or(&self.clients[0]));
        slot.prewarm_state().request_started();
        slot
    }

    /// A place to open a connection ahead, if one is wanted: on the lane that the next reply takes,
    /// or on the one after it when that is half full. [`RequestSlot::prewarm_finished`] must follow.
    pub(super) fn slot_to_prewarm(&self, now: Instant) -> Option<RequestSlot> {
        let at = self
            .clients
            .iter()
            .position(|pooled_client| pooled_client.in_flight() < CLIENT_REQUESTS_MAX)?;
        let crowded = self.clients[at].in_flight() >= CLIENT_REQUESTS_MAX / 2;
        let wanted = &self.clients[at..=(at + usize::from(crowded)).min(CLIENTS - 1)];
        let cold = wanted
            .iter()
            .find(|pooled_client| locked(&pooled_client.prewarm).should_open(now));
        cold.map(RequestSlot::on)
    }
}

impl PooledClient {
    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl RequestSlot {
    fn on(pooled_client: &Arc<PooledClient>) -> Self {
        pooled_client.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            pooled_client: Arc::clone(pooled_client),
        }
    }

    /// Another place on the same lane.
    pub(super) fn sibling(&self) -> Self {
        Self::on(&self.pooled_client)
    }

    /// Ready when the next connection of this lane is there, or will not be. Counts from now, not
    /// from its first poll.
    pub(super) fn next_connection(&self) -> Notified<'_> {
        self.pooled_client.opened.notified()
    }

    pub(super) fn client(&self) -> &Client {
        &self.pooled_client.client
    }

    /// Whether this place has just made its lane half full.
    pub(super) fn is_at_half_load(&self) -> bool {
        self.pooled_client.in_flight() == CLIENT_REQUESTS_MAX / 2
    }

    /// The attempt to open a connection ahead is over; `version` is given if it succeeded.
    pub(super) fn prewarm_finished(&self, version: Option<Version>, now: Instant) {
        let shared = version.map(|version| version == Version::HTTP_2);
        self.prewarm_state().prewarm_finished(shared, now);
        self.pooled_client.opened.notify_waiters();
    }

    /// An answer to this place's request has begun.
    pub(super) fn response_started(&self, version: Version, now: Instant) {
        self.prewarm_state()
            .response_started(version == Version::HTTP_2, now);
        self.pooled_client.opened.notify_waiters();
    }

    /// The reply was read to its end.
    pub(in crate::agent) fn response_finished(&self, version: Version, now: Instant) {
        self.prewarm_state()
            .response_finished(version == Version::HTTP_2, now);
    }

    fn prewarm_state(&self) -> MutexGuard<'_, PrewarmState> {
        locked(&self.pooled_client.prewarm)
    }
}

/// What is behind the lock is whole at any moment.
fn locked(prewarm_state: &Mutex<PrewarmState>) -> MutexGuard<'_, PrewarmState> {
    prewarm_state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        self.pooled_client.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> ConnectionPool {
        ConnectionPool::new(
            &Url::parse("http://127.0.0.1:1/v1").unwrap(),
            Duration::from_secs(1),
        )
        .unwrap()
    }

    #[test]
    fn the_next_lane_is_used_when_those_before_are_full() {
        let clients = clients();
        let mut places: Vec<_> = (0..CLIENT_REQUESTS_MAX)
            .map(|_| clients.acquire())
            .collect();
        assert_eq!(
            clients.clients[0].in_flight.load(Ordering::Relaxed),
            CLIENT_REQUESTS_MAX
        );
        let next = clients.acquire();
        assert_eq!(clients.clients[1].in_flight.load(Ordering::Relaxed), 1);
        drop(next);
        places.pop();
        let again = clients.acquire();
        assert_eq!(
            clients.clients[0].in_flight.load(Ordering::Relaxed),
            CLIENT_REQUESTS_MAX
        );
        drop((again, places));
        assert!(
            clients
                .clients
                .iter()
                .all(|pooled_client| pooled_client.in_flight.load(Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn beyond_the_last_lane_all_share_evenly() {
        let clients = clients();
        let places: Vec<_> = (0..CLIENTS * CLIENT_REQUESTS_MAX + CLIENTS)
            .map(|_| clients.acquire())
            .collect();
        assert!(clients.clients.iter().all(|pooled_client| {
            pooled_client.in_flight.load(Ordering::Relaxed) == CLIENT_REQUESTS_MAX + 1
        }));
        drop(places);
    }

    #[test]
    fn a_connection_is_opened_ahead_for_the_next_reply_and_for_the_next_lane_in_time() {
        let (clients, now) = (clients(), Instant::now());
        let on = |slot: &RequestSlot, pooled_client: usize| {
            Arc::ptr_eq(&slot.pooled_client, &clients.clients[pooled_client])
        };
        let ahead = clients.slot_to_prewarm(now).unwrap();
        assert!(on(&ahead, 0));
        assert!(
            clients.slot_to_prewarm(now).is_none(),
            "one is being opened"
        );
        ahead.prewarm_finished(Some(Version::HTTP_2), now);
        drop(ahead);
        let places: Vec<_> = (1..CLIENT_REQUESTS_MAX / 2)
            .map(|_| clients.acquire())
            .collect();
        assert!(
            clients.slot_to_prewarm(now).is_none()
                && places.iter().all(|slot| !slot.is_at_half_load())
        );
        assert!(clients.acquire().is_at_half_load());
        let half = clients.acquire();
        assert!(half.is_at_half_load());
        assert!(on(&clients.slot_to_prewarm(now).unwrap(), 1));
    }
}
