//! HTTP to a tool: no redirect is followed, no proxy asked, nothing sent unencrypted to the internet, and no address
//! connected to beyond the tool's reach.

use super::address_policy::{AddressPolicy, FilteringResolver};
use crate::net::tls;
use reqwest::{Client, ClientBuilder, Url, redirect};

/// A client for `url` within `reach`. An address in place of a name is not resolved: it is to be checked by
/// [`literal`](super::address::literal). The bound on connecting is the caller's to set.
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
