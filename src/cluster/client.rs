//! Asking another instance: HTTP/2 under TLS, kept open, every question bounded in time and size.

use super::secret::{Papers, SecretError};
use super::wire::{ADDRESS_HEADER, CLUSTER_HEADER, Desk, FROM_HEADER, TO_HEADER, pack, unpack};
use calldex_storage::replication::NodeId;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Body, RequestBuilder, StatusCode};
use rustls::CertificateError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// DNS, TCP and TLS.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// An open connection that says nothing is asked for a sign of life after this long ...
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// ... and given up when none comes for so long: after a cut a new one is made, instead of waiting
/// for the system to try the old one again.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(1);
/// A connection that nobody uses; it is never unused among members.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// What may be under way in one stream, and in one connection.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Silence {
    /// No connection: the question was surely not heard.
    #[error("cannot be reached")]
    Unreachable,
    /// Its certificate is of another authority, and that comes of the secret: nothing was heard.
    #[error("has another cluster.secret than this instance")]
    Stranger,
    /// No answer in time, or the connection broke: it may have been heard.
    #[error("does not answer")]
    Lost,
    /// Turned away at the door, with its words.
    #[error("refused: {0}")]
    TurnedAway(String),
    /// Its engine is down.
    #[error("is not ready")]
    NotReady,
    /// Larger than agreed.
    #[error("the message is too large")]
    TooLarge,
    /// Of another version, or no calldex.
    #[error("the answer is not understood")]
    Malformed,
}

/// Who asks, as every question says.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    /// Its cluster; empty where it belongs to none yet.
    pub(super) cluster_id: String,
    /// Its node; 0 where it is none yet.
    pub(super) node_id: NodeId,
    /// Its door; empty where it has none.
    pub(super) address: String,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addressee {
    /// `host:port`.
    pub(super) address: String,
    /// Who must live there; whoever does, where absent.
    pub(super) node_id: Option<NodeId>,
}

impl Addressee {
    /// Whoever lives at `address`.
    pub(super) fn anybody_at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            node_id: None,
        }
    }

    /// `node_id`, at `address`.
    pub(super) fn node(node_id: NodeId, address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            node_id: Some(node_id),
        }
    }
}

/// Asks others. Cheap to clone. The runtime that asks first keeps the connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Heartbeats and what is as small.
    urgent: reqwest::Client,
    /// Whatever may fill a connection.
    bulk: reqwest::Client,
}

impl Client {
    /// A client with these papers that asks as `sender`.
    pub(super) fn new(papers: &Papers, sender: &Sender) -> Result<Self, SecretError> {
        Ok(Self {
            urgent: connect(papers, sender)?,
            bulk: connect(papers, sender)?,
        })
    }

    /// Asks `question` at a desk and waits at most `patience`.
    pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        whom: &Addressee,
        desk: Desk,
        question: &Q,
        patience: Duration,
    ) -> Result<A, Silence> {
        self.ask_packed(whom, desk, pack(question), patience).await
    }

    /// The same with a question that is packed already.
    pub(super) async fn ask_packed<A: DeserializeOwned>(
        &self,
        whom: &Addressee,
        desk: Desk,
        question: Vec<u8>,
        patience: Duration,
    ) -> Result<A, Silence> {
        if question.len() > desk.question_bytes_max() {
            return Err(Silence::TooLarge);
        }
        self.send(whom, desk, question.into(), patience).await
    }

    /// The same with a body of any length, which may come piece by piece.
    pub(super) async fn send<A: DeserializeOwned>(
        &self,
        whom: &Addressee,
        desk: Desk,
        body: Body,
        patience: Duration,
    ) -> Result<A, Silence> {
        let request = self.request(whom, desk, patience).body(body);
        let answer = answer_to(request, desk.answer_bytes_max()).await?;
        unpack(&answer).map_err(|_| Silence::Malformed)
    }

    fn request(&self, whom: &Addressee, desk: Desk, patience: Duration) -> RequestBuilder {
        let client = if desk.is_bulk() {
            &self.bulk
        } else {
            &self.urgent
        };
        let url = format!("https://{}/{}", whom.address, desk.path());
        let request = client.post(url).timeout(patience);
        match whom.node_id {
            Some(node_id) => request.header(TO_HEADER, node_id.to_string()),
            None => request,
        }
    }
}

fn connect(papers: &Papers, sender: &Sender) -> Result<reqwest::Client, SecretError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(papers.client()?)
        .default_headers(headers(sender))
        .https_only(true)
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE_MAX)
        .http2_keep_alive_while_idle(true)
        .connect_timeout(CONNECT_MAX)
        .pool_idle_timeout(IDLE_MAX)
        .tcp_nodelay(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(SecretError::of)
}

fn headers(sender: &Sender) -> HeaderMap {
    let node_id = sender.node_id.to_string();
    let said = [
        (CLUSTER_HEADER, &sender.cluster_id),
        (FROM_HEADER, &node_id),
        (ADDRESS_HEADER, &sender.address),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in said {
        // Identities are hexadecimal, addresses validated: neither can fail.
        if let Ok(value) = HeaderValue::from_str(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
    headers
}

async fn answer_to(request: RequestBuilder, bytes_max: usize) -> Result<Vec<u8>, Silence> {
    let mut response = request.send().await.map_err(|error| {
        if is_stranger(&error) {
            Silence::Stranger
        } else if error.is_connect() {
            Silence::Unreachable
        } else {
            Silence::Lost
        }
    })?;
    let status = response.status();
    let mut answer = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|_| Silence::Lost)? {
        if answer.len() + piece.len() > bytes_max {
            return Err(Silence::TooLarge);
        }
        answer.extend_from_slice(&piece);
    }
    match status {
        StatusCode::OK => Ok(answer),
        StatusCode::SERVICE_UNAVAILABLE => Err(Silence::NotReady),
        StatusCode::PAYLOAD_TOO_LARGE => Err(Silence::TooLarge),
        _ => Err(Silence::TurnedAway(words(&answer))),
    }
}

/// Whether a connection came to nothing because the other side's certificate is not of our secret.
fn is_stranger(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(fault)) = error.downcast_ref() {
            return matches!(
                fault,
                CertificateError::UnknownIssuer | CertificateError::BadSignature
            );
        }
        // An I/O error names what is beneath the error that it carries, and passes over that itself.
        let carried = error.downcast_ref::<std::io::Error>();
        cause = match carried.and_then(std::io::Error::get_ref) {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    false
}

/// The door's own words: one line, short.
fn words(answer: &[u8]) -> String {
    const CHARS_MAX: usize = 300;
    let text = String::from_utf8_lossy(answer);
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars()
        .filter(|c| !c.is_control())
        .take(CHARS_MAX)
        .collect()
}
