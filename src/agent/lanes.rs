//! Connections to one provider. reqwest keeps one HTTP/2 connection per client, and providers
//! allow about a hundred streams on it: what is beyond would wait in line. So there are several
//! clients, and the next is used when those before are full.

use super::tls;
use reqwest::{Client, ClientBuilder, Url, redirect};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
}

struct Lane {
    client: Client,
    requests: AtomicUsize,
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
            }));
        }
        let lanes = lanes
            .try_into()
            .unwrap_or_else(|_| unreachable!("exactly LANES were made"));
        Ok(Self { lanes })
    }

    /// A place on the first lane that has one, else on the emptiest.
    pub(super) fn take(&self) -> Place {
        let load = |lane: &Arc<Lane>| lane.requests.load(Ordering::Relaxed);
        let free = self
            .lanes
            .iter()
            .find(|lane| load(lane) < LANE_REQUESTS_MAX);
        let lane = free
            .or_else(|| self.lanes.iter().min_by_key(|lane| load(lane)))
            .unwrap_or(&self.lanes[0]);
        lane.requests.fetch_add(1, Ordering::Relaxed);
        Place {
            lane: Arc::clone(lane),
        }
    }
}

impl Place {
    pub(super) fn client(&self) -> &Client {
        &self.lane.client
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

fn builder(
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
    if is_loopback(address) {
        builder.no_proxy()
    } else {
        builder
    }
}

/// Local models are never behind the proxy of the environment.
fn is_loopback(address: &Url) -> bool {
    match address.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback()),
        None => false,
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
    fn local_models_are_asked_without_a_proxy() {
        for (address, local) in [
            ("http://localhost:11434/v1", true),
            ("http://127.0.0.1/v1", true),
            ("http://[::1]:80/v1", true),
            ("https://api.openai.com/v1", false),
        ] {
            assert_eq!(
                is_loopback(&Url::parse(address).unwrap()),
                local,
                "{address}"
            );
        }
    }
}
