//! Looking through many blobs at once.
//!
//! A model can have thousands of small files, and passing each from thread to thread takes longer
//! than making it. So a few threads take one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::try_join_all;

use crate::content_store::pass::{Waiter, while_waiting};
use crate::content_store::shelves::Shelves;
use crate::content_store::stored::{Held, StoredBlob};
use crate::error::Result;
use crate::manifest::Descriptor;

/// Blobs to be looked for, and what to do with those that are there.
struct Batch<F> {
    shelves: Arc<Shelves>,
    wanted: Vec<Descriptor>,
    /// The number of the next one.
    next: AtomicUsize,
    take: F,
}

/// Gives `take` those of `wanted` that are in the store, with their numbers, and returns what it
/// makes of them.
pub(super) async fn for_each<T, F>(
    shelves: Arc<Shelves>,
    wanted: Vec<Descriptor>,
    take: F,
) -> Result<Vec<(usize, T)>>
where
    T: Send + 'static,
    F: Fn(usize, Held<'_>) -> Result<Option<T>> + Send + Sync + 'static,
{
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(wanted.len());
    let batch = Arc::new(Batch {
        shelves,
        wanted,
        next: AtomicUsize::new(0),
        take,
    });
    let work = (0..threads).map(|_| {
        let batch = Arc::clone(&batch);
        while_waiting(move |waiter| batch.work(waiter))
    });
    Ok(try_join_all(work).await?.into_iter().flatten().collect())
}

impl<F> Batch<F> {
    /// Takes one after the other until there are none left, or nobody waits.
    fn work<T>(&self, waiter: &Waiter) -> Result<Vec<(usize, T)>>
    where
        F: Fn(usize, Held<'_>) -> Result<Option<T>>,
    {
        let mut taken = Vec::new();
        while waiter.is_waiting() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(wanted) = self.wanted.get(number) else {
                break;
            };
            // What cannot be had here is claimed later, and then it shows why.
            let Ok(Some(stored)) = StoredBlob::find(&self.shelves, wanted) else {
                continue;
            };
            if let Some(made) = (self.take)(number, stored.held(waiter))? {
                taken.push((number, made));
            }
        }
        Ok(taken)
    }
}
