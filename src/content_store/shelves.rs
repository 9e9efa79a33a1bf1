//! The directories of a content store, held open, and the names in them.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Stat, fstat, statat};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::private_directory;

/// How the names of partial files end.
pub(super) const PART_SUFFIX: &str = ".part";

/// The directories of a store.
#[derive(Debug)]
pub(super) struct Shelves {
    /// Where they are.
    pub(super) path: PathBuf,
    /// Whole blobs, by the hex digits of their digest.
    pub(super) blobs: Directory,
    /// Beginnings of blobs.
    pub(super) ingest: Directory,
    /// What blobs looked like when they were right.
    pub(super) stamps: Directory,
}

impl Shelves {
    /// Opens the directories below `path`, each of which must be this user's alone to write.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let root = private_directory::open(path)?;
        let blobs = private_directory::child(&root, "blobs")?;
        Ok(Self {
            path: path.to_owned(),
            blobs: private_directory::child(&blobs, Digest::ALGORITHM)?,
            ingest: private_directory::child(&root, "ingest")?,
            stamps: private_directory::child(&root, "stamps")?,
        })
    }

    /// Returns where a whole blob is, for messages.
    pub(super) fn blob_place(&self, digest: &Digest) -> PathBuf {
        self.blobs.path().join(digest.hex())
    }

    /// Removes the blob if it still is the open file `blob`, and first what vouches for it.
    pub(super) fn remove_blob(&self, digest: &Digest, blob: &File) -> Result<()> {
        let name = digest.hex();
        if is_named(&self.blobs, &name, blob)? {
            self.stamps.remove(&name)?;
            self.blobs.remove(&name)?;
        }
        Ok(())
    }
}

/// Returns the name of the partial file of a blob.
pub(super) fn part_name(digest: &Digest) -> String {
    format!("{}{PART_SUFFIX}", digest.hex())
}

/// Returns what stands under `name`, if anything does.
pub(super) fn status(directory: &Directory, name: impl AsRef<OsStr>) -> Result<Option<Stat>> {
    let name = name.as_ref();
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) => Ok(Some(status)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => {
            let place = directory.path().join(name);
            Err(Error::io("examine", place, error.into()))
        }
    }
}

/// Whether the open file `file` is what `name` in `directory` names at this moment.
pub(super) fn is_named(
    directory: &Directory,
    name: impl AsRef<OsStr>,
    file: &File,
) -> Result<bool> {
    let place = directory.path().join(name.as_ref());
    let open = fstat(file).map_err(|error| Error::io("examine", place, error.into()))?;
    let named = status(directory, name)?;
    Ok(named.is_some_and(|named| (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)))
}
