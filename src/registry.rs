//! Repositories of a registry as stores
//! ([OCI distribution-spec 1.1](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md)).
//!
//! A registry is not trusted. It may answer anything to any request; what it can gain by that is
//! bounded here: content is checked before anybody sees it, every body and every wait has a limit,
//! an origin's secrets are shown to that origin only, and "there is nothing" is believed only when
//! it is said clearly.
//!
//! * `http` sends every request there is, to addresses that `names` allows; `answer`, `transport`,
//!   `refusal` say what came back;
//! * `endpoint` is one registry: it signs in (`login`, `token`, `quota`, `challenge`, `scope`), follows
//!   redirects (`referral`, `origin`) and tries again (`retry`);
//! * `web` asks services that are no registries, by the same `http`;
//! * `repository` is one store in it: `manifests`, `blobs`, `parts`, `uploads`, `referrers`, `tags`;
//! * `mirrors` is a repository read through other hosts that have copies of it.

mod answer;
pub mod auth;
mod blobs;
mod challenge;
pub mod credentials;
mod endpoint;
mod feed;
#[cfg(feature = "fuzz")]
pub(crate) mod fuzzing;
mod header;
mod http;
mod login;
mod manifests;
pub mod mirrors;
mod names;
mod origin;
mod pages;
mod parts;
mod quota;
mod referral;
mod referrers;
mod refusal;
mod repair;
mod repository;
mod retry;
mod scope;
mod tag_schema;
mod tags;
mod token;
mod transport;
mod uploads;
pub mod web;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use zeroize::Zeroizing;

pub use self::names::{Names, SystemNames};
pub use self::repository::Repository;

use self::auth::{Anonymous, CredentialSource};
use self::endpoint::{Endpoint, Request};
use self::http::Http;
use self::login::Login;
use self::origin::Origin;
use self::scope::Scope;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::progress::{self, Progress};
use crate::reference::Location;

/// Everything that can be chosen about talking to registries.
pub struct Settings {
    /// Whether TLS is spoken.
    pub transport: Transport,
    /// CA certificates to trust beside the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The certificate to show to registries that ask for one, and to nobody else.
    pub client_identity: Option<ClientIdentity>,
    /// Whether proxies are used.
    pub proxies: Proxies,
    /// Where credentials come from.
    pub credentials: Arc<dyn CredentialSource>,
    /// Hosts outside a registry's own domain that may see its credentials, to make tokens of them.
    pub token_hosts: Vec<String>,
    /// How names of hosts become addresses.
    pub names: Arc<dyn Names>,
    /// Hosts inside, to which a registry on the internet may lead all the same.
    pub private_hosts: Vec<String>,
    /// Where retries and oddities are told.
    pub progress: Arc<dyn Progress>,
    /// How long to wait.
    pub patience: Patience,
}

impl Default for Settings {
    /// Returns settings that need nothing: anonymous, the system's CAs, no proxy.
    fn default() -> Self {
        Self {
            transport: Transport::Auto,
            ca_pem: None,
            client_identity: None,
            proxies: Proxies::None,
            credentials: Arc::new(Anonymous),
            token_hosts: Vec::new(),
            names: Arc::new(SystemNames),
            private_hosts: Vec::new(),
            progress: progress::silent(),
            patience: Patience::default(),
        }
    }
}

/// Whether TLS is spoken to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// TLS, except to this machine itself where no CA is given.
    #[default]
    Auto,
    /// Plain http, because the user said so.
    Plain,
    /// TLS, to this machine too.
    Tls,
}

/// Whether requests go through proxies. Never through one go requests to this machine, and those
/// that may show a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proxies {
    /// Those that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or the system, name.
    Environment,
    /// None.
    #[default]
    None,
}

/// A client certificate and its key.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The certificate, and those between it and its CA, PEM.
    pub certificate_pem: Vec<u8>,
    /// The unencrypted private key, PEM.
    pub key_pem: Zeroizing<Vec<u8>>,
}

/// How long peers may take, and how long to wait before trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection to open.
    pub connect: Duration,
    /// For the next bytes to come or go.
    pub stall: Duration,
    /// At most before the second try; it doubles with each further one.
    pub retry: Duration,
}

impl Default for Patience {
    /// Returns the patience that suits networks as they are.
    fn default() -> Self {
        Self {
            connect: limits::CONNECT_TIME,
            stall: limits::STALL_TIME,
            retry: Duration::from_millis(500),
        }
    }
}

/// A client of any number of registries, which shares connections and tokens between the
/// repositories that come from it.
pub struct Client {
    settings: Settings,
    http: Arc<Http>,
    endpoints: Mutex<HashMap<String, Arc<Endpoint>>>,
}

impl Client {
    /// Returns a client; a CA or client certificate that cannot be used is an error here.
    pub fn new(settings: Settings) -> Result<Self> {
        let http = Http::new(
            settings.ca_pem.as_deref(),
            settings.client_identity.as_ref(),
            settings.patience,
            &settings,
        )?;
        Ok(Self {
            settings,
            http: Arc::new(http),
            endpoints: Mutex::default(),
        })
    }

    /// Returns the repository at `location`, without asking whether it is there.
    pub fn repository(&self, location: &Location) -> Result<Repository> {
        match location {
            Location::Registry { host, repository } => {
                let endpoint = self.endpoint(host)?;
                Ok(Repository::new(endpoint, repository, location.clone()))
            }
            Location::Layout(_) => Err(Error::new(
                Reason::ReferenceInvalid,
                format!("`{location}` is not in a registry"),
            )),
        }
    }

    /// Checks that the registry `host`, which is `HOST[:PORT]`, accepts the credentials for it. One
    /// that asks nobody at its root accepts all.
    pub async fn check_login(&self, host: &str) -> Result<()> {
        let endpoint = self.endpoint(host)?;
        let action = format!("log in to {host}");
        let request = Request::new(Method::GET, endpoint.url("v2/")?, &action);
        let answer = endpoint.send(&Scope::Login, &request).await?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(Error::new(
                Reason::RegistryProtocol,
                format!(
                    "cannot {action}: there is no registry at {}",
                    endpoint.origin()
                ),
            )),
            _ => Err(refusal::failure(answer, &action).await.error),
        }
    }

    /// Returns the registry `host`, always the same one, so that a token is fetched once.
    fn endpoint(&self, host: &str) -> Result<Arc<Endpoint>> {
        let mut endpoints = self
            .endpoints
            .lock()
            .map_err(|_| Error::new(Reason::Internal, "another request stopped"))?;
        if let Some(endpoint) = endpoints.get(host) {
            return Ok(Arc::clone(endpoint));
        }
        let settings = &self.settings;
        let base = endpoint::base(host, settings.transport, settings.ca_pem.is_some())?;
        let login = Login::new(
            host,
            Origin::of(&base)?,
            Arc::clone(&settings.credentials),
            settings.token_hosts.clone(),
        );
        let progress = Arc::clone(&settings.progress);
        let endpoint = Endpoint::new(base, Arc::clone(&self.http), login, progress)?;
        let endpoint = Arc::new(endpoint);
        endpoints.insert(host.to_owned(), Arc::clone(&endpoint));
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(settings: Settings) -> Option<Reason> {
        Client::new(settings).err().map(|error| error.reason())
    }

    #[test]
    fn tls_settings_that_cannot_be_used_are_told_at_once() {
        assert_eq!(reason(Settings::default()), None);
        for pem in [
            "",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "\0",
        ] {
            let ca_pem = Some(pem.as_bytes().to_vec());
            let settings = Settings {
                ca_pem,
                ..Settings::default()
            };
            assert_eq!(reason(settings), Some(Reason::TlsSettingsInvalid), "{pem}");
            let client_identity = Some(ClientIdentity {
                certificate_pem: pem.as_bytes().to_vec(),
                key_pem: Zeroizing::default(),
            });
            let settings = Settings {
                client_identity,
                ..Settings::default()
            };
            assert_eq!(reason(settings), Some(Reason::TlsSettingsInvalid), "{pem}");
        }
    }

    #[test]
    fn a_layout_is_not_in_a_registry() {
        let client = Client::new(Settings::default()).unwrap();
        let error = client
            .repository(&Location::Layout("x".into()))
            .err()
            .unwrap();
        assert_eq!(error.reason(), Reason::ReferenceInvalid);
    }
}
