//! The URL that Twilio asked for, as seen from behind proxies (protocol 7.5).

use std::fmt;

/// Which door was knocked at: it decides the scheme of the signed URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Voice, action, status: `https` (or `http`).
    Webhook,
    /// The relay's upgrade: `wss` (or `ws`), protocol 7.4.
    Relay,
}

/// Where the server is reached from outside: `https://host[:port][/mount]`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicBase {
    secure: bool,
    authority: String,
    mount: String,
}

/// Why a text is no public base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicBaseError {
    /// Another scheme, or none.
    #[error("a public URL starts with https:// (http:// only on loopback)")]
    Scheme,
    /// Nothing between the scheme and the path, or characters that no host has.
    #[error("a public URL names a host, as in https://calls.example.com")]
    Host,
    /// Query or fragment.
    #[error("a public URL ends with its path: no ? and no #")]
    Extra,
}

impl PublicBase {
    /// Reads `https://host[:port][/mount]`; a slash at the end is ignored. `wss` and `ws` are
    /// taken for `https` and `http`. `http` is for loopback: Twilio itself wants TLS.
    pub fn parse(text: &str) -> Result<Self, PublicBaseError> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or(PublicBaseError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(PublicBaseError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(PublicBaseError::Extra);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_authority(authority) || !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(PublicBaseError::Host);
        }
        let path = path.trim_matches('/');
        let mount = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            secure,
            authority: authority.to_owned(),
            mount,
        })
    }

    /// The URL of `target` (path and query) for a webhook: what goes into `action`.
    pub fn webhook_url(&self, target: &str) -> String {
        self.url(Door::Webhook, target)
    }

    /// The URL of `target` for the relay: what goes into `<ConversationRelay url>`.
    pub fn relay_url(&self, target: &str) -> String {
        self.url(Door::Relay, target)
    }

    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// `target` under this base. A mount that a proxy takes off comes back on; one that it
    /// leaves on is not doubled.
    pub fn url(&self, door: Door, target: &str) -> String {
        let (scheme, authority) = (scheme(door, self.secure), &self.authority);
        let mounted = target
            .strip_prefix(self.mount.as_str())
            .is_some_and(|rest| rest.starts_with(['/', '?']));
        let mount = if mounted { "" } else { self.mount.as_str() };
        let slash = if target.starts_with('/') { "" } else { "/" };
        format!("{scheme}://{authority}{mount}{slash}{target}")
    }
}

impl fmt::Debug for PublicBase {
    /// Without credentials, should the URL have any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.authority.rsplit('@').next().unwrap_or_default();
        write!(
            f,
            "{}://{host}{}",
            scheme(Door::Webhook, self.secure),
            self.mount
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
}

/// Whose word counts about the public URL when none is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Nobody's: without a configured base there is no URL.
    Nobody,
    /// The peer connects directly and without TLS, as on loopback: `Host` counts, the
    /// forwarding headers do not.
    Direct,
    /// The peer is our own proxy: its forwarding headers count, `Host` where it sent none.
    Proxy,
}

/// The URL as Twilio requested it: `target` is path and query before any rewriting. A configured
/// `base` always wins. `None` where nobody can say: the request must be refused.
pub fn requested_url(
    base: Option<&PublicBase>,
    headers: &ForwardedHeaders<'_>,
    trust: Trust,
    door: Door,
    target: &str,
) -> Option<String> {
    if let Some(base) = base {
        return Some(base.url(door, target));
    }
    let (host, secure) = match trust {
        Trust::Nobody => return None,
        Trust::Direct => (headers.host?, false),
        Trust::Proxy => {
            let proto = headers.forwarded_proto.map_or("https", first_value);
            let secure = ["https", "wss"]
                .iter()
                .any(|name| proto.eq_ignore_ascii_case(name));
            (
                headers
                    .forwarded_host
                    .map(first_value)
                    .filter(|host| !host.is_empty())
                    .or(headers.host)?,
                secure,
            )
        }
    };
    let base = PublicBase {
        secure,
        authority: host.trim().to_owned(),
        mount: String::new(),
    };
    is_authority(&base.authority).then(|| base.url(door, target))
}

fn scheme(door: Door, secure: bool) -> &'static str {
    match (door, secure) {
        (Door::Webhook, true) => "https",
        (Door::Webhook, false) => "http",
        (Door::Relay, true) => "wss",
        (Door::Relay, false) => "ws",
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

    const NO_HEADERS: ForwardedHeaders<'_> = ForwardedHeaders {
        host: None,
        forwarded_host: None,
        forwarded_proto: None,
    };

    #[test]
    fn a_configured_base_wins_over_every_header() {
        let base = PublicBase::parse("https://calls.example.com/").unwrap();
        let lies = ForwardedHeaders {
            host: Some("evil.test"),
            forwarded_host: Some("evil.test"),
            forwarded_proto: Some("http"),
        };
        let url =
            |door, target| requested_url(Some(&base), &lies, Trust::Proxy, door, target).unwrap();
        assert_eq!(
            url(Door::Webhook, "/twilio/voice?a=%27b"),
            "https://calls.example.com/twilio/voice?a=%27b"
        );
        assert_eq!(
            url(Door::Relay, "/twilio/relay"),
            "wss://calls.example.com/twilio/relay"
        );
    }

    #[test]
    fn a_mount_taken_off_by_the_proxy_is_restored_once() {
        let base = PublicBase::parse("https://example.com:8443/voice-ai").unwrap();
        let restored = "wss://example.com:8443/voice-ai/ws";
        assert_eq!(base.relay_url("/ws"), restored);
        assert_eq!(base.relay_url("/voice-ai/ws"), restored);
        assert_eq!(
            base.relay_url("/voice-aid"),
            "wss://example.com:8443/voice-ai/voice-aid"
        );
    }

    #[test]
    fn forwarding_headers_count_only_from_a_trusted_proxy() {
        let headers = ForwardedHeaders {
            host: Some("127.0.0.1:8080"),
            forwarded_host: Some("calls.example.com, inner.test"),
            forwarded_proto: Some("https,http"),
        };
        let url = |trust| requested_url(None, &headers, trust, Door::Relay, "/ws");
        assert_eq!(url(Trust::Proxy).unwrap(), "wss://calls.example.com/ws");
        assert_eq!(url(Trust::Direct).unwrap(), "ws://127.0.0.1:8080/ws");
        assert_eq!(url(Trust::Nobody), None);
        assert_eq!(
            requested_url(None, &NO_HEADERS, Trust::Proxy, Door::Webhook, "/"),
            None
        );
        let odd = ForwardedHeaders {
            host: Some("a b/c"),
            ..NO_HEADERS
        };
        assert_eq!(
            requested_url(None, &odd, Trust::Direct, Door::Webhook, "/"),
            None
        );
    }

    #[test]
    fn what_is_no_base_is_refused_with_its_reason() {
        for (text, why) in [
            ("calls.example.com", PublicBaseError::Scheme),
            ("ftp://calls.example.com", PublicBaseError::Scheme),
            ("https://", PublicBaseError::Host),
            ("https://a b", PublicBaseError::Host),
            ("https://calls.example.com?x=1", PublicBaseError::Extra),
        ] {
            assert_eq!(PublicBase::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let base = PublicBase::parse("https://user:pass@calls.example.com/m").unwrap();
        assert_eq!(format!("{base:?}"), "https://calls.example.com/m");
        assert_eq!(
            base.webhook_url("/v"),
            "https://user:pass@calls.example.com/m/v"
        );
    }
}
