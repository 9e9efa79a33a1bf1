//! Downloading a blob into a file: checked in its order, resumed where it broke, and by several
//! connections where one is slow.
//!
//! Whatever way the bytes come, all of them pass one [`Check`] in their order, on the thread that
//! writes them (`writer::Writer`). `front` is what feeds it: a stream from where it is, opened again
//! when it breaks. When that stream is slow, helpers (`lane`) put later segments into the file, which
//! the front then reads from there; who has which is written on a `board`.
//!
//! A connection that breaks costs what it had not brought yet. Content that is wrong says nothing
//! about where, so it costs everything: the file is emptied and fetched once more, whole, and once
//! more for each source that the store can then leave out.

mod board;
mod body;
mod front;
mod lane;
mod tries;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::tries::Retry;

use self::front::{Fetched, Front};
use self::tries::Tries;
use crate::blob::{Check, Proven, blocking};
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::progress::{Meter, Progress};
use crate::reference::Location;
use crate::sink::{Io, Shared, Sink};
use crate::store::Store;
use crate::writer::Writer;

/// Pieces between a helper and the thread that writes for it.
const PIECES_IN_FLIGHT: usize = 2;

/// Where a download begins.
#[derive(Debug)]
pub enum Start {
    /// With the first byte, in an empty file.
    Fresh,
    /// After the bytes that this check has seen, all of which are in the file; the meter has
    /// counted them.
    After(Check),
}

/// When and how other connections help a slow one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Connections that help one download.
    pub helpers: usize,
    /// Connections that help all downloads together.
    pub helpers_in_all: usize,
    /// Bytes a second below which a connection is slow.
    pub slow: u64,
    /// How long a connection is waited for before it is judged.
    pub watch: Duration,
    /// Bytes that must be missing for help to be worth it.
    pub least: u64,
    /// Bytes that a helper fetches at once.
    pub segment: u64,
}

impl Default for Spread {
    /// Returns what suits registries: limits are mostly per connection and far below 300 MB/s, and
    /// above that, one stream keeps one core busy hashing.
    fn default() -> Self {
        Self {
            helpers: 8,
            helpers_in_all: 16,
            slow: 300_000_000,
            watch: Duration::from_millis(250),
            least: 64 << 20,
            segment: 16 << 20,
        }
    }
}

/// All downloads of one run.
pub struct Downloads {
    retry: Retry,
    spread: Spread,
    helpers: Semaphore,
    sinks: Shared,
    progress: Arc<dyn Progress>,
}

impl Downloads {
    /// Returns downloads that are tried again and helped as said; retries are told to `progress`.
    ///
    /// Large files are written as `io` says.
    pub fn new(retry: Retry, spread: Spread, io: Io, progress: Arc<dyn Progress>) -> Self {
        let sinks = Shared {
            io,
            meeting: Arc::default(),
        };
        Self {
            sinks,
            retry,
            spread,
            helpers: Semaphore::new(spread.helpers_in_all),
            progress,
        }
    }

    /// Fetches `blob` into `file`, which must be readable too, and returns when it is complete and
    /// right. `meter` counts the bytes that were hashed.
    ///
    /// Nothing is written beyond the declared size, and nothing after this has returned.
    pub async fn download(
        &self,
        store: &dyn Store,
        blob: &Descriptor,
        file: impl Into<Arc<File>>,
        start: Start,
        meter: Box<dyn Meter>,
    ) -> Result<Proven> {
        let transfer = Transfer::new(self, store, blob, file.into());
        let meter: Arc<dyn Meter> = meter.into();
        let mut check = transfer.check(start)?;
        let mut tries = Tries::new(self.retry, check.seen());
        let mut once_more = true;
        loop {
            let error = match self.attempt(&transfer, check, &mut tries, &meter).await {
                Ok(proven) => return Ok(proven),
                Err(error) if is_mismatch(&error) && !tries.is_over() => error,
                Err(error) => return Err(error),
            };
            if !store.distrust(blob) && !std::mem::take(&mut once_more) {
                return Err(error);
            }
            self.progress
                .note(&format!("will fetch it again from its first byte: {error}"));
            transfer.empty().await?;
            meter.reset();
            check = transfer.check(Start::Fresh)?;
        }
    }

    /// Fetches what `check` has not seen.
    async fn attempt(
        &self,
        transfer: &Transfer<'_>,
        check: Check,
        tries: &mut Tries,
        meter: &Arc<dyn Meter>,
    ) -> Result<Proven> {
        let position = check.seen();
        let file = Arc::clone(&transfer.file);
        let (sinks, meter) = (self.sinks.clone(), Arc::clone(meter));
        let writer = Writer::new(move || Sink::among(file, check, &sinks), meter);
        let mut front = Front::new(transfer, writer, position, tries);
        let fetched = self.fetch(transfer, &mut front).await;
        // Even after a failure: the thread must not write any more when the file is used again.
        let checked = front.finish().await;
        fetched?;
        checked?.finish()
    }

    /// Fetches to the end, with help if it goes slowly and there are helpers left.
    async fn fetch(&self, transfer: &Transfer<'_>, front: &mut Front<'_, '_>) -> Result<()> {
        let remote = matches!(transfer.store.location(), Location::Registry { .. });
        let spread = Some(&self.spread).filter(|_| remote);
        while front.fetch(transfer.blob.size, spread).await? == Fetched::Slowly {
            let helpers = self.free_helpers();
            if !helpers.is_empty() {
                tracing::debug!(blob = %transfer.what, helpers = helpers.len(), "slow");
                let segment = self.spread.segment;
                return lane::help(transfer, front, helpers.len(), segment).await;
            }
        }
        Ok(())
    }

    /// Returns the right to as many helpers as one download may have and are free.
    fn free_helpers(&self) -> Vec<SemaphorePermit<'_>> {
        let free = std::iter::from_fn(|| self.helpers.try_acquire().ok());
        free.take(self.spread.helpers).collect()
    }
}

/// One download: what everything that works on it knows.
struct Transfer<'a> {
    store: &'a dyn Store,
    blob: &'a Descriptor,
    /// The blob's name for people.
    what: String,
    file: Arc<File>,
    retry: Retry,
    progress: &'a dyn Progress,
}

impl<'a> Transfer<'a> {
    fn new(
        downloads: &'a Downloads,
        store: &'a dyn Store,
        blob: &'a Descriptor,
        file: Arc<File>,
    ) -> Self {
        Self {
            store,
            blob,
            what: format!("the blob {}@{}", store.location(), blob.digest),
            file,
            retry: downloads.retry,
            progress: &*downloads.progress,
        }
    }

    /// Returns the check of all of the blob's bytes.
    fn check(&self, start: Start) -> Result<Check> {
        match start {
            Start::Fresh => Ok(Check::new(self.blob, &*self.what)),
            Start::After(check) if check.is_of(self.blob) => Ok(check),
            Start::After(_) => Err(Error::new(
                Reason::Internal,
                format!("{} was begun as something else", self.what),
            )),
        }
    }

    /// Makes the file empty again.
    async fn empty(&self) -> Result<()> {
        let (file, what) = (Arc::clone(&self.file), self.what.clone());
        let work = move || {
            file.set_len(0)
                .map_err(|error| Error::io("write", what, error))
        };
        blocking(work).await
    }
}

fn is_mismatch(error: &Error) -> bool {
    use Reason::{DigestMismatch, SizeMismatch};
    matches!(error.reason(), DigestMismatch | SizeMismatch)
}
