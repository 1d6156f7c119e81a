//! The two spellings of a URL that Twilio signs: with and without a port (docs/protocol.md 7.3).

/// A URL in three pieces: up to the end of the host, a port or nothing, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UrlVariant<'a>([&'a str; 3]);

impl UrlVariant<'_> {
    /// The pieces in order: one after the other they are the URL.
    pub fn pieces(&self) -> &[&str; 3] {
        &self.0
    }
}

/// `url` as it is, and with its port taken off, or the scheme's port put on where it has none:
/// 443 for `https` and `wss`, 80 else. A fragment (Twilio's connection overrides) is cut: it
/// is never sent. A text without `://` has one form only.
pub(super) fn url_variants(url: &str) -> impl Iterator<Item = UrlVariant<'_>> {
    let url = without_fragment(url);
    let as_it_is = UrlVariant([url, "", ""]);
    [Some(as_it_is), other_port_variant(url)]
        .into_iter()
        .flatten()
}

fn other_port_variant(url: &str) -> Option<UrlVariant<'_>> {
    let (scheme, after_scheme) = url.split_once("://")?;
    let authority_start = url.len() - after_scheme.len();
    let authority_end = after_scheme
        .find(['/', '?'])
        .map_or(url.len(), |at| authority_start + at);
    let (before, rest) = url.split_at(authority_end);
    match port_start(before, authority_start) {
        Some(colon) => Some(UrlVariant([&before[..colon], "", rest])),
        None => Some(UrlVariant([before, default_port(scheme), rest])),
    }
}

/// Where `:port` begins in `before` (the URL up to the end of its authority). Credentials hold
/// colons too, so only what follows the last `@` is looked at; so does an IPv6 host, in brackets.
fn port_start(before: &str, authority_start: usize) -> Option<usize> {
    let host_start = before[authority_start..]
        .rfind('@')
        .map_or(authority_start, |at| authority_start + at + 1);
    let host = &before[host_start..];
    let after_bracket = host.rfind(']').map_or(0, |at| at + 1);
    let colon = host[after_bracket..].find(':')? + after_bracket;
    Some(host_start + colon)
}

fn default_port(scheme: &str) -> &'static str {
    if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") {
        ":443"
    } else {
        ":80"
    }
}

/// `url` up to its `#`.
pub(super) fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(url: &str) -> Vec<String> {
        url_variants(url)
            .map(|form| form.pieces().concat())
            .collect()
    }

    #[test]
    fn a_port_is_put_on_where_there_is_none() {
        assert_eq!(
            forms("https://h.test/a?b=c:d"),
            ["https://h.test/a?b=c:d", "https://h.test:443/a?b=c:d"]
        );
        assert_eq!(
            forms("wss://h.test/ws"),
            ["wss://h.test/ws", "wss://h.test:443/ws"]
        );
        assert_eq!(
            forms("http://h.test"),
            ["http://h.test", "http://h.test:80"]
        );
        assert_eq!(
            forms("https://h.test?x=1"),
            ["https://h.test?x=1", "https://h.test:443?x=1"]
        );
    }

    #[test]
    fn a_port_is_taken_off_after_the_last_at_sign() {
        assert_eq!(
            forms("https://u:p@h.test:8443/a"),
            ["https://u:p@h.test:8443/a", "https://u:p@h.test/a"]
        );
        assert_eq!(
            forms("https://u:p@h.test/a"),
            ["https://u:p@h.test/a", "https://u:p@h.test:443/a"]
        );
        assert_eq!(
            forms("https://u:p@x:y@h.test:1/a"),
            ["https://u:p@x:y@h.test:1/a", "https://u:p@x:y@h.test/a"]
        );
        assert_eq!(
            forms("http://[::1]:80/a"),
            ["http://[::1]:80/a", "http://[::1]/a"]
        );
        assert_eq!(
            forms("http://[::1]/a"),
            ["http://[::1]/a", "http://[::1]:80/a"]
        );
    }

    #[test]
    fn connection_overrides_take_no_part() {
        assert_eq!(
            forms("https://h.test/v#rc=3&rp=all"),
            ["https://h.test/v", "https://h.test:443/v"]
        );
    }
}
