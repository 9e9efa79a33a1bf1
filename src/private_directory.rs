//! Directories that belong to one user alone, for state that others must not be able to change.
//!
//! What a cache says is believed on the grounds of where it lies. So the directory must be the
//! user's own, and nobody else may be able to write into it; one that is not so is refused each
//! time it is opened, not only when it is made.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::error::{Error, Reason, Result};

/// The mode of directories created here.
const DIRECTORY_MODE: u32 = 0o700;

/// The mode of files created here.
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);

/// What group and others must not be allowed.
const OTHERS_WRITE: Mode = Mode::from_raw_mode(0o022);

/// Opens the directory at `path`, which is created with its parents if it is not there.
pub(crate) fn open(path: &Path) -> Result<Directory> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .map_err(|error| Error::io("create the directory", path, error))?;
    let directory = Directory::open(path)?;
    check(&directory, path)?;
    Ok(directory)
}

/// Opens the directory `name` in `parent`, which is created if it is not there.
pub(crate) fn child(parent: &Directory, name: &str) -> Result<Directory> {
    let place = parent.path().join(name);
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(Error::io("create the directory", place, error.into())),
    }
    let directory = parent.child(name)?;
    check(&directory, &place)?;
    Ok(directory)
}

/// Opens the file `name` in `directory` as `flags` say, which is created if it is not there.
pub(crate) fn file(directory: &Directory, name: &str, flags: OFlags) -> Result<File> {
    let careful = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags | careful, FILE_MODE)
        .map(File::from)
        .map_err(|error| Error::io("open", directory.path().join(name), error.into()))
}

/// Refuses an open file or directory that another user owns or may write; `place` names it.
pub(crate) fn check(opened: impl AsFd, place: &Path) -> Result<()> {
    let status = rustix::fs::fstat(opened)
        .map_err(|error| Error::io("examine", place, Errno::into(error)))?;
    let shown = place.display();
    if status.st_uid != rustix::process::geteuid().as_raw() {
        let message = format!("`{shown}` belongs to another user");
        return Err(Error::new(Reason::Disk, message).hint("name a directory of your own"));
    }
    if Mode::from_raw_mode(status.st_mode).intersects(OTHERS_WRITE) {
        let message = format!("`{shown}` can be written by other users");
        return Err(Error::new(Reason::Disk, message).hint(format!(
            "close it with `chmod go-w '{shown}'`, or name another"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn creates_what_only_the_user_may_enter() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("a/b");
        let directory = open(&path).unwrap();
        child(&directory, "c").unwrap();
        file(&directory, "f", OFlags::RDWR).unwrap();
        for (name, expected) in [("", 0o700), ("c", 0o700), ("f", 0o600)] {
            assert_eq!(mode(&path.join(name)), expected, "{name:?}");
        }
        assert_eq!(mode(&around.path().join("a")), 0o700);
    }

    #[test]
    fn opens_what_others_may_at_most_read() {
        let around = tempfile::tempdir().unwrap();
        for (mode, reason) in [
            (0o700, None),
            (0o755, None),
            (0o500, None),
            (0o720, Some(Reason::Disk)),
            (0o702, Some(Reason::Disk)),
            (0o777, Some(Reason::Disk)),
            (0o1777, Some(Reason::Disk)),
        ] {
            let path = around.path().join(format!("{mode:o}"));
            open(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(open(&path).err().map(|e| e.reason()), reason, "{mode:o}");
        }
    }

    #[test]
    fn refuses_what_another_user_owns() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("theirs");
        open(&path).unwrap();
        // Only root can give a directory away; for others, one of root's serves.
        let theirs = match rustix::process::geteuid().is_root() {
            true => {
                chown(&path, Some(65_534), None).unwrap();
                &path
            }
            false => Path::new("/"),
        };
        let error = open(theirs).unwrap_err();
        assert_eq!(error.reason(), Reason::Disk);
        assert!(error.message().contains("another user"), "{error}");
    }

    #[test]
    fn follows_no_symlink_below_the_directory() {
        let around = tempfile::tempdir().unwrap();
        let directory = open(&around.path().join("mine")).unwrap();
        std::os::unix::fs::symlink("..", around.path().join("mine/out")).unwrap();
        let error = child(&directory, "out").unwrap_err();
        assert_eq!(error.reason(), Reason::FileKindUnsafe);
        assert!(file(&directory, "out", OFlags::RDWR).is_err());
    }
}
