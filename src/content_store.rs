//! Blobs by digest on the local disk, shared by all pulls of a user: what was fetched once is not
//! fetched again, what broke off goes on where it stopped, and two pulls of one model download it
//! once.
//!
//! ```text
//! blobs/sha256/<hex>    whole blobs (0444), which arrive only by rename from `ingest`
//! ingest/<hex>.part     the beginning of a blob (0600), locked by whoever adds to it
//! stamps/<hex>          what a blob of a MiB or more looked like when its content was last known to
//!                       be right; its modification time is when the blob was last used
//! ```
//!
//! # What can be relied on
//!
//! * A file below `blobs` was whole and right before it got its name. From a MiB on, it was on the
//!   disk too; a smaller one is hashed before each use instead, which takes less time, so that a
//!   loss of power may cost it but cannot make wrong bytes pass.
//! * A partial file is only ever a beginning: it is only added to, by one process at a time, and
//!   its bytes are hashed again before anything is added. No saved state of a hash is believed.
//! * A process may be killed at any moment, and its locks go with it: they are on the open files
//!   themselves, not lock files that could be left behind.
//! * Removing what is in use harms nobody, because whoever uses a blob holds it open; a part is
//!   removed only under its lock. So pulls and [`ContentStore::collect`] need no common lock.
//!
//! # What is trusted, and what that means
//!
//! A copy of a blob is hashed while it is made, always. A reflink or hard link of a blob of a MiB or
//! more is made without reading it, if it looks exactly as it did when its content was last known
//! to be right (inode, size, modification and change time); else it is hashed, and removed if it
//! is not what its name says. This notices every change that goes through the kernel, even one whose
//! author restored the modification time. It does not notice bytes that rot on the disk, or that
//! someone with root's power changed behind the kernel's back: only [`Link::Copy`] does.
//!
//! [`Link::HardLink`] weakens this, and is therefore only for who asks for it: the installed file
//! and the blob are one. The file is not writable (0444), but its owner can change that, and then
//! the blob is changed too. Making and removing links changes the change time, so for a blob that
//! has ever been linked only inode, size and modification time are compared. Ordinary edits are
//! noticed; an edit that keeps the size and restores the modification time is not.
//!
//! Everything in the store is the user's own. Who can run programs as this user can make it lie,
//! and could as well change the installed model or this program.

mod collection;
mod ingest;
mod pass;
mod shelves;
mod stored;
mod target;
mod voucher;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use crate::content_store::collection::{Collected, Usage};
pub use crate::content_store::ingest::Ingest;
pub use crate::content_store::stored::{Link, Materialised, Method, StoredBlob};

use crate::blob::blocking;
use crate::content_store::ingest::Part;
use crate::content_store::shelves::Shelves;
use crate::error::Result;
use crate::manifest::Descriptor;

/// How long to wait before looking again whether another download of a blob has ended: at first,
/// and at most.
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// The content store of a user.
#[derive(Debug, Clone)]
pub struct ContentStore {
    shelves: Arc<Shelves>,
}

/// What the store has of a blob.
#[derive(Debug)]
pub enum Claim {
    /// All of it.
    Stored(StoredBlob),
    /// A beginning, which may be nothing; nobody else downloads it as long as this lives.
    Partial(Ingest),
}

impl ContentStore {
    /// Opens the store at `path`, which is created, for this user alone, if it is not there. One
    /// that another user owns or may write is refused.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            shelves: Arc::new(Shelves::open(path)?),
        })
    }

    /// Finds the blob, or takes the right to download it; while another task or process has that
    /// right, waits until it has the blob or gives up.
    ///
    /// The other process may be stopped, so a caller with a limit to its patience drops the future
    /// and downloads without the store. A claim holds a file open: claim a blob when it is its
    /// turn, not all of them at once.
    pub async fn claim(&self, descriptor: &Descriptor) -> Result<Claim> {
        let mut wait = FIRST_WAIT;
        loop {
            let shelves = Arc::clone(&self.shelves);
            let wanted = descriptor.plain();
            if let Some(claim) = blocking(move || attempt(&shelves, wanted)).await? {
                return Ok(claim);
            }
            tokio::time::sleep(wait).await;
            wait = LONGEST_WAIT.min(wait * 2);
        }
    }

    /// Counts what is in the store.
    pub async fn usage(&self) -> Result<Usage> {
        let shelves = Arc::clone(&self.shelves);
        blocking(move || collection::usage(&shelves)).await
    }

    /// Removes partial files that nobody came back for in a day, and then, of everything that is
    /// not in use, what was not used for longest, until no more than `max_bytes` are left.
    pub async fn collect(&self, max_bytes: u64, now: Timestamp) -> Result<Collected> {
        let shelves = Arc::clone(&self.shelves);
        blocking(move || collection::collect(&shelves, max_bytes, now)).await
    }
}

/// Finds the blob, or locks its part; nothing if another has the lock.
fn attempt(shelves: &Arc<Shelves>, wanted: Descriptor) -> Result<Option<Claim>> {
    match StoredBlob::find(shelves, &wanted)? {
        Some(stored) => Ok(Some(Claim::Stored(stored))),
        None => take(shelves, wanted),
    }
}

/// Locks the part of a blob that was not there a moment ago.
fn take(shelves: &Arc<Shelves>, wanted: Descriptor) -> Result<Option<Claim>> {
    let Some(part) = Part::lock(shelves, &wanted.digest)? else {
        return Ok(None);
    };
    // Whoever had the lock may have finished meanwhile.
    if let Some(stored) = StoredBlob::find(shelves, &wanted)? {
        return Ok(Some(Claim::Stored(stored)));
    }
    Ingest::begin(part, wanted).map(|ingest| Some(Claim::Partial(ingest)))
}

#[cfg(test)]
mod tests;
