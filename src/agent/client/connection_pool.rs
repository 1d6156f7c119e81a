//! Connections to one provider. reqwest keeps one HTTP/2 connection per client, and providers allow about a
//! hundred streams on it; further requests would queue. So there are several clients, and the next one is used
//! when those before it are full.

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
/// Requests on one client before the next is used. When all clients are full, the load is spread evenly.
const CLIENT_REQUESTS_MAX: usize = 80;

/// The HTTP clients of one provider.
pub(super) struct ConnectionPool {
    clients: [Arc<PooledClient>; CLIENTS],
    /// HTTP/2 is negotiated within TLS only.
    can_multiplex: bool,
    connect_max: Duration,
}

struct PooledClient {
    client: Client,
    in_flight: AtomicUsize,
    prewarm: Mutex<PrewarmState>,
    /// Notified when a connection is open, or when opening it has failed.
    opened: Notify,
}

/// One request's slot on a client; released on drop.
pub(in crate::agent) struct RequestSlot {
    pooled_client: Arc<PooledClient>,
}

impl ConnectionPool {
    /// # Errors
    /// The error of the TLS setup, without details.
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
            .unwrap_or_else(|_| unreachable!("exactly CLIENTS were made"));
        Ok(Self {
            clients,
            can_multiplex: tls.is_some(),
            connect_max,
        })
    }

    pub(super) fn connect_max(&self) -> Duration {
        self.connect_max
    }

    /// How a request with `slot` gets its connection.
    pub(super) fn connect_plan(&self, slot: &RequestSlot, now: Instant) -> ConnectPlan {
        match self.can_multiplex {
            true => slot.prewarm_state().connect_plan(now, self.connect_max),
            false => ConnectPlan::ConnectNow,
        }
    }

    /// A slot for a request: on the first client that is not full, else on the one with the fewest requests.
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

    /// A slot to open a connection in advance, if one is needed: on the client that the next request takes, or on
    /// the one after it when that is half full. [`RequestSlot::prewarm_finished`] must follow.
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

    /// Another slot on the same client.
    pub(super) fn sibling(&self) -> Self {
        Self::on(&self.pooled_client)
    }

    /// Completes when the next connection of this client is open, or has failed. Notifications count from this
    /// call on, not from the first poll.
    pub(super) fn next_connection(&self) -> Notified<'_> {
        self.pooled_client.opened.notified()
    }

    pub(super) fn client(&self) -> &Client {
        &self.pooled_client.client
    }

    /// Whether this slot has just made its client half full.
    pub(super) fn is_at_half_load(&self) -> bool {
        self.pooled_client.in_flight() == CLIENT_REQUESTS_MAX / 2
    }

    /// Opening a connection in advance has ended; `version` is given if it succeeded.
    pub(super) fn prewarm_finished(&self, version: Option<Version>, now: Instant) {
        let shared = version.map(|version| version == Version::HTTP_2);
        self.prewarm_state().prewarm_finished(shared, now);
        self.pooled_client.opened.notify_waiters();
    }

    /// The response to this slot's request has begun.
    pub(super) fn response_started(&self, version: Version, now: Instant) {
        self.prewarm_state()
            .response_started(version == Version::HTTP_2, now);
        self.pooled_client.opened.notify_waiters();
    }

    /// The response was read to its end.
    pub(in crate::agent) fn response_finished(&self, version: Version, now: Instant) {
        self.prewarm_state()
            .response_finished(version == Version::HTTP_2, now);
    }

    fn prewarm_state(&self) -> MutexGuard<'_, PrewarmState> {
        locked(&self.pooled_client.prewarm)
    }
}

/// A poisoned lock is used as it is: the state is valid after every statement.
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
    fn the_next_client_is_used_when_those_before_are_full() {
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
    fn when_all_clients_are_full_the_load_is_spread_evenly() {
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
    fn a_connection_is_opened_in_advance_for_the_next_request_and_for_the_next_client() {
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
