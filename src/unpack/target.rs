//! Where a pull puts a model: checked before anything is downloaded.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::directory::{Directory, Identity, Kind};
use crate::error::{Error, Reason, Result};
use crate::receipt;
use crate::unpack::Existing;
use crate::walk::STAGING_PREFIX;

/// What every file may cost beside its bytes: a block of the file system.
const BLOCK: u64 = 4096;

/// A name, in a directory held open, that a model can be put under.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) parent: Directory,
    pub(super) name: OsString,
    pub(super) path: PathBuf,
    /// The directory that stands there and may be replaced.
    pub(super) replaces: Option<Identity>,
    made: MadeDirectories,
}

impl Target {
    /// Checks that a model can be put at `path`, and creates the directories that lead there; they
    /// go away again unless the target is [kept](Self::keep).
    pub(super) fn prepare(path: &Path, existing: Existing) -> Result<Self> {
        let Some(name) = path.file_name().map(ToOwned::to_owned) else {
            return Err(unsuitable(path, "has no name of its own")
                .hint("name a directory that does not exist yet"));
        };
        if name.to_string_lossy().starts_with(STAGING_PREFIX) {
            return Err(unsuitable(path, "has a name that unfinished pulls have"));
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let made = MadeDirectories::make(parent)?;
        if !parent.is_dir() {
            return Err(unsuitable(parent, "is not a directory"));
        }
        let mut target = Self {
            parent: Directory::open(parent)?,
            name,
            path: path.to_owned(),
            replaces: None,
            made,
        };
        target.replaces = target.replaceable(existing)?;
        Ok(target)
    }

    /// Returns the directory that stands there, if there is one and it may be replaced.
    fn replaceable(&self, existing: Existing) -> Result<Option<Identity>> {
        let Some((kind, identity)) = self.parent.look(&self.name)? else {
            return Ok(None);
        };
        if kind != Kind::Directory {
            return Err(unsuitable(&self.path, &format!("is a {kind}")));
        }
        if identity.device != self.parent.identity()?.device {
            return Err(unsuitable(&self.path, "is a mount point")
                .hint("name a directory below it, which can be put there in one step"));
        }
        match existing {
            Existing::Refuse => Err(self.exists()),
            Existing::Replace => {
                self.check_replaceable(identity)?;
                Ok(Some(identity))
            }
        }
    }

    /// Returns the refusal to touch what stands there.
    pub(super) fn exists(&self) -> Error {
        let message = format!("`{}` exists already", self.path.display());
        Error::new(Reason::TargetExists, message)
            .hint("name another directory, or replace a model pulled earlier with `--force`")
    }

    /// Refuses to replace what this tool did not put there: one wrong argument must not cost
    /// someone their home directory.
    fn check_replaceable(&self, identity: Identity) -> Result<()> {
        if holds_working_directory(identity) {
            return Err(unsuitable(
                &self.path,
                "is, or holds, the working directory",
            ));
        }
        let directory = self.parent.child(&self.name)?;
        let pulled = directory.open_file(receipt::RECEIPT).is_ok();
        if pulled || directory.entries()?.is_empty() {
            return Ok(());
        }
        Err(
            unsuitable(&self.path, "holds something else than a pulled model")
                .hint("remove it yourself if it is not needed, or name another directory"),
        )
    }

    /// Refuses early what the disk cannot hold: `files` files with `bytes` bytes.
    pub(super) fn check_space(&self, bytes: u64, files: u64) -> Result<()> {
        let free = rustix::fs::fstatvfs(&self.parent)
            .map_err(|error| Error::io("examine", self.parent.path(), error.into()))?;
        let full = |what: String| {
            let message = format!("`{}` {what}", self.parent.path().display());
            Err(Error::new(Reason::DiskFull, message)
                .hint("make room, or fetch a part of the model with `--include`"))
        };
        // A file system that has no limit of its own says zero.
        let available = free.f_bavail.saturating_mul(free.f_frsize);
        let needed = bytes.saturating_add(files.saturating_mul(BLOCK));
        if free.f_blocks > 0 && needed > available {
            return full(format!(
                "has {available} bytes free, the model needs {needed}"
            ));
        }
        if free.f_files > 0 && files > free.f_favail {
            return full(format!(
                "has room for {} files, the model has {files}",
                free.f_favail
            ));
        }
        Ok(())
    }

    /// Keeps the directories that were created on the way, and makes them survive a power failure.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.parent.sync()?;
        for made in std::mem::take(&mut self.made.0) {
            if let Some(parent) = made.parent().filter(|path| !path.as_os_str().is_empty()) {
                Directory::open(parent)?.sync()?;
            }
        }
        Ok(())
    }
}

pub(super) fn unsuitable(path: &Path, why: &str) -> Error {
    Error::new(
        Reason::TargetUnsuitable,
        format!("a model cannot be put at `{}`: it {why}", path.display()),
    )
    .hint("name another directory")
}

/// Whether the directory is the working directory or one above it. What cannot be looked at is
/// none of them: whoever stands in a directory can look at it.
fn holds_working_directory(directory: Identity) -> bool {
    let mut path = PathBuf::from(".");
    let mut below = None;
    loop {
        let here = Directory::open(&path).and_then(|here| here.identity()).ok();
        match here {
            Some(here) if here == directory => return true,
            // The root is its own parent.
            here if here.is_none() || here == below => return false,
            here => below = here,
        }
        path.push("..");
    }
}

/// Directories that did not exist before.
#[derive(Debug, Default)]
struct MadeDirectories(Vec<PathBuf>);

impl MadeDirectories {
    /// Creates `path` and whatever is missing above it.
    fn make(path: &Path) -> Result<Self> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let missing: Vec<_> = path.ancestors().take_while(is_missing).collect();
        let mut made = Self::default();
        for path in missing.into_iter().rev() {
            match std::fs::create_dir(path) {
                Ok(()) => made.0.push(path.to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create the directory", path, error)),
            }
        }
        Ok(made)
    }
}

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // Only an empty directory goes: if someone put something there, it is theirs now.
            let _ = std::fs::remove_dir(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(path: &Path, existing: Existing) -> Result<Target> {
        Target::prepare(path, existing)
    }

    #[test]
    fn finds_room_for_a_new_model_and_cleans_up_after_itself() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("a/b/model");
        let target = prepare(&path, Existing::Refuse).unwrap();
        assert!(target.replaces.is_none() && around.path().join("a/b").is_dir());
        drop(target);
        assert!(!around.path().join("a").exists());

        let mut target = prepare(&path, Existing::Replace).unwrap();
        target.keep().unwrap();
        drop(target);
        assert!(around.path().join("a/b").is_dir() && !path.exists());
    }

    #[test]
    fn refuses_what_is_no_place_for_a_model() {
        let around = tempfile::tempdir().unwrap();
        let at = |name: &str| around.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        std::fs::create_dir_all(at("full/x")).unwrap();
        std::fs::create_dir(at("empty")).unwrap();
        std::os::unix::fs::symlink("empty", at("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        let here = std::env::current_dir().unwrap();
        for path in [
            PathBuf::from("/"),
            PathBuf::from("."),
            PathBuf::from(".."),
            PathBuf::from(""),
            PathBuf::from("/proc"),
            here.clone(),
            here.parent().unwrap().to_owned(),
            at("full/.."),
            at("file"),
            at("file/x"),
            at("full"),
            at("link"),
            at("dangling"),
            at(".modelctl-staging-1"),
        ] {
            let error = prepare(&path, Existing::Replace).unwrap_err();
            assert_eq!(
                error.reason(),
                Reason::TargetUnsuitable,
                "{path:?}: {error}"
            );
        }
        for (path, why) in [
            (Path::new("/proc"), "mount point"),
            (&here, "working directory"),
        ] {
            let error = prepare(path, Existing::Replace).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        prepare(&at("new"), Existing::Replace).unwrap();
        prepare(&at("link/new"), Existing::Replace).unwrap();
    }

    #[test]
    fn replaces_only_when_asked_and_only_its_own() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("model");
        std::fs::create_dir(&path).unwrap();
        let refused = prepare(&path, Existing::Refuse).unwrap_err();
        assert_eq!(refused.reason(), Reason::TargetExists);
        assert!(
            prepare(&path, Existing::Replace)
                .unwrap()
                .replaces
                .is_some()
        );

        std::fs::create_dir(path.join(".modelctl")).unwrap();
        let refused = prepare(&path, Existing::Replace).unwrap_err();
        assert_eq!(refused.reason(), Reason::TargetUnsuitable);
        std::os::unix::fs::symlink("/etc/hostname", path.join(receipt::RECEIPT)).unwrap();
        let refused = prepare(&path, Existing::Replace).unwrap_err();
        assert_eq!(refused.reason(), Reason::TargetUnsuitable);
        std::fs::remove_file(path.join(receipt::RECEIPT)).unwrap();
        std::fs::write(path.join(receipt::RECEIPT), "{}").unwrap();
        assert!(
            prepare(&path, Existing::Replace)
                .unwrap()
                .replaces
                .is_some()
        );
    }

    #[test]
    fn knows_that_the_working_directory_is_not_to_be_replaced() {
        let here = std::env::current_dir().unwrap();
        for path in [here.as_path(), here.parent().unwrap(), Path::new("/")] {
            let identity = Directory::open(path).unwrap().identity().unwrap();
            assert!(holds_working_directory(identity), "{path:?}");
        }
        let elsewhere = Directory::open(&here.join("src")).unwrap();
        assert!(!holds_working_directory(elsewhere.identity().unwrap()));
    }

    #[test]
    fn refuses_more_than_the_disk_holds() {
        let around = tempfile::tempdir().unwrap();
        let target = prepare(&around.path().join("model"), Existing::Refuse).unwrap();
        target.check_space(1, 1).unwrap();
        for (bytes, files) in [(u64::MAX, 1), (1 << 60, 1), (1, u64::MAX)] {
            let error = target.check_space(bytes, files).unwrap_err();
            assert_eq!(error.reason(), Reason::DiskFull);
        }
    }
}
