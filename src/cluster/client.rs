//! Asking another instance: HTTP/2 under TLS, kept open, every question bounded in time and size.

use super::certificates::Certificates;
use super::error::SecretError;
use super::wire::{ADDRESS_HEADER, CLUSTER_HEADER, Endpoint, FROM_HEADER, TO_HEADER, pack, unpack};
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
pub(super) enum RpcError {
    /// No connection: the question was surely not heard.
    #[error("cannot be reached")]
    Unreachable,
    /// Its certificate is of another authority, and that comes of the secret: nothing was heard.
    #[error("has another cluster.secret than this instance")]
    SecretMismatch,
    /// No answer in time, or the connection broke: it may have been heard.
    #[error("does not answer")]
    NoResponse,
    /// The cluster listener rejected the request, with its message.
    #[error("refused: {0}")]
    Rejected(String),
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
pub(super) struct SenderIdentity {
    /// Its cluster; empty where it belongs to none yet.
    pub(super) cluster_id: String,
    /// Its node; 0 where it is none yet.
    pub(super) node_id: NodeId,
    /// The address of its cluster listener; empty where it has none.
    pub(super) address: String,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RpcTarget {
    /// `host:port`.
    pub(super) address: String,
    /// Who must live there; whoever does, where absent.
    pub(super) node_id: Option<NodeId>,
}

impl RpcTarget {
    /// Whoever lives at `address`.
    pub(super) fn any_node_at(address: impl Into<String>) -> Self {
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
pub(super) struct ClusterClient {
    /// Heartbeats and what is as small.
    urgent: reqwest::Client,
    /// Whatever may fill a connection.
    bulk: reqwest::Client,
}

impl ClusterClient {
    /// A client with these papers that asks as `sender`.
    pub(super) fn new(
        certificates: &Certificates,
        sender: &SenderIdentity,
    ) -> Result<Self, SecretError> {
        Ok(Self {
            urgent: http_client(certificates, sender)?,
            bulk: http_client(certificates, sender)?,
        })
    }

    /// Sends `question` to an endpoint and waits at most `patience` for the response.
    pub(super) async fn request<Q: Serialize, A: DeserializeOwned>(
        &self,
        target: &RpcTarget,
        endpoint: Endpoint,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        self.request_encoded(target, endpoint, pack(request), timeout)
            .await
    }

    /// The same with a question that is packed already.
    pub(super) async fn request_encoded<A: DeserializeOwned>(
        &self,
        target: &RpcTarget,
        endpoint: Endpoint,
        request: Vec<u8>,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        if request.len() > endpoint.request_bytes_max() {
            return Err(RpcError::TooLarge);
        }
        self.send(target, endpoint, request.into(), timeout).await
    }

    /// The same with a body of any length, which may come piece by piece.
    pub(super) async fn send<A: DeserializeOwned>(
        &self,
        target: &RpcTarget,
        endpoint: Endpoint,
        body: Body,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        let request = self.build_request(target, endpoint, timeout).body(body);
        let answer = response_of(request, endpoint.response_bytes_max()).await?;
        unpack(&answer).map_err(|_| RpcError::Malformed)
    }

    fn build_request(
        &self,
        target: &RpcTarget,
        endpoint: Endpoint,
        timeout: Duration,
    ) -> RequestBuilder {
        let client = if endpoint.is_bulk() {
            &self.bulk
        } else {
            &self.urgent
        };
        let url = format!("https://{}/{}", target.address, endpoint.path());
        let request = client.post(url).timeout(timeout);
        match target.node_id {
            Some(node_id) => request.header(TO_HEADER, node_id.to_string()),
            None => request,
        }
    }
}

fn http_client(
    certificates: &Certificates,
    sender: &SenderIdentity,
) -> Result<reqwest::Client, SecretError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(certificates.client_config()?)
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

fn headers(sender: &SenderIdentity) -> HeaderMap {
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

async fn response_of(request: RequestBuilder, bytes_max: usize) -> Result<Vec<u8>, RpcError> {
    let mut response = request.send().await.map_err(|error| {
        if is_secret_mismatch(&error) {
            RpcError::SecretMismatch
        } else if error.is_connect() {
            RpcError::Unreachable
        } else {
            RpcError::NoResponse
        }
    })?;
    let status = response.status();
    let mut answer = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|_| RpcError::NoResponse)? {
        if answer.len() + piece.len() > bytes_max {
            return Err(RpcError::TooLarge);
        }
        answer.extend_from_slice(&piece);
    }
    match status {
        StatusCode::OK => Ok(answer),
        StatusCode::SERVICE_UNAVAILABLE => Err(RpcError::NotReady),
        StatusCode::PAYLOAD_TOO_LARGE => Err(RpcError::TooLarge),
        _ => Err(RpcError::Rejected(error_text(&answer))),
    }
}

/// Whether a connection came to nothing because the other side's certificate is not of our secret.
fn is_secret_mismatch(error: &reqwest::Error) -> bool {
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

/// The message of the rejection: one line, shortened.
fn error_text(answer: &[u8]) -> String {
    const CHARS_MAX: usize = 300;
    let text = String::from_utf8_lossy(answer);
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars()
        .filter(|c| !c.is_control())
        .take(CHARS_MAX)
        .collect()
}
