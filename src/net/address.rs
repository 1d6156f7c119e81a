//! What can be told from the host of a URL without resolving it.

use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr};

/// Hosts of private networks (RFC 6762, RFC 8375, Docker, Kubernetes).
const LOCAL_ENDINGS: [&str; 5] = [".local", ".home.arpa", ".internal", ".localhost", ".lan"];

/// `url` as an http or https address with a host and without a fragment.
pub(crate) fn parse_http_url(url: &str) -> Option<Url> {
    let url = Url::parse(url.trim()).ok()?;
    let is_http = matches!(url.scheme(), "http" | "https");
    (is_http && url.fragment().is_none() && url.has_host()).then_some(url)
}

/// The IP address that is the host of `url`; `None` where the host is a name.
pub(crate) fn literal_ip(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse().ok()
}

/// Whether the host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match literal_ip(url) {
        Some(ip) => ip.is_loopback(),
        None => url.host_str() == Some("localhost"),
    }
}

/// Whether the host is this machine or in its private network.
pub(crate) fn is_local_network(url: &Url) -> bool {
    match literal_ip(url) {
        Some(IpAddr::V4(ip)) => is_private(ip),
        Some(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => is_private(ip),
            None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
        None => {
            let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
            // A name without a dot is a container's or a host's in the own network.
            !host.contains('.') || LOCAL_ENDINGS.iter().any(|ending| host.ends_with(ending))
        }
    }
}

fn is_private(ip: Ipv4Addr) -> bool {
    ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_servers_are_told_from_the_providers_of_the_world() {
        for (address, loopback, local) in [
            ("http://localhost:11434/v1", true, true),
            ("http://127.0.0.1/v1", true, true),
            ("http://[::1]:80/v1", true, true),
            ("http://192.168.1.7:8000/v1", false, true),
            ("http://10.0.0.2/v1", false, true),
            ("http://[fd00::1]/v1", false, true),
            ("http://ollama:11434/v1", false, true),
            ("http://host.docker.internal/v1", false, true),
            ("https://api.openai.com/v1", false, false),
            ("https://8.8.8.8/v1", false, false),
        ] {
            let url = Url::parse(address).unwrap();
            assert_eq!(
                (is_loopback(&url), is_local_network(&url)),
                (loopback, local),
                "{address}"
            );
        }
    }

    #[test]
    fn an_address_in_place_of_a_name_is_seen_in_any_spelling() {
        for (url, address) in [
            ("http://127.0.0.1/x", "127.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("http://[::ffff:7f00:1]/", "::ffff:127.0.0.1"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(literal_ip(&url), Some(address.parse().unwrap()), "{url}");
        }
        assert_eq!(
            literal_ip(&Url::parse("https://tools.example.net/").unwrap()),
            None
        );
    }
}
