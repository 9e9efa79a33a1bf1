//! Bringing a model's files into the staging directory, several at once.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use crate::blob::blocking;
use crate::directory::Directory;
use crate::download::{Downloads, Start};
use crate::error::{Error, Result};
use crate::model::ModelFile;
use crate::progress::Progress;
use crate::receipt::InstalledFile;
use crate::store::Store;
use crate::unpack::arrival::Arrival;
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
    /// How many of them were on this machine already.
    pub(super) reused_files: usize,
    /// Bytes that were on this machine already.
    pub(super) reused_bytes: u64,
}

impl Delivery<'_> {
    /// Brings `files`: those that are kept all at once, the others `concurrency` at a time.
    pub(super) async fn files(&self, files: &[ModelFile], concurrency: usize) -> Result<Delivered> {
        let kept = match &self.shelf {
            Some(shelf) => shelf.stored(files, self.root, self.durability).await?,
            None => Vec::new(),
        };
        let here: HashSet<_> = kept.iter().map(|(number, _)| *number).collect();
        let missing = files.iter().enumerate();
        let missing = missing.filter(|(number, _)| !here.contains(number));
        let fetched: Vec<_> = futures_util::stream::iter(missing)
            .map(|(_, file)| self.file(file))
            .buffer_unordered(concurrency.max(1))
            .try_collect()
            .await?;
        let kept = kept.into_iter().map(|(_, arrival)| arrival);
        Ok(kept.chain(fetched).collect())
    }

    /// Brings one file.
    async fn file(&self, file: &ModelFile) -> Result<Arrival> {
        let at = |error: Error| error.at(format_args!("`{}`", file.path));
        if let Some(shelf) = &self.shelf {
            let taken = shelf.take(file, self.root, self.store, &self.downloads);
            if let Some((made, reused)) = taken.await.map_err(at)? {
                let settle = move |file: &_, root: &_, durability| {
                    Arrival::stored(file, &made, reused, root, durability)
                };
                return self.settle(file, settle).await;
            }
        }
        self.fetch(file).await.map_err(at)
    }

    /// Fetches a file straight to its place.
    async fn fetch(&self, file: &ModelFile) -> Result<Arrival> {
        let blob = &file.descriptor;
        let (directory, path) = (Arc::clone(self.root), file.path.clone());
        let made = blocking(move || directory.create_file(path.as_str()).map(Arc::new)).await?;
        let meter = self
            .progress
            .begin("download", file.path.as_str(), blob.size);
        let target = Arc::clone(&made);
        self.downloads
            .download(self.store, blob, target, Start::Fresh, meter)
            .await?;
        let settle =
            move |file: &_, root: &_, durability| Arrival::fetched(file, &made, root, durability);
        self.settle(file, settle).await
    }

    /// Lets `settle` bring a file to the disk.
    async fn settle(
        &self,
        file: &ModelFile,
        settle: impl FnOnce(&ModelFile, &Directory, Durability) -> Result<Arrival> + Send + 'static,
    ) -> Result<Arrival> {
        let (file, root, durability) = (file.clone(), Arc::clone(self.root), self.durability);
        blocking(move || settle(&file, &root, durability)).await
    }
}

impl FromIterator<Arrival> for Delivered {
    fn from_iter<T: IntoIterator<Item = Arrival>>(arrivals: T) -> Self {
        let mut delivered = Self::default();
        for Arrival {
            installed,
            size,
            reused,
        } in arrivals
        {
            delivered.files.push(installed);
            delivered.reused_files += usize::from(size > 0 && reused == size);
            delivered.reused_bytes = delivered.reused_bytes.saturating_add(reused);
        }
        delivered.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        delivered
    }
}
