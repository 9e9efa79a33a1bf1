//! What a copy will store, found out before anything is stored.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};

use super::tagged::Tagged;
use crate::digest::Digest;
use crate::error::{Class, Error, Reason, Result};
use crate::legacy::Kind;
use crate::limits;
use crate::manifest::{Descriptor, Document, is_document};
use crate::progress::Progress;
use crate::reference::Selector;
use crate::store::{RawDocument, Store};

/// Everything that a copy will store.
pub(super) struct Plan<'a> {
    source: &'a dyn Store,
    /// How many manifests are fetched at once.
    pub(super) concurrency: usize,
    /// Children before what points to them, and referrers after what they refer to.
    pub(super) documents: Vec<RawDocument>,
    /// Each blob once.
    pub(super) blobs: Vec<Descriptor>,
    seen: HashSet<Digest>,
    /// With the size, as a second description that disagrees with the first must fail, not vanish.
    seen_blobs: HashSet<(Digest, u64)>,
    /// Bytes of all documents.
    bytes: u64,
    /// How many of the documents were found as referrers.
    pub(super) referrers: usize,
    /// What is at cosign's older tags.
    pub(super) tagged: Vec<Tagged>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(source: &'a dyn Store, concurrency: usize) -> Self {
        Self {
            source,
            concurrency: concurrency.max(1),
            documents: Vec::new(),
            blobs: Vec::new(),
            seen: HashSet::new(),
            seen_blobs: HashSet::new(),
            bytes: 0,
            referrers: 0,
            tagged: Vec::new(),
        }
    }

    /// Returns the digests of the documents that are there.
    pub(super) fn digests(&self) -> Vec<Digest> {
        self.documents.iter().map(|d| *d.digest()).collect()
    }

    /// Adds what is at cosign's older tags for `subjects`: images of their own, which no list of
    /// referrers names.
    pub(super) async fn add_tagged(&mut self, subjects: Vec<Digest>) -> Result<()> {
        let source = self.source;
        let mut found = futures_util::stream::iter(subjects)
            .flat_map(|subject| futures_util::stream::iter(Kind::ALL.map(|kind| (kind, subject))))
            .map(|(kind, subject)| Tagged::find(source, kind, subject))
            .buffered(self.concurrency);
        while let Some(tagged) = found.try_next().await? {
            if let Some(tagged) = tagged {
                self.referrers += 1;
                self.add(tagged.document().clone(), 0).await?;
                self.tagged.push(tagged);
            }
        }
        Ok(())
    }

    /// Adds `document`, which lies `depth` indexes deep, after everything that it points to.
    pub(super) fn add(&mut self, document: RawDocument, depth: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if !self.seen.insert(*document.digest()) {
                return Ok(());
            }
            self.bytes += document.descriptor().size;
            if self.bytes > limits::DOCUMENTS_TOTAL {
                return Err(self.too_large(format!("exceed {} bytes", limits::DOCUMENTS_TOTAL)));
            }
            let is_index = matches!(document.document(), Document::Index(_));
            for child in document.document().children() {
                if is_index && is_document(&child.media_type) {
                    self.add_child(child, depth).await?;
                } else if self.seen_blobs.insert((child.digest, child.size)) {
                    self.blobs.push(child.clone());
                }
            }
            self.documents.push(document);
            Ok(())
        })
    }

    async fn add_child(&mut self, child: &Descriptor, depth: usize) -> Result<()> {
        if self.seen.contains(&child.digest) {
            return Ok(());
        }
        if depth >= limits::INDEX_DEPTH {
            let limit = limits::INDEX_DEPTH;
            return Err(self.too_large(format!("are indexes in indexes, more than {limit} deep")));
        }
        let document = fetch(self.source, child).await?;
        self.add(document, depth + 1).await
    }

    fn too_large(&self, why: String) -> Error {
        let message = format!(
            "the manifests of one artifact in {} {why}",
            self.source.location()
        );
        Error::new(Reason::TooLarge, message)
    }

    /// Adds what refers to the documents that are there, what refers to that, and so on.
    pub(super) async fn add_referrers(&mut self, progress: &dyn Progress) -> Result<()> {
        let mut asked = 0;
        for depth in 0.. {
            let subjects: Vec<Descriptor> = self
                .documents
                .iter()
                .skip(asked)
                .map(|document| document.descriptor().clone())
                .collect();
            if subjects.is_empty() {
                break;
            }
            asked = self.documents.len();
            let listed = self.list_referrers(subjects).await?;
            if depth >= limits::REFERRER_DEPTH && !listed.is_empty() {
                let why = format!("are nested more than {} deep", limits::REFERRER_DEPTH);
                return Err(self.too_many_referrers(&why));
            }
            self.fetch_referrers(listed, progress).await?;
        }
        Ok(())
    }

    /// Lists what refers to `subjects` and is not planned yet, each with its subject.
    async fn list_referrers(&self, subjects: Vec<Descriptor>) -> Result<Vec<Listed>> {
        let source = self.source;
        let lists: Vec<Vec<Listed>> = futures_util::stream::iter(subjects)
            .map(|subject| async move {
                let listed = source.referrers(&subject).await?.into_iter();
                let listed = listed.map(|referrer| Listed {
                    digest: referrer.digest,
                    subject: subject.clone(),
                });
                Ok::<_, Error>(listed.collect())
            })
            .buffered(self.concurrency)
            .try_collect()
            .await?;
        let mut listed: Vec<Listed> = lists.into_iter().flatten().collect();
        let mut once = HashSet::new();
        listed.retain(|it| !self.seen.contains(&it.digest) && once.insert(it.digest));
        if self.referrers + listed.len() > limits::REFERRERS {
            let why = format!("are more than {}", limits::REFERRERS);
            return Err(self.too_many_referrers(&why));
        }
        Ok(listed)
    }

    /// Adds those of `listed` that are what the list says. The others prove nothing about their
    /// subject, so it is no loss, and no reason to fail, that they stay behind.
    async fn fetch_referrers(
        &mut self,
        listed: Vec<Listed>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let source = self.source;
        let mut fetched = futures_util::stream::iter(listed)
            .map(|listed| async move { (listed.fetch(source).await, listed.digest) })
            .buffered(self.concurrency);
        while let Some((fetched, digest)) = fetched.next().await {
            match fetched {
                Ok(document) => {
                    self.referrers += 1;
                    self.add(document, 0).await?;
                }
                Err(error)
                    if matches!(error.reason().class(), Class::Content | Class::NotFound) =>
                {
                    progress.note(&format!(
                        "the listed referrer {digest} is not copied: {error}"
                    ));
                }
                Err(error) => return Err(error.at(format!("referrer {digest}"))),
            }
        }
        Ok(())
    }

    fn too_many_referrers(&self, why: &str) -> Error {
        let message = format!(
            "the referrers of one artifact in {} {why}",
            self.source.location()
        );
        Error::new(Reason::TooManyReferrers, message)
            .hint("remove those that do not belong there, or copy without referrers")
    }
}

/// An entry of a list of referrers: hearsay until it is fetched.
struct Listed {
    digest: Digest,
    subject: Descriptor,
}

impl Listed {
    async fn fetch(&self, source: &dyn Store) -> Result<RawDocument> {
        let document = source.manifest(&Selector::Digest(self.digest)).await?;
        match document.document().subject() {
            Some(named) if named.same_content(&self.subject) => Ok(document),
            _ => {
                let message = format!("it does not refer to {}", self.subject.digest);
                Err(Error::new(Reason::ManifestInvalid, message))
            }
        }
    }
}

/// Fetches a manifest that must be what an index announces.
async fn fetch(source: &dyn Store, announced: &Descriptor) -> Result<RawDocument> {
    let document = source.manifest(&Selector::Digest(announced.digest)).await?;
    if document.descriptor().same_content(announced) {
        return Ok(document);
    }
    let message = format!(
        "{} is of another size or media type than its index announces",
        announced.digest
    );
    Err(Error::new(Reason::ManifestInvalid, message))
}
