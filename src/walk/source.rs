//! A file of a model directory: found once, and the same each time it is read.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::directory::{Directory, Stamp};
use crate::error::Result;
use crate::hashing::changed;
use crate::path::SafePath;

/// A regular file of a model directory.
#[derive(Debug, Clone)]
pub struct SourceFile {
    path: SafePath,
    stamp: Stamp,
    root: Arc<Directory>,
    /// Where its bytes are, below the root: another path than its own if it is a symlink.
    target: PathBuf,
}

impl SourceFile {
    /// Looks at the file whose bytes are at `target` below `root`.
    pub(super) fn find(root: &Arc<Directory>, path: SafePath, target: PathBuf) -> Result<Self> {
        let file = root.open_file(&target)?;
        Ok(Self {
            stamp: Stamp::of(&file, &path.below(root.path()))?,
            path,
            root: Arc::clone(root),
            target,
        })
    }

    /// Returns its path in the model.
    pub fn path(&self) -> &SafePath {
        &self.path
    }

    /// Returns its size.
    pub fn size(&self) -> u64 {
        self.stamp.size
    }

    /// Returns the stamp it had when it was found.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Returns where it is, for messages.
    pub fn place(&self) -> PathBuf {
        self.path.below(self.root.path())
    }

    /// Opens it, if it is still what was found: however often it is read, it is one content.
    pub fn open(&self) -> Result<File> {
        let file = self.root.open_file(&self.target)?;
        match Stamp::of(&file, &self.place())? == self.stamp {
            true => Ok(file),
            false => Err(changed(&self.place())),
        }
    }
}
