//! Directories held open: everything below one is reached name by name, never through a symlink.
//!
//! A path that is checked and then used can be another one by then; a directory that is held open
//! cannot. So files of a model are opened, created and removed only relative to a [`Directory`],
//! and each name on the way must be a real directory at that moment (`O_NOFOLLOW`).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Reason, Result};

/// The mode that files of a model are created with; the umask may take bits away. Modes are never
/// taken from an artifact.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// The mode that directories of a model are created with, before the umask.
pub const DIRECTORY_MODE: u32 = 0o755;

/// How a directory below another is opened.
const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Tries to remove a directory that someone may still be creating files in.
const REMOVALS: usize = 16;

/// A directory held open.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    /// Where it was opened, for messages only.
    path: PathBuf,
}

/// What stands under a name, the name itself and not what it may point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
    /// A FIFO, a socket or a device.
    Special,
}

impl Kind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            _ => Self::Special,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Special => "FIFO, socket or device",
        })
    }
}

/// Which directory or file it is, on this machine and for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
}

/// What changes when a file changes: two equal stamps mean the same content, as far as the kernel
/// can tell. The change time is what no program can set, unlike the modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stamp {
    /// The size in bytes.
    pub size: u64,
    /// When the content changed, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When content, name count or permissions changed, in nanoseconds since 1970.
    pub ctime_ns: i64,
    /// The file's number in its file system.
    pub inode: u64,
}

impl Stamp {
    /// Returns the stamp of an open file.
    pub fn of(file: &File, path: &Path) -> Result<Self> {
        let status = file
            .metadata()
            .map_err(|error| Error::io("examine", path, error))?;
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Ok(Self {
            size: status.size(),
            mtime_ns: nanoseconds(status.mtime(), status.mtime_nsec()),
            ctime_ns: nanoseconds(status.ctime(), status.ctime_nsec()),
            inode: status.ino(),
        })
    }

    /// Whether the two differ at most in the change time, which making and removing hard links
    /// changes too. An edit that keeps the size and puts the modification time back goes unnoticed.
    pub fn same_but_for_links(&self, other: &Self) -> bool {
        (self.inode, self.size, self.mtime_ns) == (other.inode, other.size, other.mtime_ns)
    }
}

impl Directory {
    /// Opens the directory that a user named; symlinks on the way to it are followed.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| Error::io("open the directory", path, error.into()))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Returns the path it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns which directory it is.
    pub fn identity(&self) -> Result<Identity> {
        let status = rustix::fs::fstat(&self.fd).map_err(|e| self.failed("examine", "", e))?;
        Ok(identity(&status))
    }

    /// Returns what stands under `name` and which file it is; nothing if nothing does.
    pub fn look(&self, name: impl AsRef<OsStr>) -> Result<Option<(Kind, Identity)>> {
        let name = name.as_ref();
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => {
                let kind = FileType::from_raw_mode(status.st_mode);
                Ok(Some((Kind::of(kind), identity(&status))))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("examine", name, error)),
        }
    }

    /// Opens the directory at `path` below this one; symlinks on the way are refused.
    pub fn child(&self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let fd = self.at(path, |parent, name| {
            rustix::fs::openat(parent, name, DIRECTORY_FLAGS, Mode::empty())
        });
        let fd = fd.map_err(|error| self.failed("open the directory", path, error))?;
        Ok(Self {
            fd,
            path: self.path.join(path),
        })
    }

    /// Creates the directory at `path`, whose parents must be there and which must not.
    pub fn create_child(&self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        let path = path.as_ref();
        let mode = Mode::from_raw_mode(mode);
        self.at(path, |parent, name| rustix::fs::mkdirat(parent, name, mode))
            .map_err(|error| self.failed("create the directory", path, error))
    }

    /// Opens the regular file at `path`, all of whose names but the last must be directories.
    pub fn open_file(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        // Non-blocking, so that a FIFO that takes the file's place cannot hold us up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = self.at(path, |parent, name| {
            rustix::fs::openat(parent, name, flags, Mode::empty())
        });
        let file = File::from(fd.map_err(|error| self.failed("open", path, error))?);
        let status = rustix::fs::fstat(&file).map_err(|e| self.failed("examine", path, e))?;
        match Kind::of(FileType::from_raw_mode(status.st_mode)) {
            Kind::File => Ok(file),
            kind => Err(self.not_a_file(path, kind)),
        }
    }

    /// Reads the file at `path`, which must not have more than `cap` bytes.
    pub fn read(&self, path: impl AsRef<Path>, cap: u64) -> Result<Vec<u8>> {
        let path = path.as_ref();
        read_capped(self.open_file(path)?, &self.path.join(path), cap)
    }

    /// Creates the file at `path`, whose directories must be there and which must not.
    pub fn create_file(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.at(path, |parent, name| {
            rustix::fs::openat(parent, name, flags, FILE_MODE)
        });
        fd.map(File::from)
            .map_err(|error| self.failed("create", path, error))
    }

    /// Applies `action` to the last name of `path` in the directory that the others lead to.
    fn at<T>(
        &self,
        path: &Path,
        action: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut names = path.components().map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(Errno::INVAL),
        });
        let last = names.next_back().ok_or(Errno::INVAL)??;
        let mut held: Option<OwnedFd> = None;
        for name in names {
            let parent = held.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            held = Some(rustix::fs::openat(
                parent,
                name?,
                DIRECTORY_FLAGS,
                Mode::empty(),
            )?);
        }
        action(held.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd), last)
    }

    /// Lists what stands in this directory, sorted by name.
    pub fn entries(&self) -> Result<Vec<(OsString, Kind)>> {
        let failed = |error| self.failed("list", "", error);
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.look(name)?.map(|(kind, _)| kind),
                kind => Some(Kind::of(kind)),
            };
            entries.extend(kind.map(|kind| (name.to_owned(), kind)));
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }

    /// Makes what was created, renamed and removed in this directory survive a power failure.
    pub fn sync(&self) -> Result<()> {
        match rustix::fs::fsync(&self.fd) {
            // The file system has no such notion for directories.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(error) => Err(self.failed("sync", "", error)),
        }
    }

    /// Removes whatever stands under `name`, with everything below it; symlinks are removed, not
    /// followed. What is gone already, or appears meanwhile, is no error.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        let failed = |error| self.failed("remove", name, error);
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // What Linux, and what POSIX, says about a directory.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(failed(error)),
        }
        for _ in 0..REMOVALS {
            let child = match self.child(name) {
                Ok(child) => child,
                Err(error) if error.reason() == Reason::FileNotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            for (entry, _) in child.entries()? {
                child.remove(entry)?;
            }
            match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(Errno::NOTEMPTY))
    }

    fn failed(&self, action: &str, name: impl AsRef<Path>, error: Errno) -> Error {
        let path = self.path.join(name);
        match error {
            // A symlink where none may be, or a file where a directory must be.
            Errno::LOOP | Errno::NOTDIR => Error::new(
                Reason::FileKindUnsafe,
                format!("`{}` is, or is behind, a symlink or a file", path.display()),
            ),
            Errno::NXIO => self.not_a_file(&path, Kind::Special),
            error => Error::io(action, path, error.into()),
        }
    }

    fn not_a_file(&self, path: &Path, kind: Kind) -> Error {
        let path = self.path.join(path);
        let message = format!("`{}` is a {kind}, not a regular file", path.display());
        Error::new(Reason::FileKindUnsafe, message)
    }
}

/// Reads the rest of the file at `place`, which must not be more than `cap` bytes.
pub fn read_capped(file: File, place: &Path, cap: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(cap.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| Error::io("read", place, error))?;
    if bytes.len() as u64 > cap {
        let message = format!("`{}` is larger than {cap} bytes", place.display());
        return Err(Error::new(Reason::TooLarge, message));
    }
    Ok(bytes)
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[allow(
    clippy::unnecessary_cast,
    reason = "the types differ from system to system"
)]
fn identity(status: &rustix::fs::Stat) -> Identity {
    Identity {
        device: status.st_dev as u64,
        inode: status.st_ino as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn fixture() -> (tempfile::TempDir, Directory) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("in/deep")).unwrap();
        std::fs::write(root.path().join("in/deep/file"), "x").unwrap();
        let directory = Directory::open(&root.path().join("in")).unwrap();
        (root, directory)
    }

    #[test]
    fn opens_and_creates_files_by_real_names_only() {
        let (root, directory) = fixture();
        let inside = root.path().join("in");
        std::fs::write(root.path().join("secret"), "s").unwrap();
        symlink("../secret", inside.join("link")).unwrap();
        symlink("deep", inside.join("dirlink")).unwrap();
        symlink("nowhere", inside.join("dangling")).unwrap();
        let fifo = rustix::fs::mknodat(
            &directory,
            "fifo",
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        );
        fifo.unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).unwrap();

        directory.open_file("deep/file").unwrap();
        for unsafe_path in [
            "link",
            "dirlink/file",
            "fifo",
            "socket",
            "deep",
            "deep/file/x",
        ] {
            let error = directory.open_file(unsafe_path).unwrap_err();
            assert_eq!(error.reason(), Reason::FileKindUnsafe, "{unsafe_path}");
        }
        for path in ["../secret", "/etc/hostname", ".", "", "deep/../deep/file"] {
            assert!(directory.open_file(path).is_err(), "{path}");
        }
        directory.create_file("deep/new").unwrap();
        for path in [
            "link",
            "dangling",
            "deep/new",
            "dirlink/new",
            "../new",
            "fifo",
        ] {
            assert!(directory.create_file(path).is_err(), "{path}");
        }
        assert_eq!(std::fs::read(root.path().join("secret")).unwrap(), b"s");
        assert!(!inside.join("nowhere").exists() && !inside.join("deep/../../new").exists());
    }

    #[test]
    fn a_stamp_can_be_of_any_time() {
        use std::time::{Duration, SystemTime};
        let (_root, directory) = fixture();
        let file = directory.create_file("deep/timed").unwrap();
        // Later than nanoseconds since 1970 can tell, where the file system can.
        let late = SystemTime::UNIX_EPOCH + Duration::new(13_000_000_000, 999_999_999);
        for time in [late, SystemTime::UNIX_EPOCH - Duration::from_nanos(1)] {
            file.set_modified(time).unwrap();
            let stamp = Stamp::of(&file, Path::new("timed")).unwrap();
            assert_ne!(stamp.mtime_ns, 0);
        }
    }

    #[test]
    fn reads_no_more_than_the_cap() {
        let (_root, directory) = fixture();
        assert_eq!(directory.read("deep/file", 1).unwrap(), b"x");
        let error = directory.read("deep/file", 0).unwrap_err();
        assert_eq!(error.reason(), Reason::TooLarge);
    }

    #[test]
    fn lists_sorted_and_by_what_the_name_itself_is() {
        let (root, directory) = fixture();
        symlink("deep", root.path().join("in/a")).unwrap();
        std::fs::write(root.path().join("in/z"), "").unwrap();
        let entries: Vec<_> = directory.entries().unwrap();
        let expected = [
            ("a".into(), Kind::Symlink),
            ("deep".into(), Kind::Directory),
            ("z".into(), Kind::File),
        ];
        assert_eq!(entries, expected);
    }

    #[test]
    fn removes_a_tree_but_nothing_that_it_points_to() {
        let (root, directory) = fixture();
        let outside = root.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), "").unwrap();
        symlink(&outside, root.path().join("in/deep/link")).unwrap();
        directory.remove("deep").unwrap();
        directory.remove("deep").unwrap();
        assert!(directory.entries().unwrap().is_empty());
        assert!(outside.join("kept").exists());
    }
}
