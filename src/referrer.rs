//! Referrers: what is attached to an artifact, found and added.
//!
//! A list of referrers is hearsay: whoever runs the registry writes it, and tools write it wrongly
//! (cosign 3 lists its bundles under its config's media type). So everything listed is fetched by
//! digest, must name the artifact as its subject, and is classified by its own manifest.

mod tagged;

pub use tagged::{Tagged, add_tagged, collect_tagged};
pub(crate) use tagged::{find_tagged, merge_tagged};

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::blob::InMemory;
use crate::bundle::{Bundle, Version};
use crate::digest::Digest;
use crate::error::{Class, Error, Reason, Result};
use crate::legacy::{self, Layer};
use crate::limits;
use crate::manifest::{
    Descriptor, Document, EMPTY_JSON, Manifest, annotation, is_bundle, media_type,
};
use crate::progress::Silent;
use crate::reference::Selector;
use crate::store::{RawDocument, Store};
use crate::trust::{Authenticated, Format, TrustRoot};

/// Referrers fetched at once.
const AT_ONCE: usize = 8;

/// A manifest or index that names an artifact as its subject.
#[derive(Debug, Clone)]
pub struct Referrer {
    document: RawDocument,
    content: Content,
}

/// What a referrer carries.
#[derive(Debug, Clone)]
pub enum Content {
    /// A Sigstore bundle.
    Bundle(RawBundle),
    /// A Sigstore bundle that could not be had, and why; it counts as evidence of nothing.
    Unusable(Arc<Error>),
    /// Anything else: an SBOM, another tool's signature.
    Other,
}

/// The exact bytes of an attached bundle, or of a layer that says the same in cosign's older form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBundle {
    digest: Digest,
    bytes: Bytes,
    format: Format,
}

/// An attached bundle, or what says the same, read and not verified.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// A bundle.
    Bundle(Bundle),
    /// A layer at one of cosign's tags.
    Legacy(Layer),
}

impl Evidence {
    /// Returns the predicate type that it claims, for choosing words only.
    pub fn claimed_predicate_type(&self) -> Option<String> {
        match self {
            Self::Bundle(bundle) => bundle.claimed_predicate_type(),
            Self::Legacy(layer) => layer.claimed_predicate_type(),
        }
    }

    /// Verifies who says what by it.
    pub fn authenticate(&self, trust: &TrustRoot) -> Result<Authenticated> {
        match self {
            Self::Bundle(bundle) => trust.authenticate(bundle),
            Self::Legacy(layer) => trust.authenticate_legacy(layer),
        }
    }
}

impl RawBundle {
    /// Returns the bytes of a bundle with their digest.
    pub fn new(bytes: Bytes) -> Self {
        Self {
            digest: Digest::of(&bytes),
            bytes,
            format: Format::Bundle,
        }
    }

    /// Returns a layer at one of cosign's tags, in one piece with its annotations.
    pub fn legacy(layer: &Layer) -> Result<Self> {
        let bytes = Bytes::from(layer.to_record()?);
        let format = Format::Legacy;
        Ok(Self {
            format,
            ..Self::new(bytes)
        })
    }

    /// Returns bytes that were kept, of either form.
    pub fn kept(bytes: Bytes) -> Self {
        let format = match legacy::is_record(&bytes) {
            true => Format::Legacy,
            false => Format::Bundle,
        };
        Self {
            format,
            ..Self::new(bytes)
        }
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Reads it, whatever its form.
    pub fn evidence(&self) -> Result<Evidence> {
        match self.format {
            Format::Bundle => self.bundle().map(Evidence::Bundle),
            Format::Legacy => Layer::parse_record(&self.bytes).map(Evidence::Legacy),
        }
    }

    /// Reads the bundle. What is attached must be of version 0.3, as cosign has it: under an older
    /// one a log's promise does for its proof, which whoever relabels a bundle can then leave out.
    pub fn bundle(&self) -> Result<Bundle> {
        let bundle = Bundle::parse(&self.bytes)?;
        match bundle.version() {
            Version::V03 => Ok(bundle),
            older => {
                let message = format!("the attached bundle is of version {older}, not 0.3");
                Err(Error::new(Reason::BundleUnsupported, message))
            }
        }
    }
}

impl Referrer {
    /// Returns its manifest or index.
    pub fn document(&self) -> &RawDocument {
        &self.document
    }

    /// Returns what it carries.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Returns what it is, by its own manifest.
    pub fn kind(&self) -> &str {
        match self.document.document() {
            Document::Manifest(manifest) => manifest.kind(),
            Document::Index(index) => index.artifact_type.as_deref().unwrap_or(media_type::INDEX),
        }
    }
}

/// Fetches everything that refers to `subject`, in the order of their digests.
///
/// What is listed but names another subject, or is not there any more, is passed over: it can add
/// nothing. A registry that refuses or fails is an error, never "nothing attached".
pub async fn collect(store: &dyn Store, subject: &Descriptor) -> Result<Vec<Referrer>> {
    let mut listed = store.referrers(subject).await?;
    listed.sort_by_key(|descriptor| descriptor.digest);
    listed.dedup_by_key(|descriptor| descriptor.digest);
    if listed.len() > limits::REFERRERS {
        return Err(too_many(listed.len(), limits::REFERRERS));
    }
    let documents: Vec<Option<RawDocument>> = futures_util::stream::iter(listed)
        .map(|descriptor| fetch_document(store, descriptor, subject))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let documents: Vec<_> = documents.into_iter().flatten().collect();
    check_bundles(&documents)?;
    futures_util::stream::iter(documents)
        .map(|document| fetch_content(store, document))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

fn too_many(count: usize, limit: usize) -> Error {
    let message = format!("{count} referrers are attached, more than the {limit} looked at");
    Error::new(Reason::TooManyReferrers, message)
        .hint("a flood of referrers may hide the real ones; remove those that do not belong there")
}

/// Refuses, before any is fetched, more bundles than will be looked at.
fn check_bundles(documents: &[RawDocument]) -> Result<()> {
    let bundles: Vec<_> = documents.iter().filter_map(bundle_layer).collect();
    if bundles.len() > limits::CANDIDATES {
        return Err(too_many(bundles.len(), limits::CANDIDATES));
    }
    let total = bundles
        .iter()
        .fold(0_u64, |total, layer| total.saturating_add(layer.size));
    if total > limits::BUNDLES_TOTAL {
        let message = format!("the attached bundles have {total} bytes, more than will be read");
        return Err(Error::new(Reason::TooManyReferrers, message));
    }
    Ok(())
}

async fn fetch_document(
    store: &dyn Store,
    listed: Descriptor,
    subject: &Descriptor,
) -> Result<Option<RawDocument>> {
    match store.manifest(&Selector::Digest(listed.digest)).await {
        Ok(document) => {
            let names_subject = document
                .document()
                .subject()
                .is_some_and(|named| named.same_content(subject));
            Ok(names_subject.then_some(document))
        }
        Err(error) if is_only_about_one(&error) => Ok(None),
        Err(error) => Err(error.at(format!("referrer {}", listed.digest))),
    }
}

async fn fetch_content(store: &dyn Store, document: RawDocument) -> Result<Referrer> {
    let content = match bundle_layer(&document) {
        None => Content::Other,
        Some(layer) => match fetch_bundle(store, layer).await {
            Ok(bytes) => Content::Bundle(RawBundle {
                digest: layer.digest,
                bytes,
                format: Format::Bundle,
            }),
            Err(error) if is_only_about_one(&error) => Content::Unusable(Arc::new(error)),
            Err(error) => return Err(error.at(format!("bundle {}", layer.digest))),
        },
    };
    Ok(Referrer { document, content })
}

async fn fetch_bundle(store: &dyn Store, layer: &Descriptor) -> Result<Bytes> {
    store.blob(layer).await?.into_bytes(limits::BUNDLE).await
}

/// Whether a failure says something about one referrer (it is gone or damaged) and nothing about
/// the store's will to answer.
fn is_only_about_one(error: &Error) -> bool {
    matches!(error.reason().class(), Class::Content | Class::NotFound)
}

/// Returns the layer that holds a bundle: cosign's rule is exactly one layer, of the bundle's
/// family of media types.
fn bundle_layer(document: &RawDocument) -> Option<&Descriptor> {
    let Document::Manifest(manifest) = document.document() else {
        return None;
    };
    match manifest.layers.as_slice() {
        [layer] if is_bundle(&layer.media_type) => Some(layer),
        _ => None,
    }
}

/// Attaches `bundle`, whose statement has `predicate_type`, to `subject`, and returns the new
/// referrer's descriptor.
///
/// This is the shape cosign 3 writes and reads; `created` is the only thing in it that differs from
/// one run to the next.
pub async fn attach(
    store: &dyn Store,
    subject: &Descriptor,
    bundle: &Bundle,
    predicate_type: &str,
    created: Timestamp,
) -> Result<Descriptor> {
    let bytes = Bytes::from(bundle.to_bytes()?);
    let layer = Descriptor::of(media_type::BUNDLE, &bytes);
    let config = Descriptor::empty_json();
    put(store, &config, Bytes::from_static(EMPTY_JSON)).await?;
    put(store, &layer, bytes).await?;

    let mut manifest = Manifest::new(media_type::BUNDLE, config, vec![layer]);
    manifest.subject = Some(subject.plain());
    manifest.annotations.extend([
        (
            annotation::BUNDLE_CONTENT.to_owned(),
            "dsse-envelope".to_owned(),
        ),
        (
            annotation::BUNDLE_PREDICATE_TYPE.to_owned(),
            predicate_type.to_owned(),
        ),
        (
            annotation::CREATED.to_owned(),
            created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ),
    ]);
    let document = RawDocument::of(Document::Manifest(manifest))?;
    store.put_manifest(&document, None).await?;
    Ok(document.descriptor().clone())
}

async fn put(store: &dyn Store, descriptor: &Descriptor, bytes: Bytes) -> Result<()> {
    if store.has_blob(descriptor).await? {
        return Ok(());
    }
    store.put_blob(descriptor, &InMemory(bytes), &Silent).await
}
