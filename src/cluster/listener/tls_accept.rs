//! Connections: TCP, then a handshake in which both sides show a certificate, then HTTP/2. Nothing
//! of HTTP is read from anybody who has not shown one.

use calldex_observability::catalog;
use rustls::ServerConfig;
use salvo::conn::tcp::TcpCoupler;
use salvo::conn::{Accepted, Acceptor, ConnCtrl, Holding};
use salvo::fuse::{ArcFusePolicy, FuseConfig};
use salvo::http::Version;
use salvo::http::uri::Scheme;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a handshake may take, and the first bytes after it.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
/// Handshakes at once. At the bound the oldest is given up for the newest: a member's takes
/// milliseconds, and connections that say nothing must not keep members out.
const HANDSHAKES_MAX: usize = 64;
/// After a failure to accept (too many open files), before the next try.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(50);

type TlsConnection = (TlsStream<TcpStream>, SocketAddr);

/// Hands out connections that have shown a certificate.
pub(in crate::cluster) struct MutualTlsListener {
    address: SocketAddr,
    holdings: Vec<Holding>,
    connections: mpsc::Receiver<TlsConnection>,
    accepting: JoinHandle<()>,
}

impl Drop for MutualTlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl MutualTlsListener {
    /// Listens at `address`.
    pub(super) async fn bind(address: SocketAddr, config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        // One place: who has shown a certificate and is not taken waits, and counts as a handshake.
        let (admit, visitors) = mpsc::channel(1);
        let holding = Holding {
            local_addr: address.into(),
            http_versions: vec![Version::HTTP_2],
            http_scheme: Scheme::HTTPS,
        };
        Ok(Self {
            address,
            holdings: vec![holding],
            connections: visitors,
            accepting: tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), admit)),
        })
    }

    /// Where it listens.
    pub(in crate::cluster) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, admit: mpsc::Sender<TlsConnection>) {
    let mut handshakes = Handshakes::default();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let (tls, admit) = (tls.clone(), admit.clone());
                let handshake = tokio::spawn(async move {
                    if let Some(stream) = tls_handshake(&tls, stream).await {
                        // Closed with the listener.
                        let _ = admit.send((stream, from)).await;
                    }
                });
                handshakes.add(handshake.abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "the cluster listener cannot take a connection");
                tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
            }
        }
    }
}

/// Handshakes under way, the oldest first.
#[derive(Default)]
struct Handshakes(VecDeque<AbortHandle>);

impl Handshakes {
    fn add(&mut self, handshake: AbortHandle) {
        self.0.retain(|earlier| !earlier.is_finished());
        if self.0.len() >= HANDSHAKES_MAX
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
            let refusals = catalog::CLUSTER_REFUSALS_TOTAL.with("unauthenticated");
            refusals.increment(1);
            tracing::debug!("a handshake at the cluster listener is given up for a newer one");
        }
        self.0.push_back(handshake);
    }
}

async fn tls_handshake(tls: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    // Heartbeats must not wait for company.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream));
    match handshake.await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol().is_some() => Some(stream),
        refused => {
            let refusals = catalog::CLUSTER_REFUSALS_TOTAL.with("unauthenticated");
            refusals.increment(1);
            let error = match refused {
                Ok(Err(error)) => error.to_string(),
                Ok(Ok(_)) => "no HTTP/2".to_owned(),
                Err(_) => "no handshake in time".to_owned(),
            };
            tracing::debug!(
                error,
                "somebody without a valid certificate at the cluster listener"
            );
            None
        }
    }
}

impl Acceptor for MutualTlsListener {
    type Coupler = TcpCoupler<Self::Stream>;
    type Stream = TlsStream<TcpStream>;

    fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    async fn accept(
        &mut self,
        _fuse_policy: Option<ArcFusePolicy>,
    ) -> io::Result<Accepted<Self::Coupler, Self::Stream>> {
        let Some((stream, from)) = self.connections.recv().await else {
            return Err(io::Error::other("the listener is closed"));
        };
        Ok(Accepted {
            coupler: TcpCoupler::new(),
            stream,
            // Bounds the wait for the first bytes of HTTP/2.
            fuse_config: Some(FuseConfig::disabled().with_http1_header_timeout(HANDSHAKE_MAX)),
            conn_ctrl: ConnCtrl::new(),
            local_addr: self.address.into(),
            remote_addr: from.into(),
            http_scheme: Scheme::HTTPS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::certificates::Certificates;
    use calldex_observability::redaction::Secret;
    use tokio_rustls::TlsConnector;

    /// With 64 handshakes that each wait for 3 s, so many connections that say nothing would be through after
    /// 15 s.
    const IDLE: usize = 5 * HANDSHAKES_MAX;
    const MEMBER_MAX: Duration = Duration::from_secs(8);

    #[tokio::test(flavor = "multi_thread")]
    async fn connections_that_say_nothing_keep_no_member_out() {
        let certificates =
            Certificates::issue(&Secret::new("a secret for the handshakes"), None).unwrap();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = certificates.server_config().unwrap();
        let mut listener = MutualTlsListener::bind(anywhere, server).await.unwrap();
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            idle.push(TcpStream::connect(listener.address()).await.unwrap());
        }
        let member = async {
            let stream = TcpStream::connect(listener.address()).await.unwrap();
            let connector = TlsConnector::from(Arc::new(certificates.client_config().unwrap()));
            let name = "127.0.0.1".try_into().unwrap();
            let connected = connector.connect(name, stream).await;
            let visitor = listener.connections.recv().await;
            (connected.is_ok(), visitor.is_some())
        };
        let came = tokio::time::timeout(MEMBER_MAX, member).await;
        assert_eq!(came, Ok((true, true)), "behind {IDLE} idle connections");
    }
}
