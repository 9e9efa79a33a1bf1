//! Where a lock file is, and who may write it at a time.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::directory::{Directory, Identity, Kind, read_capped};
use crate::error::{Error, Reason, Result};
use crate::{limits, private_directory};

/// How often, and how long apart, a file is tried that another process writes: a write takes
/// milliseconds.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// The place of a lock file, whether or not it is there.
pub(super) struct Home {
    directory: Directory,
    name: String,
}

/// A lock file that no other process changes.
pub(super) struct Held {
    home: Home,
    file: File,
}

impl Home {
    pub(super) fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name else {
            let message = format!("`{}` cannot be the name of a file", path.display());
            return Err(Error::new(Reason::Disk, message));
        };
        let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
        Ok(Self {
            directory: Directory::open(parent.unwrap_or(Path::new(".")))?,
            name: name.to_owned(),
        })
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }

    /// Returns the file's bytes. It is replaced as a whole, so they are of one writer.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        self.directory.read(&self.name, limits::LOCK_FILE)
    }

    /// Waits until no other process writes, and returns the file, which is made if it is not there.
    pub(super) fn hold(self) -> Result<Held> {
        for _ in 0..TRIES {
            let file = private_directory::file(&self.directory, &self.name, OFlags::RDWR)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // One that was replaced meanwhile is nobody's any more.
                Ok(()) if self.is_at_its_name(&file)? => return Ok(Held { home: self, file }),
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
                Err(error) => return Err(Error::io("lock", self.place(), error.into())),
            }
        }
        let message = format!(
            "`{}` stays locked by another process",
            self.place().display()
        );
        Err(Error::new(Reason::Disk, message))
    }

    fn is_at_its_name(&self, file: &File) -> Result<bool> {
        let metadata = file
            .metadata()
            .map_err(|error| Error::io("examine", self.place(), error))?;
        let held = Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
        };
        match self.directory.look(&self.name)? {
            Some((Kind::File, there)) => Ok(there == held),
            Some((kind, _)) => {
                let message = format!("`{}` is a {kind}", self.place().display());
                Err(Error::new(Reason::FileKindUnsafe, message))
            }
            None => Ok(false),
        }
    }
}

impl Held {
    /// Returns the file's bytes.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let place = self.home.place();
        let again = self.file.try_clone();
        let file = again.map_err(|error| Error::io("read", &place, error))?;
        read_capped(file, &place, limits::LOCK_FILE)
    }

    /// Replaces the file in one step, and lets it survive a loss of power: it is not made again.
    pub(super) fn write(&self, text: &str) -> Result<()> {
        let Home { directory, name } = &self.home;
        let new = format!(".{name}.new");
        let place = directory.path().join(&new);
        // What a killed process left; nobody else writes now.
        directory.remove(&new)?;
        let mut file = directory.create_file(&new)?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all());
        written.map_err(|error| Error::io("write", &place, error))?;
        rustix::fs::renameat(directory, &new, directory, name)
            .map_err(|error| Error::io("replace", self.home.place(), error.into()))?;
        directory.sync()
    }
}
