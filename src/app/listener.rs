//! Binds a listener, serves its routes, and reports it to health.

use super::StartError;
use calldex_observability::health::HealthComponent;
use calldex_observability::vital;
use salvo::conn::TcpListener;
use salvo::server::ServerHandle;
use salvo::{Listener, Router, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A running listener.
pub(super) struct BoundListener {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Closes it.
    pub(super) handle: ServerHandle,
}

/// Binds and serves the listener that `setting` names.
pub(super) async fn bind_and_serve(
    setting: &'static str,
    address: SocketAddr,
    routes: Router,
    part: HealthComponent,
) -> Result<BoundListener, StartError> {
    let refused = |error: String| StartError::Listen {
        setting,
        address,
        error: std::io::Error::other(error),
    };
    let acceptor = TcpListener::new(address)
        .try_bind()
        .await
        .map_err(|error| refused(error.to_string()))?;
    let bound = acceptor
        .inner()
        .local_addr()
        .map_err(|error| refused(error.to_string()))?;
    let server = Server::new(acceptor);
    let handle = server.handle();
    part.set_ok();
    let is_closed = Arc::new(AtomicBool::new(false));
    let was_closed = Arc::clone(&is_closed);
    let serving = async move {
        match server.try_serve(routes).await {
            Ok(()) => {
                is_closed.store(true, Ordering::Release);
                part.set_failed("closed");
            }
            Err(error) => {
                tracing::error!(setting, %error, "a listener ended by itself");
                part.set_failed("closed by itself");
            }
        }
    };
    let was_closed = move || was_closed.load(Ordering::Acquire);
    tokio::spawn(vital::task_until(setting, was_closed, serving));
    Ok(BoundListener {
        address: bound,
        handle,
    })
}
