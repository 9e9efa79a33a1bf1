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
//! * A partial file is the beginning of its blob, whoever it came from: only one process at a time
//!   adds to it, and its bytes are hashed again before anything is added. No saved state of a hash
//!   is believed. Parts that several connections wrote ahead of the beginning are dropped.
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
//! the blob is changed too, and every model that shares it. Making and removing links changes the
//! change time, so for a blob that has ever been linked only inode, size and modification time are
//! compared. Ordinary edits are noticed before the blob is given out again; an edit that keeps the
//! size and restores the modification time is not.
//!
//! Everything in the store is the user's own. Who can run programs as this user can make it lie,
//! and could as well change the installed model or this program.

mod batch;
mod collection;
mod ingest;
mod pass;
mod probe;
mod shelves;
mod stored;
mod target;
mod voucher;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use crate::content_store::collection::{Collected, Usage};
pub use crate::content_store::ingest::Ingest;
pub use crate::content_store::stored::{Held, Link, Materialised, Method, StoredBlob};

use crate::blob::blocking;
use crate::content_store::ingest::{Lock, Part};
use crate::content_store::shelves::Shelves;
use crate::directory::{Directory, Stamp};
use crate::error::Result;
use crate::manifest::Descriptor;

/// How long to wait before looking again whether another download of a blob has ended: at first,
/// and at most.
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// How long another download may add nothing before nobody waits for it any more. A live one gives
/// up by itself before that; while it hashes what it has or brings it to the disk, it adds nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// The content store of a user.
#[derive(Debug, Clone)]
pub struct ContentStore {
    shelves: Arc<Shelves>,
    patience: Duration,
}

/// What the store has of a blob.
#[derive(Debug)]
pub enum Claim {
    /// All of it.
    Stored(StoredBlob),
    /// A beginning, which may be nothing; nobody else downloads it as long as this lives.
    Partial(Ingest),
    /// A beginning that is another task's or process's, which adds nothing to it.
    Stuck,
}

impl ContentStore {
    /// Opens the store at `path`, which is created, for this user alone, if it is not there. One
    /// that another user owns or may write is refused.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            shelves: Arc::new(Shelves::open(path)?),
            patience: PATIENCE,
        })
    }

    /// Sets how long a claim waits for another download that adds nothing.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.shelves.path
    }

    /// Returns the blob, if all of it is there.
    pub async fn find(&self, descriptor: &Descriptor) -> Result<Option<StoredBlob>> {
        let (shelves, wanted) = (Arc::clone(&self.shelves), descriptor.plain());
        blocking(move || StoredBlob::find(&shelves, &wanted)).await
    }

    /// Gives `take` those of `wanted` that are there, with their numbers, on several threads at
    /// once, and returns what it makes of them. Its failure ends it all.
    pub async fn for_each_stored<T, F>(
        &self,
        wanted: Vec<Descriptor>,
        take: F,
    ) -> Result<Vec<(usize, T)>>
    where
        T: Send + 'static,
        F: Fn(usize, Held<'_>) -> Result<Option<T>> + Send + Sync + 'static,
    {
        batch::for_each(Arc::clone(&self.shelves), wanted, take).await
    }

    /// Finds the blob, or takes the right to download it; while another task or process has that
    /// right and gets on with it, waits until it has the blob or gives up.
    ///
    /// A claim holds a file open: claim a blob when it is its turn, not all of them at once.
    pub async fn claim(&self, descriptor: &Descriptor) -> Result<Claim> {
        let mut wait = FIRST_WAIT;
        let mut seen: Option<(Stamp, Instant)> = None;
        loop {
            let shelves = Arc::clone(&self.shelves);
            let wanted = descriptor.plain();
            let now = match blocking(move || attempt(&shelves, wanted)).await? {
                Attempt::Claimed(claim) => return Ok(*claim),
                Attempt::Theirs(now) => now,
            };
            match seen {
                Some((before, _)) if before != now => seen = Some((now, Instant::now())),
                Some((_, since)) if since.elapsed() > self.patience => return Ok(Claim::Stuck),
                Some(_) => {}
                None => seen = Some((now, Instant::now())),
            }
            tokio::time::sleep(wait).await;
            wait = LONGEST_WAIT.min(wait * 2);
        }
    }

    /// Returns how files below `target` can share their bytes with the store: the most that can be
    /// done between the two, and not more than `most`.
    pub async fn link_to(&self, target: &Arc<Directory>, most: Link) -> Result<Link> {
        let (shelves, target) = (Arc::clone(&self.shelves), Arc::clone(target));
        blocking(move || probe::link(&shelves, &target, most)).await
    }

    /// Returns how many bytes of `wanted` must be written to have all of it as files that share
    /// their bytes with the store by `link`.
    pub async fn missing(&self, wanted: Vec<Descriptor>, link: Link) -> Result<u64> {
        let shelves = Arc::clone(&self.shelves);
        blocking(move || collection::missing(&shelves, &wanted, link)).await
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

/// What came of trying to claim a blob.
enum Attempt {
    Claimed(Box<Claim>),
    /// Another has the right; the part looks like this.
    Theirs(Stamp),
}

/// Finds the blob, or locks its part.
fn attempt(shelves: &Arc<Shelves>, wanted: Descriptor) -> Result<Attempt> {
    match StoredBlob::find(shelves, &wanted)? {
        Some(stored) => Ok(Attempt::Claimed(Box::new(Claim::Stored(stored)))),
        None => take(shelves, wanted),
    }
}

/// Locks the part of a blob that was not there a moment ago.
fn take(shelves: &Arc<Shelves>, wanted: Descriptor) -> Result<Attempt> {
    let part = match Part::lock(shelves, &wanted.digest)? {
        Lock::Ours(part) => part,
        Lock::Theirs(stamp) => return Ok(Attempt::Theirs(stamp)),
    };
    // Whoever had the lock may have finished meanwhile.
    let claim = match StoredBlob::find(shelves, &wanted)? {
        Some(stored) => Claim::Stored(stored),
        None => Claim::Partial(Ingest::begin(part, wanted)?),
    };
    Ok(Attempt::Claimed(Box::new(claim)))
}

#[cfg(test)]
mod tests;
