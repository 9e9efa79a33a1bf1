//! Hashing local files: as many at once as there are cores, and none longer than someone waits.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use tokio::sync::{Semaphore, oneshot};

use crate::buffer::Buffer;
use crate::digest::{Digest, Hasher};
use crate::directory::Stamp;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::progress::Meter;

/// The right to hash, shared by everything that hashes at the same time.
///
/// SHA-256 is bound by the processor, so more threads than cores only take them from the network.
#[derive(Debug)]
pub struct Hashers {
    count: usize,
    permits: Semaphore,
}

impl Default for Hashers {
    /// Returns one hasher for each core.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            count: cores,
            permits: Semaphore::new(cores),
        }
    }
}

impl Hashers {
    /// Returns how many files are hashed at once.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Hashes all of `file`, which has the stamp `before` and must still have it at the end.
    /// `place` names it in errors.
    pub async fn hash(
        &self,
        file: File,
        before: Stamp,
        place: PathBuf,
        meter: Box<dyn Meter>,
    ) -> Result<Digest> {
        let stopped = |_| Error::new(Reason::Internal, "a worker stopped");
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|error| stopped(()).because(error))?;
        let (sender, receiver) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // When nobody waits any more (Ctrl-C), a large file is not hashed to its end.
            let is_awaited = || !sender.is_closed();
            let digest = hash(file, before, &place, meter.as_ref(), is_awaited);
            drop(sender.send(digest));
        });
        receiver.await.map_err(|error| stopped(()).because(error))?
    }
}

fn hash(
    mut file: File,
    before: Stamp,
    place: &Path,
    meter: &dyn Meter,
    is_awaited: impl Fn() -> bool,
) -> Result<Digest> {
    let failed = |error| Error::io("read", place, error);
    file.rewind().map_err(failed)?;
    let mut hasher = Hasher::default();
    let mut piece = Buffer::new(limits::PIECE);
    let mut left = before.size;
    while is_awaited() {
        let count = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        // More than there was: it grows, perhaps for ever.
        left = left
            .checked_sub(count as u64)
            .ok_or_else(|| changed(place))?;
        hasher.update(piece.get(..count).unwrap_or_default());
        meter.advance(count as u64);
    }
    match left == 0 && Stamp::of(&file, place)? == before {
        true => Ok(hasher.finish()),
        false => Err(changed(place)),
    }
}

/// Says that a file is not what it was a moment ago.
pub fn changed(place: &Path) -> Error {
    let message = format!("`{}` changed while it was being read", place.display());
    Error::new(Reason::FileChanged, message)
        .hint("let whatever writes it finish, and run the command again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn file(content: &[u8]) -> (tempfile::NamedTempFile, File, Stamp) {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(content).unwrap();
        let file = File::open(named.path()).unwrap();
        let stamp = Stamp::of(&file, named.path()).unwrap();
        (named, file, stamp)
    }

    /// Does something to the file while it is read.
    struct Meddler<F: Fn()>(F);

    impl<F: Fn() + Send + Sync> Meter for Meddler<F> {
        fn advance(&self, _bytes: u64) {
            self.0();
        }
    }

    #[tokio::test]
    async fn hashes_from_the_start_whatever_was_read_before() {
        let content = vec![7; limits::PIECE * 2 + 3];
        let (named, mut file, stamp) = file(&content);
        file.read_exact(&mut [0; 5]).unwrap();
        let count = Arc::new(AtomicU64::new(0));
        struct Counter(Arc<AtomicU64>);
        impl Meter for Counter {
            fn advance(&self, bytes: u64) {
                self.0.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        let meter = Box::new(Counter(Arc::clone(&count)));
        let place = named.path().to_owned();
        let digest = Hashers::default().hash(file, stamp, place, meter).await;
        assert_eq!(digest.unwrap(), Digest::of(&content));
        assert_eq!(count.load(Ordering::Relaxed), content.len() as u64);
    }

    #[tokio::test]
    async fn notices_every_change_while_it_reads() {
        type Change = fn(&Path);
        let changes: [Change; 4] = [
            |path| std::fs::write(path, "").unwrap(),
            |path| std::fs::write(path, vec![8; limits::PIECE * 2]).unwrap(),
            |path| {
                let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                file.write_all(b"more").unwrap();
            },
            |path| {
                let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_modified(std::time::SystemTime::UNIX_EPOCH)
                    .unwrap();
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let (named, file, stamp) = file(&vec![7; limits::PIECE * 2]);
            let path = named.path().to_owned();
            let meter = Box::new(Meddler(move || change(&path)));
            let place = named.path().to_owned();
            let error = Hashers::default().hash(file, stamp, place, meter).await;
            assert_eq!(error.unwrap_err().reason(), Reason::FileChanged, "{number}");
        }
    }

    #[test]
    fn stops_when_nobody_waits() {
        let (named, file, stamp) = file(&vec![7; limits::PIECE * 8]);
        let read = AtomicU64::new(0);
        let is_awaited = || read.fetch_add(1, Ordering::Relaxed) < 2;
        hash(file, stamp, named.path(), &Silent, is_awaited).unwrap_err();
        assert_eq!(read.load(Ordering::Relaxed), 3);
    }
}
