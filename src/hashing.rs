//! Hashing local files: as many at once as there are cores, and none longer than someone waits.

mod worker;

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::oneshot;

use self::worker::{Job, Queue};
use crate::digest::Digest;
use crate::directory::Stamp;
use crate::error::{Error, Reason, Result};
use crate::progress::Meter;

/// The right to hash, shared by everything that hashes at the same time.
///
/// SHA-256 is bound by the processor, so more threads than cores only take them from the network.
pub struct Hashers {
    threads: usize,
    queue: Arc<Queue>,
}

impl Default for Hashers {
    /// Returns hashers with a thread for each core.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            queue: Arc::default(),
        }
    }
}

impl Hashers {
    /// Returns how many files are hashed at once.
    pub fn count(&self) -> usize {
        self.threads * worker::lanes()
    }

    /// Hashes all of `file`, which has the stamp `before` and must still have it at the end.
    /// `place` names it in errors.
    pub async fn hash(
        &self,
        mut file: File,
        before: Stamp,
        place: PathBuf,
        meter: Box<dyn Meter>,
    ) -> Result<Digest> {
        file.rewind()
            .map_err(|error| Error::io("read", &place, error))?;
        let (done, digest) = oneshot::channel();
        let job = Job {
            file,
            before,
            place,
            meter,
            done,
        };
        if let Some(worker) = self.queue.add(job, self.threads) {
            tokio::task::spawn_blocking(move || worker.run());
        }
        digest.await.map_err(|error| {
            let message = "a worker stopped";
            Error::new(Reason::Internal, message).because(error)
        })?
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
    use crate::limits;
    use std::io::{Read, Write};
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
}
