//! A repository of a registry, as a store.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use reqwest::Url;

use super::endpoint::Endpoint;
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
}

impl Repository {
    pub(super) fn new(endpoint: Arc<Endpoint>, name: &str, location: Location) -> Self {
        Self {
            endpoint,
            name: name.to_owned(),
            location,
            versions: Mutex::default(),
        }
    }

    /// Returns the URL of a path below the repository.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        self.endpoint.url(&format!("v2/{}/{path}", self.name))
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
