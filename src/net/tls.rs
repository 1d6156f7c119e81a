//! The TLS settings of outgoing connections.

use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Trusts the system's root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured); in a container without
/// any, the built-in ones of Mozilla. Offers HTTP/2. Reads files: to be called at start only.
pub(crate) fn client_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let (_, unreadable) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if unreadable > 0 {
        tracing::debug!(
            unreadable,
            "root certificates of the system that cannot be parsed are ignored"
        );
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    with_roots(roots)
}

/// For plain http: trusts no certificate and reads no file.
pub(crate) fn without_roots() -> ClientConfig {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> ClientConfig {
    // Named here, so that no process-wide default has to be installed before.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_trusts_somebody_and_offers_http2() {
        let config = super::client_config();
        assert_eq!(config.alpn_protocols[0], b"h2");
        assert!(!config.crypto_provider().cipher_suites.is_empty());
    }
}
