//! Connections to one provider. reqwest keeps one HTTP/2 connection per client, and providers
//! allow about a hundred streams on it: what is beyond would wait in line. So there are several
//! clients, and the next is used when those before are full.

use super::address;
use super::tls;
use super::warmth::{Approach, Warmth};
use reqwest::{Client, ClientBuilder, Url, Version, redirect};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Clients of one provider.
const LANES: usize = 8;
/// Requests on one lane before the next is used. At the bound of the last lane all share evenly.
const LANE_REQUESTS_MAX: usize = 80;
/// Idle connections kept by one lane (HTTP/1.1).
const POOL_IDLE_MAX: usize = 128;
/// Shorter than the idle time of common load balancers (60 s), so that we close first.
const POOL_IDLE_TIME: Duration = Duration::from_secs(55);
const KEEPALIVE: Duration = Duration::from_secs(30);
/// A dead HTTP/2 connection is found by an unanswered ping.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WAIT: Duration = Duration::from_secs(5);

/// The lanes to one provider.
pub(super) struct Lanes {
    lanes: [Arc<Lane>; LANES],
    /// HTTP/2 is agreed on within TLS only.
    may_share: bool,
    connect_max: Duration,
}

struct Lane {
    client: Client,
    requests: AtomicUsize,
    warmth: Mutex<Warmth>,
    /// Told whenever a connection is there, or will not be.
    opened: Notify,
}

/// One request's place on a lane; given back when dropped.
pub(super) struct Place {
    lane: Arc<Lane>,
}

impl Lanes {
    /// # Errors
    /// Of the TLS set-up, without details.
    pub(super) fn new(address: &Url, connect_max: Duration) -> Result<Self, reqwest::Error> {
        let tls = (address.scheme() == "https").then(tls::client_config);
        let mut lanes = Vec::with_capacity(LANES);
        for _ in 0..LANES {
            let builder = builder(address, connect_max, tls.clone());
            lanes.push(Arc::new(Lane {
                client: builder.build()?,
                requests: AtomicUsize::new(0),
                warmth: Mutex::default(),
                opened: Notify::new(),
            }));
        }
        let lanes = lanes
            .try_into()
            .unwrap_or_else(|_| unreachable!("exactly LANES were made"));
        Ok(Self {
            lanes,
            may_share: tls.is_some(),
            connect_max,
        })
    }

    pub(super) fn connect_max(&self) -> Duration {
        self.connect_max
    }

    /// How a reply with `place` comes to its connection.
    pub(super) fn approach(&self, place: &Place, now: Instant) -> Approach {
        match self.may_share {
            true => place.warmth().approach(now, self.connect_max),
            false => Approach::Clear,
        }
    }

    /// A place for a reply: on the first lane that has one, else on the emptiest.
    pub(super) fn take(&self) -> Place {
        let free = self
            .lanes
            .iter()
            .find(|lane| lane.load() < LANE_REQUESTS_MAX);
        let emptiest = || self.lanes.iter().min_by_key(|lane| lane.load());
        let place = Place::on(free.or_else(emptiest).unwrap_or(&self.lanes[0]));
        place.warmth().taken();
        place
    }

    /// A place to open a connection ahead, if one is wanted: on the lane that the next reply takes,
    /// or on the one after it when that is half full. [`Place::opened`] must follow.
    pub(super) fn open_ahead(&self, now: Instant) -> Option<Place> {
        let at = self
            .lanes
            .iter()
            .position(|lane| lane.load() < LANE_REQUESTS_MAX)?;
        let crowded = self.lanes[at].load() >= LANE_REQUESTS_MAX / 2;
        let wanted = &self.lanes[at..=(at + usize::from(crowded)).min(LANES - 1)];
        let cold = wanted
            .iter()
            .find(|lane| locked(&lane.warmth).should_open(now));
        cold.map(Place::on)
    }
}

impl Lane {
    fn load(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Place {
    fn on(lane: &Arc<Lane>) -> Self {
        lane.requests.fetch_add(1, Ordering::Relaxed);
        Self {
            lane: Arc::clone(lane),
        }
    }

    /// Another place on the same lane.
    pub(super) fn beside(&self) -> Self {
        Self::on(&self.lane)
    }

    /// Ready when the next connection of this lane is there, or will not be. Counts from now, not
    /// from its first poll.
    pub(super) fn opening(&self) -> Notified<'_> {
        self.lane.opened.notified()
    }

    pub(super) fn client(&self) -> &Client {
        &self.lane.client
    }

    /// Whether this place has just made its lane half full.
    pub(super) fn crowds(&self) -> bool {
        self.lane.load() == LANE_REQUESTS_MAX / 2
    }

    /// The attempt to open a connection ahead is over; `version` is given if it succeeded.
    pub(super) fn opened(&self, version: Option<Version>, now: Instant) {
        let shared = version.map(|version| version == Version::HTTP_2);
        self.warmth().opened(shared, now);
        self.lane.opened.notify_waiters();
    }

    /// An answer to this place's request has begun.
    pub(super) fn answered(&self, version: Version, now: Instant) {
        self.warmth().answered(version == Version::HTTP_2, now);
        self.lane.opened.notify_waiters();
    }

    /// The reply was read to its end.
    pub(super) fn returned(&self, version: Version, now: Instant) {
        self.warmth().returned(version == Version::HTTP_2, now);
    }

    fn warmth(&self) -> MutexGuard<'_, Warmth> {
        locked(&self.lane.warmth)
    }
}

/// What is behind the lock is whole at any moment.
fn locked(warmth: &Mutex<Warmth>) -> MutexGuard<'_, Warmth> {
    warmth.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn builder(
    address: &Url,
    connect_max: Duration,
    tls: Option<rustls::ClientConfig>,
) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("calldex/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_max)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .pool_idle_timeout(POOL_IDLE_TIME)
        .pool_max_idle_per_host(POOL_IDLE_MAX)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_WAIT)
        .http2_keep_alive_while_idle(true)
        // A redirect would carry the key elsewhere.
        .redirect(redirect::Policy::none());
    // A client wants some TLS set-up even for plain http, and must not look for certificates then.
    let tls = tls.unwrap_or_else(tls::without_trust);
    let builder = builder.tls_backend_preconfigured(tls);
    if address::is_loopback(address) {
        builder.no_proxy()
    } else {
        builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> Lanes {
        Lanes::new(
            &Url::parse("http://127.0.0.1:1/v1").unwrap(),
            Duration::from_secs(1),
        )
        .unwrap()
    }

    #[test]
    fn the_next_lane_is_used_when_those_before_are_full() {
        let lanes = lanes();
        let mut places: Vec<_> = (0..LANE_REQUESTS_MAX).map(|_| lanes.take()).collect();
        assert_eq!(
            lanes.lanes[0].requests.load(Ordering::Relaxed),
            LANE_REQUESTS_MAX
        );
        let next = lanes.take();
        assert_eq!(lanes.lanes[1].requests.load(Ordering::Relaxed), 1);
        drop(next);
        places.pop();
        let again = lanes.take();
        assert_eq!(
            lanes.lanes[0].requests.load(Ordering::Relaxed),
            LANE_REQUESTS_MAX
        );
        drop((again, places));
        assert!(
            lanes
                .lanes
                .iter()
                .all(|lane| lane.requests.load(Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn beyond_the_last_lane_all_share_evenly() {
        let lanes = lanes();
        let places: Vec<_> = (0..LANES * LANE_REQUESTS_MAX + LANES)
            .map(|_| lanes.take())
            .collect();
        assert!(
            lanes
                .lanes
                .iter()
                .all(|lane| lane.requests.load(Ordering::Relaxed) == LANE_REQUESTS_MAX + 1)
        );
        drop(places);
    }

    #[test]
    fn a_connection_is_opened_ahead_for_the_next_reply_and_for_the_next_lane_in_time() {
        let (lanes, now) = (lanes(), Instant::now());
        let on = |place: &Place, lane: usize| Arc::ptr_eq(&place.lane, &lanes.lanes[lane]);
        let ahead = lanes.open_ahead(now).unwrap();
        assert!(on(&ahead, 0));
        assert!(lanes.open_ahead(now).is_none(), "one is being opened");
        ahead.opened(Some(Version::HTTP_2), now);
        drop(ahead);
        let places: Vec<_> = (1..LANE_REQUESTS_MAX / 2).map(|_| lanes.take()).collect();
        assert!(lanes.open_ahead(now).is_none() && places.iter().all(|place| !place.crowds()));
        assert!(lanes.take().crowds());
        let half = lanes.take();
        assert!(half.crowds());
        assert!(on(&lanes.open_ahead(now).unwrap(), 1));
    }
}
