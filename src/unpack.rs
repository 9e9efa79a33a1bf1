//! Unpacking: from an artifact that may be used to a directory on disk.
//!
//! Everything that can be refused is refused before a byte is fetched: what the manifest claims,
//! the target, the room on the disk. Files are then written into a directory beside the target that
//! nobody else knows, each checked as it arrives, and one rename puts the whole in place. So the
//! target is absent, the whole old model or the whole new one, whenever anyone looks and however
//! the pull ends.

mod staging;
mod target;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::blob::blocking;
use crate::directory::{Directory, Stamp};
use crate::download::{Downloads, Retry, Spread, Start};
use crate::error::{Error, Reason, Result};
use crate::model::{Form, ModelFile, files};
use crate::progress::Progress;
use crate::receipt::{BUNDLES, InstalledFile, Kept};
use crate::sink::Io;
use crate::store::Store;
use crate::unpack::staging::{Staging, sweep};
use crate::unpack::target::Target;
use crate::verify::{Artifact, Verified};
use crate::walk::Selection;

/// Connections of one pull, helpers included; with more files at once there are no helpers.
const CONNECTIONS: usize = 8;

/// What to do with a directory that stands at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it, and fail.
    Refuse,
    /// Replace it, if it is empty or an earlier pull.
    Replace,
}

/// How to pull.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// Which files to fetch.
    pub selection: Selection,
    /// What to do with a directory that stands at the target.
    pub existing: Existing,
    /// Files fetched at once.
    pub concurrency: usize,
    /// How large files are written; if not said, as [suits](Io::suiting) their size.
    pub io: Option<Io>,
    /// Patience with connections that break.
    pub retry: Retry,
    /// The version of the tool that pulls, for the receipt.
    pub tool_version: String,
    /// The present time, for the receipt.
    pub now: Timestamp,
}

/// What a pull came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Where the model is now.
    pub path: PathBuf,
    /// The files that were put there.
    pub files: usize,
    /// The bytes of these files.
    pub bytes: u64,
    /// The files that the selection left behind.
    pub left_behind: usize,
}

/// Fetches the model `artifact` from `store` and puts it at `target`.
pub async fn pull(
    store: &dyn Store,
    artifact: &Verified<Artifact>,
    target: &Path,
    options: &PullOptions,
    progress: Arc<dyn Progress>,
) -> Result<Pulled> {
    let (chosen, all) = choose(artifact.value(), &options.selection)?;
    let bytes = chosen
        .iter()
        .fold(0_u64, |sum, file| sum.saturating_add(file.descriptor.size));
    let staging = prepare(target, options.existing, &chosen, bytes, &*progress).await?;
    let spread = spread(options.concurrency.min(chosen.len()));
    let io = options.io.unwrap_or_else(|| Io::suiting(bytes));
    let downloads = Downloads::new(options.retry, spread, io, Arc::clone(&progress));
    let fetching = Fetching {
        store,
        downloads,
        progress: &*progress,
        root: staging.root(),
    };
    let installed = fetching.files(&chosen, options.concurrency).await?;

    let left_behind = all - chosen.len();
    let version = &options.tool_version;
    let kept = Kept::of(artifact, installed, left_behind > 0, version, options.now)?;
    let remains = blocking(move || {
        kept.write(staging.root())?;
        staging.install()
    })
    .await?;
    if let Some(remains) = remains {
        progress.note(&format!(
            "the replaced model could not be removed whole: `{}`",
            remains.display()
        ));
    }
    Ok(Pulled {
        path: target.to_owned(),
        files: chosen.len(),
        bytes,
        left_behind,
    })
}

/// Returns how downloads may be helped when so many files are fetched at once: where many are, each
/// is slow because they share the network and the processor, and more connections would only take
/// memory.
fn spread(files_at_once: usize) -> Spread {
    Spread {
        helpers_in_all: CONNECTIONS.saturating_sub(files_at_once),
        ..Spread::default()
    }
}

/// Returns the files of `artifact` that `selection` means, all of which can be written as they are,
/// and how many files there are in all.
fn choose(artifact: &Artifact, selection: &Selection) -> Result<(Vec<ModelFile>, usize)> {
    let what = format!("`{}`", artifact.reference());
    let manifest = artifact
        .document()
        .document()
        .clone()
        .into_manifest(&what)?;
    let filter = selection.filter()?;
    let mut chosen = files(&manifest).map_err(|error| error.at(&what))?;
    let all = chosen.len();
    chosen.retain(|file| filter.selects(&file.path));
    if chosen.is_empty() {
        let message = format!("the selection leaves nothing of the {all} files of {what}");
        return Err(Error::new(Reason::FileNotFound, message)
            .hint("`modelctl inspect` lists the files; `**/*.json` matches in every directory"));
    }
    if let Some(archive) = chosen.iter().find(|file| file.form != Form::Raw) {
        let message = format!(
            "`{}` of {what} is an archive ({})",
            archive.path,
            archive.form.as_str()
        );
        return Err(Error::new(Reason::NotAModel, message).hint(
            "unpacking archives is not supported yet; push the model with `modelctl push`, which \
             stores files as they are, or leave the archive out with `--exclude`",
        ));
    }
    Ok((chosen, all))
}

/// Checks the target and its disk, and creates the directory to work in.
async fn prepare(
    target: &Path,
    existing: Existing,
    files: &[ModelFile],
    bytes: u64,
    progress: &dyn Progress,
) -> Result<Staging> {
    let path = target.to_owned();
    let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    let (staging, aside) = blocking(move || {
        let target = Target::prepare(&path, existing)?;
        let aside = sweep(&target.parent);
        target.check_space(bytes, paths.len() as u64)?;
        let mut staging = Staging::create(target)?;
        staging.create_directory(PathBuf::from(BUNDLES))?;
        staging.create_directories(paths.iter())?;
        Ok((staging, aside))
    })
    .await?;
    for old in aside {
        progress.note(&format!(
            "`{}` is a model that an interrupted pull had moved aside; remove it if it is not \
             needed",
            old.display()
        ));
    }
    Ok(staging)
}

/// What the downloads of one pull share.
struct Fetching<'a> {
    store: &'a dyn Store,
    downloads: Downloads,
    progress: &'a dyn Progress,
    root: &'a Arc<Directory>,
}

impl Fetching<'_> {
    /// Fetches `files` into the staging directory, `concurrency` at once.
    async fn files(&self, files: &[ModelFile], concurrency: usize) -> Result<Vec<InstalledFile>> {
        let mut installed: Vec<InstalledFile> = futures_util::stream::iter(files)
            .map(|file| self.file(file))
            .buffer_unordered(concurrency.max(1))
            .try_collect()
            .await?;
        installed.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(installed)
    }

    /// Fetches one file, makes it durable, and returns what it looks like then.
    async fn file(&self, file: &ModelFile) -> Result<InstalledFile> {
        let blob = &file.descriptor;
        let path = file.path.clone();
        let directory = Arc::clone(self.root);
        let empty = blocking(move || directory.create_file(path.as_str())).await?;
        let meter = self
            .progress
            .begin("download", file.path.as_str(), blob.size);
        let written = self
            .downloads
            .download(self.store, blob, empty, Start::Fresh, meter)
            .await
            .map_err(|error| error.at(format_args!("`{}`", file.path)))?;

        let place = file.path.below(self.root.path());
        let stamp = blocking(move || {
            written
                .sync_all()
                .map_err(|error| Error::io("write", &place, error))?;
            Stamp::of(&written, &place)
        })
        .await?;
        Ok(InstalledFile {
            path: file.path.clone(),
            stamp,
        })
    }
}
