//! Bringing a model's files into the staging directory, several at once.

use std::fs::File;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use crate::blob::blocking;
use crate::content_store::Method;
use crate::directory::{Directory, Stamp};
use crate::download::{Downloads, Start};
use crate::error::Result;
use crate::model::ModelFile;
use crate::progress::Progress;
use crate::receipt::{InstalledFile, Sharing};
use crate::store::Store;
use crate::unpack::durability::Durability;
use crate::unpack::shelf::Shelf;

/// What the files of one pull share on their way.
pub(super) struct Delivery<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) downloads: Downloads,
    pub(super) shelf: Option<Shelf>,
    pub(super) progress: &'a dyn Progress,
    pub(super) root: &'a Arc<Directory>,
    pub(super) durability: Durability,
}

/// Files that are in the staging directory, sorted.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) files: Vec<InstalledFile>,
    /// How many of them were there already.
    pub(super) reused_files: usize,
    /// Bytes that were there already.
    pub(super) reused_bytes: u64,
}

/// A file that is in the staging directory.
struct Arrived {
    installed: InstalledFile,
    size: u64,
    reused: u64,
}

impl Delivery<'_> {
    /// Brings `files`, `concurrency` at once.
    pub(super) async fn files(&self, files: &[ModelFile], concurrency: usize) -> Result<Delivered> {
        let arrived = futures_util::stream::iter(files)
            .map(|file| self.file(file))
            .buffer_unordered(concurrency.max(1));
        let mut delivered = arrived
            .try_fold(Delivered::default(), async |mut delivered, arrived| {
                delivered.add(arrived);
                Ok(delivered)
            })
            .await?;
        delivered.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(delivered)
    }

    /// Brings one file.
    async fn file(&self, file: &ModelFile) -> Result<Arrived> {
        let at = |error: crate::error::Error| error.at(format_args!("`{}`", file.path));
        if let Some(shelf) = &self.shelf {
            let taken = shelf.take(file, self.root, self.store, &self.downloads);
            if let Some(taken) = taken.await.map_err(at)? {
                let sharing = match taken.made.method {
                    Method::HardLinked => Sharing::HardLinked,
                    Method::Reflinked | Method::Copied => Sharing::Nothing,
                };
                let reused = taken.reused;
                return self.settle(file, taken.made.file, sharing, reused).await;
            }
        }
        let fetched = self.fetch(file).await.map_err(at)?;
        self.settle(file, fetched, Sharing::Nothing, 0).await
    }

    /// Fetches a file straight to its place.
    async fn fetch(&self, file: &ModelFile) -> Result<Arc<File>> {
        let blob = &file.descriptor;
        let (directory, path) = (Arc::clone(self.root), file.path.clone());
        let empty = blocking(move || directory.create_file(path.as_str()).map(Arc::new)).await?;
        let meter = self
            .progress
            .begin("download", file.path.as_str(), blob.size);
        let target = Arc::clone(&empty);
        self.downloads
            .download(self.store, blob, target, Start::Fresh, meter)
            .await?;
        Ok(empty)
    }

    /// Makes a file durable, if it is not and that does not come later, and looks at it then.
    async fn settle(
        &self,
        file: &ModelFile,
        made: Arc<File>,
        sharing: Sharing,
        reused: u64,
    ) -> Result<Arrived> {
        let (path, size) = (file.path.clone(), file.descriptor.size);
        let place = path.below(self.root.path());
        let durability = self.durability;
        blocking(move || {
            // What is one with a stored blob came to the disk with it.
            if sharing == Sharing::Nothing {
                durability.of_file(&made, size, &place)?;
            }
            let stamp = Stamp::of(&made, &place)?;
            Ok(Arrived {
                installed: InstalledFile {
                    path,
                    stamp,
                    sharing,
                },
                size,
                reused,
            })
        })
        .await
    }
}

impl Delivered {
    fn add(&mut self, arrived: Arrived) {
        let Arrived {
            installed,
            size,
            reused,
        } = arrived;
        self.files.push(installed);
        self.reused_files += usize::from(size > 0 && reused == size);
        self.reused_bytes = self.reused_bytes.saturating_add(reused);
    }
}
