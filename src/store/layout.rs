//! OCI image layouts: a directory as a store
//! ([image-spec, image layout](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md)).
//!
//! A layout needs no server, travels on a USB stick, and is what oras, skopeo and crane read and
//! write too. A local file is trusted no more than a registry: whatever is read is hashed.
//!
//! What the specification leaves open is done so that those tools agree:
//!
//! * a tag is an entry's `org.opencontainers.image.ref.name`, or the tag in it where that is a full
//!   reference (crane's form); other names are reachable by digest only;
//! * every manifest is listed in `index.json`, with its `artifactType` and annotations, so that a
//!   referrer is found (oras does the same) and no garbage collector takes it for litter;
//! * a manifest that loses its tag stays listed;
//! * writers take turns through a lock on `oci-layout`, and readers see `index.json` before or
//!   after a change, never during it.

mod documents;
mod index;
mod ingest;
mod root;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use self::ingest::Ingest;
use self::root::Root;
use super::{Part, Put, RawDocument, Store, check_range};
use crate::blob::{self, Blob, Content, blocking};
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::progress::Meter;
use crate::reference::{Location, Selector, Tag};
use crate::sink::{Meeting, Original};

/// What to do where there is no layout yet. Either way an existing one can be read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The layout must be there.
    Read,
    /// A layout is made if the directory is empty or missing.
    ReadOrCreate,
}

/// Reads an `index.json` and returns what would be written again.
#[cfg(feature = "fuzz")]
pub(crate) fn rewrite_index(bytes: &[u8]) -> Result<Vec<u8>> {
    let index = index::LayoutIndex::parse(bytes)?;
    for tag in index.tags() {
        index.resolve(&tag)?;
    }
    index.to_bytes()
}

/// An OCI image layout on disk.
#[derive(Debug, Clone)]
pub struct Layout {
    location: Location,
    root: Arc<Root>,
    /// Where files that are taken in at the same time are hashed.
    meeting: Arc<Meeting>,
}

impl Layout {
    /// Opens the layout at `path`, which touches a handful of small files on the calling thread.
    ///
    /// A directory that has something else in it is refused and left as it is.
    pub fn open(path: impl Into<PathBuf>, access: Access) -> Result<Self> {
        let path = path.into();
        Ok(Self {
            location: Location::Layout(path.clone()),
            root: Arc::new(Root::open(path, access)?),
            meeting: Arc::default(),
        })
    }

    /// Runs `work` on the files of this layout, on a blocking thread.
    async fn on_disk<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Root) -> Result<T> + Send + 'static,
    {
        let root = Arc::clone(&self.root);
        blocking(move || work(&root)).await
    }

    /// Opens a blob's file, which must have the right size, and returns its name with it.
    async fn open_file(&self, descriptor: &Descriptor) -> Result<(File, String)> {
        let digest = descriptor.digest;
        let what = format!("the blob {}", self.root.name(&digest));
        let opened = self.on_disk(move |root| root.open_blob(&digest)).await?;
        let Some((file, size)) = opened else {
            let message = format!("{what} is not there");
            return Err(Error::new(Reason::BlobNotFound, message));
        };
        if size != descriptor.size {
            let message = format!("{what} has {size} bytes, not {}", descriptor.size);
            return Err(Error::new(Reason::SizeMismatch, message));
        }
        Ok((file, what))
    }
}

#[async_trait]
impl Store for Layout {
    fn location(&self) -> &Location {
        &self.location
    }

    async fn manifest(&self, selector: &Selector) -> Result<RawDocument> {
        let selector = selector.clone();
        self.on_disk(move |root| root.document(&selector)).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        let (file, what) = self.open_file(descriptor).await?;
        let body = blob::stream_file(file, what.clone());
        Ok(Blob::new(descriptor, what, body))
    }

    async fn blob_part(&self, descriptor: &Descriptor, range: Range<u64>) -> Result<Part> {
        check_range(descriptor, &range)?;
        let (mut file, what) = self.open_file(descriptor).await?;
        file.seek(SeekFrom::Start(range.start))
            .map_err(|error| Error::io("read", &what, error))?;
        let length = range.end - range.start;
        let body = blob::stream_file(file.take(length), what.clone());
        Ok(Part::exactly(body, length, what))
    }

    /// Compares sizes only, as every tool does: hashing what is there would cost a copy of a large
    /// model as much as copying it. Whoever reads the blob hashes it.
    async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        let Descriptor { digest, size, .. } = *descriptor;
        let opened = self.on_disk(move |root| root.open_blob(&digest)).await?;
        Ok(opened.is_some_and(|(_, found)| found == size))
    }

    /// Keeps a blob that is there already only if it hashes to its digest, so storing a damaged
    /// blob again repairs it.
    async fn put_blob(
        &self,
        descriptor: &Descriptor,
        content: &dyn Content,
        meter: &dyn Meter,
    ) -> Result<()> {
        let wanted = descriptor.plain();
        if self.on_disk(move |root| root.holds(&wanted)).await? {
            meter.advance(descriptor.size);
            return Ok(());
        }
        let blob = content.open().await?;
        // The blob checks itself against its own digest, so that must be the one it is stored as.
        if (blob.digest(), blob.size()) != (&descriptor.digest, descriptor.size) {
            let place = self.root.name(&descriptor.digest);
            let message = format!("{} is offered to be stored as {place}", blob.digest());
            return Err(Error::new(Reason::DigestMismatch, message));
        }
        let ingest = self.on_disk(|root| Ingest::begin(root.path())).await?;
        write(blob, &ingest, meter).await?;
        let digest = descriptor.digest;
        self.on_disk(move |root| root.add_blob(ingest, &digest))
            .await
    }

    async fn put_file(
        &self,
        original: Original,
        begin: &(dyn Fn() -> Box<dyn Meter> + Sync),
    ) -> Result<Put> {
        let size = original.stamp.size;
        // One of the same size is most likely the same, and hashing costs less than writing.
        if !original.is_large() || self.on_disk(move |root| root.has_size(size)).await? {
            return Ok(Put::HashFirst(original));
        }
        let ingest = self.on_disk(|root| Ingest::begin(root.path())).await?;
        let meter = begin();
        let (copy, meeting) = (ingest.writer()?, Arc::clone(&self.meeting));
        let (sender, written) = mpsc::unbounded_channel();
        let tell = move |count| sender.send(count).is_ok();
        let copying = blocking(move || original.copy(copy, &meeting, tell));
        let (digest, ()) = tokio::join!(copying, relay(written, &*meter));
        let digest = digest?;
        self.on_disk(move |root| root.add_blob(ingest, &digest))
            .await?;
        Ok(Put::Stored(digest))
    }

    async fn put_manifest(&self, document: &RawDocument, tag: Option<&Tag>) -> Result<()> {
        let (document, tag) = (document.clone(), tag.cloned());
        self.on_disk(move |root| root.put_document(&document, tag.as_ref()))
            .await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let digest = subject.digest;
        self.on_disk(move |root| root.referrers(&digest)).await
    }

    async fn tags(&self) -> Result<Vec<Tag>> {
        self.on_disk(|root| Ok(root.index()?.tags())).await
    }
}

/// Writes `blob` into `ingest`. The meter is the caller's and cannot go to the thread that writes,
/// so what is written is told to this one.
async fn write(blob: Blob, ingest: &Ingest, meter: &dyn Meter) -> Result<()> {
    let (sender, written) = mpsc::unbounded_channel();
    let writing = blob.into_file(ingest.writer()?, Box::new(Relay(sender)));
    let (result, ()) = tokio::join!(writing, relay(written, meter));
    result.map(drop)
}

/// Tells `meter` what another thread says that it has written, until that ends.
async fn relay(mut written: mpsc::UnboundedReceiver<u64>, meter: &dyn Meter) {
    while let Some(bytes) = written.recv().await {
        meter.advance(bytes);
    }
}

/// A meter that tells another task.
struct Relay(mpsc::UnboundedSender<u64>);

impl Meter for Relay {
    fn advance(&self, bytes: u64) {
        // Nobody listens any more only when the whole upload was given up.
        let _ = self.0.send(bytes);
    }
}
