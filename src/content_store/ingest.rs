//! A blob on its way into the store.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags, SeekFrom, flock, seek};
use rustix::io::Errno;

use crate::blob::{Check, Proven, blocking};
use crate::content_store::pass::{self, Waiter, while_waiting};
use crate::content_store::shelves::{Shelves, is_named, part_name};
use crate::content_store::stored::{StoredBlob, is_damage};
use crate::content_store::voucher;
use crate::digest::Digest;
use crate::directory::Stamp;
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::private_directory;
use crate::progress::{Meter, Silent};

/// The size of the largest pages in use, which is the grain in which file systems know holes.
const GRAIN: u64 = 64 << 10;

/// A blob of which a beginning is there, which may be nothing. Nobody else adds to it as long as
/// this lives; what is there stays when this is dropped.
#[derive(Debug)]
pub struct Ingest {
    part: Part,
    descriptor: Descriptor,
    have: u64,
    /// Has seen the beginning, if that was hashed already.
    check: Option<Check>,
}

impl Ingest {
    /// Takes up what is in `part`; what is longer than declared is no beginning of this blob.
    pub(super) fn begin(part: Part, descriptor: Descriptor) -> Result<Self> {
        let len = part.len()?;
        let have = match len > descriptor.size {
            true => 0,
            false => beginning(&part.0.file, len, &part.place())?,
        };
        if have < len {
            part.truncate(have)?;
        }
        Ok(Self {
            part,
            descriptor,
            have,
            check: None,
        })
    }

    /// Returns how many bytes an earlier run left; these may be all.
    pub fn have(&self) -> u64 {
        self.have
    }

    /// Hashes the bytes that are there, which nothing is known about; to be done before the rest
    /// is asked for, so that no server waits meanwhile. `meter` counts them.
    pub async fn resume(&mut self, meter: Box<dyn Meter>) -> Result<()> {
        if self.check.is_none() {
            self.check = Some(self.hash_beginning(meter).await?);
        }
        Ok(())
    }

    /// Stores the blob once `fetch` has brought the rest: it gets the file, and the check that has
    /// seen what is there, and must end with the whole in the file, proven right.
    ///
    /// If it fails, or is dropped, the beginning of what came is kept, and the next claim goes on
    /// from there. If all bytes are there and they are wrong, they are removed: the next claim
    /// starts from nothing.
    pub async fn receive<F, T>(mut self, fetch: F) -> Result<StoredBlob>
    where
        F: FnOnce(Arc<File>, Check) -> T,
        T: Future<Output = Result<Proven>>,
    {
        let check = match self.check.take() {
            Some(check) => check,
            None => self.hash_beginning(Box::new(Silent)).await?,
        };
        let fetched = fetch(Arc::clone(&self.part.0.file), check).await;
        blocking(move || self.end(fetched)).await
    }

    fn end(self, fetched: Result<Proven>) -> Result<StoredBlob> {
        match fetched {
            Ok(proven) if proven.is_of(&self.descriptor) => self.part.commit(self.descriptor),
            Ok(_) => {
                let message = format!("something else was fetched for {}", self.descriptor.digest);
                Err(Error::new(Reason::Internal, message))
            }
            Err(error) => {
                // The transfer's error is the one to tell.
                let _ = self.part.settle(self.descriptor.size, &error);
                Err(error)
            }
        }
    }

    async fn hash_beginning(&self, meter: Box<dyn Meter>) -> Result<Check> {
        let what = format!("the blob {}", self.descriptor.digest);
        let check = Check::new(&self.descriptor, what);
        if self.have == 0 {
            return Ok(check);
        }
        let part = self.part.clone();
        while_waiting(move |waiter| part.hash(check, meter.as_ref(), waiter)).await
    }
}

/// Returns how many of the `len` bytes of `file` were written one after the other.
///
/// Where several connections brought a blob, later parts of it may be there and earlier ones not.
/// What was not written is a hole, so the file itself says where the beginning ends, to the page:
/// a page before a hole may have been written in part. Where a file system does not know holes,
/// they read as zeros, and the digest says so in the end.
fn beginning(file: &File, len: u64, place: &Path) -> Result<u64> {
    let hole = match seek(file, SeekFrom::Hole(0)) {
        Ok(hole) => hole,
        // The file is empty, or the file system cannot tell.
        Err(Errno::NXIO | Errno::INVAL | Errno::NOTSUP) => len,
        Err(error) => return Err(Error::io("examine", place, error.into())),
    };
    Ok(match hole < len {
        true => hole.saturating_sub(GRAIN) / GRAIN * GRAIN,
        false => len,
    })
}

/// The file that holds the beginning of a blob, locked. The lock is on the open file, so it ends
/// with the last handle: when a future is dropped, the thread that writes for it keeps others away
/// until it is done.
#[derive(Debug, Clone)]
pub(super) struct Part(Arc<LockedFile>);

#[derive(Debug)]
struct LockedFile {
    shelves: Arc<Shelves>,
    digest: Digest,
    file: Arc<File>,
}

/// Whose a part is.
#[derive(Debug)]
pub(super) enum Lock {
    /// Ours.
    Ours(Part),
    /// Someone else's; it looks like this now.
    Theirs(Stamp),
}

impl Part {
    /// Opens and locks the part of a blob, which is created if it is not there.
    pub(super) fn lock(shelves: &Arc<Shelves>, digest: &Digest) -> Result<Lock> {
        let name = part_name(digest);
        loop {
            let file = private_directory::file(&shelves.ingest, &name, OFlags::RDWR)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let place = shelves.ingest.path().join(&name);
                    return Stamp::of(&file, &place).map(Lock::Theirs);
                }
                Err(Errno::INTR) => continue,
                Err(error) => {
                    let place = shelves.ingest.path().join(&name);
                    return Err(Error::io("lock", place, error.into())
                        .hint("keep the store on a local disk, or do without it"));
                }
            }
            // Whoever had the lock may have given the file its final name, or removed it.
            if is_named(&shelves.ingest, &name, &file)? {
                return Ok(Lock::Ours(Self(Arc::new(LockedFile {
                    shelves: Arc::clone(shelves),
                    digest: *digest,
                    file: Arc::new(file),
                }))));
            }
        }
    }

    fn place(&self) -> PathBuf {
        self.0.shelves.ingest.path().join(part_name(&self.0.digest))
    }

    fn len(&self) -> Result<u64> {
        let metadata = self.0.file.metadata();
        let metadata = metadata.map_err(|error| Error::io("examine", self.place(), error))?;
        Ok(metadata.len())
    }

    fn truncate(&self, size: u64) -> Result<()> {
        let truncated = self.0.file.set_len(size);
        truncated.map_err(|error| Error::io("write", self.place(), error))
    }

    /// Hashes what is there into `check`.
    fn hash(&self, mut check: Check, meter: &dyn Meter, waiter: &Waiter) -> Result<Check> {
        pass::over(&self.0.file, check.left(), &self.place(), waiter, |piece| {
            check.update(piece)?;
            meter.advance(piece.len() as u64);
            Ok(())
        })?;
        Ok(check)
    }

    /// Gives the file, whose content is right, its final name. Being killed in between costs one
    /// more hashing.
    fn commit(self, descriptor: Descriptor) -> Result<StoredBlob> {
        let LockedFile {
            shelves,
            digest,
            file,
        } = &*self.0;
        // First the content comes to the disk, then the name; see `voucher` for small blobs.
        let durable = !voucher::is_small(descriptor.size);
        if durable {
            self.sync()?;
        }
        let (part, blob) = (part_name(digest), digest.hex());
        rustix::fs::renameat(&shelves.ingest, part, &shelves.blobs, blob)
            .map_err(|error| Error::io("put in place", self.place(), error.into()))?;
        if durable {
            shelves.blobs.sync()?;
        }
        StoredBlob::complete(Arc::clone(shelves), descriptor, file)
    }

    /// Brings what is there to the disk, or removes it: the kernel forgets what it could not write,
    /// and the next sync would not say so.
    fn sync(&self) -> Result<()> {
        self.0.file.sync_all().map_err(|error| {
            let _ = self.remove();
            Error::io("write", self.place(), error)
        })
    }

    /// Keeps what is there for the next run, unless it is all that was declared and `error` says
    /// that it is wrong. Truncating also gives back the room that was set aside for the rest.
    fn settle(&self, size: u64, error: &Error) -> Result<()> {
        let len = self.len()?;
        if len >= size && is_damage(error) {
            return self.remove();
        }
        let kept = beginning(&self.0.file, len, &self.place())?;
        self.truncate(kept)?;
        match voucher::is_small(kept) {
            true => Ok(()),
            false => self.sync(),
        }
    }

    fn remove(&self) -> Result<()> {
        self.0.remove()
    }
}

impl LockedFile {
    fn remove(&self) -> Result<()> {
        let name = part_name(&self.digest);
        match is_named(&self.shelves.ingest, &name, &self.file)? {
            true => self.shelves.ingest.remove(&name),
            false => Ok(()),
        }
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // A claim that received nothing leaves nothing.
        if self.file.metadata().is_ok_and(|status| status.len() == 0) {
            let _ = self.remove();
        }
    }
}
