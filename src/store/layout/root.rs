//! The files of a layout: opened as what they should be, replaced as a whole, changed by one
//! writer at a time.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use serde::Deserialize;

use super::Access;
use super::index::LayoutIndex;
use super::ingest::{self, Ingest};
use crate::digest::{Digest, Hasher};
use crate::directory::read_capped;
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::{json, limits};

/// The file that makes a directory a layout
/// ([image-spec, image layout, "oci-layout file"](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md#oci-layout-file)).
const MARKER: &str = "oci-layout";

/// What is written into it.
const MARKER_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// What is read from it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// A layout's root directory, known by its path.
///
/// It is no [`Directory`](crate::directory::Directory), which is held open: it may have to be made
/// first, and other tools write into it at the same time and may put another in its place. Nothing
/// rests on a file being the same one twice, because whatever is read from a layout is hashed.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
}

impl Root {
    /// Opens the layout at `path`, or makes one if `access` allows and nothing is there.
    pub(super) fn open(path: PathBuf, access: Access) -> Result<Self> {
        let root = Self { path };
        if access == Access::ReadOrCreate && root.is_vacant()? {
            root.mark()?;
        }
        root.check_marker()?;
        root.check_subdirectories()?;
        if access == Access::ReadOrCreate {
            ingest::sweep(&root.path);
            root.complete()?;
        }
        Ok(root)
    }

    /// Whether a layout may be made here: there is no directory, or nothing in it. Anything else
    /// is somebody's and stays untouched.
    fn is_vacant(&self) -> Result<bool> {
        let entries = match self.path.read_dir() {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Ok(false),
            Err(e) => return Err(Error::io("read", &self.path, e)),
        };
        for entry in entries {
            let name = entry
                .map_err(|e| Error::io("read", &self.path, e))?
                .file_name();
            // Another process may be making the same layout right now.
            if !name
                .as_encoded_bytes()
                .starts_with(ingest::PREFIX.as_bytes())
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the directory a layout; if another process was faster, it is one.
    fn mark(&self) -> Result<()> {
        std::fs::create_dir_all(&self.path).map_err(|e| Error::io("create", &self.path, e))?;
        let mut marker = Ingest::begin(&self.path)?;
        marker.write(MARKER_CONTENT)?;
        marker.finish_new(&self.path.join(MARKER))
    }

    fn check_marker(&self) -> Result<()> {
        let path = self.path.join(MARKER);
        let Some(file) = open_regular(&path)? else {
            return Err(self.not_a_layout());
        };
        let bytes = read_capped(file, &path, limits::SMALL_BODY)?;
        let marker: Marker = json::parse(&bytes, &format!("`{}`", path.display()))
            .map_err(|error| self.damaged("has a damaged `oci-layout`").because(error))?;
        let version = marker.image_layout_version;
        // A later 1.x only adds; another major version may mean anything.
        match version.split('.').next() {
            Some("1") => Ok(()),
            _ => Err(self.damaged(&format!("is of the unsupported version {version:?}"))),
        }
    }

    /// Refuses symlinks where directories belong: content written through them would land
    /// wherever the layout's maker wanted it.
    fn check_subdirectories(&self) -> Result<()> {
        for path in [self.path.join("blobs"), self.blobs()] {
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(irregular(&path, "a directory")),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("look at", &path, e)),
            }
        }
        Ok(())
    }

    /// Makes what a new layout lacks. A missing index beside blobs is damage, not newness.
    fn complete(&self) -> Result<()> {
        if open_regular(&self.index_path())?.is_some() {
            return Ok(());
        }
        let _lock = self.lock()?;
        if open_regular(&self.index_path())?.is_some() {
            return Ok(());
        }
        let blobs = self.blobs();
        std::fs::create_dir_all(&blobs).map_err(|e| Error::io("create", &blobs, e))?;
        let mut entries = blobs.read_dir().map_err(|e| Error::io("read", &blobs, e))?;
        if entries.next().is_some() {
            return Err(self.damaged("has blobs but no `index.json`"));
        }
        sync_directory(&self.path.join("blobs"))?;
        self.replace_index(&LayoutIndex::empty())
    }

    /// Returns the layout's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the blob of `digest` lies.
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    fn blobs(&self) -> PathBuf {
        self.path.join("blobs").join(Digest::ALGORITHM)
    }

    fn index_path(&self) -> PathBuf {
        self.path.join("index.json")
    }

    /// Opens the blob of `digest`, if it is there, and returns its size with it.
    pub(super) fn open_blob(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        let path = self.blob_path(digest);
        let Some(file) = open_regular(&path)? else {
            return Ok(None);
        };
        let metadata = file
            .metadata()
            .map_err(|e| Error::io("look at", &path, e))?;
        Ok(Some((file, metadata.len())))
    }

    /// Whether there is a blob of this size.
    pub(super) fn has_size(&self, size: u64) -> Result<bool> {
        let path = self.blobs();
        let failed = |error| Error::io("read", &path, error);
        let entries = match path.read_dir() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            // One that goes away meanwhile is not there.
            let metadata = entry.map_err(failed)?.metadata();
            if metadata.is_ok_and(|metadata| metadata.len() == size) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a blob is there and is right, which takes reading it.
    pub(super) fn holds(&self, descriptor: &Descriptor) -> Result<bool> {
        let Some((mut file, size)) = self.open_blob(&descriptor.digest)? else {
            return Ok(false);
        };
        if size != descriptor.size {
            return Ok(false);
        }
        let mut hasher = Hasher::default();
        let mut piece = vec![0; limits::PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(hasher.finish() == descriptor.digest),
                Ok(count) => hasher.update(piece.get(..count).unwrap_or_default()),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read", self.blob_path(&descriptor.digest), e)),
            }
        }
    }

    /// Gives the finished `content` the name of `digest`, replacing what has it.
    pub(super) fn add_blob(&self, content: Ingest, digest: &Digest) -> Result<()> {
        let blobs = self.blobs();
        std::fs::create_dir_all(&blobs).map_err(|e| Error::io("create", &blobs, e))?;
        content.finish(&self.blob_path(digest))
    }

    /// Reads `index.json` as it is now: another process may have replaced it since.
    pub(super) fn index(&self) -> Result<LayoutIndex> {
        let path = self.index_path();
        let Some(file) = open_regular(&path)? else {
            return Err(self.damaged("has no `index.json`"));
        };
        let bytes = read_capped(file, &path, limits::MANIFEST)?;
        LayoutIndex::parse(&bytes).map_err(|error| error.at(self.path.display()))
    }

    /// Changes `index.json` under a lock, so that no other writer's entry is lost, after every
    /// blob that it may name is on the disk.
    pub(super) fn edit_index(
        &self,
        edit: impl FnOnce(&mut LayoutIndex) -> Result<()>,
    ) -> Result<()> {
        let _lock = self.lock()?;
        let before = self.index()?;
        let mut after = before.clone();
        edit(&mut after)?;
        if after == before {
            return Ok(());
        }
        sync_directory(&self.blobs())?;
        self.replace_index(&after)
    }

    fn replace_index(&self, index: &LayoutIndex) -> Result<()> {
        let mut file = Ingest::begin(&self.path)?;
        file.write(
            &index
                .to_bytes()
                .map_err(|error| error.at(self.path.display()))?,
        )?;
        file.finish(&self.index_path())?;
        sync_directory(&self.path)
    }

    /// Waits until no other writer, in this process or another, changes this layout; dropping the
    /// file, or dying, ends the lock.
    ///
    /// The lock is on `oci-layout`: every layout has it, no tool replaces it, and no file that
    /// other tools do not know is needed.
    fn lock(&self) -> Result<File> {
        let path = self.path.join(MARKER);
        let failed = |e: Errno| Error::io("lock", &path, e.into());
        // NFS locks a file exclusively only for who may write it.
        let fd = open_fd(&path, OFlags::RDWR)
            .or_else(|_| open_fd(&path, OFlags::RDONLY))
            .map_err(failed)?;
        while let Err(error) = flock(&fd, FlockOperation::LockExclusive) {
            if error != Errno::INTR {
                return Err(failed(error));
            }
        }
        Ok(fd.into())
    }

    /// Returns an error that says what is wrong with this layout.
    pub(super) fn damaged(&self, why: &str) -> Error {
        let message = format!("the image layout `{}` {why}", self.path.display());
        Error::new(Reason::LayoutInvalid, message)
    }

    fn not_a_layout(&self) -> Error {
        let shown = self.path.display();
        if !self.path.exists() {
            return Error::new(
                Reason::FileNotFound,
                format!("there is no image layout `{shown}`"),
            );
        }
        Error::new(
            Reason::LayoutInvalid,
            format!("`{shown}` is not an image layout: it has no `oci-layout` file"),
        )
        .hint("name a layout, or a new or empty directory to make one in; nothing was changed")
    }
}

/// Opens a file of a layout without following a symlink or waiting for a FIFO's other end; it must
/// be a regular file. Nothing at `path` is `None`.
fn open_regular(path: &Path) -> Result<Option<File>> {
    let file = match open_fd(path, OFlags::RDONLY) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO) => return Err(irregular(path, "a regular file")),
        Err(e) => return Err(Error::io("open", path, e.into())),
    };
    let metadata = file.metadata().map_err(|e| Error::io("look at", path, e))?;
    match metadata.is_file() {
        true => Ok(Some(file)),
        false => Err(irregular(path, "a regular file")),
    }
}

fn open_fd(path: &Path, access: OFlags) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, access | careful, Mode::empty())
}

fn irregular(path: &Path, wanted: &str) -> Error {
    let message = format!("`{}` in an image layout is not {wanted}", path.display());
    Error::new(Reason::LayoutInvalid, message)
        .hint("a copy without symlinks can be made with `cp --recursive --dereference`")
}

/// Makes renames in `path` outlive a loss of power.
fn sync_directory(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|e| Error::io("write", path, e))
}
