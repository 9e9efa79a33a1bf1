//! A whole blob, and how it becomes a file of a model.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::blob::{Check, Proven};
use crate::content_store::pass::{self, Waiter, while_waiting};
use crate::content_store::probe;
use crate::content_store::shelves::Shelves;
use crate::content_store::target::Target;
use crate::content_store::voucher;
use crate::directory::{Directory, Stamp};
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::progress::Meter;
use crate::sink::Sink;

/// How an installed file may share its bytes with the store, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// Not at all: every byte is read, hashed and written.
    Copy,
    /// So that neither can change the other; else it is copied.
    Reflink,
    /// As one file with two names, which must not be written (0444), if it has a MiB or more;
    /// else, as what people edit is small, it is copied.
    HardLink,
}

impl Link {
    /// Whether a file of `size` bytes shares them with the store, if that can be.
    pub(super) fn shares(self, size: u64) -> bool {
        match self {
            Self::Copy => false,
            Self::Reflink => true,
            Self::HardLink => !voucher::is_small(size),
        }
    }
}

/// How a file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It shares its bytes with the store until it is written to.
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
    pub file: Arc<File>,
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
        file: &Arc<File>,
    ) -> Result<Self> {
        hold(file);
        let stored = Self {
            shelves,
            descriptor,
            file: Arc::clone(file),
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
        while_waiting(move |waiter| blob.held(waiter).materialise(&target, &path, link, meter))
            .await
    }

    /// Returns this for work on a thread of its own.
    pub(super) fn held<'a>(&'a self, waiter: &'a Waiter) -> Held<'a> {
        Held { blob: self, waiter }
    }

    fn make(&self, target: &Target<'_>, link: Link, work: &Work<'_>) -> Result<Materialised> {
        let before = self.stamp()?;
        let (method, file) = self.begin(target, link)?;
        let file = Arc::new(file);
        let done = match method {
            Method::Copied => self.copy(&file, work),
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
        if link == Link::HardLink
            && link.shares(self.descriptor.size)
            && let Some(file) = self.hard_link(target)?
        {
            return Ok((Method::HardLinked, file));
        }
        let file = target.create()?;
        Ok(
            match link == Link::Reflink && probe::reflink(&file, &self.file) {
                true => (Method::Reflinked, file),
                false => (Method::Copied, file),
            },
        )
    }

    fn hard_link(&self, target: &Target<'_>) -> Result<Option<File>> {
        let (shelves, digest) = (&*self.shelves, &self.descriptor.digest);
        // Without it the blob is hashed once more than needed.
        let _ = voucher::expect_links(shelves, digest, &self.stamp()?);
        target.link(&shelves.blobs, &digest.hex(), &self.file)
    }

    /// Hashes `file`, which shares the bytes of the blob as it was when it looked like `before`,
    /// unless somebody vouches for that look.
    fn prove(&self, file: &File, before: &Stamp, work: &Work<'_>) -> Result<()> {
        let unchanged = before.same_but_for_links(&self.stamp()?);
        if unchanged && voucher::covers(&self.shelves, &self.descriptor.digest, before) {
            work.meter.advance(self.descriptor.size);
            return Ok(());
        }
        let mut check = self.check();
        let read = self.read(file, work, |piece| check.update(piece));
        self.judge(read.and_then(|()| check.finish()))
    }

    fn copy(&self, file: &Arc<File>, work: &Work<'_>) -> Result<()> {
        let mut sink = Sink::new(Arc::clone(file), self.check())?;
        let read = self.read(&self.file, work, |piece| sink.take(piece));
        let copied = read
            .and_then(|()| sink.into_check())
            .and_then(Check::finish);
        self.judge(copied)
    }

    fn check(&self) -> Check {
        Check::new(&self.descriptor, format!("`{}`", self.place().display()))
    }

    /// Gives the bytes of `file`, which are the blob's, to `take`.
    fn read(
        &self,
        file: &File,
        work: &Work<'_>,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        pass::over(
            file,
            self.descriptor.size,
            &self.place(),
            work.waiter,
            |piece| {
                work.meter.advance(piece.len() as u64);
                take(piece)
            },
        )
    }

    /// Removes the blob if it was found not to be what it should be.
    fn judge(&self, proven: Result<Proven>) -> Result<()> {
        match proven {
            Err(error) if is_damage(&error) => {
                self.shelves
                    .remove_blob(&self.descriptor.digest, &self.file)?;
                let place = self.place();
                let message = format!("the stored blob `{}` is damaged", place.display());
                Err(Error::new(Reason::DigestMismatch, message)
                    .hint("it was removed; run the command again to download it")
                    .because(error))
            }
            proven => proven.map(drop),
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

/// A whole blob in the store, on a thread that may block.
#[derive(Debug)]
pub struct Held<'a> {
    blob: &'a StoredBlob,
    waiter: &'a Waiter,
}

impl Held<'_> {
    /// Does what [`StoredBlob::materialise`] does.
    pub fn materialise(
        &self,
        target: &Directory,
        path: &Path,
        link: Link,
        meter: Box<dyn Meter>,
    ) -> Result<Materialised> {
        let target = Target::at(target, path)?;
        let waiter = self.waiter;
        self.blob.make(&target, link, &Work { meter, waiter })
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
