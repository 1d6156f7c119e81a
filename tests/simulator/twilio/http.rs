//! Webhooks: signed requests to the server and their answers (docs/protocol.md 2, 7).

use super::{
    config::TwilioConfig,
    dial::{Dial, Signing},
    error::CallError,
    form::{self, Form},
    identity,
    live_calls::LiveCalls,
    signature,
    twiml::{TWIML_BYTES_MAX, Twiml, TwimlError},
    url_resolver::{self, ResolvedUrl, UrlResolver},
};
use reqwest::{Client, header};
use std::{sync::Arc, time::Duration};

/// A webhook's whole exchange, in real time (docs/protocol.md 2.4).
pub(crate) const WEBHOOK_MAX: Duration = Duration::from_secs(15);
/// One try to connect (docs/protocol.md 2.4).
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The same where another instance can be asked: a load balancer does not wait that long.
const ANSWER_OF_SEVERAL_MAX: Duration = Duration::from_secs(3);
/// Connections kept open for re-use.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// The key of a forged signature.
const WRONG_AUTH_TOKEN: &str = "not-the-token-of-this-account";

/// A webhook's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookAnswer {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: String,
    /// Which of several instances gave it.
    pub instance: usize,
}

impl WebhookAnswer {
    /// The answer as TwiML; its status is not looked at.
    pub fn twiml(&self) -> Result<Twiml, CallError> {
        let content_type = self.content_type.as_deref().unwrap_or_default();
        let bare = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if !matches!(bare.as_str(), "text/xml" | "application/xml" | "text/html") {
            return Err(TwimlError::ContentType(content_type.to_owned()).into());
        }
        Ok(Twiml::parse(&self.body)?)
    }
}

/// One webhook request, for tests that go around [`Twilio::place_call`].
#[derive(Clone, Debug, Default)]
pub struct Webhook {
    /// Path and query at the server, or a whole public URL.
    pub path: String,
    pub form: Vec<(String, String)>,
    /// Puts the form into the query.
    pub by_get: bool,
    pub signing: Signing,
    /// `I-Twilio-Idempotency-Token`; `None` draws one.
    pub idempotency_token: Option<String>,
    /// Which of several instances it goes to; `None`: the next in turn.
    pub via: Option<usize>,
}

/// A simulated Twilio account; cheap to clone.
#[derive(Clone, Debug)]
pub struct Twilio {
    pub(crate) config: Arc<TwilioConfig>,
    pub(crate) links: Arc<UrlResolver>,
    pub(crate) exchange: Arc<LiveCalls>,
    client: Client,
}

impl Twilio {
    /// Checks the settings and prepares a client.
    pub fn new(config: TwilioConfig) -> Result<Self, CallError> {
        if !(config.speed > 0.0 && config.speed.is_finite()) {
            return Err(CallError::Settings(format!(
                "speed {} is not above zero",
                config.speed
            )));
        }
        crate::tls::install_provider();
        let client = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(WEBHOOK_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .user_agent("TwilioProxy/1.1")
            .build()
            .map_err(|error| CallError::Settings(error.to_string()))?;
        let links = Arc::new(UrlResolver::new(&config)?);
        Ok(Self {
            config: Arc::new(config),
            links,
            exchange: Arc::default(),
            client,
        })
    }

    /// The voice webhook's form for a call (docs/protocol.md 2.1).
    pub fn voice_form(&self, dial: &Dial, call_sid: &str) -> Vec<(String, String)> {
        form::voice(&self.config.account_sid, call_sid, dial)
    }

    /// One request of one's own.
    pub async fn request(&self, webhook: Webhook) -> Result<WebhookAnswer, CallError> {
        let token = webhook
            .idempotency_token
            .unwrap_or_else(identity::idempotency_token);
        let url = self.links.public_url(&webhook.path, None)?;
        self.send(
            &url,
            &webhook.form,
            webhook.by_get,
            &webhook.signing,
            &token,
            webhook.via,
        )
        .await
    }

    /// Requests a public URL with a form, at a server that answers for it: `wanted`, or the next in turn.
    pub(crate) async fn send(
        &self,
        url: &str,
        form: &Form,
        by_get: bool,
        signing: &Signing,
        token: &str,
        wanted: Option<usize>,
    ) -> Result<WebhookAnswer, CallError> {
        let body = form::encode(form);
        let asked = if by_get {
            format!("{url}{}{body}", if url.contains('?') { '&' } else { '?' })
        } else {
            url.to_owned()
        };
        let signed_form: &[(String, String)] = if by_get { &[] } else { form };
        let signature = self.sign(&asked, signed_form, signing);
        let links = self.links.resolve(&asked, wanted)?;
        let mut failed = CallError::Settings(format!("{url}: no server"));
        for (tried, link) in links.iter().enumerate() {
            let mut request = if by_get {
                self.client.get(&link.url)
            } else {
                self.client
                    .post(&link.url)
                    .header(
                        header::CONTENT_TYPE,
                        "application/x-www-form-urlencoded; charset=UTF-8",
                    )
                    .body(body.clone())
            };
            request = request
                .header(header::HOST, &link.public_authority)
                .header("I-Twilio-Idempotency-Token", token)
                .header(header::ACCEPT, "*/*");
            if link.through_proxy {
                request = request.header("X-Forwarded-Proto", "https");
            }
            if let Some(signature) = &signature {
                request = request.header("X-Twilio-Signature", signature);
            }
            if tried + 1 < links.len() {
                request = request.timeout(ANSWER_OF_SEVERAL_MAX);
            }
            let answer = ask(request, link).await;
            let is_down = match &answer {
                Ok(answer) => matches!(answer.status, 502..=504) && links.len() > 1,
                Err(_) => true,
            };
            self.links.note(link, !is_down);
            match answer {
                Ok(answer) if !is_down || tried + 1 == links.len() => return Ok(answer),
                Ok(answer) => {
                    failed = CallError::WebhookStatus {
                        url: without_query(&link.url).to_owned(),
                        status: answer.status,
                    };
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The signature for a URL as it is spelled; `None`: the request is not signed.
    pub(crate) fn sign(
        &self,
        url: &str,
        form: &[(String, String)],
        signing: &Signing,
    ) -> Option<String> {
        let token = self.config.auth_token.as_ref().map(|token| token.reveal());
        match signing {
            Signing::Right => Some(signature::sign_form(token?, url, form)),
            Signing::Over(other) => Some(signature::sign_form(token?, other, form)),
            Signing::Forged => Some(signature::sign_form(WRONG_AUTH_TOKEN, url, form)),
            Signing::Missing => None,
        }
    }

    /// The handshake alone: the HTTP status, 101 where the socket was opened (and then dropped).
    pub async fn handshake(&self, relay_url: &str, signing: &Signing) -> Result<u16, CallError> {
        match url_resolver::dial(self, relay_url, signing, None).await {
            Ok(_socket) => Ok(101),
            Err(CallError::Handshake {
                status: Some(status),
                ..
            }) => Ok(status),
            Err(error) => Err(error),
        }
    }
}

async fn ask(
    request: reqwest::RequestBuilder,
    link: &ResolvedUrl,
) -> Result<WebhookAnswer, CallError> {
    let url = without_query(&link.url);
    let response = request.send().await;
    let mut answer = read(response.map_err(|error| unreachable(url, &error))?, url).await?;
    answer.instance = link.instance.unwrap_or_default();
    Ok(answer)
}

async fn read(mut response: reqwest::Response, url: &str) -> Result<WebhookAnswer, CallError> {
    let status = response.status().as_u16();
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable(url, &error))?
    {
        body.extend_from_slice(&chunk);
        // One byte over the limit is kept, so that the reader sees that it is too long.
        if body.len() > TWIML_BYTES_MAX {
            body.truncate(TWIML_BYTES_MAX + 1);
            break;
        }
    }
    Ok(WebhookAnswer {
        status,
        content_type,
        body: String::from_utf8_lossy(&body).into_owned(),
        instance: 0,
    })
}

/// A query may hold the caller's number, which has no place in an error.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

fn unreachable(url: &str, error: &reqwest::Error) -> CallError {
    if error.is_timeout() && !error.is_connect() {
        return CallError::WebhookTimedOut {
            url: url.to_owned(),
            waited: WEBHOOK_MAX,
        };
    }
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let io = cause.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return CallError::Refused {
                url: url.to_owned(),
            };
        }
        reason = cause.to_string();
        source = cause.source();
    }
    CallError::Unreachable {
        url: url.to_owned(),
        reason,
    }
}
