//! The one thread of a transfer that hashes and writes, while others wait for the network.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

use crate::blob::{ByteStream, Check, join};
use crate::error::{Error, Reason, Result};
use crate::progress::Meter;
use crate::sink::Sink;

/// Pieces between the network and the thread: enough to overlap, few enough to stay flat.
const PIECES_IN_FLIGHT: usize = 2;

/// How long the network may bring nothing before what was gathered is written.
const IDLE: Duration = Duration::from_millis(50);

/// Takes content in its order, checks it and writes it into a file.
///
/// What the meter was told of is in the file: whoever is killed, or gives up, finds it there.
pub(crate) struct Writer {
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

impl Writer {
    /// Returns a writer into the sink that `open` opens on its thread; `meter` counts what is in the
    /// file.
    pub(crate) fn new(
        open: impl FnOnce() -> Result<Sink> + Send + 'static,
        meter: Arc<dyn Meter>,
    ) -> Self {
        let (sender, work) = mpsc::channel(PIECES_IN_FLIGHT);
        let runtime = Handle::current();
        let worker = tokio::task::spawn_blocking(move || {
            let sink = open()?;
            let thread = Thread {
                told: sink.written(),
                sink,
                meter,
                runtime,
            };
            thread.work(work)
        });
        Self {
            sender,
            worker: Some(worker),
        }
    }

    /// Takes everything that `body` brings.
    pub(crate) async fn pour(&mut self, body: &mut ByteStream) -> Result<()> {
        loop {
            // A closed channel means that the thread failed; its error is the one to tell, and a
            // peer that sends nothing must not delay it.
            let piece = tokio::select! {
                piece = body.next() => piece,
                () = self.sender.closed() => return Err(self.failure().await),
            };
            match piece {
                Some(piece) => self.send(piece?).await?,
                None => return Ok(()),
            }
        }
    }

    /// Takes the next bytes.
    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<()> {
        self.give(Work::Write(bytes)).await
    }

    /// Takes the next `length` bytes from the file, where somebody else has put them.
    pub(crate) async fn reread(&mut self, length: u64) -> Result<()> {
        self.give(Work::Reread(length)).await
    }

    async fn give(&mut self, work: Work) -> Result<()> {
        match self.sender.send(work).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Returns the check of everything that was taken, once the last of it is written.
    pub(crate) async fn finish(self) -> Result<Check> {
        drop(self.sender);
        match self.worker {
            Some(worker) => join(worker).await,
            None => Err(stopped()),
        }
    }

    /// Returns why the thread takes nothing any more.
    async fn failure(&mut self) -> Error {
        let Some(worker) = self.worker.take() else {
            return stopped();
        };
        join(worker).await.err().unwrap_or_else(stopped)
    }
}

fn stopped() -> Error {
    Error::new(Reason::Internal, "a writer stopped")
}

/// What runs on the thread.
struct Thread {
    sink: Sink,
    meter: Arc<dyn Meter>,
    /// Bytes that the meter knows of, and those that were there before.
    told: u64,
    runtime: Handle,
}

impl Thread {
    fn work(mut self, mut work: Receiver<Work>) -> Result<Check> {
        while let Some(next) = self.next(&mut work)? {
            match next {
                Work::Write(bytes) => {
                    self.sink.take(&bytes)?;
                    self.tell();
                }
                Work::Reread(length) => self.reread(length)?,
            }
        }
        self.flush()?;
        self.sink.into_check()
    }

    /// Returns what comes next. If that takes long, what was gathered is written meanwhile.
    fn next(&mut self, work: &mut Receiver<Work>) -> Result<Option<Work>> {
        match work.try_recv() {
            Ok(next) => return Ok(Some(next)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => {}
        }
        let soon = async { tokio::time::timeout(IDLE, work.recv()).await };
        if let Ok(next) = self.runtime.block_on(soon) {
            return Ok(next);
        }
        self.flush()?;
        Ok(work.blocking_recv())
    }

    fn reread(&mut self, length: u64) -> Result<()> {
        self.flush()?;
        self.sink
            .reread(length, |count| self.meter.advance(count))?;
        self.told = self.sink.written();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.sink.flush()?;
        self.tell();
        Ok(())
    }

    /// Tells the meter what is in the file since it was told last.
    fn tell(&mut self) {
        let written = self.sink.written();
        match written - self.told {
            0 => {}
            count => self.meter.advance(count),
        }
        self.told = written;
    }
}
