//! Unpacking: from an artifact that may be used to a directory on disk.
//!
//! Everything that can be refused is refused before a byte is fetched: what the manifest claims,
//! the target, the room on the disk. Files are then written into a directory beside the target that
//! nobody else knows, each checked as it arrives, or taken from a [content store](ContentStore) if
//! an earlier pull brought it; and one rename puts the whole in place. So the
//! target is absent, the whole old model or the whole new one, whenever anyone looks and however
//! the pull ends.

mod arrival;
mod delivery;
mod durability;
mod shelf;
mod staging;
mod target;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::blob::blocking;
use crate::content_store::{ContentStore, Link};
use crate::download::{Downloads, Retry, Spread};
use crate::error::{Error, Reason, Result};
use crate::model::{Form, ModelFile, files};
use crate::progress::Progress;
use crate::receipt::{BUNDLES, Kept};
use crate::sink::Io;
use crate::store::Store;
use crate::unpack::delivery::Delivery;
use crate::unpack::durability::Durability;
use crate::unpack::shelf::Shelf;
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
    /// Where blobs are kept between pulls; without it every file is fetched.
    pub cache: Option<Cache>,
    /// How large files are written; if not said, as [suits](Io::suiting) their size.
    pub io: Option<Io>,
    /// Patience with connections that break.
    pub retry: Retry,
    /// The version of the tool that pulls, for the receipt.
    pub tool_version: String,
    /// The present time, for the receipt.
    pub now: Timestamp,
}

/// A content store that a pull takes from and adds to.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The store. Whatever is wrong with it, a pull goes on without it.
    pub content: ContentStore,
    /// How installed files may share their bytes with it. Where they can share none (another file
    /// system), what is in the store is copied, and what is fetched is not kept, as it would have
    /// to be written twice.
    pub link: Link,
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
    /// The files that were on this machine already.
    pub reused_files: usize,
    /// The bytes that were on this machine already; the others were fetched.
    pub reused_bytes: u64,
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
    let staging = prepare(target, options.existing, &chosen, &*progress).await?;
    let shelf = shelf(options.cache.as_ref(), &staging, &progress).await;
    let needed = check_space(&staging, shelf.as_ref(), &chosen, bytes).await?;
    let spread = spread(options.concurrency.min(chosen.len()));
    let io = options.io.unwrap_or_else(|| Io::suiting(needed));
    let durability = Durability::of(&chosen);
    let delivery = Delivery {
        store,
        downloads: Downloads::new(options.retry, spread, io, Arc::clone(&progress)),
        shelf,
        progress: &*progress,
        root: staging.root(),
        durability,
    };
    let delivered = delivery.files(&chosen, options.concurrency).await?;

    let left_behind = all - chosen.len();
    let (version, files) = (&options.tool_version, delivered.files);
    let kept = Kept::of(artifact, files, left_behind > 0, version, options.now)?;
    let remains = blocking(move || {
        // What the receipt consists of is small.
        let settle = |file: &File, place: &Path| durability.of_file(file, 0, place);
        kept.write(staging.root(), settle)?;
        staging.install(durability)
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
        reused_files: delivered.reused_files,
        reused_bytes: delivered.reused_bytes,
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

/// Checks the target, and creates the directory to work in.
async fn prepare(
    target: &Path,
    existing: Existing,
    files: &[ModelFile],
    progress: &dyn Progress,
) -> Result<Staging> {
    let path = target.to_owned();
    let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    let (staging, aside) = blocking(move || {
        let target = Target::prepare(&path, existing)?;
        let aside = sweep(&target.parent);
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

/// Opens what is kept between pulls for the model that is being made in `staging`.
async fn shelf(
    cache: Option<&Cache>,
    staging: &Staging,
    progress: &Arc<dyn Progress>,
) -> Option<Shelf> {
    let Cache { content, link } = cache?;
    Shelf::open(content, *link, staging.root(), Arc::clone(progress)).await
}

/// Refuses early what the disk cannot hold, and returns how many bytes will be written.
async fn check_space(
    staging: &Staging,
    shelf: Option<&Shelf>,
    files: &[ModelFile],
    bytes: u64,
) -> Result<u64> {
    let missing = match shelf {
        Some(shelf) => shelf.missing(files).await,
        None => None,
    };
    let needed = missing.unwrap_or(bytes);
    staging.target().check_space(needed, files.len() as u64)?;
    Ok(needed)
}
