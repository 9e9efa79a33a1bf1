//! Bringing a model to the disk before it gets its name, so that a loss of power after that can
//! take nothing of it.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::directory::{Directory, Kind};
use crate::error::{Error, Result};
use crate::model::ModelFile;

/// Files that are worth a sync of their own: they take time, which others use to be fetched.
const LARGE: u64 = 1 << 20;

/// Small files from which on they are brought to the disk all at once. A sync of one waits for the
/// disk's cache to be emptied, which takes milliseconds however little there is to write.
const MANY: usize = 16;

/// When files come to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Each when it is complete.
    EachFile,
    /// Small ones at the end, with everything else that waits to be written to their file system.
    FileSystem,
}

impl Durability {
    /// Returns what is best for `files`.
    pub(super) fn of(files: &[ModelFile]) -> Self {
        let small = files.iter().filter(|file| file.descriptor.size < LARGE);
        match small.count() > MANY {
            true => Self::FileSystem,
            false => Self::EachFile,
        }
    }

    /// Brings a complete file to the disk, unless that comes later.
    pub(super) fn of_file(self, file: &File, size: u64, place: &Path) -> Result<()> {
        match self {
            Self::FileSystem if size < LARGE => Ok(()),
            _ => sync(file, place),
        }
    }

    /// Brings what is left to the disk: `directories` below `root`, itself, and what waited.
    pub(super) fn of_all(self, root: &Directory, directories: &[PathBuf]) -> Result<()> {
        if self == Self::FileSystem {
            return sync_file_system(root);
        }
        for directory in directories.iter().rev() {
            root.child(directory)?.sync()?;
        }
        root.sync()
    }
}

fn sync(file: &File, place: &Path) -> Result<()> {
    let synced = file.sync_all();
    synced.map_err(|error| Error::io("write", place, error))
}

/// Brings the file system to the disk that `root` is in. What could not be written since `root` was
/// opened is an error (Linux 5.8 and later tell).
#[cfg(target_os = "linux")]
fn sync_file_system(root: &Directory) -> Result<()> {
    match rustix::fs::syncfs(root) {
        Ok(()) => Ok(()),
        Err(Errno::NOSYS) => sync_tree(root),
        Err(error) => Err(Error::io("write", root.path(), error.into())),
    }
}

/// Brings everything below `root` to the disk: this system has no call for it.
#[cfg(not(target_os = "linux"))]
fn sync_file_system(root: &Directory) -> Result<()> {
    sync_tree(root)
}

/// Brings a directory to the disk with everything below it, one by one.
fn sync_tree(directory: &Directory) -> Result<()> {
    for (name, kind) in directory.entries()? {
        match kind {
            Kind::Directory => sync_tree(&directory.child(&name)?)?,
            _ => sync(&directory.open_file(&name)?, &directory.path().join(&name))?,
        }
    }
    directory.sync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Descriptor;

    fn file(name: usize, size: u64) -> ModelFile {
        let mut blob = Descriptor::of("application/vnd.cncf.model.weight.v1.raw", b"");
        blob.size = size;
        ModelFile {
            path: format!("{name}").parse().unwrap(),
            kind: crate::model::Kind::Weight,
            form: crate::model::Form::Raw,
            descriptor: blob,
        }
    }

    #[test]
    fn many_small_files_come_to_the_disk_together() {
        let small = |count| (0..count).map(|n| file(n, 10)).collect::<Vec<_>>();
        let large: Vec<_> = (0..100).map(|n| file(n, LARGE)).collect();
        assert_eq!(Durability::of(&small(MANY)), Durability::EachFile);
        assert_eq!(Durability::of(&small(MANY + 1)), Durability::FileSystem);
        assert_eq!(Durability::of(&large), Durability::EachFile);
    }

    #[test]
    fn every_way_reaches_everything() {
        let around = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(around.path().join("a/b")).unwrap();
        std::fs::write(around.path().join("a/b/c"), "c").unwrap();
        let root = Directory::open(around.path()).unwrap();
        let directories = [PathBuf::from("a"), PathBuf::from("a/b")];
        for way in [Durability::EachFile, Durability::FileSystem] {
            way.of_all(&root, &directories).unwrap();
        }
        sync_tree(&root).unwrap();
    }
}
