//! Makes repositories of what a `hosts.toml` says, each with credentials and certificates of its
//! own.

use std::sync::Arc;

use super::super::auth::CredentialSource;
use super::super::endpoint::{self, Endpoint, Manner};
use super::super::http::Http;
use super::super::login::Login;
use super::super::origin::{Origin, Scheme};
use super::super::repository::Repository;
use super::super::{Client, Patience, Transport};
use super::hosts::{Address, Host, HostSettings, Hosts};
use super::peer::{Peer, Role};
use super::peers::Peers;
use super::{Mirrored, Mirrors};
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::reference::Location;

impl Client {
    /// Returns the repository at `location`, read through the mirrors that `mirrors` knows for its
    /// registry, without asking whether any of them is there.
    pub fn mirrored(&self, location: &Location, mirrors: &Mirrors) -> Result<Mirrored> {
        let Location::Registry { host, repository } = location else {
            let message = format!("`{location}` is not in a registry");
            return Err(Error::new(Reason::ReferenceInvalid, message));
        };
        let hosts = mirrors.hosts(host)?.unwrap_or_default();
        let opening = Opening {
            client: self,
            mirrors,
            host,
            repository,
        };
        let peers = opening.peers(hosts, location)?;
        Ok(Mirrored::new(location.clone(), peers, mirrors.resolve_at))
    }
}

/// A repository that is about to be opened.
struct Opening<'a> {
    client: &'a Client,
    mirrors: &'a Mirrors,
    host: &'a str,
    repository: &'a str,
}

impl Opening<'_> {
    /// A host that is the registry itself is no mirror: it is asked last anyway, and what is said
    /// about it says how.
    fn peers(&self, mut hosts: Hosts, location: &Location) -> Result<Peers> {
        let own = match &hosts.server {
            Some(address) => address.clone(),
            None => self.named(hosts.own.as_ref(), self.client.settings.transport)?,
        };
        let mut mirrors = Vec::new();
        for host in std::mem::take(&mut hosts.mirrors) {
            if self.is_own(&host.address, &own)? {
                hosts.own = hosts.own.or(Some(host.settings));
                hosts.server = hosts.server.or(Some(host.address));
            } else {
                mirrors.push(self.mirror(host)?);
            }
        }
        let origin = self.origin(hosts, location)?;
        let progress = Arc::clone(&self.client.settings.progress);
        Ok(Peers::new(mirrors, origin, progress))
    }

    fn is_own(&self, address: &Address, own: &Address) -> Result<bool> {
        Ok(address == own || self.is_named(address)? && self.is_named(own)?)
    }

    /// Returns the address that the registry's name stands for.
    fn named(&self, own: Option<&HostSettings>, transport: Transport) -> Result<Address> {
        let has_ca =
            self.client.settings.ca_pem.is_some() || own.is_some_and(|own| own.ca_pem.is_some());
        Ok(Address {
            base: endpoint::base(self.host, transport, has_ca)?,
            root: endpoint::Root::Specified,
        })
    }

    /// Whether `address` is the one that the registry's name stands for, in its own scheme.
    fn is_named(&self, address: &Address) -> Result<bool> {
        let transport = match Origin::of(&address.base)?.scheme() {
            Scheme::Http => Transport::Plain,
            Scheme::Https => Transport::Tls,
        };
        Ok(*address == self.named(None, transport)?)
    }

    /// Returns the registry itself.
    fn origin(&self, hosts: Hosts, location: &Location) -> Result<Peer> {
        let repository = match (hosts.server, hosts.own) {
            (None, None) => self.client.repository(location)?,
            (server, own) => {
                let named = self.named(own.as_ref(), self.client.settings.transport)?;
                let address = server.unwrap_or(named);
                let endpoint = self.endpoint(address, own.unwrap_or_default(), limits::TRIES)?;
                Repository::new(Arc::new(endpoint), self.repository, location.clone())
            }
        };
        Ok(Peer::new(repository, Role::Origin))
    }

    fn mirror(&self, host: Host) -> Result<Peer> {
        let location = Location::Registry {
            host: authority(&host.address),
            repository: self.repository.to_owned(),
        };
        // Whoever has somebody else to ask does not wait for one who fails.
        let endpoint = self.endpoint(host.address, host.settings, 1)?;
        let repository = Repository::new(Arc::new(endpoint), self.repository, location);
        Ok(Peer::new(repository, Role::Mirror(host.capabilities)))
    }

    /// Returns the host at `address`. What the user gave for the registry (credentials, a client
    /// certificate) is for the address that its name stands for and for no other.
    fn endpoint(&self, address: Address, special: HostSettings, tries: u32) -> Result<Endpoint> {
        let is_named = self.is_named(&address)?;
        let http = self.http(&special, is_named)?;
        let (host, credentials): (_, &Arc<dyn CredentialSource>) = match is_named {
            true => (self.host.to_owned(), &self.client.settings.credentials),
            false => (authority(&address), &self.mirrors.credentials),
        };
        let settings = &self.client.settings;
        let login = Login::new(
            &host,
            Origin::of(&address.base)?,
            Arc::clone(credentials),
            settings.token_hosts.clone(),
        );
        let manner = Manner {
            root: address.root,
            namespace: (!is_named).then(|| self.host.to_owned()),
            headers: special.headers,
            tries,
        };
        let progress = Arc::clone(&settings.progress);
        let endpoint = Endpoint::new(address.base, Arc::new(http), login, progress)?;
        Ok(endpoint.in_manner(manner))
    }

    fn http(&self, special: &HostSettings, is_named: bool) -> Result<Http> {
        let settings = &self.client.settings;
        let authorities = [&settings.ca_pem, &special.ca_pem].into_iter().flatten();
        let ca_pem = authorities
            .cloned()
            .reduce(|both, pem| [both, pem].join(&b'\n'));
        let own = settings.client_identity.as_ref().filter(|_| is_named);
        let patience = Patience {
            connect: special.connect.unwrap_or(settings.patience.connect),
            ..settings.patience
        };
        let identity = special.identity.as_ref().or(own);
        let http = Http::new(ca_pem.as_deref(), identity, patience, settings)?;
        Ok(http.with_certificates(special.certificates))
    }
}

/// Returns `HOST[:PORT]`, by which credentials are looked up.
fn authority(address: &Address) -> String {
    let host = address.base.host_str().unwrap_or_default();
    match address.base.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
