//! The manifests of a layout: read, hashed, and asked what they refer to.

use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;

use super::ingest::Ingest;
use super::root::Root;
use crate::blob::Check;
use crate::digest::Digest;
use crate::directory::read_capped;
use crate::error::{Error, Reason, Result};
use crate::manifest::{Annotations, Descriptor, Document, is_document};
use crate::reference::{Selector, Tag};
use crate::store::RawDocument;
use crate::{json, limits};

impl Root {
    /// Reads the manifest that `selector` names. A digest need not be listed: children of an
    /// index usually are not.
    pub(super) fn document(&self, selector: &Selector) -> Result<RawDocument> {
        let index = self.index()?;
        let listed = match selector {
            Selector::Tag(tag) => index
                .resolve(tag)
                .map_err(|e| e.at(self.path().display()))?,
            Selector::Digest(digest) => index.find(digest),
        };
        match (listed, selector) {
            (Some(listed), _) => self.listed(listed),
            (None, Selector::Digest(digest)) => self.unlisted(digest),
            (None, Selector::Tag(_)) => Err(self.no_manifest(selector)),
        }
    }

    /// Reads a manifest that an index announces; a list without what it lists is a damaged layout.
    fn listed(&self, announced: &Descriptor) -> Result<RawDocument> {
        let bytes = self.listed_bytes(announced)?;
        let what = self.name(&announced.digest);
        RawDocument::read(bytes, &announced.media_type, Some(&announced.digest), &what)
    }

    fn listed_bytes(&self, announced: &Descriptor) -> Result<Bytes> {
        self.checked(&announced.digest, Some(announced.size))?
            .ok_or_else(|| {
                self.damaged(&format!("lists {} but does not have it", announced.digest))
            })
    }

    /// Reads a manifest that nothing announces as what its own `mediaType` says.
    fn unlisted(&self, digest: &Digest) -> Result<RawDocument> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            #[serde(default)]
            media_type: String,
        }
        let Some(bytes) = self.checked(digest, None)? else {
            return Err(self.no_manifest(&Selector::Digest(*digest)));
        };
        let what = self.name(digest);
        let kind: Kind = json::parse(&bytes, &format!("the manifest {what}"))?;
        RawDocument::read(bytes, &kind.media_type, Some(digest), &what)
    }

    /// Reads a blob that must be a manifest's size at most, and hashes it: a file may have been
    /// changed since it was stored.
    fn checked(&self, digest: &Digest, size: Option<u64>) -> Result<Option<Bytes>> {
        let Some((file, length)) = self.open_blob(digest)? else {
            return Ok(None);
        };
        let bytes = read_capped(file, &self.blob_path(digest), limits::MANIFEST)?;
        let expected = Descriptor::new("", *digest, size.unwrap_or(length));
        let mut check = Check::new(&expected, format!("the manifest {}", self.name(digest)));
        check.update(&bytes)?;
        check.finish()?;
        Ok(Some(bytes.into()))
    }

    /// Lists what refers to `subject`: everything in `index.json`, or in the index that the
    /// referrers tag schema would have a registry keep, whose own bytes say so.
    ///
    /// A listed manifest that cannot be read might be the one that refers to `subject`, so it is
    /// an error and never left out.
    pub(super) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let mut seen = HashSet::new();
        let mut referrers = Vec::new();
        for candidate in self.candidates(subject)? {
            if !is_document(&candidate.media_type) || !seen.insert(candidate.digest) {
                continue;
            }
            let bytes = self.listed_bytes(&candidate)?;
            let what = format!("the manifest {}", self.name(&candidate.digest));
            let outline: Outline = json::parse(&bytes, &what)?;
            if outline.is_about(subject) {
                referrers.push(outline.describe(&candidate));
            }
            if referrers.len() > limits::REFERRERS {
                return Err(self.too_many_referrers(subject));
            }
        }
        Ok(referrers)
    }

    /// Returns every descriptor that may be a referrer's.
    fn candidates(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let index = self.index()?;
        let mut candidates: Vec<_> = index.manifests().cloned().collect();
        let tag = Tag::for_referrers(subject);
        let list = index
            .resolve(&tag)
            .map_err(|e| e.at(self.path().display()))?;
        if let Some(list) = list {
            match self.listed(list)?.document() {
                Document::Index(index) => candidates.extend(index.manifests.iter().cloned()),
                Document::Manifest(_) => {
                    let why = format!("has the tag `{tag}` on something other than an index");
                    return Err(self.damaged(&why));
                }
            }
        }
        Ok(candidates)
    }

    /// Stores a manifest's bytes, lists it, and moves `tag` to it.
    pub(super) fn put_document(&self, document: &RawDocument, tag: Option<&Tag>) -> Result<()> {
        if !self.holds(document.descriptor())? {
            let mut content = Ingest::begin(self.path())?;
            content.write(document.bytes())?;
            self.add_blob(content, document.digest())?;
        }
        let entry = document.referrer_descriptor();
        self.edit_index(|index| match tag {
            Some(tag) => index.tag(&entry, tag),
            None => index.list(&entry),
        })
    }

    /// Names `digest` in this layout.
    pub(super) fn name(&self, digest: &Digest) -> String {
        format!("{digest} in `{}`", self.path().display())
    }

    fn no_manifest(&self, selector: &Selector) -> Error {
        let message = format!("there is no `{selector}` in `{}`", self.path().display());
        Error::new(Reason::ReferenceNotFound, message)
            .hint("`modelctl list` shows the tags that are there")
    }

    fn too_many_referrers(&self, subject: &Digest) -> Error {
        let message = format!(
            "more than {} manifests refer to {}",
            limits::REFERRERS,
            self.name(subject)
        );
        Error::new(Reason::TooManyReferrers, message)
    }
}

/// What is looked at to see whether a manifest is a referrer.
///
/// Lenient on purpose: manifests of other tools, which this crate would refuse to use, stand in
/// the same layout and must not make it unreadable. Whoever fetches a referrer reads it strictly.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    subject: Option<Named>,
    artifact_type: Option<String>,
    config: Option<Typed>,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Named {
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    media_type: String,
}

impl Outline {
    fn is_about(&self, subject: &Digest) -> bool {
        let named = self.subject.as_ref().map(|subject| subject.digest.as_str());
        named == Some(&subject.to_string())
    }

    /// Returns `listed` with what the manifest, and not the list, says about itself
    /// ([distribution-spec, "Listing referrers"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers)).
    fn describe(self, listed: &Descriptor) -> Descriptor {
        let own = self.artifact_type.filter(|kind| !kind.is_empty());
        Descriptor {
            artifact_type: own.or(self.config.map(|config| config.media_type)),
            annotations: self.annotations.unwrap_or_default(),
            ..listed.plain()
        }
    }
}
