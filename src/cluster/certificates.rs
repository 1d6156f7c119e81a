//! The certificates of the instances. Every holder of the shared secret derives the same certificate
//! authority from it. No certificate is distributed or stored, and none expires.

use super::error::{ClusterError, SecretError};
use super::fixed_name_verifier::{FixedNameVerifier, INSTANCE_NAME};
use crate::config::ClusterSection;
use calldex_observability::redaction::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use ring::hkdf;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::sync::Arc;

const AUTHORITY_NAME: &str = "calldex cluster";
/// HKDF's salt: no key of another use of the same secret is ever this one.
const SALT: &[u8] = b"calldex cluster authority";
/// HKDF's info: one step up makes every certificate of before worthless.
const INFO: &[u8] = b"ed25519 seed, 1";
/// An Ed25519 seed.
const SEED_BYTES: usize = 32;
/// What stands before the seed in a PKCS#8 private key of Ed25519 (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// HTTP/2 and nothing else.
const PROTOCOL: &[u8] = b"h2";

/// This instance's own certificate, and whom it trusts: both from the shared secret.
pub(super) struct Certificates {
    /// The authorities of the secret, and of a second one that is accepted, too.
    roots: Vec<CertificateDer<'static>>,
    own: CertificateDer<'static>,
    key: KeyPair,
}

/// Never the key.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(•••)")
    }
}

impl Certificates {
    /// The certificates for the secrets in `section`.
    ///
    /// # Errors
    /// [`ClusterError`]: no secret is set, or no certificate can be made from it.
    pub(super) fn for_section(section: &ClusterSection) -> Result<Self, ClusterError> {
        let secret = section
            .secret
            .as_ref()
            .ok_or(ClusterError::Unset("secret"))?;
        Ok(Self::issue(secret, section.secret_accepted.as_ref())?)
    }

    /// Derives the authority from `secret` (HKDF-SHA256, RFC 5869) and has it sign a certificate for
    /// a key that this process alone has, and only as long as it lives. Who holds `accepted` is trusted,
    /// too.
    pub(super) fn issue(secret: &Secret, accepted: Option<&Secret>) -> Result<Self, SecretError> {
        let (root, authority) = authority(secret)?;
        let mut roots = vec![root];
        if let Some(accepted) = accepted {
            roots.push(self::authority(accepted)?.0);
        }
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(SecretError::of)?;
        let own = instance_certificate_params()?
            .signed_by(&key, &authority)
            .map_err(SecretError::of)?;
        Ok(Self {
            roots,
            own: own.into(),
            key,
        })
    }

    /// How the cluster listener accepts connections: TLS 1.3, a certificate of the authority's, HTTP/2.
    pub(super) fn server_config(&self) -> Result<ServerConfig, SecretError> {
        let clients = WebPkiClientVerifier::builder_with_provider(self.roots()?, provider())
            .build()
            .map_err(SecretError::of)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(SecretError::of)?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![self.own.clone()], self.private_key())
            .map_err(SecretError::of)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Every connection shows its certificate anew.
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// How this instance connects to others.
    pub(super) fn client_config(&self) -> Result<ClientConfig, SecretError> {
        let servers = WebPkiServerVerifier::builder_with_provider(self.roots()?, provider())
            .build()
            .map_err(SecretError::of)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(SecretError::of)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(FixedNameVerifier::new(servers)))
            .with_client_auth_cert(vec![self.own.clone()], self.private_key())
            .map_err(SecretError::of)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(config)
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, SecretError> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone()).map_err(SecretError::of)?;
        }
        Ok(Arc::new(roots))
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The authority that everybody with `secret` derives: its certificate, and what it signs with.
fn authority(
    secret: &Secret,
) -> Result<(CertificateDer<'static>, Issuer<'static, KeyPair>), SecretError> {
    let key = authority_key(secret)?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = params.self_signed(&key).map_err(SecretError::of)?;
    Ok((root.into(), Issuer::new(params, key)))
}

fn authority_key(secret: &Secret) -> Result<KeyPair, SecretError> {
    struct Seed;
    impl hkdf::KeyType for Seed {
        fn len(&self) -> usize {
            SEED_BYTES
        }
    }
    let mut seed = [0_u8; SEED_BYTES];
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret.reveal().trim().as_bytes())
        .expand(&[INFO], Seed)
        .and_then(|material| material.fill(&mut seed))
        .map_err(SecretError::of)?;
    let der = [PKCS8_HEAD.as_slice(), &seed].concat();
    let der = PrivatePkcs8KeyDer::from(der);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(SecretError::of)
}

fn instance_certificate_params() -> Result<CertificateParams, SecretError> {
    let mut params =
        CertificateParams::new(vec![INSTANCE_NAME.to_owned()]).map_err(SecretError::of)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "calldex instance");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ClientConnection, ServerConnection};

    fn certificates_of(secret: &str) -> Certificates {
        Certificates::issue(&Secret::new(secret), None).unwrap()
    }

    fn certificates_in_change(secret: &str, accepted: &str) -> Certificates {
        Certificates::issue(&Secret::new(secret), Some(&Secret::new(accepted))).unwrap()
    }

    #[test]
    fn the_secret_is_changed_in_three_steps_at_each_of_which_neighbours_trust_each_other() {
        let steps = [
            certificates_of("the old secret"),
            certificates_in_change("the old secret", "the new secret"),
            certificates_in_change("the new secret", "the old secret"),
            certificates_of("the new secret"),
        ];
        for pair in steps.windows(2) {
            for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                handshake(one.client_config().unwrap(), other.server_config().unwrap()).unwrap();
            }
        }
        let ends = handshake(
            steps[0].client_config().unwrap(),
            steps[3].server_config().unwrap(),
        );
        assert!(ends.is_err(), "who has only the old one is out in the end");
    }

    /// Runs a handshake in memory; who failed it, if somebody did.
    fn handshake(client: ClientConfig, server: ServerConfig) -> Result<(), String> {
        let name = "198.51.100.7".to_owned().try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        for _ in 0..4 {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server
                .process_new_packets()
                .map_err(|e| format!("server: {e}"))?;
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client
                .process_new_packets()
                .map_err(|e| format!("client: {e}"))?;
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        assert_eq!(server.alpn_protocol(), Some(PROTOCOL));
        Ok(())
    }

    #[test]
    fn two_that_hold_the_secret_trust_each_other_at_any_address() {
        let (one, other) = (
            certificates_of("a long secret"),
            certificates_of(" a long secret\n"),
        );
        handshake(one.client_config().unwrap(), other.server_config().unwrap()).unwrap();
    }

    #[test]
    fn another_secret_is_refused_by_both() {
        let (one, other) = (
            certificates_of("a long secret"),
            certificates_of("another secret"),
        );
        let refused = handshake(one.client_config().unwrap(), other.server_config().unwrap());
        assert!(refused.unwrap_err().starts_with("client"));
        // A client that trusts anybody, with a certificate of another secret's.
        let mut impostor = certificates_of("another secret");
        impostor.roots = one.roots.clone();
        let refused = handshake(
            impostor.client_config().unwrap(),
            one.server_config().unwrap(),
        );
        assert!(refused.unwrap_err().starts_with("server"));
    }

    #[test]
    fn nobody_comes_in_without_a_certificate() {
        let one = certificates_of("a long secret");
        let mut anonymous = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(one.roots().unwrap())
            .with_no_client_auth();
        anonymous.alpn_protocols = vec![PROTOCOL.to_vec()];
        let name = INSTANCE_NAME.try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(anonymous), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(one.server_config().unwrap())).unwrap();
        let mut refused = false;
        for _ in 0..4 {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            let _ = server.read_tls(&mut wire.as_slice());
            refused |= server.process_new_packets().is_err();
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            let _ = client.read_tls(&mut wire.as_slice());
            let _ = client.process_new_packets();
        }
        assert!(refused);
    }

    #[test]
    fn nothing_of_it_prints() {
        assert_eq!(
            format!("{:?}", certificates_of("tiger tiger")),
            "Certificates(•••)"
        );
    }
}
