//! A repository of a registry, as a store.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use reqwest::header::CACHE_CONTROL;
use reqwest::{Method, Url};

use super::endpoint::{Endpoint, Request};
use super::scope::Scope;
use crate::blob::{Blob, Content};
use crate::digest::Digest;
use crate::error::Result;
use crate::manifest::Descriptor;
use crate::progress::Meter;
use crate::reference::{Location, Selector, Tag};
use crate::store::{Part, RawDocument, Store};

/// A repository of a registry.
pub struct Repository {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) name: String,
    location: Location,
    /// The `ETag` of each blob that was asked for: parts must be of one version.
    pub(super) versions: Mutex<HashMap<Digest, String>>,
    /// The blobs for which something wrong came: a cache on the way may be at fault.
    suspects: Mutex<HashSet<Digest>>,
}

impl Repository {
    pub(super) fn new(endpoint: Arc<Endpoint>, name: &str, location: Location) -> Self {
        Self {
            endpoint,
            name: name.to_owned(),
            location,
            versions: Mutex::default(),
            suspects: Mutex::default(),
        }
    }

    /// Returns the URL of a path below the repository.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        self.endpoint.url(&format!("v2/{}/{path}", self.name))
    }

    /// Asks past all caches for this blob from now on.
    pub(super) fn suspect(&self, descriptor: &Descriptor) {
        if let (Ok(mut suspects), Ok(mut versions)) = (self.suspects.lock(), self.versions.lock()) {
            suspects.insert(descriptor.digest);
            versions.remove(&descriptor.digest);
        }
    }

    /// Returns a request for a blob's content, past all caches if something wrong came before.
    pub(super) fn content_request(&self, descriptor: &Descriptor, action: &str) -> Result<Request> {
        let url = self.url(&format!("blobs/{}", descriptor.digest))?;
        let request = Request::new(Method::GET, url, action).following();
        let is_suspect =
            |suspects: MutexGuard<'_, HashSet<Digest>>| suspects.contains(&descriptor.digest);
        match self.suspects.lock().is_ok_and(is_suspect) {
            true => request.field(CACHE_CONTROL, "no-cache"),
            false => Ok(request),
        }
    }

    /// Returns what reading this takes.
    pub(super) fn pull(&self) -> Scope {
        Scope::Pull(self.name.clone())
    }

    /// Returns what writing this takes.
    pub(super) fn push(&self) -> Scope {
        Scope::Push(self.name.clone())
    }
}

#[async_trait]
impl Store for Repository {
    fn location(&self) -> &Location {
        &self.location
    }

    async fn manifest(&self, selector: &Selector) -> Result<RawDocument> {
        self.fetch_manifest(selector).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        self.open_blob(descriptor).await
    }

    async fn blob_part(&self, descriptor: &Descriptor, range: Range<u64>) -> Result<Part> {
        self.open_part(descriptor, range).await
    }

    fn distrust(&self, descriptor: &Descriptor) -> bool {
        self.suspect(descriptor);
        false
    }

    async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        self.find_blob(descriptor).await
    }

    async fn put_blob(
        &self,
        descriptor: &Descriptor,
        content: &dyn Content,
        meter: &dyn Meter,
    ) -> Result<()> {
        self.upload(descriptor, content, meter).await
    }

    async fn mount_blob(&self, descriptor: &Descriptor, from: &Location) -> Result<bool> {
        self.mount(descriptor, from).await
    }

    async fn put_manifest(&self, document: &RawDocument, tag: Option<&Tag>) -> Result<()> {
        self.store_manifest(document, tag).await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.list_referrers(subject).await
    }

    async fn tags(&self) -> Result<Vec<Tag>> {
        self.list_tags().await
    }
}
