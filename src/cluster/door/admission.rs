//! Connections: TCP, then a handshake in which both sides show a certificate, then HTTP/2. Nothing
//! of HTTP is read from anybody who has not shown one.

use calldex_observability::catalog;
use rustls::ServerConfig;
use salvo::conn::tcp::TcpCoupler;
use salvo::conn::{Accepted, Acceptor, ConnCtrl, Holding};
use salvo::fuse::{ArcFusePolicy, FuseConfig};
use salvo::http::Version;
use salvo::http::uri::Scheme;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a handshake may take, and the first bytes after it.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
/// Handshakes at once; further connections wait in the system's queue.
const HANDSHAKES_MAX: usize = 64;
/// After a failure to accept (too many open files), before the next try.
const PAUSE: Duration = Duration::from_millis(50);

type Visitor = (TlsStream<TcpStream>, SocketAddr);

/// Hands out connections that have shown a certificate.
pub(in crate::cluster) struct Admitted {
    address: SocketAddr,
    holdings: Vec<Holding>,
    visitors: mpsc::Receiver<Visitor>,
    accepting: JoinHandle<()>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Admitted {
    /// Listens at `address`.
    pub(super) async fn bind(address: SocketAddr, config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        // One place: who has shown a certificate and is not taken waits with its handshake's permit.
        let (admit, visitors) = mpsc::channel(1);
        let holding = Holding {
            local_addr: address.into(),
            http_versions: vec![Version::HTTP_2],
            http_scheme: Scheme::HTTPS,
        };
        Ok(Self {
            address,
            holdings: vec![holding],
            visitors,
            accepting: tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), admit)),
        })
    }

    /// Where it listens.
    pub(in crate::cluster) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, admit: mpsc::Sender<Visitor>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                let (tls, admit) = (tls.clone(), admit.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    if let Some(stream) = shake_hands(&tls, stream).await {
                        // Closed with the door.
                        let _ = admit.send((stream, from)).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the cluster door cannot take a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn shake_hands(tls: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
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
                "somebody without a valid certificate at the cluster door"
            );
            None
        }
    }
}

impl Acceptor for Admitted {
    type Coupler = TcpCoupler<Self::Stream>;
    type Stream = TlsStream<TcpStream>;

    fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    async fn accept(
        &mut self,
        _fuse_policy: Option<ArcFusePolicy>,
    ) -> io::Result<Accepted<Self::Coupler, Self::Stream>> {
        let Some((stream, from)) = self.visitors.recv().await else {
            return Err(io::Error::other("the door is closed"));
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
