//! The one thread of a download that hashes and writes.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

use super::PIECES_IN_FLIGHT;
use crate::blob::{Check, join};
use crate::error::{Error, Reason, Result};
use crate::progress::Meter;
use crate::sink;

/// Takes a blob's bytes in their order, checks and writes them.
pub(super) struct Sink {
    sender: Sender<Work>,
    worker: Option<JoinHandle<Result<Check>>>,
}

/// What comes next.
enum Work {
    /// These bytes, which are to be written too.
    Write(Bytes),
    /// So many bytes that are in the file already.
    Reread(u64),
}

impl Sink {
    /// Returns a sink that goes on where `check` is; `meter` counts what it took.
    pub(super) fn new(
        file: Arc<File>,
        check: Check,
        meter: Arc<dyn Meter>,
        shared: sink::Shared,
    ) -> Self {
        let (sender, work) = mpsc::channel(PIECES_IN_FLIGHT);
        let worker = tokio::task::spawn_blocking(move || {
            let sink = sink::Sink::among(file, check, &shared)?;
            Writer { sink, meter }.work(work)
        });
        Self {
            sender,
            worker: Some(worker),
        }
    }

    /// Takes the next bytes.
    pub(super) async fn send(&mut self, bytes: Bytes) -> Result<()> {
        self.give(Work::Write(bytes)).await
    }

    /// Takes the next bytes from the file, where somebody else has put them.
    pub(super) async fn reread(&mut self, range: Range<u64>) -> Result<()> {
        let length = range.end.saturating_sub(range.start);
        self.give(Work::Reread(length)).await
    }

    async fn give(&mut self, work: Work) -> Result<()> {
        match self.sender.send(work).await {
            Ok(()) => Ok(()),
            // A closed channel means that the writer failed; its error is the one to tell.
            Err(_) => ended(self.worker.take()).await.and(Err(stopped())),
        }
    }

    /// Returns the check of everything that was taken, once the last of it is written.
    pub(super) async fn finish(self) -> Result<Check> {
        drop(self.sender);
        ended(self.worker).await
    }
}

async fn ended(worker: Option<JoinHandle<Result<Check>>>) -> Result<Check> {
    match worker {
        Some(worker) => join(worker).await,
        None => Err(stopped()),
    }
}

fn stopped() -> Error {
    Error::new(Reason::Internal, "a writer stopped")
}

/// What runs on the thread.
struct Writer {
    sink: sink::Sink,
    meter: Arc<dyn Meter>,
}

impl Writer {
    fn work(mut self, mut work: Receiver<Work>) -> Result<Check> {
        while let Some(next) = work.blocking_recv() {
            match next {
                Work::Write(bytes) => {
                    self.sink.take(&bytes)?;
                    self.meter.advance(bytes.len() as u64);
                }
                Work::Reread(length) => self.sink.reread(length, |n| self.meter.advance(n))?,
            }
        }
        self.sink.into_check()
    }
}
