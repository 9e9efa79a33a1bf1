//! Copying an artifact from one store to another, with everything that refers to it.
//!
//! Nothing is rewritten, so digests stay and signatures stay valid. All manifests are read before
//! the first byte is stored: what is damaged or endless is refused with the target untouched.

mod plan;
mod tagged;

use std::cmp::Reverse;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};

use self::plan::Plan;
use crate::blob::{Blob, Content};
use crate::error::{Error, Reason, Result};
use crate::manifest::{Descriptor, annotation};
use crate::path::SafePath;
use crate::progress::Progress;
use crate::reference::{Location, Selector, Tag};
use crate::store::{RawDocument, Store};

/// How to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether what refers to the artifact comes too: signatures, attestations, SBOMs.
    pub referrers: bool,
    /// How many blobs, or manifests, travel at once.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            referrers: true,
            concurrency: 4,
        }
    }
}

/// What was copied.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The artifact's manifest or index.
    pub document: RawDocument,
    /// Blobs that were sent.
    pub blobs_copied: usize,
    /// Blobs that were there already, or that the target took from a repository beside it.
    pub blobs_skipped: usize,
    /// Bytes of the blobs that were sent.
    pub bytes: u64,
    /// Manifests that refer to the artifact, or to one that does, and images at cosign's older tags.
    pub referrers: usize,
}

/// Copies what `selector` names in `source` to `target`, and then makes `tag` name it there.
///
/// Children are stored before what points to them. The tag comes last of all, after the referrers:
/// whoever finds the tag finds the proof with it, and a copy that breaks off is never mistaken for
/// an artifact that nobody signed.
pub async fn copy(
    source: &dyn Store,
    selector: &Selector,
    target: &dyn Store,
    tag: Option<&Tag>,
    options: Options,
    progress: &dyn Progress,
) -> Result<Copied> {
    let root = source.manifest(selector).await?;
    let mut plan = Plan::new(source, options.concurrency);
    plan.add(root.clone(), 0).await?;
    if options.referrers {
        let own = plan.digests();
        plan.add_referrers(progress).await?;
        plan.add_tagged(own).await?;
    }
    let route = Route {
        source,
        target,
        progress,
    };
    let mut copied = Copied {
        document: root,
        blobs_copied: 0,
        blobs_skipped: 0,
        bytes: 0,
        referrers: plan.referrers,
    };
    // The largest first: begun last, it would travel alone at the end.
    plan.blobs.sort_by_key(|blob| Reverse(blob.size));
    let mut sending = futures_util::stream::iter(plan.blobs)
        .map(|blob| route.send(blob))
        .buffer_unordered(plan.concurrency);
    while let Some(sent) = sending.try_next().await? {
        copied.count(&sent);
    }
    for document in &plan.documents {
        target.put_manifest(document, None).await?;
    }
    for tagged in &plan.tagged {
        tagged.store(target).await?;
    }
    if let Some(tag) = tag {
        target.put_manifest(&copied.document, Some(tag)).await?;
    }
    Ok(copied)
}

impl Copied {
    fn count(&mut self, sent: &Sent) {
        match sent {
            Sent::Bytes(size) => {
                self.blobs_copied += 1;
                self.bytes += size;
            }
            Sent::Nothing => self.blobs_skipped += 1,
        }
    }
}

/// What became of one blob.
enum Sent {
    /// It was sent, with so many bytes.
    Bytes(u64),
    /// It did not have to be sent.
    Nothing,
}

/// From where to where blobs travel.
struct Route<'a> {
    source: &'a dyn Store,
    target: &'a dyn Store,
    progress: &'a dyn Progress,
}

impl Route<'_> {
    async fn send(&self, blob: Descriptor) -> Result<Sent> {
        if self.target.has_blob(&blob).await? || self.mount(&blob).await? {
            return Ok(Sent::Nothing);
        }
        let meter = self.progress.begin("copy", &name(&blob), blob.size);
        let content = Stored {
            store: self.source,
            descriptor: &blob,
        };
        let meter = meter.as_ref();
        loop {
            match self.target.put_blob(&blob, &content, meter).await {
                Ok(()) => return Ok(Sent::Bytes(blob.size)),
                Err(error) if is_mismatch(&error) && self.source.distrust(&blob) => meter.reset(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks the target to take the blob from the source itself, if both are on one host: another
    /// host has nothing to take it from, and need not learn where it comes from.
    async fn mount(&self, blob: &Descriptor) -> Result<bool> {
        match (self.source.location(), self.target.location()) {
            (Location::Registry { host: from, .. }, Location::Registry { host: to, .. })
                if from == to =>
            {
                self.target.mount_blob(blob, self.source.location()).await
            }
            _ => Ok(false),
        }
    }
}

fn is_mismatch(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::DigestMismatch | Reason::SizeMismatch
    )
}

/// Returns what to call a blob on a screen: its file name, where that is a harmless one.
fn name(blob: &Descriptor) -> String {
    let title = blob.annotations.get(annotation::TITLE);
    match title.and_then(|title| title.parse::<SafePath>().ok()) {
        Some(path) => path.to_string(),
        None => blob.digest.to_string(),
    }
}

/// A blob of a store as content for another.
struct Stored<'a> {
    store: &'a dyn Store,
    descriptor: &'a Descriptor,
}

#[async_trait]
impl Content for Stored<'_> {
    async fn open(&self) -> Result<Blob> {
        self.store.blob(self.descriptor).await
    }
}
