//! The cluster listener: which connections and requests are accepted, and which endpoint answers.

mod dispatch;
mod raft_messages;
mod snapshot_receiver;
mod tls_accept;

pub(super) use tls_accept::MutualTlsListener;

use super::certificates::Certificates;
use super::error::ClusterError;
use super::node_context::NodeContext;
use super::wire::{ADDRESS_HEADER, CLUSTER_HEADER, Endpoint, FROM_HEADER, TO_HEADER};
use calldex_observability::catalog;
use calldex_storage::replication::NodeId;
use salvo::http::{ParseError, StatusCode, Version};
use salvo::rt::tokio::TokioTimer;
use salvo::server::ServerHandle;
use salvo::{Depot, FlowCtrl, Request, Response, Router, Server, async_trait};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Connections at once: two from each of many members, and some people. The next one waits.
const CONNECTIONS_MAX: usize = 256;
/// Questions at once on one connection.
const STREAMS_MAX: u32 = 256;
/// Headers of one question.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// What may be under way in one question, and in one connection.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// A connection is asked for a sign of life so often, and given up without one.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(5);
/// What an answer may take. The asker waits shorter, but for a snapshot.
const RESPONSE_MAX: Duration = Duration::from_secs(10);
const SNAPSHOT_MAX: Duration = Duration::from_secs(30 * 60);

/// A question was turned away.
#[derive(Debug)]
pub(super) struct RejectedRequest {
    status: StatusCode,
    /// One of `cluster_refusals_total`'s reasons; none where it is nobody's fault.
    reason: Option<&'static str>,
    message: String,
}

impl RejectedRequest {
    fn counted(status: StatusCode, reason: &'static str, words: impl Into<String>) -> Self {
        Self {
            status,
            reason: Some(reason),
            message: words.into(),
        }
    }

    fn malformed() -> Self {
        Self::counted(StatusCode::BAD_REQUEST, "malformed", "not understood")
    }

    fn too_large() -> Self {
        Self::counted(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "too large")
    }

    /// Nobody waits for the answer.
    fn disconnected() -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            reason: None,
            message: "it broke off".to_owned(),
        }
    }

    /// The engine is down, or not up yet.
    fn not_ready() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: None,
            message: "the engine is not running".to_owned(),
        }
    }
}

/// Binds `listen`. Connections wait until the listener is served.
pub(super) async fn bind_listener(
    listen: SocketAddr,
    certificates: &Certificates,
) -> Result<MutualTlsListener, ClusterError> {
    let refused = |error: std::io::Error| ClusterError::Listen {
        address: listen,
        error,
    };
    MutualTlsListener::bind(listen, certificates.server_config()?)
        .await
        .map_err(refused)
}

/// Serves the listener. Returns the handle that closes it.
pub(super) fn serve(admitted: MutualTlsListener, context: &Arc<NodeContext>) -> ServerHandle {
    let mut server = Server::new(admitted).max_connections(CONNECTIONS_MAX);
    server
        .http2_mut()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_MAX);
    let handle = server.handle();
    let routes = routes(context);
    tokio::spawn(async move {
        if let Err(error) = server.try_serve(routes).await {
            tracing::error!(%error, "the cluster listener closed by itself");
        }
    });
    handle
}

fn routes(context: &Arc<NodeContext>) -> Router {
    Endpoint::ALL
        .iter()
        .fold(Router::new(), |router, endpoint| {
            let clerk = EndpointHandler {
                context: Arc::clone(context),
                endpoint: *endpoint,
            };
            router.push(Router::with_path(endpoint.path()).post(clerk))
        })
}

/// The handler of one endpoint.
struct EndpointHandler {
    context: Arc<NodeContext>,
    endpoint: Endpoint,
}

#[async_trait]
impl salvo::Handler for EndpointHandler {
    async fn handle(
        &self,
        req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        let patience = match self.endpoint {
            Endpoint::Snapshot => SNAPSHOT_MAX,
            _ => RESPONSE_MAX,
        };
        let answer = tokio::time::timeout(patience, self.respond(req));
        match answer
            .await
            .unwrap_or_else(|_| Err(RejectedRequest::not_ready()))
        {
            Ok(answer) => {
                // Only a body that was set before could make this fail.
                let _ = res.write_body(answer);
            }
            Err(turned) => write_rejection(self.endpoint, &turned, res),
        }
    }
}

impl EndpointHandler {
    async fn respond(&self, req: &mut Request) -> Result<Vec<u8>, RejectedRequest> {
        let from = self.check_headers(req)?;
        if self.endpoint == Endpoint::Snapshot {
            return snapshot_receiver::receive_snapshot(&self.context, req.take_body()).await;
        }
        let question = match req
            .payload_with_max_size(self.endpoint.request_bytes_max())
            .await
        {
            Ok(question) => question.clone(),
            Err(ParseError::PayloadTooLarge) => return Err(RejectedRequest::too_large()),
            // It broke off: whoever asked has given it up, or its connection is gone.
            Err(_) => return Err(RejectedRequest::disconnected()),
        };
        dispatch::dispatch(&self.context, self.endpoint, from, &question).await
    }

    /// Who asks, if it is one of this cluster, and means this node. 0 for a stranger.
    fn check_headers(&self, req: &Request) -> Result<NodeId, RejectedRequest> {
        let header = |name| {
            req.headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        if req.version() != Version::HTTP_2 {
            return Err(RejectedRequest::malformed());
        }
        let cluster = header(CLUSTER_HEADER);
        let is_ours = cluster == Some(self.context.cluster_id.as_str());
        let is_stranger = cluster.is_none() && self.endpoint.allows_non_members();
        if !is_ours && !is_stranger {
            let words = "another cluster than this one's: the same secret in two clusters?";
            return Err(RejectedRequest::counted(
                StatusCode::FORBIDDEN,
                "other_cluster",
                words,
            ));
        }
        let node = |text: &str| {
            text.parse::<NodeId>()
                .map_err(|_| RejectedRequest::malformed())
        };
        let means = header(TO_HEADER).map(node).transpose()?;
        if means.is_some_and(|node_id| node_id != self.context.node_id) {
            let words = "another node lives here";
            let status = StatusCode::MISDIRECTED_REQUEST;
            return Err(RejectedRequest::counted(status, "unknown_node", words));
        }
        if let Some(address) = header(ADDRESS_HEADER) {
            self.context.note_unlisted_address(address);
        }
        header(FROM_HEADER).map_or(Ok(0), node)
    }
}

fn write_rejection(endpoint: Endpoint, turned: &RejectedRequest, res: &mut Response) {
    if let Some(reason) = turned.reason {
        catalog::CLUSTER_REFUSALS_TOTAL.with(reason).increment(1);
        tracing::debug!(?endpoint, reason, "turned away at the cluster listener");
    }
    res.status_code(turned.status);
    let _ = res.write_body(turned.message.clone());
}
