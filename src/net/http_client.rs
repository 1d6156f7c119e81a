//! The settings that all long-lived HTTP clients share.

use super::address::is_loopback;
use super::tls;
use reqwest::{Client, ClientBuilder, Url, redirect};
use std::time::Duration;

/// Idle connections kept by one client (HTTP/1.1).
const POOL_IDLE_MAX: usize = 128;
/// Shorter than the idle time of common load balancers (60 s), so that we close first.
const POOL_IDLE_TIME: Duration = Duration::from_secs(55);
const KEEPALIVE: Duration = Duration::from_secs(30);
/// A dead HTTP/2 connection is found by an unanswered ping.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for `address`, which is not asked through a proxy where it is this machine. Opening a connection
/// takes at most `connect_max`. `tls` is absent for plain http.
pub(crate) fn client_builder(
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
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        // A redirect would carry the key elsewhere.
        .redirect(redirect::Policy::none());
    // A client wants some TLS set-up even for plain http, and must not look for certificates then.
    let tls = tls.unwrap_or_else(tls::without_roots);
    let builder = builder.tls_backend_preconfigured(tls);
    if is_loopback(address) {
        builder.no_proxy()
    } else {
        builder
    }
}
