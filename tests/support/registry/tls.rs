//! Certificates for a registry that speaks HTTPS, made anew for each.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// What a registry shows a client, and wants to see of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// A good certificate for `127.0.0.1` and `localhost`.
    Server,
    /// A certificate for another name.
    WrongName,
    /// A certificate that is no longer valid.
    Expired,
    /// A good certificate; the client may show one too.
    ClientMay,
    /// A good certificate; the client must show one too.
    ClientMust,
}

/// The certificates of one registry.
pub struct Identity {
    ca: String,
    client: (String, String),
    config: Arc<ServerConfig>,
}

impl Identity {
    pub(super) fn new(tls: Tls) -> Self {
        let ca = authority();
        let (server, server_key) = leaf(tls, &ca);
        let client = client(&ca);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match tls {
            Tls::ClientMust => builder.with_client_cert_verifier(verifier.build().unwrap()),
            Tls::ClientMay => {
                builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            }
            Tls::Server | Tls::WrongName | Tls::Expired => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = builder
            .with_single_cert(vec![server.der().clone()], key)
            .unwrap();
        Self {
            ca: ca.pem(),
            client,
            config: Arc::new(config),
        }
    }

    /// Returns the CA that the server's and the client's certificates come from, as PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Returns a client's certificate and key that this registry accepts, as PEM.
    pub fn client(&self) -> (&str, &str) {
        (&self.client.0, &self.client.1)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.config).into()
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(tls: Tls, ca: &Authority) -> (rcgen::Certificate, KeyPair) {
    let names: &[&str] = match tls {
        Tls::WrongName => &["elsewhere.example"],
        _ => &["127.0.0.1", "localhost"],
    };
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if tls == Tls::Expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, ca).unwrap(), key)
}

fn client(ca: &Authority) -> (String, String) {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "test client");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    (certificate.pem(), key.serialize_pem())
}
