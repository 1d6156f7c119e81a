//! The URL that Twilio requested, restored behind proxies (docs/protocol.md 7.5).

use std::fmt;

/// Bytes of a path that a log shows.
const SHOWN_PATH_BYTES_MAX: usize = 200;
/// Bytes of a prefix that a proxy may name.
const PREFIX_BYTES_MAX: usize = 200;

/// Which endpoint was requested: it decides the scheme of the signed URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    /// Voice, action, status: `https` (or `http`).
    Webhook,
    /// The relay's upgrade: `wss` (or `ws`), docs/protocol.md 7.4.
    Relay,
}

/// Where the server is reached from outside: `https://host[:port][/mount]`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicBaseUrl {
    is_tls: bool,
    authority: String,
    path_prefix: String,
}

/// Why a text is no public base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicBaseUrlError {
    /// Another scheme, or none.
    #[error("a public URL starts with https:// (http:// only on loopback)")]
    Scheme,
    /// Nothing between the scheme and the path, or characters that no host has.
    #[error("a public URL names a host, as in https://calls.example.com")]
    Host,
    /// Query or fragment.
    #[error("a public URL ends with its path: no ? and no #")]
    QueryOrFragment,
}

impl PublicBaseUrl {
    /// Reads `https://host[:port][/mount]`; a slash at the end is ignored. `wss` and `ws` are
    /// taken for `https` and `http`. `http` is for loopback: Twilio itself wants TLS.
    pub fn parse(text: &str) -> Result<Self, PublicBaseUrlError> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or(PublicBaseUrlError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(PublicBaseUrlError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(PublicBaseUrlError::QueryOrFragment);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_authority(authority) || !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(PublicBaseUrlError::Host);
        }
        Ok(Self {
            is_tls: secure,
            authority: authority.to_owned(),
            path_prefix: normalized_prefix(path),
        })
    }

    /// The path that a proxy may take off, such as `/voice-ai`; empty where there is none.
    pub fn path_prefix(&self) -> &str {
        &self.path_prefix
    }

    /// Whether it is reached over TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The URL of our own `target` (path and query): what goes into `action` and
    /// `<ConversationRelay url>`.
    pub fn url(&self, endpoint: EndpointKind, target: &str) -> String {
        self.url_with_prefix(endpoint, &self.path_prefix, target)
    }

    /// The URLs that a request for `target` may have been made to, most likely first. A proxy takes the
    /// mount off, or leaves it on; where `target` begins like the mount it may be either (`/twilio/voice`
    /// under the mount `/twilio`).
    pub fn candidate_urls(&self, endpoint: EndpointKind, target: &str) -> Vec<String> {
        let restored = self.url(endpoint, target);
        let is_left_on = !self.path_prefix.is_empty()
            && target
                .strip_prefix(self.path_prefix.as_str())
                .is_some_and(|rest| rest.starts_with(['/', '?']));
        match is_left_on {
            true => vec![self.url_with_prefix(endpoint, "", target), restored],
            false => vec![restored],
        }
    }

    fn url_with_prefix(&self, endpoint: EndpointKind, mount: &str, target: &str) -> String {
        let (scheme, authority) = (scheme(endpoint, self.is_tls), &self.authority);
        let slash = if target.starts_with('/') { "" } else { "/" };
        format!("{scheme}://{authority}{mount}{slash}{target}")
    }
}

impl fmt::Debug for PublicBaseUrl {
    /// Without credentials, should the URL have any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.authority.rsplit('@').next().unwrap_or_default();
        write!(
            f,
            "{}://{host}{}",
            scheme(EndpointKind::Webhook, self.is_tls),
            self.path_prefix
        )
    }
}

/// The headers of a request that say how it was reached, as they came.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForwardedHeaders<'a> {
    /// `Host`, or `:authority`.
    pub host: Option<&'a str>,
    /// `X-Forwarded-Host`: the first value counts.
    pub forwarded_host: Option<&'a str>,
    /// `X-Forwarded-Proto`: the first value counts.
    pub forwarded_proto: Option<&'a str>,
    /// `X-Forwarded-Port`: the first value counts, where the host names no port.
    pub forwarded_port: Option<&'a str>,
    /// `X-Forwarded-Prefix`: the path that the proxy took off; the first value counts.
    pub forwarded_prefix: Option<&'a str>,
    /// `Forwarded` (RFC 7239): `host` and `proto` of its first element count where the `X-` headers say
    /// nothing.
    pub forwarded: Option<&'a str>,
}

/// Which headers determine the public URL if none is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyTrust {
    /// No headers: without a configured base there is no URL.
    ConfiguredOnly,
    /// The client connects directly and without TLS, as on loopback: `Host` is used, the forwarding
    /// headers are ignored.
    Direct,
    /// The client is our own proxy: its forwarding headers are used, and `Host` where it sent none.
    Proxy,
}

/// The public base URL: the configured one, else the one that the trusted headers give. `None` if they
/// give none; the request must then be rejected.
pub fn public_base_of_request(
    configured: Option<&PublicBaseUrl>,
    headers: &ForwardedHeaders<'_>,
    trust: ProxyTrust,
) -> Option<PublicBaseUrl> {
    if let Some(base) = configured {
        return Some(base.clone());
    }
    match trust {
        ProxyTrust::ConfiguredOnly => None,
        ProxyTrust::Direct => base_of_host(headers.host?, false, ""),
        ProxyTrust::Proxy => headers.base(),
    }
}

fn base_of_host(host: &str, secure: bool, prefix: &str) -> Option<PublicBaseUrl> {
    let authority = host.trim().to_owned();
    let is_prefix = prefix.len() <= PREFIX_BYTES_MAX
        && prefix
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'));
    (is_authority(&authority) && is_prefix).then(|| PublicBaseUrl {
        is_tls: secure,
        authority,
        path_prefix: normalized_prefix(prefix),
    })
}

impl<'a> ForwardedHeaders<'a> {
    /// The base that our own proxy speaks of; `Host` and TLS where it says nothing.
    fn base(&self) -> Option<PublicBaseUrl> {
        let said = |header: Option<&'a str>| header.map(first_value).filter(|v| !v.is_empty());
        let proto = said(self.forwarded_proto).or_else(|| self.forwarded_parameter("proto"));
        let secure = ["https", "wss"]
            .iter()
            .any(|name| proto.unwrap_or("https").eq_ignore_ascii_case(name));
        let host = said(self.forwarded_host)
            .or_else(|| self.forwarded_parameter("host"))
            .or(self.host)?;
        let port = said(self.forwarded_port).and_then(|port| port.parse::<u16>().ok());
        let usual = if secure { 443 } else { 80 };
        let port = port.filter(|port| *port != usual && !has_port(host));
        let host = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        base_of_host(
            &host,
            secure,
            said(self.forwarded_prefix).unwrap_or_default(),
        )
    }

    /// The value of `name` in the first element of `Forwarded`, its quotes taken off.
    fn forwarded_parameter(&self, name: &str) -> Option<&'a str> {
        let first = self.forwarded?.split(',').next()?;
        first.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let is_it = key.trim().eq_ignore_ascii_case(name);
            is_it
                .then(|| value.trim().trim_matches('"'))
                .filter(|value| !value.is_empty())
        })
    }
}

/// Whether a host ends in a port; an IPv6 address stands in brackets.
fn has_port(host: &str) -> bool {
    host.rsplit(']')
        .next()
        .is_some_and(|after| after.contains(':'))
}

/// A path as a mount: with a slash before and none behind; empty for none.
fn normalized_prefix(path: &str) -> String {
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

/// `url` as a log may show it: without credentials, query and fragment, which may hold secrets.
pub fn redact_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = &path[..path.floor_char_boundary(SHOWN_PATH_BYTES_MAX)];
    format!("{scheme}://{host}{path}")
}

fn scheme(endpoint: EndpointKind, secure: bool) -> &'static str {
    match (endpoint, secure) {
        (EndpointKind::Webhook, true) => "https",
        (EndpointKind::Webhook, false) => "http",
        (EndpointKind::Relay, true) => "wss",
        (EndpointKind::Relay, false) => "ws",
    }
}

fn first_value(header: &str) -> &str {
    header.split(',').next().unwrap_or_default().trim()
}

fn is_authority(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| {
            b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'<' | b'>' | b'\\')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<'a>(pairs: &[(&str, &'a str)]) -> ForwardedHeaders<'a> {
        let value = |name: &str| {
            pairs
                .iter()
                .find(|(given, _)| *given == name)
                .map(|(_, value)| *value)
        };
        ForwardedHeaders {
            host: value("host"),
            forwarded_host: value("x-forwarded-host"),
            forwarded_proto: value("x-forwarded-proto"),
            forwarded_port: value("x-forwarded-port"),
            forwarded_prefix: value("x-forwarded-prefix"),
            forwarded: value("forwarded"),
        }
    }

    fn url(pairs: &[(&str, &str)], trust: ProxyTrust) -> Option<String> {
        public_base_of_request(None, &headers(pairs), trust)
            .map(|base| base.url(EndpointKind::Relay, "/ws"))
    }

    #[test]
    fn a_configured_base_wins_over_every_header() {
        let base = PublicBaseUrl::parse("https://calls.example.com/").unwrap();
        let lies = headers(&[
            ("host", "evil.test"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-prefix", "/evil"),
        ]);
        let base = public_base_of_request(Some(&base), &lies, ProxyTrust::Proxy).unwrap();
        assert_eq!(
            base.url(EndpointKind::Webhook, "/twilio/voice?a=%27b"),
            "https://calls.example.com/twilio/voice?a=%27b"
        );
        assert_eq!(
            base.url(EndpointKind::Relay, "/twilio/relay"),
            "wss://calls.example.com/twilio/relay"
        );
    }

    #[test]
    fn a_mount_may_be_taken_off_by_the_proxy_or_left_on() {
        let base = PublicBaseUrl::parse("https://example.com:8443/voice-ai").unwrap();
        let restored = "wss://example.com:8443/voice-ai/ws";
        let requested = |target| base.candidate_urls(EndpointKind::Relay, target);
        assert_eq!(base.url(EndpointKind::Relay, "/ws"), restored);
        assert_eq!(requested("/ws"), [restored]);
        assert_eq!(requested("/voice-ai/ws")[0], restored);
        assert_eq!(
            requested("/voice-aid"),
            ["wss://example.com:8443/voice-ai/voice-aid"]
        );
        // A mount that reads like our own paths says nothing about whether it is still on.
        let twilio = PublicBaseUrl::parse("https://example.com/twilio").unwrap();
        assert_eq!(
            twilio.candidate_urls(EndpointKind::Webhook, "/twilio/voice"),
            [
                "https://example.com/twilio/voice",
                "https://example.com/twilio/twilio/voice"
            ]
        );
        assert_eq!(
            twilio.url(EndpointKind::Webhook, "/twilio/action"),
            "https://example.com/twilio/twilio/action"
        );
    }

    #[test]
    fn forwarding_headers_count_only_from_a_trusted_proxy() {
        let both = [
            ("host", "127.0.0.1:8080"),
            ("x-forwarded-host", "calls.example.com, inner.test"),
            ("x-forwarded-proto", "https,http"),
        ];
        let seen = |trust| url(&both, trust);
        assert_eq!(
            seen(ProxyTrust::Proxy).unwrap(),
            "wss://calls.example.com/ws"
        );
        assert_eq!(seen(ProxyTrust::Direct).unwrap(), "ws://127.0.0.1:8080/ws");
        assert_eq!(seen(ProxyTrust::ConfiguredOnly), None);
        assert_eq!(url(&[], ProxyTrust::Proxy), None);
        assert_eq!(url(&[("host", "a b/c")], ProxyTrust::Direct), None);
    }

    #[test]
    fn port_prefix_and_the_standard_header_are_read_from_a_trusted_proxy() {
        let host = ("x-forwarded-host", "calls.example.com");
        let inner = ("host", "10.0.0.1:8080");
        for (pairs, wanted) in [
            (
                vec![inner, host, ("x-forwarded-port", "8443")],
                "wss://calls.example.com:8443/ws",
            ),
            (
                vec![inner, host, ("x-forwarded-port", "443")],
                "wss://calls.example.com/ws",
            ),
            (
                vec![
                    inner,
                    ("x-forwarded-host", "calls.example.com:9443"),
                    ("x-forwarded-port", "8443"),
                ],
                "wss://calls.example.com:9443/ws",
            ),
            (
                vec![inner, host, ("x-forwarded-port", "nonsense")],
                "wss://calls.example.com/ws",
            ),
            (
                vec![inner, host, ("x-forwarded-prefix", "/voice-ai/")],
                "wss://calls.example.com/voice-ai/ws",
            ),
            (
                vec![
                    inner,
                    (
                        "forwarded",
                        "for=192.0.2.1;Host=\"calls.example.com:8443\";proto=https, for=10.0.0.2;host=inner",
                    ),
                ],
                "wss://calls.example.com:8443/ws",
            ),
            (
                vec![inner, host, ("forwarded", "host=other.test;proto=http")],
                "ws://calls.example.com/ws",
            ),
        ] {
            assert_eq!(url(&pairs, ProxyTrust::Proxy).as_deref(), Some(wanted));
            assert_eq!(
                url(&pairs, ProxyTrust::Direct).as_deref(),
                Some("ws://10.0.0.1:8080/ws")
            );
        }
        let odd = [host, ("x-forwarded-prefix", "/a?b")];
        assert_eq!(url(&odd, ProxyTrust::Proxy), None);
    }

    #[test]
    fn what_is_no_base_is_refused_with_its_reason() {
        for (text, why) in [
            ("calls.example.com", PublicBaseUrlError::Scheme),
            ("ftp://calls.example.com", PublicBaseUrlError::Scheme),
            ("https://", PublicBaseUrlError::Host),
            ("https://a b", PublicBaseUrlError::Host),
            (
                "https://calls.example.com?x=1",
                PublicBaseUrlError::QueryOrFragment,
            ),
        ] {
            assert_eq!(PublicBaseUrl::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let base = PublicBaseUrl::parse("https://user:pass@calls.example.com/m").unwrap();
        assert_eq!(format!("{base:?}"), "https://calls.example.com/m");
        let url = base.url(EndpointKind::Webhook, "/v?ref=secret#x");
        assert_eq!(url, "https://user:pass@calls.example.com/m/v?ref=secret#x");
        assert_eq!(redact_url(&url), "https://calls.example.com/m/v");
        assert_eq!(redact_url("nonsense?x"), "://nonsense");
    }
}
