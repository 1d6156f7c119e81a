//! The HTTP client of a tool: follows no redirect, uses no proxy, sends nothing unencrypted to public addresses, and
//! connects only to addresses that the policy allows.

use super::address_policy::{AddressPolicy, FilteringResolver};
use crate::net::tls;
use reqwest::{Client, ClientBuilder, Url, redirect};

/// A client for `url` under `address_policy`. An IP address as host is not resolved: the caller must check it, see
/// [`literal_ip`](crate::net::address::literal_ip). The caller sets the connect timeout.
pub fn restricted_client(url: &Url, address_policy: AddressPolicy) -> ClientBuilder {
    let is_secure = url.scheme() == "https";
    let trust = if is_secure {
        tls::client_config()
    } else {
        tls::without_roots()
    };
    Client::builder()
        .tls_backend_preconfigured(trust)
        .https_only(is_secure)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(FilteringResolver(address_policy))
}
