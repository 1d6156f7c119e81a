//! From public addresses to the servers behind them, and the dialling of relay sockets.

use super::{
    config::{Route, TwilioConfig},
    dial::Signing,
    error::CallError,
    frame::FRAME_BYTES_MAX,
    http::Twilio,
};
use reqwest::Url;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest,
        http::{HeaderValue, header},
        protocol::WebSocketConfig,
    },
};

/// Longest wait for a relay socket, in real time.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// An open relay socket.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A public address and where it is really to be found.
#[derive(Debug)]
pub(crate) struct Link {
    /// Where to connect.
    pub(crate) url: String,
    /// For the `Host` header.
    pub(crate) public_authority: String,
    /// Public over TLS, but reached in the clear: as behind a proxy or a tunnel.
    pub(crate) through_proxy: bool,
}

/// The address book.
#[derive(Debug)]
pub(crate) struct Links {
    public_base: String,
    routes: Vec<Route>,
}

impl Links {
    pub(crate) fn new(config: &TwilioConfig) -> Result<Self, CallError> {
        let base = bare(&config.base_url)?;
        let public_base = bare(config.public_url.as_deref().unwrap_or(&config.base_url))?;
        let mut routes = Vec::new();
        for url in [&public_base, &base] {
            routes.push(Route {
                authority: authority(url).to_owned(),
                base_url: base.clone(),
            });
        }
        for route in &config.routes {
            routes.push(Route {
                authority: route.authority.clone(),
                base_url: bare(&route.base_url)?,
            });
        }
        Ok(Self {
            public_base,
            routes,
        })
    }

    /// The public URL of a link in TwiML: absolute as it is spelled, a path at the public base, anything else
    /// relative to the document that it stood in.
    pub(crate) fn public(&self, link: &str, document: Option<&str>) -> Result<String, CallError> {
        if link.contains("://") {
            return Ok(link.to_owned());
        }
        if link.starts_with('/') {
            let base = document.map_or(Ok(self.public_base.clone()), origin)?;
            return Ok(format!("{base}{link}"));
        }
        let document = document.unwrap_or(&self.public_base);
        let url = Url::parse(document).and_then(|url| url.join(link));
        url.map(String::from)
            .map_err(|error| CallError::Settings(format!("{link}: {error}")))
    }

    /// Where a public URL is really to be found.
    pub(crate) fn resolve(&self, public: &str) -> Result<Link, CallError> {
        let (scheme, rest) = public
            .split_once("://")
            .ok_or_else(|| CallError::Settings(format!("{public} is no URL")))?;
        let asked = authority(public);
        let path = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
        let socket = matches!(scheme, "ws" | "wss");
        let public_authority = asked.rsplit('@').next().unwrap_or(asked).to_owned();
        let Some(route) = self
            .routes
            .iter()
            .find(|route| route.authority == public_authority)
        else {
            return Ok(Link {
                url: public.to_owned(),
                public_authority,
                through_proxy: false,
            });
        };
        let base = if socket {
            route.base_url.replacen("http", "ws", 1)
        } else {
            route.base_url.clone()
        };
        let secure = matches!(scheme, "https" | "wss");
        let local = public_authority == authority(&route.base_url);
        let through_proxy = secure && route.base_url.starts_with("http://") && !local;
        Ok(Link {
            url: format!("{base}{path}"),
            public_authority,
            through_proxy,
        })
    }
}

fn bare(url: &str) -> Result<String, CallError> {
    let parsed = Url::parse(url).map_err(|error| CallError::Settings(format!("{url}: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(CallError::Settings(format!(
            "{url} is no http:// or https:// address"
        )));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn origin(url: &str) -> Result<String, CallError> {
    let (scheme, _) = url
        .split_once("://")
        .ok_or_else(|| CallError::Settings(format!("{url} is no URL")))?;
    Ok(format!("{scheme}://{}", authority(url)))
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// Opens the relay socket, signed over the URL as it is spelled (protocol 4, 7.4).
pub(crate) async fn dial(
    twilio: &Twilio,
    relay_url: &str,
    signing: &Signing,
) -> Result<Socket, CallError> {
    let link = twilio.links.resolve(relay_url)?;
    let failed = |status: Option<u16>, reason: String| CallError::Handshake {
        url: link.url.clone(),
        status,
        reason,
    };
    let mut request = link
        .url
        .as_str()
        .into_client_request()
        .map_err(|error| failed(None, error.to_string()))?;
    let headers = request.headers_mut();
    let value =
        |text: &str| HeaderValue::from_str(text).map_err(|error| failed(None, error.to_string()));
    headers.insert(header::HOST, value(&link.public_authority)?);
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static("Jetty/11.0.24"),
    );
    if link.through_proxy {
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    }
    if let Some(signature) = twilio.sign(relay_url, &[], signing) {
        headers.insert("x-twilio-signature", value(&signature)?);
        headers.insert(
            "x-amzn-bedrock-agentcore-runtime-custom-twilio-signature",
            value(&signature)?,
        );
    }
    let uri = request.uri().clone();
    let port = uri
        .port_u16()
        .unwrap_or(if uri.scheme_str() == Some("wss") {
            443
        } else {
            80
        });
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let opening = async {
        let stream = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(tungstenite::Error::Io)?;
        stream.set_nodelay(true).map_err(tungstenite::Error::Io)?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(4 * FRAME_BYTES_MAX))
            .max_frame_size(Some(4 * FRAME_BYTES_MAX))
            .read_buffer_size(8 * 1024);
        client_async_tls_with_config(request, stream, Some(limits), None).await
    };
    match tokio::time::timeout(HANDSHAKE_MAX, opening).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => Err(failed(
            Some(response.status().as_u16()),
            "the handshake was refused".into(),
        )),
        Ok(Err(error)) => Err(failed(None, error.to_string())),
        Err(_) => Err(failed(
            None,
            format!("no handshake within {HANDSHAKE_MAX:?}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(public: Option<&str>) -> Links {
        let config = TwilioConfig {
            base_url: "http://127.0.0.1:4000/".into(),
            public_url: public.map(str::to_owned),
            ..TwilioConfig::default()
        };
        Links::new(&config).unwrap()
    }

    #[test]
    fn a_public_address_is_found_at_the_server_behind_it() {
        let links = links(Some("https://phone.example.net"));
        let link = links.resolve("wss://phone.example.net/relay?a=1").unwrap();
        assert_eq!(
            (
                link.url.as_str(),
                link.public_authority.as_str(),
                link.through_proxy
            ),
            ("ws://127.0.0.1:4000/relay?a=1", "phone.example.net", true)
        );
        let away = links.resolve("https://else.example.net/x").unwrap();
        assert_eq!(
            (away.url.as_str(), away.through_proxy),
            ("https://else.example.net/x", false)
        );
    }

    #[test]
    fn a_local_wss_address_is_dialled_in_the_clear() {
        let link = links(None).resolve("wss://127.0.0.1:4000/relay").unwrap();
        assert_eq!(
            (link.url.as_str(), link.through_proxy),
            ("ws://127.0.0.1:4000/relay", false)
        );
    }

    #[test]
    fn links_in_twiml_are_taken_as_a_browser_takes_them() {
        let links = links(Some("https://phone.example.net"));
        assert_eq!(
            links
                .public("/over", Some("https://b.example.net/voice"))
                .unwrap(),
            "https://b.example.net/over"
        );
        assert_eq!(
            links
                .public("over", Some("https://b.example.net/twilio/voice"))
                .unwrap(),
            "https://b.example.net/twilio/over"
        );
        assert_eq!(
            links.public("/voice", None).unwrap(),
            "https://phone.example.net/voice"
        );
        assert_eq!(
            links.public("https://c.example/x#y", None).unwrap(),
            "https://c.example/x#y"
        );
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        let config = TwilioConfig {
            base_url: "127.0.0.1:4000".into(),
            ..TwilioConfig::default()
        };
        assert!(matches!(Links::new(&config), Err(CallError::Settings(_))));
    }
}
