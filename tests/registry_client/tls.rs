//! TLS: whom it trusts, whom a certificate is shown, and that it is never given up.

use std::sync::Arc;

use modelctl::blob::InMemory;
use modelctl::error::Reason;
use modelctl::progress::Silent;
use modelctl::registry::{ClientIdentity, Settings, Transport};
use modelctl::store::Store;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::scripted::{Registry, with};
use crate::{content, known, reason, repository, settings};

/// A certificate authority of our own.
pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be told apart only by a bad signature.
        let name = hex::encode(key.public_key_raw());
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn pem(&self) -> Vec<u8> {
        self.certificate.pem().into_bytes()
    }

    fn issue(&self, names: &[&str], expired: bool) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Returns a server's settings, with a certificate for `names`.
    pub(crate) fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.configured(names, false, None)
    }

    fn configured(
        &self,
        names: &[&str],
        expired: bool,
        clients: Option<&Authority>,
    ) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(names, expired);
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    fn identity(&self) -> ClientIdentity {
        let (certificate, key) = self.issue(&["client"], false);
        ClientIdentity {
            certificate_pem: certificate.pem().into_bytes(),
            key_pem: key.serialize_pem().into_bytes().into(),
        }
    }
}

/// Returns `settings` that trust `authority`.
pub(crate) fn trusting(authority: &Authority, settings: Settings) -> Settings {
    Settings {
        ca_pem: Some(authority.pem()),
        ..settings
    }
}

#[tokio::test]
async fn a_certificate_must_be_trusted_for_this_name_and_now() {
    let ours = Authority::new();
    let other = Authority::new();
    for (authority, names, expired, what) in [
        (&ours, &["127.0.0.1"][..], false, None),
        (&other, &["127.0.0.1"], false, Some("unknown CA")),
        (&ours, &["registry.example"], false, Some("another name")),
        (&ours, &["127.0.0.1"], true, Some("expired")),
    ] {
        let config = authority.configured(names, expired, None);
        let registry = Registry::start_tls(config, |_, _| None).await;
        let store = repository(&registry.host(), trusting(&ours, known()));
        match (store.tags().await, what) {
            (Ok(_), None) => {}
            (Err(error), Some(what)) => {
                assert_eq!(error.reason(), Reason::Tls);
                assert!(error.to_string().contains(what), "{error}");
                assert!(registry.seen().is_empty());
            }
            (result, what) => panic!("{result:?}, not {what:?}"),
        }
    }
}

#[tokio::test]
async fn plain_http_and_tls_are_told_apart_and_neither_is_exchanged_for_the_other() {
    let authority = Authority::new();
    let plain = Registry::honest().await;
    let secure = Registry::start_tls(authority.server(&["127.0.0.1"]), |_, _| None).await;
    let error = repository(&plain.host(), trusting(&authority, known()))
        .tags()
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Tls, "{error}");
    assert!(
        error.advice().unwrap().contains("--plain-http"),
        "{error:?}"
    );
    assert!(plain.seen().is_empty());

    let settings = Settings {
        transport: Transport::Plain,
        ..known()
    };
    let error = repository(&secure.host(), settings)
        .tags()
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Tls, "{error}");
    assert!(error.advice().unwrap().contains("--ca-file"), "{error:?}");
}

#[tokio::test]
async fn what_tls_servers_say_to_plain_http_is_understood() {
    let registry = Registry::start(|_, _| {
        let headers = [("content-type", "text/plain; charset=utf-8")];
        Some(with(
            400,
            &headers,
            "Client sent an HTTP request to an HTTPS server.\n",
        ))
    })
    .await;
    let listed = repository(&registry.host(), settings()).tags().await;
    assert_eq!(reason(listed), Reason::Tls);
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_its_registry_and_to_nobody_else() {
    let authority = Authority::new();
    let (bytes, declared) = content(10);
    let wanting = |names| authority.configured(names, false, Some(&authority));
    let elsewhere = Registry::start_tls(wanting(&["localhost"]), |_, _| None).await;
    elsewhere
        .shelf()
        .put(&format!("m/blobs/{}", declared.digest), "x", bytes);
    let target = format!("https://{}", elsewhere.alias());
    let registry = Registry::start_tls(wanting(&["127.0.0.1"]), move |seen, _| {
        let location = format!("{target}{}", seen.path);
        let headers = [("location", location.as_str())];
        seen.is("GET", "/blobs/").then(|| with(307, &headers, ""))
    })
    .await;
    let identified = || Settings {
        client_identity: Some(authority.identity()),
        ..trusting(&authority, settings())
    };
    let store = repository(&registry.host(), identified());
    store.tags().await.unwrap();
    assert_eq!(reason(store.blob(&declared).await), Reason::Tls);
    assert!(elsewhere.seen().is_empty());

    // The twins: the same place by its own name, and the registry without the certificate.
    let store = repository(&elsewhere.alias(), identified());
    store.blob(&declared).await.unwrap();
    let store = repository(&registry.host(), trusting(&authority, settings()));
    assert_eq!(reason(store.tags().await), Reason::Tls);
}

#[tokio::test]
async fn a_redirect_does_not_leave_tls() {
    let authority = Authority::new();
    let plain = Registry::honest().await;
    let target = format!("http://{}", plain.host());
    let registry = Registry::start_tls(authority.server(&["127.0.0.1"]), move |seen, _| {
        let location = format!("{target}{}", seen.path);
        Some(with(307, &[("location", location.as_str())], ""))
    })
    .await;
    let (_, declared) = content(10);
    let store = repository(&registry.host(), trusting(&authority, settings()));
    assert_eq!(
        reason(store.blob(&declared).await),
        Reason::RegistryProtocol
    );
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn an_upload_that_goes_on_elsewhere_over_tls_goes_without_the_password() {
    let authority = Authority::new();
    let elsewhere = Registry::start_tls(authority.server(&["localhost"]), |_, _| None).await;
    let target = format!("https://{}/v2/m/blobs/uploads/1", elsewhere.alias());
    let registry = Registry::start_tls(authority.server(&["127.0.0.1"]), move |seen, _| {
        Some(match seen.header("authorization") {
            None => with(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
            Some(_) => with(202, &[("location", target.as_str())], ""),
        })
    })
    .await;
    let (bytes, declared) = content(1000);
    let store = repository(&registry.host(), trusting(&authority, known()));
    let blob = InMemory(bytes.clone());
    store.put_blob(&declared, &blob, &Silent).await.unwrap();
    let path = format!("m/blobs/{}", declared.digest);
    assert_eq!(elsewhere.shelf().at(&path).unwrap(), bytes);
    assert!(
        elsewhere
            .seen()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
}
