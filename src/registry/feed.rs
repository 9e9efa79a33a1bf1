//! Content on its way into a request's body, at the pace of whichever side is slower.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::Body;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::blob::{Blob, ByteStream};
use crate::error::{Error, Reason, Result};
use crate::progress::Meter;

/// Pieces between the content and the connection.
const PIECES_IN_FLIGHT: usize = 2;

/// Returns a request's body and the place to feed it from.
pub(super) fn body() -> (Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    let next = |mut receiver: Receiver<Bytes>| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<_, io::Error>(piece), receiver))
    };
    let stream = futures_util::stream::unfold(receiver, next);
    (sender, Body::wrap_stream(stream))
}

/// Content that is fed into one request, or into several one after the other.
pub(super) struct Source<'a> {
    content: ByteStream,
    left_over: Bytes,
    meter: &'a dyn Meter,
}

impl<'a> Source<'a> {
    /// Returns `blob`, checked as it goes, as a source.
    pub(super) fn new(blob: Blob, meter: &'a dyn Meter) -> Self {
        Self {
            content: blob.into_upload(),
            left_over: Bytes::new(),
            meter,
        }
    }

    /// Feeds the next `length` bytes. That nobody takes them any more is no error here: the
    /// request will tell why.
    pub(super) async fn feed(
        &mut self,
        length: u64,
        into: Sender<Bytes>,
        stall: Duration,
    ) -> Result<()> {
        let mut remaining = length;
        while remaining > 0 {
            let piece = self.piece(remaining).await?;
            let count = piece.len() as u64;
            match tokio::time::timeout(stall, into.send(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()),
                Err(_) => {
                    let message = format!("nothing could be sent for {} s", stall.as_secs());
                    return Err(Error::new(Reason::TimedOut, message));
                }
            }
            self.meter.advance(count);
            remaining -= count;
        }
        Ok(())
    }

    /// Returns the next piece, of at most `most` bytes and never empty.
    async fn piece(&mut self, most: u64) -> Result<Bytes> {
        while self.left_over.is_empty() {
            self.left_over = match self.content.next().await {
                Some(piece) => piece?,
                None => {
                    let message = "the content ends before its declared size";
                    return Err(Error::new(Reason::SizeMismatch, message));
                }
            };
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let count = self.left_over.len().min(most);
        Ok(self.left_over.split_to(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Descriptor;
    use crate::progress::Silent;

    const STALL: Duration = Duration::from_secs(5);

    fn source(pieces: &[&'static [u8]]) -> Source<'static> {
        let all = pieces.concat();
        let pieces: Vec<_> = pieces.iter().map(|p| Ok(Bytes::from_static(p))).collect();
        let body = Box::pin(futures_util::stream::iter(pieces));
        Source::new(Blob::new(&Descriptor::of("x", &all), "it", body), &Silent)
    }

    async fn fed(source: &mut Source<'_>, length: u64) -> Result<Vec<u8>> {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(PIECES_IN_FLIGHT);
        let mut taken = Vec::new();
        let take = async {
            while let Some(piece) = receiver.recv().await {
                taken.extend_from_slice(&piece);
            }
        };
        let (result, ()) = tokio::join!(source.feed(length, sender, STALL), take);
        result.map(|()| taken)
    }

    #[tokio::test]
    async fn cuts_pieces_where_they_are_asked_for() {
        let mut source = source(&[b"abc", b"", b"defgh", b"i"]);
        for expected in [&b"ab"[..], b"cde", b"", b"fghi"] {
            assert_eq!(
                fed(&mut source, expected.len() as u64).await.unwrap(),
                expected
            );
        }
        let error = fed(&mut source, 1).await.unwrap_err();
        assert_eq!(error.reason(), Reason::SizeMismatch);
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_for_the_request_to_tell() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        source(&[b"abc"]).feed(3, sender, STALL).await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_not_waited_for_for_ever() {
        let (sender, _receiver) = mpsc::channel(1);
        let error = source(&[b"a", b"b"])
            .feed(2, sender, Duration::from_millis(1))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::TimedOut);
    }
}
