//! The threads that hash: each reads two files in turn, where the processor hashes two at once.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::changed;
use crate::buffer::Buffer;
use crate::digest::{Digest, Hasher};
use crate::directory::Stamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::progress::Meter;
use crate::sha256;

/// A file to be hashed, and who wants to know.
pub(super) struct Job {
    pub(super) file: File,
    /// What the file must be at the end too.
    pub(super) before: Stamp,
    pub(super) place: PathBuf,
    pub(super) meter: Box<dyn Meter>,
    pub(super) done: oneshot::Sender<Result<Digest>>,
}

/// Files that wait, and how many threads there are for them.
#[derive(Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    workers: usize,
    /// Files that the workers are reading.
    busy: usize,
}

/// Returns how many files one thread reads in turn.
pub(super) fn lanes() -> usize {
    match sha256::pairs() {
        true => 2,
        false => 1,
    }
}

impl Queue {
    /// Adds a file, and returns a worker to be run on a thread if there are fewer than `most` and
    /// those do not suffice: a second file costs one thread little, another thread a whole core.
    pub(super) fn add(self: &Arc<Self>, job: Job, most: usize) -> Option<Worker> {
        let mut state = self.state();
        state.jobs.push_back(job);
        let free = (state.workers * lanes()).saturating_sub(state.busy);
        if state.jobs.len() <= free || state.workers >= most {
            return None;
        }
        state.workers += 1;
        Some(Worker {
            queue: Arc::clone(self),
            lanes: Vec::new(),
            is_done: false,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is counted there is right after every statement, so a panic elsewhere is no matter.
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One thread's work.
pub(super) struct Worker {
    queue: Arc<Queue>,
    lanes: Vec<Lane>,
    /// Whether it is counted no more.
    is_done: bool,
}

impl Worker {
    /// Hashes files until there are no more.
    pub(super) fn run(mut self) {
        while self.fill() {
            self.step();
        }
    }

    /// Takes files that wait; `false` means that there is nothing to do, and that the next file
    /// needs another worker.
    fn fill(&mut self) -> bool {
        let mut state = self.queue.state();
        while self.lanes.len() < lanes() {
            let Some(job) = state.jobs.pop_front() else {
                break;
            };
            state.busy += 1;
            self.lanes.push(Lane::new(job));
        }
        if self.lanes.is_empty() {
            // In the same moment in which there was none: a file that is added later must not wait
            // for a worker that is about to go.
            state.workers -= 1;
            self.is_done = true;
        }
        !self.is_done
    }

    /// Hashes the next piece of each file, and gives up those that are done.
    fn step(&mut self) {
        for lane in &mut self.lanes {
            lane.read();
        }
        if let [a, b] = &mut self.lanes[..] {
            let ((a, x), (b, y)) = (a.piece(), b.piece());
            Hasher::update_both(a, x, b, y);
        } else {
            for (hasher, piece) in self.lanes.iter_mut().map(Lane::piece) {
                hasher.update(piece);
            }
        }
        let ended = self.lanes.extract_if(.., |lane| lane.count == 0);
        let ended: Vec<_> = ended.collect();
        self.queue.state().busy -= ended.len();
        ended.into_iter().for_each(Lane::end);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // It panicked, or was never run.
        let mut state = self.queue.state();
        state.workers -= 1;
        state.busy -= self.lanes.len();
        if state.workers == 0 {
            // Nobody shall wait for ever.
            state.jobs.clear();
        }
    }
}

/// A file that is being hashed.
struct Lane {
    job: Job,
    hasher: Hasher,
    buffer: Buffer,
    /// How much of the buffer is the next piece; none means that the end came.
    count: usize,
    /// Bytes that there are still to be.
    left: u64,
    failure: Option<Error>,
}

impl Lane {
    fn new(job: Job) -> Self {
        // Small files need no large buffer, but one byte more than they have.
        let size = usize::try_from(job.before.size).unwrap_or(limits::PIECE);
        Self {
            left: job.before.size,
            buffer: Buffer::new(size.saturating_add(1).min(limits::PIECE)),
            job,
            hasher: Hasher::default(),
            count: 0,
            failure: None,
        }
    }

    /// Reads the next piece.
    fn read(&mut self) {
        self.count = match self.next() {
            Ok(count) => count,
            Err(error) => {
                self.failure = Some(error);
                0
            }
        };
    }

    fn next(&mut self) -> Result<usize> {
        // When nobody waits any more (Ctrl-C), a large file is not hashed to its end.
        if self.job.done.is_closed() {
            return Ok(0);
        }
        let count = self.buffer.read_from(&mut self.job.file);
        let count = count.map_err(|error| Error::io("read", &self.job.place, error))?;
        // More than there was: it grows, perhaps for ever.
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| changed(&self.job.place))?;
        self.job.meter.advance(count as u64);
        Ok(count)
    }

    /// Returns what hashes this file, and the next piece to be hashed.
    fn piece(&mut self) -> (&mut Hasher, &[u8]) {
        let piece = self.buffer.get(..self.count).unwrap_or_default();
        (&mut self.hasher, piece)
    }

    /// Tells the digest, if the file is still what it was.
    fn end(self) {
        let Job {
            file,
            before,
            place,
            done,
            ..
        } = self.job;
        let digest = match self.failure {
            Some(error) => Err(error),
            None => match Stamp::of(&file, &place) {
                Ok(stamp) if self.left == 0 && stamp == before => Ok(self.hasher.finish()),
                Ok(_) => Err(changed(&place)),
                Err(error) => Err(error),
            },
        };
        drop(done.send(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::io::Write;

    fn job(content: &[u8]) -> (Job, oneshot::Receiver<Result<Digest>>) {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(content).unwrap();
        let file = named.reopen().unwrap();
        let (done, receiver) = oneshot::channel();
        // The name goes away before the stamp is taken, as that changes with it.
        let place = named.into_temp_path().to_path_buf();
        let job = Job {
            before: Stamp::of(&file, &place).unwrap(),
            file,
            place,
            meter: Box::new(Silent),
            done,
        };
        (job, receiver)
    }

    #[test]
    fn one_worker_hashes_files_of_all_sizes_two_at_a_time() {
        let queue = Arc::new(Queue::default());
        let sizes = [0, 1, limits::PIECE, 3 * limits::PIECE + 7, 64, 200_000];
        let contents: Vec<_> = (0..).zip(sizes).map(|(n, size)| vec![n; size]).collect();
        let (mut workers, mut waiting) = (Vec::new(), Vec::new());
        for content in &contents {
            let (job, receiver) = job(content);
            workers.extend(queue.add(job, 1));
            waiting.push(receiver);
        }
        assert_eq!(workers.len(), 1, "no more than allowed");
        workers.pop().unwrap().run();
        for (content, mut digest) in contents.iter().zip(waiting) {
            let digest = digest.try_recv().unwrap().unwrap();
            assert_eq!(digest, Digest::of(content), "{}", content.len());
        }
        let state = queue.state();
        assert_eq!((state.workers, state.busy), (0, 0));
    }

    #[test]
    fn another_thread_is_used_when_all_lanes_are_taken() {
        let queue = Arc::new(Queue::default());
        let added: Vec<_> = (0..=lanes()).map(|_| queue.add(job(b"x").0, 9)).collect();
        let threads: Vec<_> = added.iter().map(Option::is_some).collect();
        assert!(threads[0] && threads[lanes()]);
        assert_eq!(threads.iter().filter(|spawned| **spawned).count(), 2);
    }

    #[test]
    fn a_file_that_nobody_waits_for_is_given_up_and_the_other_goes_on() {
        let queue = Arc::new(Queue::default());
        let (gone, receiver) = job(&vec![1; 8 * limits::PIECE]);
        drop(receiver);
        let content = vec![2; 2 * limits::PIECE];
        let (wanted, mut digest) = job(&content);
        let mut worker = queue.add(gone, 1).unwrap();
        assert!(queue.add(wanted, 1).is_none());
        worker.fill();
        worker.step();
        let read: Vec<_> = worker.lanes.iter().map(|lane| lane.count).collect();
        assert!(read.iter().all(|count| *count > 0), "the first one ended");
        worker.run();
        assert_eq!(digest.try_recv().unwrap().unwrap(), Digest::of(&content));
    }

    #[test]
    fn a_file_that_comes_when_a_worker_is_about_to_go_gets_another() {
        let queue = Arc::new(Queue::default());
        let mut leaving = queue.add(job(b"a").0, 1).unwrap();
        while leaving.fill() {
            leaving.step();
        }
        let (late, mut digest) = job(b"b");
        let another = queue.add(late, 1).unwrap();
        drop(leaving);
        another.run();
        assert_eq!(digest.try_recv().unwrap().unwrap(), Digest::of(b"b"));
    }

    #[test]
    fn a_worker_that_dies_leaves_nobody_waiting() {
        let queue = Arc::new(Queue::default());
        let (first, mut lost) = job(b"a");
        let worker = queue.add(first, 1).unwrap();
        drop(worker);
        lost.try_recv().unwrap_err();
        let (second, mut digest) = job(b"b");
        queue.add(second, 1).unwrap().run();
        assert_eq!(digest.try_recv().unwrap().unwrap(), Digest::of(b"b"));
    }
}
