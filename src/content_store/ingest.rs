//! A blob on its way into the store.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::blob::{Blob, ByteStream, Check, blocking};
use crate::content_store::pass::{self, Waiter, while_waiting};
use crate::content_store::shelves::{Shelves, is_named, part_name};
use crate::content_store::stored::{StoredBlob, is_damage};
use crate::content_store::voucher;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::private_directory;
use crate::progress::{Meter, Silent};

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
        let mut have = part.len()?;
        if have > descriptor.size {
            part.truncate(0)?;
            have = 0;
        }
        Ok(Self {
            part,
            descriptor,
            have,
            check: None,
        })
    }

    /// Returns how many bytes an earlier run left. If these are all, nothing is missing but the
    /// check: [`receive`](Self::receive) needs an empty body then.
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

    /// Throws away the bytes that are there.
    pub async fn restart(&mut self) -> Result<()> {
        let part = self.part.clone();
        blocking(move || part.truncate(0)).await?;
        self.have = 0;
        self.check = None;
        Ok(())
    }

    /// Adds `rest`, which begins where what is there ends, and stores the blob if the whole is
    /// right; `meter` counts the bytes of `rest`.
    ///
    /// If the transfer breaks off, what came is kept for the next run, and the next claim goes on
    /// from there. If all bytes are there and they are wrong, they are removed: the next claim
    /// starts from nothing.
    pub async fn receive(mut self, rest: ByteStream, meter: Box<dyn Meter>) -> Result<StoredBlob> {
        let check = match self.check.take() {
            Some(check) => check,
            None => self.hash_beginning(Box::new(Silent)).await?,
        };
        let Self {
            part, descriptor, ..
        } = self;
        let (writer, size) = (part.clone(), descriptor.size);
        let file = blocking(move || writer.writer(size)).await?;
        let received = Blob::continued(check, rest).into_file(file, meter).await;
        blocking(move || match received {
            Ok(_) => part.commit(descriptor),
            Err(error) => {
                // The transfer's error is the one to tell.
                let _ = part.settle(size, &error);
                Err(error)
            }
        })
        .await
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

/// The file that holds the beginning of a blob, locked. Clones share the lock, which ends with the
/// last of them: when a future is dropped, the thread that writes for it keeps others away until
/// it is done.
#[derive(Debug, Clone)]
pub(super) struct Part(Arc<LockedFile>);

#[derive(Debug)]
struct LockedFile {
    shelves: Arc<Shelves>,
    digest: Digest,
    file: File,
}

impl Part {
    /// Opens and locks the part of a blob, which is created if it is not there; nothing if someone
    /// else has it.
    pub(super) fn lock(shelves: &Arc<Shelves>, digest: &Digest) -> Result<Option<Self>> {
        let name = part_name(digest);
        loop {
            // Whatever happens, bytes are only added.
            let flags = OFlags::RDWR | OFlags::APPEND;
            let file = private_directory::file(&shelves.ingest, &name, flags)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => {
                    let place = shelves.ingest.path().join(&name);
                    return Err(Error::io("lock", place, error.into())
                        .hint("keep the store on a local disk, or do without it"));
                }
            }
            // Whoever had the lock may have given the file its final name, or removed it.
            if is_named(&shelves.ingest, &name, &file)? {
                return Ok(Some(Self(Arc::new(LockedFile {
                    shelves: Arc::clone(shelves),
                    digest: *digest,
                    file,
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
        pass::over(&self.0.file, &self.place(), waiter, |piece| {
            check.update(piece)?;
            meter.advance(piece.len() as u64);
            Ok(())
        })?;
        Ok(check)
    }

    /// Returns a handle that adds to what is there, with room for `size` bytes in all.
    fn writer(&self, size: u64) -> Result<File> {
        let file = &self.0.file;
        pass::reserve(file, size, &self.place())?;
        let writer = file.try_clone();
        writer.map_err(|error| Error::io("open", self.place(), error))
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
    /// that it is wrong. Gives back the room set aside for the rest.
    fn settle(&self, size: u64, error: &Error) -> Result<()> {
        let len = self.len()?;
        if len >= size && is_damage(error) {
            return self.remove();
        }
        self.truncate(len)?;
        match voucher::is_small(len) {
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
