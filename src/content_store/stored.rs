//! A whole blob, and how it becomes a file of a model.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{FlockOperation, flock};

use crate::blob::Check;
use crate::content_store::pass::{self, Waiter, while_waiting};
use crate::content_store::shelves::Shelves;
use crate::content_store::target::Target;
use crate::content_store::voucher;
use crate::directory::{Directory, Stamp};
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::progress::Meter;

/// Whether an installed file may share its bytes with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Never: every byte is read, hashed and written.
    Copy,
    /// Only so that neither can change the other; else it is copied.
    Reflink,
    /// By a reflink if the file system can, else as one file with two names, which must not be
    /// written (0444); else it is copied.
    HardLink,
}

/// How a file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It shares its bytes with the store until one of them is written.
    Reflinked,
    /// It is the store's own file.
    HardLinked,
    /// It has bytes of its own.
    Copied,
}

/// A blob that became a file.
#[derive(Debug)]
pub struct Materialised {
    /// How it was made.
    pub method: Method,
    /// The file, open, not yet brought to the disk unless it is hard-linked.
    pub file: File,
}

/// A whole blob in the store, held open: removing it harms nobody who has this.
#[derive(Debug, Clone)]
pub struct StoredBlob {
    shelves: Arc<Shelves>,
    descriptor: Descriptor,
    file: Arc<File>,
}

impl StoredBlob {
    /// Opens the blob if it is there; what has another size than declared is not it.
    pub(super) fn find(shelves: &Arc<Shelves>, wanted: &Descriptor) -> Result<Option<Self>> {
        let name = wanted.digest.hex();
        let file = match shelves.blobs.open_file(&name) {
            Ok(file) => file,
            Err(error) if error.reason() == Reason::FileNotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stamp = Stamp::of(&file, &shelves.blob_place(&wanted.digest))?;
        if stamp.size != wanted.size {
            return Ok(None);
        }
        hold(&file);
        voucher::touch(shelves, &wanted.digest, wanted.size);
        Ok(Some(Self {
            shelves: Arc::clone(shelves),
            descriptor: wanted.clone(),
            file: Arc::new(file),
        }))
    }

    /// Takes over a file that has just got its name, and whose content is right.
    pub(super) fn complete(
        shelves: Arc<Shelves>,
        descriptor: Descriptor,
        file: &File,
    ) -> Result<Self> {
        let place = shelves.blob_place(&descriptor.digest);
        let file = file
            .try_clone()
            .map_err(|error| Error::io("open", &place, error))?;
        hold(&file);
        let stored = Self {
            shelves,
            descriptor,
            file: Arc::new(file),
        };
        stored.vouch(&stored.stamp()?);
        Ok(stored)
    }

    /// Returns which blob it is.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Makes the file at `path` below `target`, whose directories must be there and which must
    /// not; `meter` counts its bytes.
    ///
    /// If the blob proves to be altered or damaged, it is removed from the store, nothing stands
    /// at `path`, and the error is a [`Reason::DigestMismatch`]: the next claim downloads it anew.
    pub async fn materialise(
        &self,
        target: &Arc<Directory>,
        path: &Path,
        link: Link,
        meter: Box<dyn Meter>,
    ) -> Result<Materialised> {
        let (blob, target, path) = (self.clone(), Arc::clone(target), path.to_owned());
        while_waiting(move |waiter| {
            let target = Target::at(&target, &path)?;
            blob.make(&target, link, &Work { meter, waiter })
        })
        .await
    }

    fn make(&self, target: &Target<'_>, link: Link, work: &Work<'_>) -> Result<Materialised> {
        let before = self.stamp()?;
        let (method, file) = self.begin(target, link)?;
        let done = match method {
            Method::Copied => self.copy(&file, &target.place(), work),
            Method::Reflinked | Method::HardLinked => self.prove(&file, &before, work),
        };
        if let Err(error) = done {
            // This failure is the one to tell.
            let _ = target.remove();
            return Err(error);
        }
        self.vouch(&before);
        Ok(Materialised { method, file })
    }

    /// Makes the file, which is still empty if it has to be copied.
    fn begin(&self, target: &Target<'_>, link: Link) -> Result<(Method, File)> {
        let Shelves { blobs, .. } = &*self.shelves;
        if link != Link::Copy
            && let Some(file) = self.reflink(target)?
        {
            return Ok((Method::Reflinked, file));
        }
        if link == Link::HardLink
            && let Some(file) = target.link(blobs, &self.descriptor.digest.hex(), &self.file)?
        {
            return Ok((Method::HardLinked, file));
        }
        target.create().map(|file| (Method::Copied, file))
    }

    /// Makes the file share the bytes of the blob. If that cannot be, nothing stands there.
    fn reflink(&self, target: &Target<'_>) -> Result<Option<File>> {
        if !self.shelves.reflinks.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let file = target.create()?;
        if reflink(&file, &self.file) {
            return Ok(Some(file));
        }
        self.shelves.reflinks.store(false, Ordering::Relaxed);
        target.remove().map(|()| None)
    }

    /// Hashes `file`, which shares the bytes of the blob as it was when it looked like `before`,
    /// unless somebody vouches for that look.
    fn prove(&self, file: &File, before: &Stamp, work: &Work<'_>) -> Result<()> {
        let unchanged = voucher::same_content(before, &self.stamp()?);
        if unchanged && voucher::covers(&self.shelves, &self.descriptor.digest, before) {
            work.meter.advance(self.descriptor.size);
            return Ok(());
        }
        self.read(file, work, |_| Ok(()))
    }

    fn copy(&self, mut file: &File, place: &Path, work: &Work<'_>) -> Result<()> {
        pass::reserve(file, self.descriptor.size, place)?;
        self.read(&self.file, work, |piece| {
            let written = file.write_all(piece);
            written.map_err(|error| Error::io("write", place, error))
        })
    }

    /// Hashes `file`, whose bytes are the blob's, and gives them to `take`. If they are not what
    /// they should be, the blob is removed.
    fn read(
        &self,
        file: &File,
        work: &Work<'_>,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let place = self.place();
        let mut check = Check::new(&self.descriptor, format!("`{}`", place.display()));
        let read = pass::over(file, &place, work.waiter, |piece| {
            check.update(piece)?;
            work.meter.advance(piece.len() as u64);
            take(piece)
        });
        match read.and_then(|()| check.finish()) {
            Err(error) if is_damage(&error) => {
                let digest = &self.descriptor.digest;
                self.shelves.remove_blob(digest, &self.file)?;
                let message = format!("the stored blob `{}` is damaged", place.display());
                Err(Error::new(Reason::DigestMismatch, message)
                    .hint("it was removed; run the command again to download it")
                    .because(error))
            }
            result => result,
        }
    }

    /// Vouches for the blob, whose content was right when it looked like `proven`, unless somebody
    /// vouches for how it looks now.
    fn vouch(&self, proven: &Stamp) {
        let digest = &self.descriptor.digest;
        let covered = |now: Stamp| voucher::covers(&self.shelves, digest, &now);
        if !self.stamp().is_ok_and(covered) {
            // Without a voucher (a full or read-only disk) the blob is hashed once more next time.
            let _ = voucher::vouch(&self.shelves, digest, &self.file, proven);
        }
    }

    fn stamp(&self) -> Result<Stamp> {
        Stamp::of(&self.file, &self.place())
    }

    fn place(&self) -> PathBuf {
        self.shelves.blob_place(&self.descriptor.digest)
    }
}

/// What making a file tells its progress to, and whom it works for.
struct Work<'a> {
    meter: Box<dyn Meter>,
    waiter: &'a Waiter,
}

/// Whether content is not what its name says.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::DigestMismatch | Reason::SizeMismatch
    )
}

/// Says to [`collect`](crate::content_store::ContentStore::collect) that the blob is in use. Where
/// that cannot be said, the blob may lose its name meanwhile, but not its content.
fn hold(blob: &File) {
    let _ = flock(blob, FlockOperation::NonBlockingLockShared);
}

/// Makes `empty` share the bytes of `blob`, if the file system can.
#[cfg(target_os = "linux")]
fn reflink(empty: &File, blob: &File) -> bool {
    rustix::fs::ioctl_ficlone(empty, blob).is_ok()
}

/// Does nothing: this system makes reflinks in another way.
#[cfg(not(target_os = "linux"))]
fn reflink(_empty: &File, _blob: &File) -> bool {
    false
}
