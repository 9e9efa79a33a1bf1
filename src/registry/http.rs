//! The one place that builds and sends every request.
//!
//! What holds here holds everywhere: no redirect is followed behind our back, nothing waits for
//! ever, no encoding is undone, a secret is sent only to the origin it is bound to, a client
//! certificate is shown only to the registry that the user named, and no registry leads us to a
//! place that it could not reach itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Body, Certificate, Client, ClientBuilder, Identity, Method, Url};

use super::answer::Answer;
use super::names::{Distances, Names, Resolver};
use super::origin::{Origin, Reach, Scheme};
use super::{ClientIdentity, Patience, Proxies, Settings, transport};
use crate::error::{Error, Reason, Result};

const USER_AGENT: &str = concat!("modelctl/", env!("CARGO_PKG_VERSION"));

/// A secret for one origin, as an `Authorization` field.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authorization {
    origin: Origin,
    value: HeaderValue,
}

impl Authorization {
    /// Returns `text` as a secret that only `origin` will see.
    pub(super) fn new(origin: &Origin, text: &str) -> Result<Self> {
        let mut value = HeaderValue::from_str(text).map_err(|_| {
            let message = "a credential has characters that HTTP cannot carry";
            Error::new(Reason::CredentialsInvalid, message)
        })?;
        value.set_sensitive(true);
        let origin = origin.clone();
        Ok(Self { origin, value })
    }
}

/// One request as it goes over the wire.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) authorization: Option<&'a Authorization>,
    /// How long the peer may take from the end of the request to the beginning of its answer.
    pub(super) wait: Duration,
}

/// Sends requests, over as few and as lazily made clients as will do.
pub(super) struct Http {
    authorities: Vec<Certificate>,
    identity: Option<Identity>,
    certificates: Certificates,
    proxies: Proxies,
    patience: Patience,
    names: Arc<dyn Names>,
    distances: Arc<Distances>,
    private_hosts: Vec<String>,
    clients: Mutex<HashMap<Kind, Sender>>,
}

/// A client, and what looks names up for it.
#[derive(Clone)]
struct Sender {
    client: Client,
    resolver: Resolver,
}

/// Whether a peer must prove by a certificate that it is who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Certificates {
    /// It must.
    #[default]
    Checked,
    /// It need not: only for mirrors on this machine (`mirrors`), whose content is checked.
    Unchecked,
}

/// What differs between clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    trust: Trust,
    proxied: bool,
    /// How far away the registry is that leads there; `None` is a place that the user named.
    led_by: Option<Reach>,
}

/// What a client trusts and shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Trust {
    /// Plain http only: needs no CA, and so works on a machine that has none.
    Nobody,
    /// The system's CAs and the user's.
    Authorities,
    /// The same, showing the client certificate when asked.
    Identified,
}

impl Http {
    /// Returns a sender of requests; a CA or client certificate that cannot be used is an error
    /// now, not at the first request.
    pub(super) fn new(
        ca_pem: Option<&[u8]>,
        identity: Option<&ClientIdentity>,
        patience: Patience,
        settings: &Settings,
    ) -> Result<Self> {
        let http = Self {
            authorities: ca_pem.map(authorities).transpose()?.unwrap_or_default(),
            identity: identity.map(ClientIdentity::read).transpose()?,
            certificates: Certificates::Checked,
            proxies: settings.proxies,
            patience,
            names: Arc::clone(&settings.names),
            distances: Arc::default(),
            private_hosts: settings.private_hosts.clone(),
            clients: Mutex::default(),
        };
        let trust = match (&http.identity, ca_pem) {
            (Some(_), _) => Trust::Identified,
            (None, Some(_)) => Trust::Authorities,
            (None, None) => return Ok(http),
        };
        http.sender(Kind {
            trust,
            proxied: false,
            led_by: None,
        })?;
        Ok(http)
    }

    /// Looks at certificates in this way from now on.
    pub(super) fn with_certificates(mut self, certificates: Certificates) -> Self {
        self.certificates = certificates;
        self.clients = Mutex::default();
        self
    }

    /// Returns how long peers may take.
    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// Sends one request on behalf of `registry` and returns the answer, whatever its status.
    pub(super) async fn exchange(&self, registry: &Origin, call: Call<'_>) -> Result<Answer> {
        let target = Origin::of(&call.url)?;
        let Sender { client, resolver } = self.sender(self.kind(registry, &target))?;
        resolver.watch(target.host());
        let mut request = reqwest::Request::new(call.method, call.url);
        *request.headers_mut() = call.headers;
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let known = call.authorization.filter(|a| a.origin == target);
        if let Some(authorization) = known {
            headers.insert(AUTHORIZATION, authorization.value.clone());
        }
        *request.body_mut() = Some(call.body);

        // The query is left out: it may carry a session, a scope or a signature.
        let what = format!("{} {target}{}", request.method(), request.url().path());
        let started = Instant::now();
        let limit = self.patience.connect.saturating_add(call.wait);
        let outcome = tokio::time::timeout(limit, client.execute(request)).await;
        let took = started.elapsed();
        match &outcome {
            Ok(Ok(response)) => tracing::debug!(%what, status = response.status().as_u16(), ?took),
            Ok(Err(_)) => tracing::debug!(%what, ?took, "failed"),
            Err(_) => tracing::debug!(%what, ?took, "timed out"),
        }
        let response = outcome
            .map_err(|_| silent(&target, limit))?
            .map_err(|error| transport::failed(error, &target))?;
        check_encoding(response.headers(), response.status().is_success(), &target)?;
        Ok(Answer::new(response, target, self.patience.stall))
    }

    /// Returns which client may talk to `target` on behalf of `registry`.
    fn kind(&self, registry: &Origin, target: &Origin) -> Kind {
        let identified = self.identity.is_some() && registry == target;
        let trust = match target.scheme() {
            Scheme::Http => Trust::Nobody,
            Scheme::Https if identified => Trust::Identified,
            Scheme::Https => Trust::Authorities,
        };
        // A proxy has no part in what stays on this machine, and an https proxy could ask for the
        // client certificate.
        let proxied = self.proxies == Proxies::Environment
            && !target.is_loopback()
            && trust != Trust::Identified;
        let is_named = registry.host() == target.host()
            || self.private_hosts.iter().any(|host| host == target.host());
        let led_by = (!is_named).then(|| self.distances.of(registry));
        Kind {
            trust,
            proxied,
            led_by,
        }
    }

    /// Returns the client of this kind, made at its first use.
    fn sender(&self, kind: Kind) -> Result<Sender> {
        let mut clients = self
            .clients
            .lock()
            .map_err(|_| Error::new(Reason::Internal, "another request stopped"))?;
        if let Some(sender) = clients.get(&kind) {
            return Ok(sender.clone());
        }
        let (names, distances) = (Arc::clone(&self.names), Arc::clone(&self.distances));
        let resolver = Resolver::new(names, distances, kind.led_by);
        let builder = self.builder(kind).dns_resolver(Arc::new(resolver.clone()));
        let client = builder.build().map_err(transport::unusable)?;
        let sender = Sender { client, resolver };
        clients.insert(kind, sender.clone());
        Ok(sender)
    }

    fn builder(&self, kind: Kind) -> ClientBuilder {
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.patience.connect)
            // One connection per blob: streams of one HTTP/2 connection share one TCP window,
            // which was measured to be slower for large blobs.
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate();
        if !kind.proxied {
            builder = builder.no_proxy();
        }
        builder = match kind.trust {
            Trust::Nobody => return builder.tls_certs_only([]),
            _ => builder.https_only(true),
        };
        // Merging, unlike the default, does without the system's CAs where there are none; but
        // merging nothing is the default.
        builder = builder.tls_certs_merge(self.authorities.iter().cloned());
        if self.certificates == Certificates::Unchecked {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        match (&self.identity, kind.trust) {
            (Some(identity), Trust::Identified) => builder.identity(identity.clone()),
            _ => builder,
        }
    }
}

fn authorities(pem: &[u8]) -> Result<Vec<Certificate>> {
    let invalid = |message| Error::new(Reason::TlsSettingsInvalid, message);
    let found = Certificate::from_pem_bundle(pem).map_err(|error| {
        invalid("the CA file is not PEM").because(transport::root_cause(&error))
    })?;
    match found.is_empty() {
        true => Err(invalid("the CA file has no certificate in it")
            .hint("it must have PEM blocks that begin with `-----BEGIN CERTIFICATE-----`")),
        false => Ok(found),
    }
}

impl ClientIdentity {
    fn read(&self) -> Result<Identity> {
        let mut pem = self.certificate_pem.clone();
        pem.push(b'\n');
        pem.extend_from_slice(&self.key_pem);
        Identity::from_pem(&zeroize::Zeroizing::new(pem)).map_err(|error| {
            let message = "the client certificate or its key cannot be used";
            Error::new(Reason::TlsSettingsInvalid, message)
                .hint("both must be PEM, and the key must not be encrypted")
                .because(transport::root_cause(&error))
        })
    }
}

fn silent(target: &Origin, limit: Duration) -> Error {
    let message = format!("{target} does not answer within {} s", limit.as_secs());
    Error::new(Reason::TimedOut, message)
}

/// We ask for `identity`: anything else could hide other bytes than were hashed, or a bomb.
fn check_encoding(headers: &HeaderMap, is_success: bool, target: &Origin) -> Result<()> {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !is_success || headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    let message = format!("{target} answers in a `Content-Encoding` that was not asked for");
    Err(Error::new(Reason::RegistryProtocol, message)
        .hint("a proxy in front of the registry may compress; turn that off for `/v2/`"))
}
