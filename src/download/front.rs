//! The stream that feeds the writer, opened again where it breaks.

use super::board::{Ahead, Board};
use super::body::{Body, skip};
use super::tries::Tries;
use super::{Spread, Transfer};
use crate::blob::Check;
use crate::error::{Class, Error, Reason, Result};
use crate::store::Part;
use crate::writer::Writer;

/// Feeds a blob's bytes to a writer in their order.
pub(super) struct Front<'a, 't> {
    transfer: &'a Transfer<'a>,
    writer: Writer,
    /// Bytes that the writer was given.
    position: u64,
    body: Option<Body>,
    ranges: Ranges,
    tries: &'t mut Tries,
}

/// What is known about the store's ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ranges {
    /// Nothing against them.
    Fine,
    /// The last one that was asked for came whole; that may pass, as a proxy fills its cache.
    Unserved,
    /// They are wrong, and not asked for again.
    Wrong,
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetched {
    /// Everything that was wanted came.
    All,
    /// It goes on, but slowly.
    Slowly,
}

/// Why a stream gives no more.
enum Stop {
    /// It may go on from here.
    Broken(Error),
    /// It may not.
    Failed(Error),
}

impl<'a, 't> Front<'a, 't> {
    /// Returns a front that feeds `writer` from `position` on.
    pub(super) fn new(
        transfer: &'a Transfer<'a>,
        writer: Writer,
        position: u64,
        tries: &'t mut Tries,
    ) -> Self {
        Self {
            transfer,
            writer,
            position,
            body: None,
            ranges: Ranges::Fine,
            tries,
        }
    }

    /// Returns how many bytes the writer was given.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the check, once everything is written.
    pub(super) async fn finish(self) -> Result<Check> {
        self.writer.finish().await
    }

    /// Fetches the bytes up to `until`, or, if `spread` is given, until that turns out to be slow.
    pub(super) async fn fetch(&mut self, until: u64, spread: Option<&Spread>) -> Result<Fetched> {
        while self.position < until {
            let mut body = match self.body.take() {
                Some(body) => body,
                None => self.open(until).await?,
            };
            match self.pour(&mut body, until, spread).await {
                Ok(fetched) => {
                    self.body = Some(body).filter(|body| body.end > self.position);
                    return Ok(fetched);
                }
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Broken(error)) => self.wait(error).await?,
            }
        }
        Ok(Fetched::All)
    }

    /// Feeds what others have put into the file and fetches what nobody has, as `board` says.
    pub(super) async fn follow(&mut self, board: &Board) -> Result<()> {
        while self.position < self.transfer.blob.size {
            let changed = board.changed();
            match board.ahead(self.position) {
                Ahead::Nothing(until) => {
                    self.fetch(until, None).await?;
                    // Where every part comes whole, each segment would cost all before it.
                    if self.ranges != Ranges::Fine {
                        board.halt();
                    }
                }
                Ahead::Content(until) => {
                    self.body = None;
                    let length = until.saturating_sub(self.position);
                    self.writer.reread(length).await?;
                    self.position = until;
                }
                Ahead::Helper => {
                    self.body = None;
                    changed.await;
                }
            }
        }
        Ok(())
    }

    /// Opens the blob where the front is. The store itself tries again what does not open, so an
    /// error is the last word.
    async fn open(&mut self, until: u64) -> Result<Body> {
        let Transfer { store, blob, .. } = *self.transfer;
        let at = self.position;
        if at > 0 && self.ranges != Ranges::Wrong {
            match store.blob_part(blob, at..until).await {
                Ok(Part::Range(stream)) => {
                    self.ranges = Ranges::Fine;
                    return Ok(Body::new(stream, until));
                }
                Ok(Part::Whole(stream)) => {
                    self.ranges = Ranges::Unserved;
                    return Ok(Body::new(skip(stream, at), blob.size));
                }
                Err(error) if error.reason() == Reason::RegistryProtocol => self.distrust(&error),
                Err(error) => return Err(error),
            }
        }
        let stream = store.blob(blob).await?.into_unchecked();
        // What was fetched before is hashed already: the last check is of both.
        Ok(Body::new(skip(stream, at), blob.size))
    }

    /// Feeds what `body` brings.
    async fn pour(
        &mut self,
        body: &mut Body,
        until: u64,
        spread: Option<&Spread>,
    ) -> Result<Fetched, Stop> {
        let size = self.transfer.blob.size;
        while self.position < until {
            let piece = match body.next(until - self.position).await {
                None => return Err(Stop::Broken(self.short())),
                Some(Err(error)) => return Err(Stop::of(error)),
                Some(Ok(piece)) => piece,
            };
            let count = piece.len() as u64;
            self.writer.send(piece).await.map_err(Stop::Failed)?;
            self.position += count;
            let is_slow = |spread: &Spread| {
                body.pace.is_below(spread.slow, spread.watch) && size - self.position > spread.least
            };
            if spread.is_some_and(is_slow) {
                return Ok(Fetched::Slowly);
            }
        }
        match until == size && body.goes_on().await {
            true => Err(Stop::Failed(self.long())),
            false => Ok(Fetched::All),
        }
    }

    /// Waits before it goes on, if there is a try left.
    async fn wait(&mut self, error: Error) -> Result<()> {
        if error.reason() == Reason::RegistryProtocol {
            self.distrust(&error);
        }
        let (wait, error) = self.tries.after(error, self.position)?;
        self.transfer.progress.note(&format!(
            "will go on after {} of {} bytes in {:.1} s: {error}",
            self.position,
            self.transfer.blob.size,
            wait.as_secs_f64(),
        ));
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn distrust(&mut self, error: &Error) {
        self.ranges = Ranges::Wrong;
        let message = format!("will fetch it whole, not in parts: {error}");
        self.transfer.progress.note(&message);
    }

    fn short(&self) -> Error {
        let Transfer { blob, what, .. } = self.transfer;
        let message = format!("{what} ends after {} of {} bytes", self.position, blob.size);
        Error::new(Reason::SizeMismatch, message)
    }

    fn long(&self) -> Error {
        let Transfer { blob, what, .. } = self.transfer;
        let message = format!("{what} is longer than the declared {} bytes", blob.size);
        Error::new(Reason::SizeMismatch, message)
    }
}

impl Stop {
    /// Tells what the network did from what the disk of a local store did.
    fn of(error: Error) -> Self {
        match error.reason().class() {
            Class::Network => Self::Broken(error),
            _ => Self::Failed(error),
        }
    }
}
