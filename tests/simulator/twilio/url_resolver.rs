//! From public addresses to the servers behind them, and the dialling of relay sockets.

use super::{
    config::{Route, TwilioConfig},
    dial::Signing,
    error::CallError,
    frame::FRAME_BYTES_MAX,
    http::Twilio,
    load_balancer::LoadBalancer,
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

/// The same where another instance can be tried.
const HANDSHAKE_OF_SEVERAL_MAX: Duration = Duration::from_secs(2);

/// An open relay socket.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A public address and where it is really to be found.
#[derive(Debug)]
pub(crate) struct ResolvedUrl {
    /// Where to connect.
    pub(crate) url: String,
    /// For the `Host` header.
    pub(crate) public_authority: String,
    /// Public over TLS, but reached in the clear: as behind a proxy or a tunnel.
    pub(crate) through_proxy: bool,
    /// Which of the instances it is, if it is one of them.
    pub(crate) instance: Option<usize>,
}

/// The address book.
#[derive(Debug)]
pub(crate) struct UrlResolver {
    public_base: String,
    /// `base_url` and further instances of the same server.
    instances: Vec<String>,
    /// Authorities that stand for all of them.
    ours: Vec<String>,
    routes: Vec<Route>,
    balance: LoadBalancer,
}

impl UrlResolver {
    pub(crate) fn new(config: &TwilioConfig) -> Result<Self, CallError> {
        let all = std::iter::once(&config.base_url).chain(&config.instances);
        let instances = all.map(|url| bare(url)).collect::<Result<Vec<_>, _>>()?;
        let public_base = bare(config.public_url.as_deref().unwrap_or(&config.base_url))?;
        let ours = std::iter::once(&public_base).chain(&instances);
        let ours = ours.map(|url| authority(url).to_owned()).collect();
        let routes = config.routes.iter().map(|route| {
            Ok(Route {
                authority: route.authority.clone(),
                base_url: bare(&route.base_url)?,
            })
        });
        Ok(Self {
            routes: routes.collect::<Result<_, CallError>>()?,
            balance: LoadBalancer::new(instances.len()),
            public_base,
            instances,
            ours,
        })
    }

    /// The public URL of a link in TwiML: absolute as it is spelled, a path at the public base, anything else
    /// relative to the document that it stood in.
    pub(crate) fn public_url(
        &self,
        link: &str,
        document: Option<&str>,
    ) -> Result<String, CallError> {
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

    /// Where a public URL is really to be found: the instances that answer for it, in the order in which they are to
    /// be tried. `wanted` is tried first.
    pub(crate) fn resolve(
        &self,
        public: &str,
        wanted: Option<usize>,
    ) -> Result<Vec<ResolvedUrl>, CallError> {
        let (_, rest) = public
            .split_once("://")
            .ok_or_else(|| CallError::Settings(format!("{public} is no URL")))?;
        let asked = authority(public);
        let path = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
        let asked = asked.rsplit('@').next().unwrap_or(asked);
        if self.ours.iter().any(|ours| ours == asked) {
            let order = self.balance.order(wanted).into_iter();
            let links = order.filter_map(|instance| {
                let base = self.instances.get(instance)?;
                Some(ResolvedUrl {
                    instance: Some(instance),
                    ..link(public, asked, base, path)
                })
            });
            return Ok(links.collect());
        }
        let elsewhere = self.routes.iter().find(|route| route.authority == asked);
        Ok(vec![match elsewhere {
            Some(route) => link(public, asked, &route.base_url, path),
            None => ResolvedUrl {
                url: public.to_owned(),
                public_authority: asked.to_owned(),
                through_proxy: false,
                instance: None,
            },
        }])
    }

    /// Whether the instance behind a link answered.
    pub(crate) fn note(&self, link: &ResolvedUrl, answered: bool) {
        if let Some(instance) = link.instance {
            self.balance.note(instance, answered);
        }
    }
}

/// `path` at the server `base`, which answers for `public_url` at `asked`.
fn link(public: &str, asked: &str, base: &str, path: &str) -> ResolvedUrl {
    let scheme = public.split_once("://").map_or("", |(scheme, _)| scheme);
    let at = if matches!(scheme, "ws" | "wss") {
        base.replacen("http", "ws", 1)
    } else {
        base.to_owned()
    };
    let secure = matches!(scheme, "https" | "wss");
    let local = asked == authority(base);
    ResolvedUrl {
        url: format!("{at}{path}"),
        public_authority: asked.to_owned(),
        through_proxy: secure && base.starts_with("http://") && !local,
        instance: None,
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

/// Opens the relay socket, signed over the URL as it is spelled (docs/protocol.md 4, 7.4); and which instance it is at.
pub(crate) async fn dial(
    twilio: &Twilio,
    relay_url: &str,
    signing: &Signing,
    wanted: Option<usize>,
) -> Result<(Socket, usize), CallError> {
    let links = twilio.links.resolve(relay_url, wanted)?;
    let mut failed = CallError::Settings(format!("{relay_url}: no server"));
    for (tried, link) in links.iter().enumerate() {
        let is_last = tried + 1 == links.len();
        let limit = if is_last {
            HANDSHAKE_MAX
        } else {
            HANDSHAKE_OF_SEVERAL_MAX
        };
        let opened = open(twilio, link, relay_url, signing, limit).await;
        let is_down = matches!(
            opened,
            Err(CallError::Handshake {
                status: None | Some(502..=504),
                ..
            })
        );
        twilio.links.note(link, !is_down);
        match opened {
            Ok(socket) => return Ok((socket, link.instance.unwrap_or_default())),
            Err(error) if is_down => failed = error,
            Err(error) => return Err(error),
        }
    }
    Err(failed)
}

async fn open(
    twilio: &Twilio,
    link: &ResolvedUrl,
    relay_url: &str,
    signing: &Signing,
    limit: Duration,
) -> Result<Socket, CallError> {
    let failed = |status: Option<u16>, reason: String| CallError::Handshake {
        url: link.url.clone(),
        status,
        reason,
    };
    let request =
        handshake(twilio, link, relay_url, signing).map_err(|reason| failed(None, reason))?;
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
    match tokio::time::timeout(limit, opening).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => Err(failed(
            Some(response.status().as_u16()),
            "the handshake was refused".into(),
        )),
        Ok(Err(error)) => Err(failed(None, error.to_string())),
        Err(_) => Err(failed(None, format!("no handshake within {limit:?}"))),
    }
}

/// The upgrade's request, with the headers that Twilio sends.
fn handshake(
    twilio: &Twilio,
    link: &ResolvedUrl,
    relay_url: &str,
    signing: &Signing,
) -> Result<tungstenite::handshake::client::Request, String> {
    let request = link.url.as_str().into_client_request();
    let mut request = request.map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
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
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(public: Option<&str>) -> UrlResolver {
        let config = TwilioConfig {
            base_url: "http://127.0.0.1:4000/".into(),
            public_url: public.map(str::to_owned),
            ..TwilioConfig::default()
        };
        UrlResolver::new(&config).unwrap()
    }

    fn first(links: &UrlResolver, public: &str) -> ResolvedUrl {
        links.resolve(public, None).unwrap().remove(0)
    }

    #[test]
    fn one_public_address_stands_for_every_instance() {
        let config = TwilioConfig {
            base_url: "http://127.0.0.1:4000".into(),
            instances: vec!["http://127.0.0.1:4001/".into()],
            public_url: Some("https://phone.example.net".into()),
            ..TwilioConfig::default()
        };
        let links = UrlResolver::new(&config).unwrap();
        let urls = |wanted| {
            let links = links.resolve("https://phone.example.net/voice", wanted);
            let urls = links.unwrap().into_iter().map(|link| link.url);
            urls.collect::<Vec<_>>()
        };
        let (one, two) = ("http://127.0.0.1:4000/voice", "http://127.0.0.1:4001/voice");
        assert_eq!(urls(None), [one, two]);
        assert_eq!(urls(None), [two, one]);
        assert_eq!(urls(Some(1)), [two, one]);
    }

    #[test]
    fn a_public_address_is_found_at_the_server_behind_it() {
        let links = links(Some("https://phone.example.net"));
        let link = first(&links, "wss://phone.example.net/relay?a=1");
        assert_eq!(
            (
                link.url.as_str(),
                link.public_authority.as_str(),
                link.through_proxy
            ),
            ("ws://127.0.0.1:4000/relay?a=1", "phone.example.net", true)
        );
        let away = first(&links, "https://else.example.net/x");
        assert_eq!(
            (away.url.as_str(), away.through_proxy),
            ("https://else.example.net/x", false)
        );
    }

    #[test]
    fn a_local_wss_address_is_dialled_in_the_clear() {
        let link = first(&links(None), "wss://127.0.0.1:4000/relay");
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
                .public_url("/over", Some("https://b.example.net/voice"))
                .unwrap(),
            "https://b.example.net/over"
        );
        assert_eq!(
            links
                .public_url("over", Some("https://b.example.net/twilio/voice"))
                .unwrap(),
            "https://b.example.net/twilio/over"
        );
        assert_eq!(
            links.public_url("/voice", None).unwrap(),
            "https://phone.example.net/voice"
        );
        assert_eq!(
            links.public_url("https://c.example/x#y", None).unwrap(),
            "https://c.example/x#y"
        );
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        let config = TwilioConfig {
            base_url: "127.0.0.1:4000".into(),
            ..TwilioConfig::default()
        };
        assert!(matches!(
            UrlResolver::new(&config),
            Err(CallError::Settings(_))
        ));
    }
}
