//! The content store as one pull uses it: a favour, whose failure costs time and nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::content_store::{Claim, ContentStore, Held, Ingest, Link, Materialised, StoredBlob};
use crate::directory::Directory;
use crate::download::{Downloads, Start};
use crate::error::{Class, Error, Reason, Result};
use crate::model::ModelFile;
use crate::progress::{Meter, Progress, Silent};
use crate::store::Store;
use crate::unpack::arrival::Arrival;
use crate::unpack::durability::Durability;

/// How long another download of the same blob is waited for before that is worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// How often a blob is asked of the store: one that proves to be damaged is gone the second time.
const TRIES: usize = 2;

/// A content store, between which and one staging directory files can share their bytes somehow.
pub(super) struct Shelf {
    content: ContentStore,
    link: Link,
    progress: Arc<dyn Progress>,
    /// Whether it was said that something is not as it could be.
    noted: AtomicBool,
}

impl Shelf {
    /// Finds out how files below `root` can share their bytes with `content`, and not more than
    /// `most`; if nothing can be found out, there is no store.
    pub(super) async fn open(
        content: &ContentStore,
        most: Link,
        root: &Arc<Directory>,
        progress: Arc<dyn Progress>,
    ) -> Option<Self> {
        let shelf = |link| Self {
            content: content.clone(),
            link,
            progress: Arc::clone(&progress),
            noted: AtomicBool::new(false),
        };
        match content.link_to(root, most).await {
            Ok(link) => Some(shelf(link)),
            Err(error) => {
                shelf(Link::Copy).complain(&error);
                None
            }
        }
    }

    /// Returns how many bytes must be written to have all `files`; all of them if nobody knows.
    pub(super) async fn missing(&self, files: &[ModelFile]) -> Option<u64> {
        let blobs = files.iter().map(|file| file.descriptor.plain()).collect();
        self.content.missing(blobs, self.link).await.ok()
    }

    /// Makes those of `files` below `root` that are in the store, and returns them with their
    /// numbers.
    pub(super) async fn stored(
        &self,
        files: &[ModelFile],
        root: &Arc<Directory>,
        durability: Durability,
    ) -> Result<Vec<(usize, Arrival)>> {
        let wanted = files.iter().map(|file| file.descriptor.plain()).collect();
        let files = files.to_vec();
        let (root, link, progress) = (Arc::clone(root), self.link, Arc::clone(&self.progress));
        let take = move |number: usize, held: Held<'_>| {
            let Some(file) = files.get(number) else {
                return Ok(None);
            };
            let (path, size) = (file.path.as_str(), file.descriptor.size);
            let meter = progress.begin("reuse", path, size);
            match held.materialise(&root, Path::new(path), link, meter) {
                Ok(made) => Arrival::stored(file, &made, size, &root, durability).map(Some),
                Err(error) if error.reason() == Reason::DigestMismatch => {
                    progress.note(&format!("will fetch it again: {error}"));
                    Ok(None)
                }
                // It will be tried once more, alone.
                Err(_) => Ok(None),
            }
        };
        self.content.for_each_stored(wanted, take).await
    }

    /// Makes `file` below `root`, fetching what is missing by `downloads` if it can be kept, and
    /// returns how many bytes of it were there; nothing if this is not the way, and then nothing
    /// stands there.
    pub(super) async fn take(
        &self,
        file: &ModelFile,
        root: &Arc<Directory>,
        store: &dyn Store,
        downloads: &Downloads,
    ) -> Result<Option<(Materialised, u64)>> {
        for _ in 0..TRIES {
            let taken = self.attempt(file, root, store, downloads).await;
            match taken {
                Err(Failure::Store(error)) if error.reason() == Reason::DigestMismatch => {
                    self.progress.note(&format!("will fetch it again: {error}"));
                }
                Err(Failure::Store(error)) => {
                    self.complain(&error);
                    return Ok(None);
                }
                Err(Failure::Transfer(error)) => return Err(error),
                Ok(taken) => return Ok(taken),
            }
        }
        Ok(None)
    }

    async fn attempt(
        &self,
        file: &ModelFile,
        root: &Arc<Directory>,
        store: &dyn Store,
        downloads: &Downloads,
    ) -> Result<Option<(Materialised, u64)>, Failure> {
        let (blob, path) = (&file.descriptor, file.path.as_str());
        let (stored, reused, meter) = match self.claim(file).await? {
            Some(Claim::Stored(stored)) => {
                let meter = self.progress.begin("reuse", path, blob.size);
                (stored, blob.size, meter)
            }
            Some(Claim::Partial(ingest)) => {
                let have = ingest.have();
                let stored = self.fill(ingest, file, store, downloads).await?;
                (stored, have, Box::new(Silent) as Box<dyn Meter>)
            }
            Some(Claim::Stuck) => {
                let text = format!("another download of `{path}` does not get on");
                self.progress.note(&text);
                return Ok(None);
            }
            None => return Ok(None),
        };
        let made = stored.materialise(root, Path::new(path), self.link, meter);
        let made = made.await.map_err(Failure::Store)?;
        Ok(Some((made, reused)))
    }

    /// Claims the blob of `file`, if what is fetched can become the file without being written
    /// twice; else only looks for it.
    async fn claim(&self, file: &ModelFile) -> Result<Option<Claim>, Failure> {
        let blob = &file.descriptor;
        if self.link == Link::Copy {
            let found = self.content.find(blob).await.map_err(Failure::Store)?;
            if found.is_none() {
                self.say_that_nothing_is_kept();
            }
            return Ok(found.map(Claim::Stored));
        }
        let mut claiming = std::pin::pin!(self.content.claim(blob));
        let claimed = tokio::select! {
            claimed = &mut claiming => claimed,
            () = tokio::time::sleep(WORTH_A_WORD) => {
                let path = &file.path;
                self.progress.note(&format!("waiting for another download of `{path}`"));
                claiming.await
            }
        };
        claimed.map(Some).map_err(Failure::Store)
    }

    /// Fetches what is missing of a blob into the store.
    async fn fill(
        &self,
        mut ingest: Ingest,
        file: &ModelFile,
        store: &dyn Store,
        downloads: &Downloads,
    ) -> Result<StoredBlob, Failure> {
        let blob = &file.descriptor;
        let meter = self
            .progress
            .begin("download", file.path.as_str(), blob.size);
        let meter: Arc<dyn Meter> = meter.into();
        let resumed = ingest.resume(Box::new(Arc::clone(&meter))).await;
        resumed.map_err(Failure::Store)?;
        let fetch = |part, check| {
            let start = Start::After(check);
            downloads.download(store, blob, part, start, Box::new(meter))
        };
        ingest.receive(fetch).await.map_err(Failure::of_transfer)
    }

    /// Says once why the store is not used.
    fn complain(&self, error: &Error) {
        self.note(format!("the cache is not used: {error}"));
    }

    fn say_that_nothing_is_kept(&self) {
        let place = self.content.path().display();
        self.note(format!(
            "what is fetched is not kept for the next pull: the cache `{place}` cannot be written, \
             or is on another file system than the model"
        ));
    }

    fn note(&self, text: String) {
        if !self.noted.swap(true, Ordering::Relaxed) {
            self.progress.note(&text);
        }
    }
}

/// Whose failure it is that a file could not be taken.
enum Failure {
    /// The store's: the file can still be had without it.
    Store(Error),
    /// The registry's or its content's: nothing else would help.
    Transfer(Error),
}

impl Failure {
    /// Tells a transfer's failure from that of the disk it was written to.
    fn of_transfer(error: Error) -> Self {
        let is_local = error.reason().class() == Class::Disk
            || matches!(
                error.reason(),
                Reason::FileNotFound | Reason::FileKindUnsafe
            );
        match is_local {
            true => Self::Store(error),
            false => Self::Transfer(error),
        }
    }
}
