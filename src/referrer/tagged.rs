//! cosign's older tags, `sha256-….sig` and `sha256-….att`: found, and written.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future};

use super::{AT_ONCE, RawBundle, is_only_about_one, put, too_many};
use crate::digest::Digest;
use crate::error::{Class, Error, Reason, Result};
use crate::legacy::{Kind, Layer, image};
use crate::limits;
use crate::manifest::{Descriptor, Document, Manifest};
use crate::reference::{Selector, Tag};
use crate::store::{RawDocument, Store};

/// How often a tag is written again that somebody else has written meanwhile.
const TRIES: usize = 5;

/// An image at one of cosign's tags.
#[derive(Debug, Clone)]
pub struct Tagged {
    kind: Kind,
    tag: Tag,
    document: RawDocument,
    layers: Vec<(Descriptor, Result<RawBundle, Arc<Error>>)>,
}

impl Tagged {
    /// Returns which of the tags it is at.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the tag.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Returns the image's manifest.
    pub fn document(&self) -> &RawDocument {
        &self.document
    }

    /// Returns its layers, each of which is one signature or attestation, or why it could not be
    /// had.
    pub fn layers(&self) -> &[(Descriptor, Result<RawBundle, Arc<Error>>)] {
        &self.layers
    }
}

/// Fetches what is at cosign's tags for the artifact with the digest `subject`.
///
/// A tag that is clearly not there is nothing; a registry that refuses, fails or has something else
/// there is an error.
pub async fn collect_tagged(store: &dyn Store, subject: &Digest) -> Result<Vec<Tagged>> {
    let fetch = |kind: Kind| async move {
        match find_tagged(store, kind, subject).await? {
            Some((tag, document)) => Ok(Some(open(store, kind, tag, document).await?)),
            None => Ok::<_, Error>(None),
        }
    };
    let [signatures, attestations] = Kind::ALL.map(fetch);
    let (signatures, attestations) = future::try_join(signatures, attestations).await?;
    Ok(signatures.into_iter().chain(attestations).collect())
}

/// Fetches the manifest at one of the tags, if it is there.
pub(crate) async fn find_tagged(
    store: &dyn Store,
    kind: Kind,
    subject: &Digest,
) -> Result<Option<(Tag, RawDocument)>> {
    let tag = kind.tag(subject)?;
    match store.manifest(&Selector::Tag(tag.clone())).await {
        Ok(document) => {
            manifest(&document, &tag)?;
            Ok(Some((tag, document)))
        }
        Err(error) if error.reason() == Reason::ReferenceNotFound => Ok(None),
        Err(error) => Err(error.at(format!("tag `{tag}`"))),
    }
}

/// Returns the manifest at a tag, which must not be an index.
fn manifest<'a>(document: &'a RawDocument, tag: &Tag) -> Result<&'a Manifest> {
    match document.document() {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => {
            let message = format!("there is an index at the tag `{tag}`, where cosign's image is");
            Err(Error::new(Reason::ManifestInvalid, message))
        }
    }
}

async fn open(store: &dyn Store, kind: Kind, tag: Tag, document: RawDocument) -> Result<Tagged> {
    let layers = manifest(&document, &tag)?.layers.clone();
    if layers.len() > limits::CANDIDATES {
        return Err(too_many(layers.len(), limits::CANDIDATES));
    }
    let total = layers.iter().fold(0_u64, |t, l| t.saturating_add(l.size));
    if total > limits::BUNDLES_TOTAL {
        let message = format!("what is at the tag `{tag}` has {total} bytes, more than are read");
        return Err(Error::new(Reason::TooManyReferrers, message));
    }
    let layers = futures_util::stream::iter(layers)
        .map(|layer| async move {
            let found = match fetch(store, kind, &layer).await {
                Ok(raw) => Ok(raw),
                Err(error) if is_about_layer(&error) => Err(Arc::new(error)),
                Err(error) => return Err(error.at(format!("layer {}", layer.digest))),
            };
            Ok::<_, Error>((layer, found))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Tagged {
        kind,
        tag,
        document,
        layers,
    })
}

async fn fetch(store: &dyn Store, kind: Kind, layer: &Descriptor) -> Result<RawBundle> {
    if layer.media_type != kind.media_type() {
        let message = format!("the layer is {:?}, no signature", layer.media_type);
        return Err(Error::new(Reason::BundleUnsupported, message));
    }
    let blob = store.blob(layer).await?;
    let bytes = blob.into_bytes(limits::LEGACY_LAYER).await?;
    RawBundle::legacy(&Layer::new(layer, bytes)?)
}

/// Whether a failure says something about one layer and nothing about the store.
fn is_about_layer(error: &Error) -> bool {
    is_only_about_one(error) || error.reason().class() == Class::NotVerified
}

/// Adds `layer` to what is at its tag for the artifact with the digest `subject`, and returns the
/// image's descriptor; what is there already stays, and is not added again.
///
/// Registries cannot compare and set, so the tag is read again after it was written, until it has
/// what was added.
pub async fn add_tagged(store: &dyn Store, subject: &Digest, layer: &Layer) -> Result<Descriptor> {
    put(store, &layer.descriptor(), layer.content().clone()).await?;
    merge_tagged(store, layer.kind(), subject, &[layer.descriptor()]).await
}

/// Makes the image at a tag have `layers`, whose blobs are there, besides those that it has.
pub(crate) async fn merge_tagged(
    store: &dyn Store,
    kind: Kind,
    subject: &Digest,
    layers: &[Descriptor],
) -> Result<Descriptor> {
    let tag = kind.tag(subject)?;
    for _ in 0..TRIES {
        let found = find_tagged(store, kind, subject).await?;
        let mut merged = match &found {
            Some((tag, document)) => manifest(document, tag)?.layers.clone(),
            None => Vec::new(),
        };
        let missing = layers.iter().filter(|layer| !merged.contains(layer));
        let missing: Vec<_> = missing.cloned().collect();
        if let (true, Some((_, document))) = (missing.is_empty(), &found) {
            return Ok(document.descriptor().clone());
        }
        merged.extend(missing);
        let (manifest, config) = image(merged);
        put(store, &manifest.config, Bytes::clone(&config)).await?;
        let document = RawDocument::of(Document::Manifest(manifest))?;
        store.put_manifest(&document, Some(&tag)).await?;
    }
    let message = format!("others keep writing the tag `{tag}`");
    Err(Error::new(Reason::ReferrersContended, message).hint("try again"))
}
