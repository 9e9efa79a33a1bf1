//! A file on its way into a layout: complete, on disk and under its name, or not there at all.
//!
//! The unfinished file lies in the layout's own directory, so that giving it its name is one
//! rename, and beside `blobs`, where other tools expect nothing but blobs.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tempfile::TempPath;

use crate::error::{Error, Result};

/// What the names of unfinished files start with.
pub(super) const PREFIX: &str = ".ingest-";

/// An unfinished file; dropping it removes it.
#[derive(Debug)]
pub(super) struct Ingest {
    file: File,
    path: TempPath,
}

impl Ingest {
    /// Creates an empty file under a random name in `root`. It stays locked as long as somebody
    /// has it open, which tells it from one that a killed process left behind.
    pub(super) fn begin(root: &Path) -> Result<Self> {
        let create = || {
            // Readable by whom the umask lets: the mode is the finished file's too.
            let (file, path) = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(root)?
                .into_parts();
            // Only a sweep can be in the way. Where locks are not supported nobody sweeps either.
            while flock(&file, FlockOperation::LockExclusive) == Err(Errno::INTR) {}
            io::Result::Ok(Self { file, path })
        };
        loop {
            let ingest = create().map_err(|e| Error::io("create a file in", root, e))?;
            // A sweep may have come between creating and locking, and have removed it.
            let links = ingest.file.metadata().map(|metadata| metadata.nlink());
            if links.map_err(|e| Error::io("look at", &ingest.path, e))? > 0 {
                return Ok(ingest);
            }
        }
    }

    /// Returns a handle to write the content through.
    pub(super) fn writer(&self) -> Result<File> {
        self.file
            .try_clone()
            .map_err(|e| Error::io("open", &self.path, e))
    }

    /// Writes `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|e| Error::io("write", &self.path, e))
    }

    /// Brings the content to the disk and then gives it the name `target`, replacing what has it.
    pub(super) fn finish(self, target: &Path) -> Result<()> {
        self.sync()?;
        self.path
            .persist(target)
            .map_err(|e| Error::io("write", target, e.error))
    }

    /// Does the same as [`finish`](Self::finish), unless there is a `target` already.
    pub(super) fn finish_new(self, target: &Path) -> Result<()> {
        self.sync()?;
        match self.path.persist_noclobber(target) {
            Err(e) if e.error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io("write", target, e.error))
            }
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|e| Error::io("write", &self.path, e))
    }
}

/// Removes what killed processes left behind in `root`: unfinished files that nobody has locked.
/// What cannot be removed is left, as it does no harm.
pub(super) fn sweep(root: &Path) {
    let Ok(entries) = root.read_dir() else { return };
    for entry in entries.flatten() {
        let unfinished = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes());
        if !unfinished || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
