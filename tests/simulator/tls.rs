//! One TLS provider for the process.

use std::sync::Once;

/// Installs ring as the process-wide TLS provider unless someone has installed one; call it before a client is built.
pub(crate) fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the process has a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
