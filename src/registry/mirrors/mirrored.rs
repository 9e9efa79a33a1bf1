//! A repository that is read through mirrors, as a store.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::ResolveAt;
use super::hosts::Capabilities;
use super::peer::{Peer, Source};
use super::peers::{Giver, Peers};
use super::relay::Relay;
use crate::blob::{Blob, Content};
use crate::error::{Class, Error, Reason, Result};
use crate::limits;
use crate::manifest::{Descriptor, is_bundle};
use crate::progress::Meter;
use crate::reference::{Location, Selector, Tag};
use crate::store::{Part, RawDocument, Store, check_range};

/// A repository of a registry, read through mirrors. Nothing is written through it.
pub struct Mirrored {
    location: Location,
    peers: Arc<Peers>,
    resolve_at: ResolveAt,
}

impl Mirrored {
    pub(super) fn new(location: Location, peers: Peers, resolve_at: ResolveAt) -> Self {
        Self {
            location,
            peers: Arc::new(peers),
            resolve_at,
        }
    }

    /// Returns what each host gave so far: the mirrors in their order, then the registry itself.
    pub fn sources(&self) -> Vec<Source> {
        self.peers.sources()
    }

    /// Whether there is any mirror.
    pub fn has_mirrors(&self) -> bool {
        !self.peers.mirrors().is_empty()
    }

    /// Returns the mirrors that may be asked for something.
    fn mirrors(&self, able: impl Fn(Capabilities) -> bool) -> impl Iterator<Item = &Peer> {
        let mirrors = self.peers.mirrors().iter();
        mirrors.filter(move |peer| able(peer.capabilities()))
    }

    /// Returns the mirrors that are believed: none, unless the user said so.
    fn believed(&self, able: impl Fn(Capabilities) -> bool) -> impl Iterator<Item = &Peer> {
        let resolve_at = self.resolve_at;
        self.mirrors(move |c| resolve_at == ResolveAt::Mirror && able(c))
    }

    /// Fetches a manifest at one host.
    async fn manifest_at(&self, peer: &Peer, selector: &Selector) -> Result<RawDocument> {
        let fetched = peer.repository.fetch_manifest(selector).await;
        match &fetched {
            Ok(document) => {
                peer.answered();
                peer.gave(document.descriptor().size);
                peer.served();
            }
            Err(error) => self.peers.note_failure(peer, error),
        }
        fetched
    }

    /// Fetches a small blob, checked here, at the first host that has it right.
    async fn small_blob(&self, descriptor: &Descriptor, cap: u64) -> Result<Blob> {
        let origin = &self.peers.origin().repository;
        for number in self.peers.givers(descriptor) {
            let giver = Giver::Mirror(number);
            let peer = self.peers.peer(giver);
            match read(peer, descriptor, cap).await {
                Ok(bytes) => {
                    let body = Box::pin(futures_util::stream::iter([Ok(bytes)]));
                    return Ok(Blob::new(descriptor, origin.blob_name(descriptor), body));
                }
                Err(error) => self.peers.blame(giver, descriptor, &error),
            }
        }
        self.large_blob(descriptor).await
    }

    /// Opens a blob at the first host that gives it.
    async fn large_blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        let what = self.peers.origin().repository.blob_name(descriptor);
        let part = Relay::open(&self.peers, descriptor, 0..descriptor.size, &what).await;
        let (Part::Whole(stream) | Part::Range(stream)) = part.map_err(|e| self.explain(e))?;
        Ok(Blob::new(descriptor, what, stream))
    }

    /// Adds to an error of the registry what can be done about it where there are mirrors.
    fn explain(&self, error: Error) -> Error {
        let is_network = error.reason().class() == Class::Network;
        match is_network && self.has_mirrors() && self.resolve_at == ResolveAt::Origin {
            true => error.hint(
                "what a tag means and who signed is asked at the registry itself; content by \
                 digest comes from mirrors too, and `--resolve-at mirror` asks them for all",
            ),
            false => error,
        }
    }
}

async fn read(peer: &Peer, descriptor: &Descriptor, cap: u64) -> Result<Bytes> {
    let blob = peer.repository.open_blob(descriptor).await?;
    peer.answered();
    let bytes = blob.into_bytes(cap).await?;
    peer.gave(bytes.len() as u64);
    peer.served();
    Ok(bytes)
}

/// Returns how large a blob may be to be held in memory until it is known to be right: then a
/// mirror's lie is noticed before anybody sees it. Larger ones are checked by who reads them.
fn small(descriptor: &Descriptor) -> u64 {
    match is_bundle(&descriptor.media_type) {
        true => limits::BUNDLE,
        false => limits::CONFIG,
    }
}

fn read_only() -> Error {
    let message = "a repository that is read through mirrors is not written to";
    Error::new(Reason::Internal, message)
}

#[async_trait]
impl Store for Mirrored {
    fn location(&self) -> &Location {
        &self.location
    }

    async fn manifest(&self, selector: &Selector) -> Result<RawDocument> {
        let mirrors: Vec<_> = match selector {
            Selector::Digest(_) => self.mirrors(|c| c.pull).collect(),
            Selector::Tag(_) => self.believed(|c| c.resolve).collect(),
        };
        for mirror in mirrors {
            if let Ok(document) = self.manifest_at(mirror, selector).await {
                return Ok(document);
            }
        }
        let asked = self.manifest_at(self.peers.origin(), selector).await;
        asked.map_err(|error| self.explain(error))
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        let cap = small(descriptor);
        match descriptor.size <= cap {
            true => self.small_blob(descriptor, cap).await,
            false => self.large_blob(descriptor).await,
        }
    }

    async fn blob_part(&self, descriptor: &Descriptor, range: Range<u64>) -> Result<Part> {
        check_range(descriptor, &range)?;
        let what = self.peers.origin().repository.blob_name(descriptor);
        let part = Relay::open(&self.peers, descriptor, range, &what).await;
        part.map_err(|error| self.explain(error))
    }

    fn distrust(&self, descriptor: &Descriptor) -> bool {
        self.peers.distrust(descriptor)
    }

    async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        self.peers.origin().repository.has_blob(descriptor).await
    }

    async fn put_blob(&self, _: &Descriptor, _: &dyn Content, _: &dyn Meter) -> Result<()> {
        Err(read_only())
    }

    async fn put_manifest(&self, _: &RawDocument, _: Option<&Tag>) -> Result<()> {
        Err(read_only())
    }

    /// That a mirror lists nobody is no reason not to ask the registry itself; only where that
    /// cannot be reached, and the user believes mirrors, is it the answer.
    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut none = None;
        for mirror in self.believed(|c| c.referrers || c.resolve) {
            match mirror.repository.list_referrers(subject).await {
                Ok(listed) if !listed.is_empty() => return Ok(listed),
                Ok(listed) => none = Some(listed),
                Err(error) => self.peers.note_failure(mirror, &error),
            }
        }
        let asked = self.peers.origin().repository.list_referrers(subject).await;
        match (asked, none) {
            (Err(error), Some(none)) if error.reason().class() == Class::Network => Ok(none),
            (asked, _) => asked.map_err(|error| self.explain(error)),
        }
    }

    async fn tags(&self) -> Result<Vec<Tag>> {
        for mirror in self.believed(|c| c.resolve) {
            match mirror.repository.list_tags().await {
                Ok(tags) => return Ok(tags),
                Err(error) => self.peers.note_failure(mirror, &error),
            }
        }
        let asked = self.peers.origin().repository.list_tags().await;
        asked.map_err(|error| self.explain(error))
    }
}
