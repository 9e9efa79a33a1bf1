//! What a store is: content by digest, manifests by tag or digest, and who refers to whom.
//!
//! A registry's repository and an OCI image layout are both stores, so moving a model is the same
//! work everywhere. Rules that every store keeps, held by one test suite over all of them
//! (`tests/stores.rs`):
//!
//! * a manifest is hashed before anyone sees it, and a blob is a checked [`Blob`];
//! * `NotFound` means that the store clearly says so; every other failure is an error, so "no
//!   referrers" is never the meaning of a refusal or a fault;
//! * a manifest with a subject is listed among the subject's referrers once it is stored.

pub mod layout;
mod part;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::part::Part;
pub(crate) use self::part::check_range;

use crate::blob::{Blob, Content};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::manifest::{Descriptor, Document};
use crate::progress::Meter;
use crate::reference::{Location, Selector, Tag};
use crate::sink::Original;

/// A place for artifacts.
#[async_trait]
pub trait Store: Send + Sync {
    /// Returns where this is.
    fn location(&self) -> &Location;

    /// Fetches the manifest or index that `selector` names: the one moment at which a tag becomes
    /// a digest.
    async fn manifest(&self, selector: &Selector) -> Result<RawDocument>;

    /// Opens a blob.
    async fn blob(&self, descriptor: &Descriptor) -> Result<Blob>;

    /// Opens the bytes `range` of a blob, or all of it where the store cannot give a part.
    ///
    /// **What comes is unchecked**, so it is for [`crate::download`] only, which hashes the whole.
    /// Every call asks anew, and may be led elsewhere than the one before.
    async fn blob_part(&self, descriptor: &Descriptor, range: Range<u64>) -> Result<Part> {
        check_range(descriptor, &range)?;
        let blob = self.blob(descriptor).await?;
        Ok(Part::Whole(blob.into_unchecked()))
    }

    /// Notes that what came for this blob was not it: no cache may answer for it next time. `true`
    /// means that whoever gave it will not be asked for it again and somebody else can be, so that
    /// another try makes sense.
    fn distrust(&self, _descriptor: &Descriptor) -> bool {
        false
    }

    /// Whether the blob is here already, with the right size.
    async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool>;

    /// Stores a blob; `meter` counts what is sent, and is reset when an upload starts over.
    async fn put_blob(
        &self,
        descriptor: &Descriptor,
        content: &dyn Content,
        meter: &dyn Meter,
    ) -> Result<()>;

    /// Stores a file whose digest nobody knows yet, where that takes one reading of it. Stores that
    /// must know the digest first, or probably have the content, give the file back; the others
    /// call `begin` for a meter that counts what is stored.
    async fn put_file(
        &self,
        original: Original,
        _begin: &(dyn Fn() -> Box<dyn Meter> + Sync),
    ) -> Result<Put> {
        Ok(Put::HashFirst(original))
    }

    /// Makes a blob of another repository appear here without sending it, where the store can;
    /// `false` means that it must be sent.
    async fn mount_blob(&self, _descriptor: &Descriptor, _from: &Location) -> Result<bool> {
        Ok(false)
    }

    /// Stores a manifest or index by its digest, lists it among its subject's referrers if it has
    /// one, and then, if `tag` is given, makes the tag name it.
    async fn put_manifest(&self, document: &RawDocument, tag: Option<&Tag>) -> Result<()>;

    /// Lists what refers to `subject`, unfiltered: media type, digest and size can be relied on to
    /// fetch it, everything else in these descriptors is hearsay.
    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>>;

    /// Lists the tags, sorted.
    async fn tags(&self) -> Result<Vec<Tag>>;
}

/// What came of a file that was offered unhashed.
#[derive(Debug)]
pub enum Put {
    /// It is stored under this digest.
    Stored(Digest),
    /// It is not, and was not read.
    HashFirst(Original),
}

/// A store that several tasks share.
pub type SharedStore = Arc<dyn Store>;

/// The exact bytes of a manifest or index, hashed here and read as one kind.
#[derive(Debug, Clone)]
pub struct RawDocument {
    descriptor: Descriptor,
    bytes: Bytes,
    document: Document,
}

impl RawDocument {
    /// Hashes and reads `bytes`, announced as `media_type`; if `expected` is given they must hash
    /// to it. `what` names the document in errors.
    pub fn read(
        bytes: Bytes,
        media_type: &str,
        expected: Option<&Digest>,
        what: &str,
    ) -> Result<Self> {
        if bytes.len() as u64 > limits::MANIFEST {
            let message = format!(
                "the manifest {what} is larger than {} bytes",
                limits::MANIFEST
            );
            return Err(Error::new(Reason::TooLarge, message));
        }
        let descriptor = Descriptor::of(media_type, &bytes);
        if let Some(expected) = expected.filter(|expected| **expected != descriptor.digest) {
            let message = format!(
                "the manifest {what} has the digest {}, not {expected}",
                descriptor.digest
            );
            return Err(Error::new(Reason::DigestMismatch, message)
                .hint("the registry or a proxy altered it; nothing was used"));
        }
        let document = Document::parse(&bytes, media_type, what)?;
        Ok(Self {
            descriptor,
            bytes,
            document,
        })
    }

    /// Returns a document of our own making as it will be stored.
    pub fn of(document: Document) -> Result<Self> {
        let (media_type, bytes) = match &document {
            Document::Manifest(manifest) => (manifest.media_type.clone(), manifest.to_bytes()?),
            Document::Index(index) => (index.media_type.clone(), index.to_bytes()?),
        };
        let what = Digest::of(&bytes).to_string();
        Self::read(bytes.into(), &media_type, None, &what)
    }

    /// Returns its media type, digest and size.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns its digest.
    pub fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }

    /// Returns the exact bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns what the bytes say.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Returns the descriptor by which a list of referrers should name this.
    pub fn referrer_descriptor(&self) -> Descriptor {
        match &self.document {
            Document::Manifest(manifest) => manifest.referrer_descriptor(&self.bytes),
            Document::Index(index) => {
                let mut descriptor = self.descriptor.clone();
                descriptor.artifact_type = index.artifact_type.clone();
                descriptor.annotations = index.annotations.clone();
                descriptor
            }
        }
    }
}
