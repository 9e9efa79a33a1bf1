//! Where a file of a model is to be made.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Component, Path};

use rustix::fs::AtFlags;

use crate::content_store::shelves::is_named;
use crate::directory::Directory;
use crate::error::{Error, Reason, Result};

/// A name in a directory that is held open, so that no symlink on the way can lead elsewhere.
pub(super) struct Target<'a> {
    root: &'a Directory,
    /// The directory that the name is in, if that is not the root.
    inner: Option<Directory>,
    name: &'a OsStr,
}

impl<'a> Target<'a> {
    /// Finds the directory that the last name of `path` is in.
    pub(super) fn at(root: &'a Directory, path: &'a Path) -> Result<Self> {
        let unsafe_path = || {
            let message = format!("`{}` is no path below a directory", path.display());
            Error::new(Reason::PathUnsafe, message)
        };
        let mut names = path.components().map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(unsafe_path()),
        });
        let name = names.next_back().ok_or_else(unsafe_path)??;
        let mut inner: Option<Directory> = None;
        for name in names {
            inner = Some(inner.as_ref().unwrap_or(root).child(name?)?);
        }
        Ok(Self { root, inner, name })
    }

    fn parent(&self) -> &Directory {
        self.inner.as_ref().unwrap_or(self.root)
    }

    /// Creates the file, which must not be there.
    pub(super) fn create(&self) -> Result<File> {
        self.parent().create_file(self.name)
    }

    /// Removes the file.
    pub(super) fn remove(&self) -> Result<()> {
        self.parent().remove(self.name)
    }

    /// Makes this one more name of the open file `blob`, whose name is `name` in `blobs`, and opens
    /// it. If that cannot be, for whatever reason (another file system, too many links, another
    /// file under that name by now), nothing stands here afterwards.
    pub(super) fn link(&self, blobs: &Directory, name: &str, blob: &File) -> Result<Option<File>> {
        let parent = self.parent();
        let linked = rustix::fs::linkat(blobs, name, parent, self.name, AtFlags::empty());
        if linked.is_err() {
            return Ok(None);
        }
        match is_named(parent, self.name, blob)? {
            true => parent.open_file(self.name).map(Some),
            false => self.remove().map(|()| None),
        }
    }
}
