//! What a `hosts.toml` says: the registry's own address and settings, and its mirrors in order.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::super::ClientIdentity;
use super::super::endpoint::Root;
use super::super::http::Certificates;

/// Everything that one file says.
#[derive(Default)]
pub(super) struct Hosts {
    /// Where the registry itself is, if not where its name says.
    pub(super) server: Option<Address>,
    /// How the registry itself is talked to.
    pub(super) own: Option<HostSettings>,
    /// Who is asked before it, in this order.
    pub(super) mirrors: Vec<Host>,
}

/// One mirror.
pub(super) struct Host {
    pub(super) address: Address,
    pub(super) capabilities: Capabilities,
    pub(super) settings: HostSettings,
}

/// Where a host's API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Ends with `/`.
    pub(super) base: Url,
    pub(super) root: Root,
}

/// What a mirror may be asked for. That it could be pushed to says nothing here: nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// Content by digest.
    pub(super) pull: bool,
    /// What a tag means.
    pub(super) resolve: bool,
    /// Who refers to an artifact.
    pub(super) referrers: bool,
}

impl Capabilities {
    /// What a host has of which nothing is said.
    pub(super) const ALL: Self = Self {
        pull: true,
        resolve: true,
        referrers: true,
    };
    /// What a host has of which something else is said.
    pub(super) const NONE: Self = Self {
        pull: false,
        resolve: false,
        referrers: false,
    };
}

/// How a host is talked to.
#[derive(Default)]
pub(super) struct HostSettings {
    /// CA certificates to trust beside the system's, PEM.
    pub(super) ca_pem: Option<Vec<u8>>,
    /// The certificate to show to this host.
    pub(super) identity: Option<ClientIdentity>,
    /// Whether the host must prove who it is.
    pub(super) certificates: Certificates,
    /// Fields that this host gets with every request.
    pub(super) headers: HeaderMap,
    /// How long a connection to it may take to open.
    pub(super) connect: Option<Duration>,
}
